"""What the worker has found when it last took a closer look, for pages to show.

It stands in the payload of the periodic job that looks: one row, replaced each time.
"""

import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import jobs
from portal.doctor.finding import Finding
from portal.errors import Conflict
from portal.jobs import Job

KIND = "examine"
EVERY = timedelta(hours=1)


class NobodyLooks(Conflict):
    def __init__(self) -> None:
        super().__init__("No worker has looked here yet. Start it with `make run` or `flask worker run`.")


@dataclass(frozen=True, slots=True)
class Examination:
    findings: list[Finding]
    at: datetime | None
    """When it was made; None for never."""
    machine: str
    """Whose folder, Envoy and certificate were looked at: the worker's."""
    is_asked_for: bool
    """Whether another one is due or under way."""


def keep(session: Session, found: Sequence[Finding], *, now: datetime) -> None:
    jobs.leave(
        session,
        KIND,
        {"at": now.isoformat(), "machine": socket.gethostname(), "findings": [asdict(each) for each in found]},
    )


def last(session: Session, *, now: datetime) -> Examination:
    job = session.scalar(_JOB)
    if job is None:
        return Examination([], None, "", False)
    asked = job.run_at <= now or job.claimed_by is not None
    try:
        found = [Finding(**each) for each in job.payload["findings"]]
        return Examination(found, datetime.fromisoformat(job.payload["at"]), job.payload["machine"], asked)
    except (LookupError, TypeError, ValueError):  # none was made yet, or another release made it
        return Examination([], None, "", asked)


def ask(session: Session, *, now: datetime) -> None:
    """Have the worker look now, not in its own time. Raises NobodyLooks where no worker has ever run."""
    if not jobs.hasten(session, KIND, now=now):
        raise NobodyLooks


_JOB = select(Job).where(Job.kind == KIND, Job.every.is_not(None))
