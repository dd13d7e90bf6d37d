"""Sessions: one row for each browser that somebody is signed in with. A row that goes signs its browser out at once.

The browser's cookies hold a random id, the row its hash: who reads the table can sign in as nobody.

How long one lasts follows OWASP ASVS 5.0 (V7.3: a limit without use, and one in any case) and the figures of
NIST SP 800-63B-4 (2.2.3): https://owasp.org/www-project-application-security-verification-standard/
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, Select, String, and_, delete, exists, not_, or_, select, update
from sqlalchemy.orm import Mapped, Session, contains_eager, mapped_column, relationship

from portal.accounts.models import Person
from portal.config import Config
from portal.db import Base, UTCDateTime

MOST = 50
"""Sessions that one person can have; a further one ends the one that was unused for longest."""
_OFTEN = timedelta(minutes=5)
_SKEW = timedelta(minutes=5)
"""How far the clocks of several machines may be apart. A session that began later than that began when a clock was
wrong, and would last for as much longer."""


class SignIn(Base):
    """A browser that is signed in."""

    __tablename__ = "sign_in"

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    """SHA-256 of the random id in the cookies."""
    uniquifier: Mapped[str] = mapped_column(String(64))
    """The person's `fs_uniquifier` when this began. Once that differs (a new password, a deactivation) this is over,
    also when both happen in one moment."""
    is_remembered: Mapped[bool] = mapped_column(default=False)
    """Outlives the browser's window, and needs no use to go on."""
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    seen_at: Mapped[datetime] = mapped_column(UTCDateTime)
    """Some minutes old at most: reading pages does not write."""
    address: Mapped[str] = mapped_column(String(45))
    """Where it was last seen."""
    user_agent: Mapped[str] = mapped_column(String(300))

    person: Mapped[Person] = relationship()


@dataclass(frozen=True, slots=True)
class Lifetimes:
    idle: timedelta
    """Without use."""
    longest: timedelta
    """In any case."""
    remembered: timedelta
    """In any case, of one that is remembered; instead of both others."""

    @classmethod
    def of(cls, config: Config) -> "Lifetimes":
        return cls(
            timedelta(minutes=config.session_idle_minutes),
            timedelta(hours=config.session_hours),
            timedelta(days=config.remember_days),
        )

    @property
    def notice_after(self) -> timedelta:
        """How old `seen_at` may be before it is written again."""
        return min(_OFTEN, self.idle / 4)

    def ends_at(self, sign_in: SignIn) -> datetime:
        """When it ends if it is not used from now on."""
        if sign_in.is_remembered:
            return sign_in.created_at + self.remembered
        return min(sign_in.created_at + self.longest, sign_in.seen_at + self.idle)


def new_token() -> str:
    """A random id for the cookies of one browser: 256 bits."""
    return secrets.token_urlsafe(32)


def begin(
    session: Session,
    uniquifier: str,
    token: str,
    *,
    address: str = "",
    user_agent: str = "",
    is_remembered: bool = False,
    now: datetime,
) -> SignIn | None:
    """A session of the person with this `fs_uniquifier`, found by `token` from now on; None when nobody has it."""
    person = session.scalar(select(Person).where(Person.fs_uniquifier == uniquifier, Person.active))
    if person is None:
        return None
    row = SignIn(
        person=person,
        token_hash=_hash(token),
        uniquifier=uniquifier,
        is_remembered=is_remembered,
        created_at=now,
        seen_at=now,
        address=address[:45],
        user_agent=user_agent[:300],
    )
    session.add(row)
    session.flush()  # the oldest are found by a statement
    newest = select(SignIn.id).where(SignIn.person_id == person.id).order_by(SignIn.seen_at.desc(), SignIn.id.desc())
    if surplus := session.scalars(newest.offset(MOST)).all():
        session.execute(delete(SignIn).where(SignIn.id.in_(surplus)))
    return row


def renew(session: Session, sign_in_id: int, token: str) -> None:
    """The same session, found by `token` from now on and no longer by the one before; its age stays."""
    session.execute(update(SignIn).where(SignIn.id == sign_in_id).values(token_hash=_hash(token)))


def find(session: Session, token: str, *, lifetimes: Lifetimes, now: datetime) -> SignIn | None:
    """The session that this cookie names, with its person, while it lasts: one indexed read."""
    row = session.scalar(_current().where(SignIn.token_hash == _hash(token)).options(contains_eager(SignIn.person)))
    return row if row is not None and _lasts(row, lifetimes, now) else None


def of_person(session: Session, person: Person, *, lifetimes: Lifetimes, now: datetime) -> list[SignIn]:
    """The person's sessions that last, the one that was used last first; MOST at most."""
    rows = session.scalars(
        _current().where(SignIn.person_id == person.id).order_by(SignIn.seen_at.desc(), SignIn.id.desc())
    )
    return [row for row in rows if _lasts(row, lifetimes, now)]


def notice(session: Session, sign_in_id: int, *, address: str, now: datetime) -> None:
    """It is used now, from `address`."""
    # By a statement: a row that somebody else ended meanwhile must not be an error.
    session.execute(update(SignIn).where(SignIn.id == sign_in_id).values(seen_at=now, address=address[:45]))


def end(session: Session, person_id: int, sign_in_ids: Sequence[int]) -> int:
    """Sign the person out of these; how many were still there. Those of others are left alone."""
    chosen = delete(SignIn).where(SignIn.person_id == person_id, SignIn.id.in_(sign_in_ids))
    return int(session.execute(chosen).rowcount)  # type: ignore[attr-defined]


def end_all(session: Session, person_id: int, *, but: int | None = None) -> int:
    """Sign the person out everywhere, or everywhere but here; how many sessions ended."""
    chosen = delete(SignIn).where(SignIn.person_id == person_id)
    if but is not None:
        chosen = chosen.where(SignIn.id != but)
    return int(session.execute(chosen).rowcount)  # type: ignore[attr-defined]


def sweep(session: Session, *, lifetimes: Lifetimes, now: datetime) -> int:
    """Delete what is over; how many."""
    same = exists().where(Person.id == SignIn.person_id, Person.fs_uniquifier == SignIn.uniquifier, Person.active)
    over = or_(
        and_(SignIn.is_remembered, SignIn.created_at <= now - lifetimes.remembered),
        and_(
            not_(SignIn.is_remembered),
            or_(SignIn.created_at <= now - lifetimes.longest, SignIn.seen_at <= now - lifetimes.idle),
        ),
        not_(same),
    )
    done = session.execute(delete(SignIn).where(over).execution_options(synchronize_session=False))
    return int(done.rowcount)  # type: ignore[attr-defined]


def _lasts(row: SignIn, lifetimes: Lifetimes, now: datetime) -> bool:
    return row.created_at <= now + _SKEW and now < lifetimes.ends_at(row)


def _current() -> Select[SignIn]:
    """With the person; without those that a new password or a deactivation has ended."""
    return select(SignIn).join(SignIn.person).where(SignIn.uniquifier == Person.fs_uniquifier, Person.active)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
