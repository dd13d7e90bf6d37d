"""Who called an API, or some of its operations: those to tell before it changes or goes away."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.db import utcnow
from portal.traffic.models import DAY, HOUR, MINUTE, ByConsumerOperation
from portal.traffic.retention import KEPT

LOOKED_BACK = timedelta(days=30)
"""Whoever called within it is told before an API changes or goes away."""
_FEW = 200
"""Operations that are looked up each by itself; of more, all of the API's are read."""


@dataclass(frozen=True, slots=True)
class Caller:
    operation: str
    """Its name; '' where all operations were asked for, or for calls that none describes."""
    consumer_id: int
    """It may be deleted by now."""
    calls: int
    last: datetime
    """The minute of the last call."""


def days_since(since: datetime, now: datetime) -> range:
    """What `at` of ByConsumerOperation may be for calls since then: named one by one, so that the index goes on to the
    API; to tomorrow, since the clocks of nodes differ."""
    return range(int(since.timestamp()) // DAY * DAY, int((now + timedelta(days=1)).timestamp()), DAY)


def callers(session: Session, api_id: int, operations: Collection[str] | None, since: datetime) -> list[Caller]:
    """The known consumers that called these operations since then, one row for each operation and consumer; without
    `operations` those that called the API at all, one row for each. Whoever called most comes first.

    Days are counted whole (UTC), also the one that `since` lies in; what is older than 90 days is forgotten. Calls that
    were refused count too.
    """
    table, now = ByConsumerOperation, utcnow()
    operations = None if operations is None else frozenset(operations)
    first = max(since, now - KEPT[HOUR])
    asked = [table.at.in_(days_since(first, now)), table.api_id == api_id]
    if operations is not None and len(operations) <= _FEW:
        asked.append(table.operation.in_(sorted(operations)))
    called = [table.consumer_id] if operations is None else [table.consumer_id, table.operation]
    rows = session.execute(
        select(func.sum(table.calls), func.max(table.last_at), *called).where(*asked).group_by(*called)
    )
    # The last minute may have begun before the instant that is asked for.
    earliest = int(since.timestamp()) // MINUTE * MINUTE
    found = [
        Caller(name[0] if name else "", consumer_id, int(calls), datetime.fromtimestamp(last, UTC))
        for calls, last, consumer_id, *name in rows
        if last >= earliest and (operations is None or name[0] in operations)
    ]
    return sorted(found, key=lambda caller: (-caller.calls, caller.operation, caller.consumer_id))
