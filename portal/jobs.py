"""Queued and periodic work, as rows of one table.

A worker claims a job by a conditional UPDATE, does it outside that transaction and then says how it went. A job is
done at least once: what it does must bear being done twice.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import JSON, CursorResult, Delete, Index, String, Text, Update, case, delete, or_, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from portal.db import Base, UTCDateTime, utcnow
from portal.vault import Vault

LEASE = timedelta(minutes=5)
"""How long a claim holds. A worker that died gives its job back by saying nothing for so long."""
MOST_ATTEMPTS = 8
"""Within half an hour."""
MORE_ATTEMPTS = {"mail": 14}
"""Within a day and a half: a mail server may be away for a night."""
_FIRST_PAUSE = timedelta(seconds=15)
_LONGEST_PAUSE = timedelta(days=1)


class Job(Base):
    """Something to be done once, or, with `every`, again and again."""

    __tablename__ = "job"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(50))
    """The name in the worker's table of what to do."""
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    every: Mapped[int | None]
    """Seconds from one run of periodic work to the next."""
    run_at: Mapped[datetime] = mapped_column(UTCDateTime)
    attempts: Mapped[int] = mapped_column(default=0)
    """How often it was claimed since it last went well."""
    claimed_by: Mapped[str | None] = mapped_column(String(300))
    claimed_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    failed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """When it was given up; it stays for people to see and is not tried again."""
    error: Mapped[str | None] = mapped_column(Text)
    """Why the last attempt failed."""
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    __table_args__ = (
        Index(
            "ix__job__run_at__open",
            "run_at",
            sqlite_where=text("failed_at IS NULL"),
            postgresql_where=text("failed_at IS NULL"),
        ),
        # Periodic work stands here once, however many workers announce it.
        Index(
            "uq__job__kind__periodic",
            "kind",
            unique=True,
            sqlite_where=text("every IS NOT NULL"),
            postgresql_where=text("every IS NOT NULL"),
        ),
    )


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that one worker has for itself until its lease ends. `attempt` counts from 1."""

    id: int
    kind: str
    payload: dict[str, Any]
    every: timedelta | None
    attempt: int
    by: str


def enqueue(session: Session, kind: str, payload: dict[str, Any] | None = None, run_at: datetime | None = None) -> Job:
    """Due at once, or from `run_at` on. It is there for workers when the caller's transaction commits."""
    job = Job(kind=kind, payload=payload or {}, run_at=run_at or utcnow())
    session.add(job)
    return job


def repeat(session: Session, kind: str, every: timedelta, *, now: datetime) -> None:
    """Have `kind` done every so often, first at once. Saying it again changes only how often, and has it done at once
    where it would be later than that: then a clock went back since it was done."""
    seconds = int(every.total_seconds())
    this = update(Job).where(Job.kind == kind, Job.every.is_not(None))
    if _changed(session, this.values(every=seconds)):
        session.execute(this.where(Job.claimed_by.is_(None), Job.run_at > now + every).values(run_at=now))
        return
    try:
        with session.begin_nested():
            session.add(Job(kind=kind, payload={}, every=seconds, run_at=now))
    except IntegrityError:
        pass  # another worker said it in between


def most_attempts(kind: str) -> int:
    return MORE_ATTEMPTS.get(kind, MOST_ATTEMPTS)


def reseal(session: Session, vault: Vault) -> int:
    """Seal what waiting work keeps secret with the newest key; how many there were. Raises Unreadable."""
    secret = [job for job in session.scalars(select(Job).with_for_update()) if "sealed" in job.payload]
    for job in secret:
        job.payload = job.payload | {"sealed": vault.renew(job.payload["sealed"].encode()).decode()}
    return len(secret)


def unreadable(session: Session, vault: Vault) -> int:
    """How many waiting jobs keep a secret that no key of `vault` opens."""
    payloads = session.scalars(select(Job.payload).where(Job.failed_at.is_(None)))
    return sum("sealed" in each and not vault.opens(each["sealed"].encode()) for each in payloads)


def leave(session: Session, kind: str, payload: dict[str, Any]) -> bool:
    """What the turns of periodic work leave for the next one and for pages; False when there is no such work."""
    return _changed(session, update(Job).where(Job.kind == kind, Job.every.is_not(None)).values(payload=payload))


def hasten(session: Session, kind: str, *, now: datetime) -> bool:
    """Have periodic work done now, unless it is being done; False when there is no such work."""
    return _changed(
        session,
        update(Job)
        .where(Job.kind == kind, Job.every.is_not(None))
        .values(run_at=case((or_(Job.claimed_until.is_(None), Job.claimed_until <= now), now), else_=Job.run_at)),
    )


def last_turn(session: Session, *, now: datetime) -> datetime | None:
    """When a worker last did something periodic that went well; None when it is not known."""
    rows = session.execute(
        select(Job.run_at, Job.every, Job.created_at).where(
            Job.every.is_not(None), Job.error.is_(None), Job.claimed_by.is_(None)
        )
    )
    turns = [(run_at - timedelta(seconds=every or 0), made_at) for run_at, every, made_at in rows]
    return max((turn for turn, made_at in turns if made_at <= turn <= now), default=None)


def claim(
    session: Session, *, by: str, now: datetime, only: Collection[str] | None = None, but: Collection[str] = ()
) -> Claim | None:
    """The job that has been due for longest, now held by `by`; None when there is none or another was faster.

    Looked for among `only` these kinds, or among all `but` these. A job that was claimed too often without an end kills
    its workers; it steps aside here.
    """
    free = [Job.failed_at.is_(None), or_(Job.claimed_until.is_(None), Job.claimed_until <= now), Job.kind.not_in(but)]
    if only is not None:
        free.append(Job.kind.in_(only))
    found = session.execute(
        select(Job.id, Job.kind, Job.payload, Job.every, Job.attempts)
        .where(Job.run_at <= now, *free)
        .order_by(Job.run_at, Job.id)
        .limit(1)
    ).first()
    if found is None:
        return None
    still = update(Job).where(Job.id == found.id, Job.attempts == found.attempts, Job.run_at <= now, *free)
    if found.every is None and found.attempts >= most_attempts(found.kind):
        session.execute(
            still.values(failed_at=now, claimed_by=None, claimed_until=None, error="No worker that began it came back.")
        )
        return claim(session, by=by, now=now, only=only, but=but)
    if not _changed(session, still.values(claimed_by=by, claimed_until=now + LEASE, attempts=Job.attempts + 1)):
        return None
    every = None if found.every is None else timedelta(seconds=found.every)
    return Claim(found.id, found.kind, found.payload, every, found.attempts + 1, by)


def finish(session: Session, held: Claim, *, now: datetime) -> bool:
    """It went well: it is gone, or due again later. False when the claim had ended before; then nothing changes."""
    if held.every is None:
        return _changed(session, delete(Job).where(*_own(held)))
    values = {"run_at": now + held.every, "attempts": 0, "error": None, "claimed_by": None, "claimed_until": None}
    return _changed(session, update(Job).where(*_own(held)).values(values))


def fail(session: Session, held: Claim, error: str, *, now: datetime) -> datetime | None:
    """It went wrong. When it is tried again, or None: given up, or the claim had ended before.

    Periodic work is never given up, and waits no longer than usual.
    """
    values: dict[str, Any] = {"error": error[:2000], "claimed_by": None, "claimed_until": None}
    again: datetime | None = None
    if held.every is None and held.attempt >= most_attempts(held.kind):
        values["failed_at"] = now
    else:
        pause = min(_FIRST_PAUSE * 2 ** min(held.attempt - 1, 13), held.every or _LONGEST_PAUSE, _LONGEST_PAUSE)
        again = values["run_at"] = now + pause
    return again if _changed(session, update(Job).where(*_own(held)).values(values)) else None


def _own(held: Claim) -> tuple[Any, ...]:
    return Job.id == held.id, Job.claimed_by == held.by, Job.attempts == held.attempt


def _changed(session: Session, statement: Update | Delete) -> bool:
    return cast("CursorResult[Any]", session.execute(statement)).rowcount > 0
