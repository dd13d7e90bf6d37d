"""What a team owns, and its end."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.accounts.models import Team
from portal.errors import Conflict, InUse
from portal.registry.models import Api, Consumer, Plan, UpstreamSecret


def belongings(session: Session, team: Team) -> dict[str, int]:
    """How many of each kind of thing the team owns; kinds of which it has none are left out."""
    counted = {
        word: session.scalar(select(func.count()).where(kind.team_id == team.id)) or 0
        for word, kind in (
            ("API", Api),
            ("plan", Plan),
            ("consumer", Consumer),
            ("upstream secret", UpstreamSecret),
        )
    }
    return {word: count for word, count in counted.items() if count}


def delete_team(session: Session, team: Team) -> None:
    """For good, with its memberships. Raises InUse while it owns anything, Conflict for a personal team."""
    if team.is_personal:
        raise Conflict(f"{team.name} is a personal team. It stays as long as the person does.")
    owned = belongings(session, team)
    if owned:
        things = " and ".join(f"{count} {word}{'' if count == 1 else 's'}" for word, count in owned.items())
        raise InUse(f"{team.name} still owns {things}. Delete those first.")
    session.delete(team)
