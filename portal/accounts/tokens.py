"""Access tokens: what a person's programs show to the REST API. One does what its person may, as far as its scopes go:
without `admin` an administrator's does what another member of the person's teams could.

It opens nothing while the person is deactivated or has a password to change, and dies for good when an administrator
deactivates the account or resets its password.
"""

import hmac
from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, String, case, func, select, update
from sqlalchemy.orm import Mapped, Session, contains_eager, mapped_column, relationship

from portal import bearer
from portal.accounts import audit
from portal.accounts.models import Person
from portal.bearer import Token
from portal.db import NEVER_AGAIN, Base, UTCDateTime, utcnow
from portal.errors import Conflict, Invalid

PREFIX = "ppt_"
LASTS = timedelta(days=90)
"""Unless another time is chosen."""
LONGEST = timedelta(days=366)
MOST = 50
"""Tokens that work which one person can have."""
KEPT = timedelta(days=30)
"""How long a dead token stays in the list."""


class Scope(StrEnum):
    """What a token may be used for. None includes another."""

    READ = "read"
    CONSUMERS = "consumers:write"
    APIS = "apis:write"
    TEAMS = "teams:write"
    ADMIN = "admin"


SCOPES = {
    Scope.READ: "See what you see: teams, APIs, plans, consumers, calls and traffic",
    Scope.CONSUMERS: "Make and change consumers, subscriptions and keys",
    Scope.APIS: "Make, change, publish and pause APIs; plans and upstream secrets too",
    Scope.TEAMS: "Make and change teams, their members and channels; choose what you are told",
    Scope.ADMIN: "What only administrators may: people, publishing rights, nodes, the audit trail; with it the other "
    "scopes reach all teams, not only your own",
}
"""What each means, for people who choose."""


class AccessToken(Base):
    """A credential of a person for the REST API. The secret itself is shown once and stored nowhere."""

    __tablename__ = "access_token"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(12), unique=True)
    """The 12 base62 characters after `ppt_`; safe to show."""
    sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    """SHA-256 of the whole token as ASCII."""
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    label: Mapped[str] = mapped_column(String(80))
    scopes: Mapped[str] = mapped_column(String(200))
    """Words of `Scope`, separated by spaces."""
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    person: Mapped[Person] = relationship()

    __table_args__ = (NEVER_AGAIN,)

    def state_at(self, now: datetime) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at <= now else "active"

    def may(self, scope: Scope) -> bool:
        return scope.value in self.scopes.split()


class TokenUse(Base):
    """How often a token was used in the minute of its last use. Apart from the token: this is written at each use."""

    __tablename__ = "token_use"

    token_id: Mapped[int] = mapped_column(ForeignKey("access_token.id", ondelete="CASCADE"), primary_key=True)
    minute: Mapped[int] = mapped_column(BigInteger)
    """Since 1970."""
    calls: Mapped[int]
    used_at: Mapped[datetime] = mapped_column(UTCDateTime)
    """The first use in that minute."""


audit.watch(
    AccessToken,
    label=lambda token: f"{PREFIX}{token.public_id} of person {token.person_id}",
    word=lambda action, changes: _word(action, changes),
    unseen={"sha256", "created_at"},
)


def _word(action: str, changes: audit.Changes) -> str:
    if action == "changed" and changes.get("revoked_at", [None, None])[1]:
        return "revoked"
    return "issued" if action == "created" else action


def make(
    session: Session,
    person: Person,
    *,
    label: str,
    scopes: Collection[Scope],
    expires_at: datetime,
    now: datetime,
    public_id: str | None = None,
) -> tuple[AccessToken, Token]:
    """The token must be shown now: it is stored nowhere. Raises Invalid; Conflict when there are too many, or when the
    form that has chosen the `public_id` was sent before."""
    wrong = {}
    label = " ".join(label.split())
    if not label:
        wrong["label"] = "Say what it is for, such as nightly export."
    if not scopes:
        wrong["scopes"] = "Choose what it may be used for."
    if not now < expires_at <= now + LONGEST:
        wrong["expires_at"] = "Choose a day that is yet to come, a year from now at the latest."
    if wrong:
        raise Invalid(wrong)
    living = select(func.count()).where(
        AccessToken.person_id == person.id, AccessToken.revoked_at.is_(None), AccessToken.expires_at > now
    )
    if (session.scalar(living) or 0) >= MOST:
        raise Conflict(f"You have {MOST} access tokens already. Revoke one that is not needed.")
    if public_id and session.scalar(select(AccessToken.id).where(AccessToken.public_id == public_id)):
        raise Conflict(
            f"This form was sent before, and the token {PREFIX}{public_id}_… was made then. It was shown once, in the "
            "first answer. If you do not have it, revoke that one and make another."
        )
    secret = bearer.new_token(PREFIX, public_id)
    row = AccessToken(
        public_id=secret.public_id,
        sha256=secret.sha256,
        person=person,
        label=label,
        scopes=" ".join(scope.value for scope in Scope if scope in scopes),
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    return row, secret


def find(session: Session, text: str, *, now: datetime) -> AccessToken | None:
    """The token that `text` is, with its person, while it opens anything: one indexed read."""
    shown = Token(text)
    if not text.startswith(PREFIX) or not shown.is_well_formed:
        return None
    row = session.scalar(
        select(AccessToken)
        .join(AccessToken.person)
        .where(
            AccessToken.public_id == shown.public_id,
            Person.active,
            Person.must_change_password.is_(False),
            Person.deleted_at.is_(None),
        )
        .options(contains_eager(AccessToken.person))
    )
    if row is None or not hmac.compare_digest(row.sha256, shown.sha256):
        return None
    return row if row.state_at(now) == "active" else None


def count_use(session: Session, token_id: int, *, now: datetime) -> int:
    """It is used now; how often in this minute of the clock, this time included."""
    minute = int(now.timestamp()) // 60
    same = TokenUse.minute == minute
    counted = session.scalar(
        update(TokenUse)
        .where(TokenUse.token_id == token_id)
        .values(
            minute=minute,
            calls=case((same, TokenUse.calls + 1), else_=1),
            used_at=case((same, TokenUse.used_at), else_=now),
        )
        .returning(TokenUse.calls)
    )
    if counted is None:
        session.add(TokenUse(token_id=token_id, minute=minute, calls=1, used_at=now))
    return counted or 1


def of_person(session: Session, person: Person) -> list[tuple[AccessToken, datetime | None]]:
    """The person's tokens, the newest first, each with when it was last used."""
    rows = session.execute(
        select(AccessToken, TokenUse.used_at)
        .outerjoin(TokenUse, TokenUse.token_id == AccessToken.id)
        .where(AccessToken.person_id == person.id)
        .order_by(AccessToken.id.desc())
    )
    return [(token, used_at) for token, used_at in rows]


def find_own(session: Session, person: Person, public_id: str) -> AccessToken | None:
    return session.scalar(
        select(AccessToken).where(AccessToken.person_id == person.id, AccessToken.public_id == public_id)
    )


def revoke(token: AccessToken, *, now: datetime) -> None:
    """It opens nothing from now on. Revoking a revoked one changes nothing."""
    if token.revoked_at is None:
        token.revoked_at = now


def revoke_all(session: Session, person: Person, *, now: datetime) -> None:
    """All that the person has."""
    living = select(AccessToken).where(AccessToken.person_id == person.id, AccessToken.revoked_at.is_(None))
    for token in session.scalars(living):
        revoke(token, now=now)


def sweep(session: Session, *, now: datetime) -> int:
    """Delete those that were dead for KEPT; how many."""
    long_ago = now - KEPT
    chosen = select(AccessToken).where((AccessToken.revoked_at < long_ago) | (AccessToken.expires_at < long_ago))
    gone = session.scalars(chosen).all()
    for token in gone:
        session.delete(token)
    return len(gone)
