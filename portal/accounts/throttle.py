"""Attempts that are slowed down: every failure beyond the free ones doubles the wait. Nobody is ever locked out.

An attempt is counted before its password is looked at, so a hundred at once are no way around; one that succeeds is
taken back. What is counted, an address or an account from an address, is stored as a hash.
"""

import hashlib
import ipaddress
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import String, delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from portal.db import Base, UTCDateTime
from portal.errors import TooManyAttempts


class Throttle(Base):
    """Attempts of one kind from one place that were not taken back."""

    __tablename__ = "throttle"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of what is counted."""
    attempts: Mapped[int] = mapped_column(default=0)
    at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    """The last attempt that was let through."""
    free_at: Mapped[datetime] = mapped_column(UTCDateTime)
    """Nothing is let through before."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What is counted, how many attempts are free, and the longest wait in seconds."""

    counted: str
    free: int
    longest: int

    @property
    def id(self) -> str:
        return hashlib.sha256(self.counted.encode()).hexdigest()

    def wait_after(self, attempts: int) -> timedelta:
        over = attempts - self.free
        return timedelta(seconds=0 if over < 0 else min(2 ** min(over, 16), self.longest))


FORGOTTEN = timedelta(minutes=15)
"""After so much quiet the counting starts anew."""


def sign_in(address: str, email: str) -> list[Limit]:
    """Per address, and per account and address: a stranger elsewhere cannot slow an account's owner down."""
    place = _network(address)
    return [
        Limit(f"sign-in {place}", free=20, longest=30),
        Limit(f"sign-in {place} {email.strip().lower()}", free=5, longest=60),
    ]


def sign_up(address: str) -> list[Limit]:
    return [Limit(f"sign-up {_network(address)}", free=10, longest=60)]


def letters(address: str, email: str) -> list[Limit]:
    """Of mails that somebody has sent to an address: a stranger elsewhere cannot keep its owner from having one."""
    place = _network(address)
    return [
        Limit(f"letters {place}", free=10, longest=60),
        Limit(f"letters {place} {email.strip().lower()}", free=3, longest=60),
    ]


def second_factor(address: str, who: str) -> list[Limit]:
    """Who gives codes has given the right password: so the account counts too, wherever the attempts come from.

    Four guesses a minute against a million codes; the owner gets in between them.
    """
    return [
        Limit(f"second factor of {who}", free=30, longest=15),
        Limit(f"second factor {_network(address)} {who}", free=5, longest=60),
    ]


def password_again(address: str, who: str) -> list[Limit]:
    """Somebody who is signed in gives their password once more."""
    return [Limit(f"password again {_network(address)} {who}", free=5, longest=60)]


def access_token(address: str) -> list[Limit]:
    """Wrong access tokens from one place."""
    return [Limit(f"access token {_network(address)}", free=20, longest=30)]


def leak_report(address: str) -> list[Limit]:
    """Reports of leaked keys from one place. Scanners find several at once; nobody guesses 160 bits."""
    return [Limit(f"leak report {_network(address)}", free=30, longest=60)]


def new_member(who: str, email: str) -> list[Limit]:
    """An owner adds somebody by address, and is told when nobody has it: not for thousands of addresses."""
    return [
        Limit(f"new member by {who}", free=10, longest=60),
        Limit(f"new member by {who} {email.strip().lower()}", free=10, longest=60),
    ]


def attempt(session: Session, limits: Sequence[Limit], *, now: datetime) -> None:
    """Count one. Raises TooManyAttempts with the seconds to wait; such an attempt is not counted."""
    rows = {limit.id: _row(session, limit, now) for limit in sorted(limits, key=lambda each: each.id)}
    for limit in limits:
        row = rows[limit.id]
        if row.at > now + timedelta(seconds=limit.longest):
            # A clock went back, and nobody would get in until it says again what it said. This attempt is let through
            # and is the last one from now on: to move the wait would not outlive the refusal's rollback.
            row.at = row.free_at = now
    wait = max((row.free_at - now for row in rows.values()), default=timedelta())
    if wait > timedelta():
        raise TooManyAttempts(math.ceil(wait.total_seconds()))
    for limit in limits:
        row = rows[limit.id]
        row.attempts = (0 if now - row.at > FORGOTTEN else row.attempts) + 1
        row.at, row.free_at = now, now + limit.wait_after(row.attempts)


def succeeded(session: Session, limits: Sequence[Limit]) -> None:
    """Take an attempt back. The most exact of `limits`, its last, is forgotten wholly."""
    session.execute(delete(Throttle).where(Throttle.id == limits[-1].id))
    for limit in limits[:-1]:
        row = session.get(Throttle, limit.id, with_for_update=True)
        if row is not None:
            row.attempts = max(0, row.attempts - 1)
            row.free_at = row.at


def forget(session: Session, places: Collection[str], *, email: str, who: str, person_id: int) -> None:
    """What is counted of one person, as far as it is known from where; the rest is swept away soon."""
    limits = [Limit(f"second factor of {who}", free=0, longest=0)]
    for place in places:
        limits += [
            sign_in(place, email)[-1],
            letters(place, email)[-1],
            second_factor(place, who)[-1],
            *password_again(place, str(person_id)),
        ]
    session.execute(delete(Throttle).where(Throttle.id.in_({limit.id for limit in limits})))


def sweep(session: Session, *, now: datetime) -> int:
    """Delete what no longer counts; how many."""
    done = session.execute(delete(Throttle).where(Throttle.at < now - FORGOTTEN))
    return int(done.rowcount)  # type: ignore[attr-defined]


def _row(session: Session, limit: Limit, now: datetime) -> Throttle:
    """The row of `limit`, locked. Two first attempts at once agree on one."""
    chosen = select(Throttle).where(Throttle.id == limit.id).with_for_update()
    row = session.scalar(chosen)
    if row is None:
        try:
            with session.begin_nested():
                session.add(Throttle(id=limit.id, attempts=0, at=now, free_at=now))
        except IntegrityError:
            pass  # the other one was faster; its row is read below
        row = session.scalars(chosen).one()
    return row


def _network(address: str) -> str:
    """IPv6 comes in networks of 2^64 addresses to everybody: they count as one."""
    try:
        literal = ipaddress.ip_address(address)
    except ValueError:
        return address
    if literal.version == 4:
        return str(literal)
    return str(ipaddress.ip_network((literal, 64), strict=False))
