"""A person's own notices: the list behind the bell."""

from datetime import datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from portal.notify.models import Notice, NoticeCopy

MOST_COUNTED = 99
"""More than so many unread ones are not counted, since nobody reads the number."""


def unread(session: Session, person_id: int) -> int:
    """How many, `MOST_COUNTED + 1` for more. It is asked for on every page: one look at an index of unread ones."""
    some = (
        select(NoticeCopy.id)
        .where(NoticeCopy.person_id == person_id, NoticeCopy.read_at.is_(None))
        .limit(MOST_COUNTED + 1)
    )
    return session.scalar(select(func.count()).select_from(some.subquery())) or 0


def page(
    session: Session, person_id: int, *, before: int | None, size: int, only_unread: bool = False
) -> list[NoticeCopy]:
    """The newest first, from the one after the copy `before` on; one more than `size` where there are more."""
    rows = select(NoticeCopy).where(NoticeCopy.person_id == person_id)
    if only_unread:
        rows = rows.where(NoticeCopy.read_at.is_(None))
    if before is not None:
        rows = rows.where(NoticeCopy.id < before)
    return list(session.scalars(rows.order_by(NoticeCopy.id.desc()).limit(size + 1)))


def find_own(session: Session, person_id: int, copy_id: int) -> NoticeCopy | None:
    return session.scalar(select(NoticeCopy).where(NoticeCopy.id == copy_id, NoticeCopy.person_id == person_id))


def mark(copy: NoticeCopy, *, read: bool, now: datetime) -> None:
    """Marking what is marked already changes nothing."""
    copy.read_at = (copy.read_at or now) if read else None


def mark_all(session: Session, person_id: int, *, up_to: int, now: datetime) -> None:
    """All up to that copy, which is the newest that was seen: what has come since stays unread."""
    session.execute(
        update(NoticeCopy)
        .where(NoticeCopy.person_id == person_id, NoticeCopy.read_at.is_(None), NoticeCopy.id <= up_to)
        .values(read_at=now)
    )


def sweep(session: Session, *, before: datetime, most: int = 500) -> int:
    """Delete old notices with everybody's copies; how many, at most so many at once."""
    old = session.scalars(select(Notice.id).where(Notice.created_at < before).order_by(Notice.created_at).limit(most))
    found = old.all()
    session.execute(delete(Notice).where(Notice.id.in_(found)))
    return len(found)
