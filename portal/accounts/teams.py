"""People and teams: the verbs."""

import re
import unicodedata

from sqlalchemy import func, inspect, select
from sqlalchemy.orm import Session

from portal.accounts.models import Membership, Person, Role, Team
from portal.accounts.rights import Standing
from portal.errors import Conflict, Invalid, NameTaken, NotFound

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
RESERVED = frozenset({"new", "plans", "admin", "api", "portico"})
"""Words that stand in the place of a team's slug in our own addresses."""


def standing(person: Person | None, team: Team) -> Standing:
    """How `person` stands to `team`; a stranger has no role."""
    if person is None:
        return Standing()
    # A page asks this for many teams, and memberships come all at once.
    role = next((each.role for each in person.memberships if each.team_id == team.id), None)
    return Standing(role, person.acts_as_administrator, team.may_publish)


def create_team(session: Session, *, slug: str, name: str, owner: Person | None, may_publish: bool = False) -> Team:
    """A team of several, with one owner; without one, administrators add its members. Raises Invalid and NameTaken."""
    if not SLUG.fullmatch(slug):
        raise Invalid({"slug": "Use small letters, digits and dashes, such as payments."})
    if slug in RESERVED or session.scalar(select(Team.id).where(Team.slug == slug)):
        raise NameTaken("slug", f"{slug} is in use already. Choose another one.")
    team = Team(slug=slug, may_publish=may_publish)
    rename_team(team, name)
    if owner is not None:
        team.memberships.append(Membership(person=owner, role=Role.OWNER))
    session.add(team)
    return team


def create_personal_team(session: Session, person: Person) -> Team:
    """Everyone has one; it owns consumers and never publishes."""
    team = Team(slug=_free_slug(session, person.email.partition("@")[0]), name=person.name, person_id=person.id)
    team.memberships.append(Membership(person=person, role=Role.OWNER))
    session.add(team)
    return team


def hold_team(session: Session, team: Team) -> None:
    """Nothing comes to the team, and nobody leaves it, until the commit: on PostgreSQL others wait here.

    Raises NotFound when somebody else has deleted it meanwhile.
    """
    (number,) = inspect(team).identity or (None,)
    if session.scalar(select(Team.id).where(Team.id == number).with_for_update()) is None:
        raise NotFound("Somebody else has deleted this team meanwhile.")
    session.expire(team, ["memberships"])


def rename_team(team: Team, name: str) -> None:
    name = " ".join(name.split())
    if not name:
        raise Invalid({"name": "Give it a name."})
    team.name = name


def allow_publishing(team: Team, allowed: bool) -> None:
    """Raises Conflict for a personal team. Without the right, what is published stays; nothing can be changed."""
    if team.is_personal and allowed:
        raise Conflict(f"{team.name} is a personal team, and those cannot publish. Make a team for it.")
    team.may_publish = allowed


def add_member(session: Session, team: Team, *, email: str, role: Role) -> Membership:
    """Raises NotFound for somebody who has not signed up, Conflict for a personal team or a member."""
    if team.is_personal:
        raise Conflict(f"{team.name} is a personal team and has one member. Make a team for several.")
    person = session.scalar(select(Person).where(func.lower(Person.email) == email.strip().lower()))
    if person is None:
        raise NotFound(f"Nobody here signs in as {email.strip()}. Ask them to sign up first.")
    if any(member.person_id == person.id for member in team.memberships):
        raise Conflict(f"{person.name} is a member already. Change the role in the list.")
    membership = Membership(team=team, person=person, role=role)
    session.add(membership)
    return membership


def change_role(session: Session, membership: Membership, role: Role) -> None:
    """Raises Conflict when the team would be left without an owner."""
    if role is not Role.OWNER:
        _require_another_owner(session, membership)
    membership.role = role


def remove_member(session: Session, membership: Membership) -> None:
    """Raises Conflict when the team would be left without an owner."""
    _require_another_owner(session, membership)
    membership.team.memberships.remove(membership)


def _require_another_owner(session: Session, membership: Membership) -> None:
    # One at a time, so that two owners cannot dismiss each other at once.
    hold_team(session, membership.team)
    owners = select(Membership.id).where(Membership.team_id == membership.team_id, Membership.role == Role.OWNER)
    if session.scalars(owners).all() == [membership.id]:
        raise Conflict(f"{membership.person.name} is the only owner of {membership.team.name}. Name another one first.")


def slug_of(text: str) -> str:
    """A slug that reads like `text`; `x` when nothing of it can be written in small ASCII letters."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:50].strip("-") or "x"


def _free_slug(session: Session, wish: str) -> str:
    slug = slug_of(wish)
    taken = set(session.scalars(select(Team.slug).where(Team.slug.startswith(slug, autoescape=True)))) | RESERVED
    n = 1
    candidate = slug
    while candidate in taken:
        n += 1
        candidate = f"{slug}-{n}"
    return candidate
