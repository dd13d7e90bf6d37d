"""People as administrators see them: made, shut out, let in again, given rights. The verbs.

Passwords come in as hashes: making them is Flask-Security's work, at the edge.
"""

import secrets
import uuid
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, object_session

from portal.accounts import tokens
from portal.accounts.models import Invitation, Person
from portal.accounts.teams import create_personal_team
from portal.db import utcnow
from portal.errors import Conflict, Invalid, NameTaken

_ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without what looks alike when it is read aloud or from paper."""


def new_password() -> str:
    """A one-time password of 16 characters, some 92 bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(16))


def create_person(
    session: Session,
    *,
    email: str,
    name: str,
    password_hash: str,
    is_administrator: bool = False,
    must_change_password: bool = False,
) -> Person:
    """Somebody with a personal team. `email` comes normalised and known to be theirs; a password that was made for
    them must be changed. Raises Invalid and NameTaken."""
    if session.scalar(select(Person.id).where(func.lower(Person.email) == email.lower())):
        raise NameTaken("email", f"{email} has an account already.")
    person = Person(
        email=email,
        password=password_hash,
        fs_uniquifier=uuid.uuid4().hex,
        must_change_password=must_change_password,
        is_administrator=is_administrator,
        confirmed_at=utcnow(),
    )
    rename_person(person, name)
    session.add(person)
    session.flush()  # the team refers to the person's id
    create_personal_team(session, person)
    settle_invitation(session, email)
    return person


def rename_person(person: Person, name: str) -> None:
    """Raises Invalid."""
    name = " ".join(name.split())
    if not name:
        raise Invalid({"name": "Give a name."})
    person.name = name


def set_password(person: Person, password_hash: str, *, must_change_password: bool = False) -> None:
    """Every session of the person ends; one that was made for them ends their access tokens too.

    Whoever hands the password over vouches for the address: without mail there would be no way in for somebody who has
    not confirmed it.
    """
    person.password = password_hash
    person.must_change_password = must_change_password
    confirm(person, now=utcnow())
    _end_sessions(person)
    session = object_session(person)
    if must_change_password and session is not None:
        tokens.revoke_all(session, person, now=utcnow())


def change_email(session: Session, person: Person, email: str) -> None:
    """`email` comes normalised and known to be theirs. Every session ends, and every link already sent dies.

    Raises NameTaken.
    """
    holder = session.scalar(select(Person.id).where(func.lower(Person.email) == email.lower()))
    if holder not in {None, person.id}:
        raise NameTaken("email", f"{email} has an account already.")
    person.email = email
    confirm(person, now=utcnow())
    _end_sessions(person)


def confirm(person: Person, *, now: datetime) -> None:
    """The address is theirs: they had a link that was mailed to it. The first time counts."""
    person.confirmed_at = person.confirmed_at or now
    session = object_session(person)
    if session is not None:
        settle_invitation(session, person.email)


def settle_invitation(session: Session, email: str) -> None:
    """Somebody with this address has an account: an invitation to it is as good as accepted."""
    for invitation in session.scalars(select(Invitation).where(func.lower(Invitation.email) == email.lower())):
        session.delete(invitation)


def deactivate(session: Session, person: Person) -> None:
    """They cannot sign in, are signed out everywhere, and their access tokens are revoked. Keys of their teams go on
    working. Raises Conflict."""
    require_another_administrator(session, person)
    person.active = False
    tokens.revoke_all(session, person, now=utcnow())
    _end_sessions(person)


def activate(person: Person) -> None:
    person.active = True


def appoint(person: Person) -> None:
    """Make an administrator. Raises Conflict for somebody who is deactivated."""
    if not person.active:
        raise Conflict(f"{person.name} is deactivated. Activate the account first.")
    person.is_administrator = True


def dismiss(session: Session, person: Person) -> None:
    """Back to an ordinary person. Raises Conflict for the last administrator."""
    require_another_administrator(session, person)
    person.is_administrator = False


def blank(person: Person) -> None:
    """Take everything out of the row that was somebody's. The address is free for a new account."""
    for column in Person.__table__.columns:
        if column.nullable:
            setattr(person, column.key, None)
    person.name, person.email = f"Deleted person {person.id}", f"deleted-{person.id}@portico.invalid"
    person.password = "!"  # the hash of nothing
    person.active = person.is_administrator = False
    person.deleted_at = utcnow()
    _end_sessions(person)


def _end_sessions(person: Person) -> None:
    person.fs_uniquifier = uuid.uuid4().hex


def require_another_administrator(session: Session, person: Person) -> None:
    """Raises Conflict for the last one."""
    if not person.is_administrator:
        return
    # The rows are locked in one order, so that two administrators cannot dismiss each other at once.
    administrators = session.scalars(
        select(Person.id)
        .where(Person.is_administrator, Person.active)
        .order_by(Person.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    if not set(administrators) - {person.id}:
        raise Conflict(f"{person.name} is the only administrator. Make somebody else one first.")
