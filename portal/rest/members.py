"""Members of a team."""

from typing import Annotated

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from portal import accounts
from portal.accounts import Membership, Permission, Role, Team, throttle
from portal.accounts.tokens import Scope
from portal.db import db, utcnow
from portal.errors import Invalid, NotFound
from portal.rest import lists
from portal.rest.route import Answer, tagged
from portal.rest.serving import hold_row, state_of
from portal.rest.shapes import Asked, Listed, Paging, Told
from portal.web.guards import a_member, a_team, me

route = tagged("Members")


class MemberAnswer(Told):
    id: int
    person: int
    name: str
    email: str
    role: Role


class Members(Listed):
    items: list[MemberAnswer]


class NewMember(Asked):
    email: Annotated[str, Field(min_length=1, max_length=254)]
    """The address that somebody signs in with, who has an account already."""
    role: Role


class MemberChange(Asked):
    role: Role


def shown(member: Membership) -> MemberAnswer:
    person = member.person
    return MemberAnswer(id=member.id, person=person.id, name=person.name, email=person.email, role=member.role)


def _hold(session: Session, member: Membership) -> None:
    # The team first, as whoever deletes it does: the other way round the two would wait for each other.
    accounts.hold_team(session, member.team)
    hold_row(session, member)


_state = state_of(shown, _hold)


@route(
    "GET",
    "/teams/<team>/members",
    Permission.SEE_TEAM,
    a_team,
    scope=Scope.READ,
    query=Paging,
    answer=Members,
)
def index(session: Session, team: Team, query: Paging) -> Members:
    """The members of a team, who came last first."""
    rows = select(Membership).where(Membership.team_id == team.id).options(selectinload(Membership.person))
    found, following = lists.by_number(session, rows, Membership.id, query)
    return Members(items=[shown(each) for each in found], next=following)


def _slowed(team: Team, body: NewMember) -> None:
    """Who has an account is told to owners, and not for thousands of addresses."""
    limits = throttle.new_member(str(me().id), body.email)
    with db.begin() as session:
        throttle.attempt(session, limits, now=utcnow())


@route(
    "POST",
    "/teams/<team>/members",
    Permission.MANAGE_TEAM,
    a_team,
    scope=Scope.TEAMS,
    body=NewMember,
    answer=MemberAnswer,
    creates=True,
    prepare=_slowed,
)
def add(session: Session, team: Team, body: NewMember, prepared: None) -> Answer:
    """Add somebody who has an account."""
    throttle.succeeded(session, throttle.new_member(str(me().id), body.email))
    try:
        member = accounts.add_member(session, team, email=body.email, role=body.role)
    except NotFound as error:
        raise Invalid({"email": str(error)}) from None
    session.flush()
    return Answer(shown(member), location=f"/teams/{team.slug}/members/{member.id}")


@route(
    "GET",
    "/teams/<team>/members/<int:member>",
    Permission.SEE_TEAM,
    a_member,
    scope=Scope.READ,
    answer=MemberAnswer,
    etag=True,
)
def show(session: Session, member: Membership) -> MemberAnswer:
    """One member."""
    return shown(member)


@route(
    "PATCH",
    "/teams/<team>/members/<int:member>",
    Permission.MANAGE_TEAM,
    a_member,
    scope=Scope.TEAMS,
    body=MemberChange,
    answer=MemberAnswer,
    etag=True,
    match=_state,
)
def change(session: Session, member: Membership, body: MemberChange) -> MemberAnswer:
    """Change a member's role. A team keeps an owner (409)."""
    accounts.change_role(session, member, body.role)
    return shown(member)


@route(
    "DELETE",
    "/teams/<team>/members/<int:member>",
    Permission.MANAGE_TEAM,
    a_member,
    scope=Scope.TEAMS,
    match=_state,
)
def remove(session: Session, member: Membership) -> None:
    """Take somebody out of a team. A team keeps an owner (409)."""
    accounts.remove_member(session, member)
