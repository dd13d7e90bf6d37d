"""What is old goes: rows after some days, minutes of the roll-ups after two, hours after ninety, and so does who called
which operation."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, select, true, tuple_
from sqlalchemy.orm import Session

from portal.traffic.models import (
    HOUR,
    MINUTE,
    ByConsumer,
    ByConsumerOperation,
    ByKey,
    ByOperation,
    Call,
    InAll,
    MisreadLine,
    microseconds,
)

KEPT = {MINUTE: timedelta(hours=48), HOUR: timedelta(days=90)}
"""How long the levels of the roll-ups are kept; days are kept always."""


def sweep(session: Session, *, now: datetime, call_days: int, batch: int = 500) -> bool:
    """Delete up to `batch` rows of what is too old; whether there may be more. Call it in a transaction of its own.

    On SQLite nobody else writes meanwhile, so one batch takes less than 50 ms.
    """
    left = batch
    for table, of_level, until, order in _too_old(now, call_days):
        found = session.execute(select(*order).where(of_level, table.at < until).order_by(*order).limit(left)).all()
        if not found:
            continue
        last = found[-1]
        # A range, not a list. SQLite looks up the first bound; by the second alone it would read all that is old.
        session.execute(
            delete(table)
            .where(of_level, table.at <= last[0], tuple_(*order) <= tuple_(*last))
            .execution_options(synchronize_session=False)
        )
        left -= len(found)
        if left <= 0:
            return True
    return False


def in_arrears(session: Session, *, now: datetime, call_days: int) -> bool:
    """Whether there is anything that a sweep at `now` would take; give a time that has passed to be lenient."""
    return any(
        session.execute(select(table.at).where(of_level, table.at < until).limit(1)).first()
        for table, of_level, until, _order in _too_old(now, call_days)
    )


def _too_old(now: datetime, call_days: int) -> list[tuple[Any, ColumnElement[bool], Any, list[Any]]]:
    """(table, its level, the time before which it is too old, columns that order it, which begin with `at`)."""
    rows_until = now - timedelta(days=call_days)
    old: list[tuple[Any, ColumnElement[bool], Any, list[Any]]] = [
        (Call, true(), microseconds(rows_until), [Call.at, Call.id]),
        (MisreadLine, true(), rows_until, [MisreadLine.at, MisreadLine.id]),
    ]
    roll_ups: tuple[Any, ...] = (ByOperation, ByConsumer, ByKey, InAll)
    for level, kept in KEPT.items():
        until = int((now - kept).timestamp())
        for table in roll_ups:
            order = [column for column in table.__table__.primary_key if column.name != "level"]
            old.append((table, table.level == level, until, order))
    who, who_until = ByConsumerOperation, int((now - KEPT[HOUR]).timestamp())
    old.append((who, true(), who_until, list(who.__table__.primary_key)))
    return old
