"""Who may know of an API. What one may not know of does not exist: in pages, search, REST and exports."""

from sqlalchemy import ColumnElement, and_, or_, select, true

from portal.accounts.models import Membership, Person
from portal.registry.models import Api, Visibility, api_viewer


def visible_to(person: Person | None) -> ColumnElement[bool]:
    """The APIs that `person` may know of, as a condition on `Api`; None is somebody who has not signed in.

    Members know all of their teams' APIs, administrators all; others know published ones, as their visibility says.
    """
    if person is None:
        return and_(Api.live_release_id.is_not(None), Api.visibility == Visibility.PUBLIC)
    if person.is_administrator:
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
    if person is not None and (person.is_administrator or api.team_id in own):
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
