"""Invitations: how administrators let people in whose address they know. The verbs.

An invitation is answered with a link that was mailed to its address. The link names the nonce of the last sending, so
that only the newest one works, and none once it was withdrawn or accepted.
"""

import secrets
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.accounts.models import Invitation, Person
from portal.accounts.people import create_person, set_password
from portal.errors import LinkDead, NameTaken

INVITATION_LASTS = timedelta(days=7)
"""How long the link of one sending works."""


def invite(session: Session, *, email: str, by: Person, now: datetime) -> Invitation:
    """`email` comes normalised. Raises NameTaken for somebody who has an account or an open invitation."""
    if session.scalar(select(Person.id).where(func.lower(Person.email) == email.lower())):
        raise NameTaken("email", f"{email} has an account already.")
    if session.scalar(select(Invitation.id).where(func.lower(Invitation.email) == email.lower())):
        raise NameTaken("email", f"{email} is invited already. Send the invitation again from the list.")
    invitation = Invitation(email=email, invited_by_id=by.id)
    send_anew(invitation, now=now)
    session.add(invitation)
    session.flush()  # the link names the id
    return invitation


def send_anew(invitation: Invitation, *, now: datetime) -> None:
    """Every link that was sent before stops working."""
    invitation.nonce = secrets.token_urlsafe(32)
    invitation.sent_at = now


def withdraw(session: Session, invitation: Invitation) -> None:
    session.delete(invitation)


def find_invitation(session: Session, invitation_id: int, nonce: str, *, now: datetime) -> Invitation:
    """What a link stands for. Raises LinkDead. In a writing transaction nobody else answers it meanwhile."""
    found = session.scalar(select(Invitation).where(Invitation.id == invitation_id).with_for_update())
    if found is None or not secrets.compare_digest(found.nonce, nonce) or now - found.sent_at > INVITATION_LASTS:
        raise LinkDead("Ask the administrator who invited you for a new one.")
    return found


def accept(session: Session, invitation: Invitation, *, name: str, password_hash: str) -> Person:
    """The person whom it was for. Raises NameTaken when somebody took the address in between.

    An account with the address that nobody has confirmed becomes theirs: the link came by mail, which whoever made
    that account could not show.
    """
    waiting = select(Person).where(func.lower(Person.email) == invitation.email.lower(), Person.confirmed_at.is_(None))
    person = session.scalar(waiting.where(Person.active))
    if person is None:
        return create_person(session, email=invitation.email, name=name, password_hash=password_hash)
    person.name = " ".join(name.split())
    set_password(person, password_hash)
    return person
