"""Who may know of an API."""

from typing import Annotated

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import registry
from portal.accounts import Permission, Team
from portal.accounts.tokens import Scope
from portal.errors import Conflict, Invalid
from portal.registry.models import Api, Visibility
from portal.rest.apis import ADDRESS, ApiAnswer, shown, state
from portal.rest.route import tagged
from portal.rest.shapes import Asked, Slug
from portal.web.guards import an_api

route = tagged("APIs")


class Sight(Asked):
    visibility: Visibility
    viewers: Annotated[list[Slug], Field(max_length=200)] = []
    """Slugs of teams, for `chosen`."""
    losing: bool = False
    """Agree that teams which use the API now do not see it any more. Their subscriptions go on."""


@route(
    "PUT",
    f"{ADDRESS}/visibility",
    Permission.MANAGE_APIS,
    an_api,
    scope=Scope.APIS,
    body=Sight,
    answer=ApiAnswer,
    etag=True,
    match=state,
)
def change(session: Session, api: Api, body: Sight) -> ApiAnswer:
    """Say who may know of an API beside its own team. Live at once.

    Where teams that use it would not see it any more, they are named (409) until `losing` agrees to it.
    """
    viewers = _viewers(session, body) if body.visibility is Visibility.CHOSEN else []
    lost = registry.losing_sight(session, api, body.visibility, viewers)
    if lost and not body.losing:
        named = ", ".join(team.name for team, _ in lost)
        raise Conflict(
            f"{named} would use {api.name} without seeing it. Nothing was changed. Send losing: true to agree."
        )
    registry.set_visibility(session, api, body.visibility, viewers)
    session.flush()
    return shown(api)


def _viewers(session: Session, body: Sight) -> list[Team]:
    """Raises Invalid."""
    if not body.viewers:
        raise Invalid({"viewers": "Choose at least one team, or show it to its own team only."})
    found = {
        team.slug: team
        for team in session.scalars(select(Team).where(Team.slug.in_(body.viewers), Team.person_id.is_(None)))
    }
    missing = [slug for slug in body.viewers if slug not in found]
    if missing:
        raise Invalid({"viewers": f"There is no team {missing[0]} of several people. Correct its slug."})
    return [found[slug] for slug in sorted(found)]
