"""Who may know of an API. What one may not know of does not exist: in pages, search, REST and exports."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, and_, exists, or_, select, true
from sqlalchemy.orm import Session, aliased

from portal.accounts.models import Membership, Person, Team
from portal.errors import Invalid
from portal.registry import revision
from portal.registry.models import CURRENT, Api, Consumer, Subscription, Visibility, api_viewer


def visible_to(person: Person | None) -> ColumnElement[bool]:
    """The APIs that `person` may know of, as a condition on `Api`; None is somebody who has not signed in.

    Members know all of their teams' APIs, administrators all; others know published ones, as their visibility says.
    """
    if person is None:
        return and_(Api.live_release_id.is_not(None), Api.visibility == Visibility.PUBLIC)
    if person.acts_as_administrator:
        return true()
    own = select(Membership.team_id).where(Membership.person_id == person.id)
    chosen = select(api_viewer.c.api_id).where(api_viewer.c.team_id.in_(own))
    shown = or_(
        Api.visibility.in_((Visibility.PUBLIC, Visibility.SIGNED_IN)),
        and_(Api.visibility == Visibility.CHOSEN, Api.id.in_(chosen)),
    )
    return or_(Api.team_id.in_(own), and_(Api.live_release_id.is_not(None), shown))


def may_see(person: Person | None, api: Api) -> bool:
    """`visible_to` for one API that is at hand."""
    own = {membership.team_id for membership in person.memberships} if person else set()
    if person is not None and (person.acts_as_administrator or api.team_id in own):
        return True
    if api.live_release_id is None:
        return False
    match api.visibility:
        case Visibility.PUBLIC:
            return True
        case Visibility.SIGNED_IN:
            return person is not None
        case Visibility.CHOSEN:
            return any(team.id in own for team in api.viewers)
    return False


def team_may_see(team: Team, api: Api) -> bool:
    """Whether everybody in the team may know of the API, as one of its members."""
    if api.team_id == team.id:
        return True
    if api.live_release_id is None:
        return False
    shown = api.visibility in (Visibility.PUBLIC, Visibility.SIGNED_IN)
    return shown or (api.visibility is Visibility.CHOSEN and team in api.viewers)


def is_told(api: type[Api], successor: type[Api]) -> ColumnElement[bool]:
    """Whether gateways tell the callers of `api` of its successor: while it is published and everybody who has signed
    in may know of it, or where both are for their team alone. Anybody may call, also without a key."""
    return and_(
        successor.live_release_id.is_not(None),
        or_(
            successor.visibility.in_((Visibility.PUBLIC, Visibility.SIGNED_IN)),
            and_(successor.team_id == api.team_id, api.visibility == Visibility.TEAM),
        ),
    )


def tells_successor(api: Api) -> bool:
    """`is_told` for one API that is at hand, and its successor."""
    successor = api.successor
    if successor is None or successor.live_release_id is None:
        return False
    if successor.visibility in (Visibility.PUBLIC, Visibility.SIGNED_IN):
        return True
    return successor.team_id == api.team_id and api.visibility is Visibility.TEAM


def set_visibility(session: Session, api: Api, visibility: Visibility, viewers: Collection[Team] = ()) -> None:
    """Live at once. `viewers` count where the visibility is `chosen`; the API's own team need not be among them.

    Subscriptions go on, also of teams that may not see it any more. Raises Invalid for somebody's personal team.
    """
    personal = [team for team in viewers if team.is_personal]
    if personal:
        raise Invalid({"viewers": "A personal team cannot be chosen. Choose a team of several people."})
    api.visibility = visibility
    api.viewers = [team for team in dict.fromkeys(viewers) if team.id != api.team_id]
    revision.touch(session)  # gateways name a successor only where it may be known


def losing_sight(
    session: Session, api: Api, visibility: Visibility, viewers: Collection[Team] = ()
) -> list[tuple[Team, int]]:
    """Teams that use the API now and of which nobody could see it then, and how many of their consumers do. By name."""
    if visibility in (Visibility.PUBLIC, Visibility.SIGNED_IN):
        return []
    seeing = {api.team_id} | ({team.id for team in viewers} if visibility is Visibility.CHOSEN else set())
    here, there = aliased(Membership), aliased(Membership)
    # A person sees what any of their teams may see, so a consumer of their personal team stays in sight.
    sees = (
        exists()
        .where(here.team_id == Consumer.team_id, there.person_id == here.person_id, there.team_id.in_(seeing))
        .correlate(Consumer)
    )
    rows = session.scalars(
        select(Consumer)
        .join(Subscription, Subscription.consumer_id == Consumer.id)
        .where(
            Subscription.api_id == api.id,
            CURRENT,
            Consumer.team_id.not_in(seeing),
            ~sees,
        )
    )
    found: dict[Team, int] = {}
    for consumer in rows:
        found[consumer.team] = found.get(consumer.team, 0) + 1
    return sorted(found.items(), key=lambda each: (each[0].name.lower(), each[0].id))
