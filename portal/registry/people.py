"""The end of a person's account: what goes with it, what stands in its way."""

from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.accounts import Invitation, Membership, Person, Role, Team, hold_team, people, sessions, throttle
from portal.accounts.audit import AuditEntry
from portal.db import Base, utcnow
from portal.errors import Conflict, InUse
from portal.registry.consumers import delete_consumer
from portal.registry.models import CURRENT, Consumer, Key, Subscription
from portal.registry.teams import belongings


@dataclass(frozen=True, slots=True)
class Departure:
    """What the deletion of a person does. With an obstacle it does not happen."""

    consumers: int
    """Of the personal team, which goes too."""
    keys: int
    subscriptions: int
    """Those that are current."""
    teams_left: list[Team] = field(default_factory=list)
    teams_deleted: list[Team] = field(default_factory=list)
    """Teams of several that nobody else is a member of and that own nothing."""
    obstacles: list[str] = field(default_factory=list)
    """Sentences."""


def departure(session: Session, person: Person) -> Departure:
    own = select(Consumer.id).join(Consumer.team).where(Team.person_id == person.id)
    keys = select(func.count()).where(Key.consumer_id.in_(own), Key.revoked_at.is_(None))
    subscriptions = select(func.count()).where(Subscription.consumer_id.in_(own), CURRENT)
    found = Departure(
        consumers=session.scalar(select(func.count()).select_from(own.subquery())) or 0,
        keys=session.scalar(keys) or 0,
        subscriptions=session.scalar(subscriptions) or 0,
    )
    for membership in person.memberships:
        if not membership.team.is_personal:
            _leave(session, membership, found)
    try:
        people.require_another_administrator(session, person)
    except Conflict as only_one:
        found.obstacles.append(str(only_one))
    return found


def _leave(session: Session, membership: Membership, found: Departure) -> None:
    team = membership.team
    others = [each for each in team.memberships if each.person_id != membership.person_id]
    if not others and (owned := belongings(session, team)):
        *most, last = (f"{count} {word}{'' if count == 1 else 's'}" for word, count in owned.items())
        things = f"{', '.join(most)} and {last}" if most else last
        found.obstacles.append(
            f"{team.name} owns {things} and would be left with nobody. Add an owner, or delete the team."
        )
    elif not others:
        found.teams_deleted.append(team)
    elif membership.role is Role.OWNER and not any(each.role is Role.OWNER for each in others):
        found.obstacles.append(f"{team.name} has other members and no other owner. Make one of them an owner first.")
    else:
        found.teams_left.append(team)


def delete_person(session: Session, person: Person) -> None:
    """For good, with the personal team, its consumers and their keys. What others own stays.

    The row is kept without anything that was theirs, for what it made and did: see `people.blank`. Raises InUse with
    the obstacles of `departure`.
    """
    # Nobody joins, leaves or adds something to these meanwhile.
    for team in sorted((each.team for each in person.memberships), key=lambda team: team.id):
        hold_team(session, team)
    found = departure(session, person)
    if found.obstacles:
        raise InUse(" ".join(found.obstacles))
    personal = session.scalars(select(Team).where(Team.person_id == person.id)).all()
    for consumer in session.scalars(select(Consumer).where(Consumer.team_id.in_([team.id for team in personal]))):
        delete_consumer(session, consumer)
    session.flush()  # teams go after what they own
    for team in [*personal, *found.teams_deleted]:
        session.delete(team)
    session.flush()
    _forget_attempts(session, person)
    for invitation in session.scalars(select(Invitation).where(func.lower(Invitation.email) == person.email.lower())):
        session.delete(invitation)
    _delete_what_is_theirs(session, person)
    people.blank(person)


def _forget_attempts(session: Session, person: Person) -> None:
    places = set(session.scalars(select(sessions.SignIn.address).where(sessions.SignIn.person_id == person.id)))
    lately = AuditEntry.at > utcnow() - 2 * throttle.FORGOTTEN
    places |= set(session.scalars(select(AuditEntry.address).where(AuditEntry.person_id == person.id, lately)))
    throttle.forget(
        session,
        [place for place in places if place],
        email=person.email,
        who=person.fs_uniquifier,
        person_id=person.id,
    )


def _delete_what_is_theirs(session: Session, person: Person) -> None:
    """Whatever table says that its rows go with the person's row: that one stays, so they are deleted here."""
    for mapper in Base.registry.mappers:
        for key in mapper.local_table.foreign_keys:
            if key.column is Person.__table__.c.id and key.ondelete == "CASCADE":
                for row in session.scalars(select(mapper.class_).where(key.parent == person.id)):
                    session.delete(row)
    session.flush()  # memberships are out of the person's list before its row changes
    session.expire(person)
