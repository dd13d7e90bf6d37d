"""Reading the audit trail: the newest first, some of it, page by page."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, and_, or_, select
from sqlalchemy.orm import Session

from portal.accounts.audit import AuditEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which entries; what is None is not asked for."""

    person_id: int | None = None
    """Who did it."""
    by: str | None = None
    nobody: bool = False
    """Only what was done on pages by people who were not signed in."""
    action: str | None = None
    kind: str | None = None
    thing_id: int | None = None
    label: str | None = None
    """A part of what the thing was called."""
    address: str | None = None
    team_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    entries: list[AuditEntry]
    has_newer: bool
    has_older: bool


def page(
    session: Session, asked: Asked, *, before: int | None = None, after: int | None = None, size: int = 50
) -> Page:
    """`size` entries older than the number `before`, or newer than `after`, or the newest."""
    rows = _chosen(asked)
    if after is not None and before is None:
        ascending = rows.where(AuditEntry.id > after).order_by(AuditEntry.id).limit(size + 1)
        found = list(session.scalars(ascending))
        more, found = len(found) > size, found[:size][::-1]
        return Page(found, more, True)
    if before is not None:
        rows = rows.where(AuditEntry.id < before)
    found = list(session.scalars(rows.order_by(AuditEntry.id.desc()).limit(size + 1)))
    return Page(found[:size], before is not None, len(found) > size)


def of_person(session: Session, person_id: int) -> Iterator[AuditEntry]:
    """What this person did and what was done to their account and memberships, the oldest first; read bit by bit."""
    chosen = select(AuditEntry).where(
        or_(
            AuditEntry.person_id == person_id,
            and_(AuditEntry.kind == "person", AuditEntry.thing_id == person_id),
            and_(AuditEntry.kind == "membership", AuditEntry.label.startswith(f"person {person_id} in ")),
        )
    )
    yield from session.scalars(chosen.order_by(AuditEntry.id).execution_options(yield_per=1000))


def _chosen(asked: Asked) -> Select[AuditEntry]:
    rows = select(AuditEntry)
    for column, wanted in (
        (AuditEntry.person_id, asked.person_id),
        (AuditEntry.by, asked.by),
        (AuditEntry.action, asked.action),
        (AuditEntry.kind, asked.kind),
        (AuditEntry.thing_id, asked.thing_id),
        (AuditEntry.address, asked.address),
        (AuditEntry.team_id, asked.team_id),
    ):
        if wanted is not None:
            rows = rows.where(column == wanted)
    if asked.nobody:
        rows = rows.where(AuditEntry.person_id.is_(None), AuditEntry.by == "page")
    if asked.label is not None:
        rows = rows.where(AuditEntry.label.icontains(asked.label, autoescape=True))
    if asked.since is not None:
        rows = rows.where(AuditEntry.at >= asked.since)
    if asked.until is not None:
        rows = rows.where(AuditEntry.at < asked.until)
    return rows
