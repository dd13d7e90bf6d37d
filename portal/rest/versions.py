"""Another version of an API beside it, and the callers of the one carried over to the other."""

from typing import Annotated

from pydantic import Field
from sqlalchemy.orm import Session

from portal import letters, registry
from portal.accounts import Permission
from portal.accounts.tokens import Scope
from portal.errors import Invalid
from portal.registry.models import Api
from portal.rest import subscriptions
from portal.rest.apis import ADDRESS, ApiAnswer, Version, shown
from portal.rest.route import Answer, tagged
from portal.rest.shapes import Asked, Slug, Told
from portal.rest.subscriptions import SubscriptionAnswer
from portal.web.guards import an_api, me

route = tagged("APIs")


class NewVersion(Asked):
    version: Version
    path: Annotated[str, Field(max_length=200)] | None = None
    """Where the gateway serves it; `/<slug>/<version>` when it is left out."""


class Carriage(Asked):
    source: Version
    """The version whose callers are to call this one too."""
    subscriptions: Annotated[list[int], Field(max_length=10_000)] | None = None
    """Numbers of their subscriptions; all of them when it is left out."""
    plans: dict[Slug, Slug] = {}
    """Plan that they have -> plan of this version; others keep theirs."""


class Carried(Told):
    """What was made."""

    items: list[SubscriptionAnswer]


@route(
    "POST",
    f"{ADDRESS}/versions",
    Permission.MANAGE_APIS,
    an_api,
    scope=Scope.APIS,
    body=NewVersion,
    answer=ApiAnswer,
    creates=True,
)
def create(session: Session, api: Api, body: NewVersion) -> Answer:
    """Make another version: a copy of the draft, with the same plans, visibility and category. Nothing leads to it."""
    path = body.path or f"/{api.slug}/{body.version}"
    made = registry.new_version(session, api, version=body.version, path=path, by=me())
    session.flush()
    return Answer(shown(made), location=f"/teams/{made.team.slug}/apis/{made.slug}/{made.version}")


@route(
    "POST",
    f"{ADDRESS}/carry",
    Permission.MANAGE_APIS,
    an_api,
    scope=Scope.APIS,
    body=Carriage,
    answer=Carried,
)
def carry(session: Session, api: Api, body: Carriage) -> Carried:
    """Let the consumers of another version call this one too, with the keys that they have. They are told by mail.

    Who uses this version already is passed over. A plan that this version does not offer is a conflict (409).
    """
    old = next((each for each in registry.siblings(session, api) if each.version == body.source), None)
    if old is None or old.live_release_id is None:
        raise Invalid({"source": f"There is no other published version {body.source} of {api.name}."})
    portable = registry.portable(session, old, api)
    chosen = [each for each in portable if body.subscriptions is None or each.id in set(body.subscriptions)]
    offered = {plan.slug: plan for plan in api.plans}
    unknown = sorted(set(body.plans.values()) - offered.keys())
    if unknown:
        raise Invalid({"plans": f"{api.name} {api.version} does not offer the plan {unknown[0]}."})
    plans = {each.plan_id: offered[body.plans[each.plan.slug]] for each in chosen if each.plan.slug in body.plans}
    made = registry.carry_subscriptions(session, old, api, chosen, plans, by=me())
    session.flush()  # the letter names what was made
    letters.subscriptions_carried(session, old, made, by=me())
    return Carried(items=[subscriptions.shown(each) for each in made])
