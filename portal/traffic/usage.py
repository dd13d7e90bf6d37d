"""How keys are used: when each was last used and from where, how much, and which are not used at all."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, or_, select
from sqlalchemy.orm import Session

from portal.registry.models import Key
from portal.traffic.models import DAY, HOUR, ByKey, Call, KeyUse, instant, microseconds
from portal.traffic.rollups import within
from portal.traffic.window import aligned

_AT_ONCE = 300


@dataclass(frozen=True, slots=True)
class LastUse:
    """Of one key. The call itself may be forgotten by now; then nothing but the time is known."""

    at: datetime
    request_id: bytes | None
    address: str | None
    user_agent: str | None
    method: str | None
    path: str | None
    reason: str | None


def last_uses(session: Session, key_ids: Collection[int]) -> dict[int, LastUse]:
    """By the key's number; keys that were never used are left out. Calls that were refused count, too."""
    found = {}
    ids = sorted(key_ids)
    for first in range(0, len(ids), _AT_ONCE):
        rows = session.execute(
            select(
                KeyUse.key_id,
                KeyUse.last_at,
                Call.request_id,
                Call.address,
                Call.user_agent,
                Call.method,
                Call.path,
                Call.reason,
            )
            .outerjoin(Call, and_(Call.key_id == KeyUse.key_id, Call.at == KeyUse.last_at))
            .where(KeyUse.key_id.in_(ids[first : first + _AT_ONCE]))
        )
        for key_id, at, request_id, *call in rows:
            texts: list[Any] = call
            found[key_id] = LastUse(instant(at), request_id, *texts)
    return found


def calls_of(session: Session, key_ids: Collection[int], since: datetime, now: datetime) -> dict[int, int]:
    """Calls of each key since then, by its number; keys without any are left out.

    Whole hours are counted, or whole days (UTC) where that is further back than two days: also those that `since` lies
    in.
    """
    level = HOUR if now - since <= timedelta(days=2) else DAY
    found: dict[int, int] = defaultdict(int)
    ids = sorted(key_ids)
    for first in range(0, len(ids), _AT_ONCE):
        for key_id, calls in session.execute(
            select(ByKey.key_id, func.sum(ByKey.calls))
            .where(*within(ByKey, level, aligned(since, level), now), ByKey.key_id.in_(ids[first : first + _AT_ONCE]))
            .group_by(ByKey.key_id)
        ):
            found[key_id] += int(calls)
    return dict(found)


def by_day(
    session: Session, key_ids: Collection[int], days: int, now: datetime
) -> list[tuple[datetime, dict[int, int]]]:
    """Of each of the last `days` days (UTC), the oldest first and today last: calls by the key's number."""
    first = aligned(now, DAY) - timedelta(days=days - 1)
    counted: dict[int, dict[int, int]] = defaultdict(dict)
    for at, key_id, calls in session.execute(
        select(ByKey.at, ByKey.key_id, func.sum(ByKey.calls))
        .where(*within(ByKey, DAY, first, now), ByKey.key_id.in_(sorted(key_ids)))
        .group_by(ByKey.at, ByKey.key_id)
    ):
        counted[at][key_id] = int(calls)
    starts = [first + timedelta(days=number) for number in range(days)]
    return [(start.astimezone(UTC), counted.get(int(start.timestamp()), {})) for start in starts]


def unused_since(cutoff: datetime) -> ColumnElement[bool]:
    """For a query of keys that joins KeyUse from outside: those that existed then and were not used from then on."""
    return and_(
        Key.created_at < cutoff,
        or_(KeyUse.last_at.is_(None), KeyUse.last_at < microseconds(cutoff)),
    )


def forget(session: Session) -> int:
    """Delete what is known of keys that are gone; of how many."""
    done = session.execute(
        delete(KeyUse).where(KeyUse.key_id.not_in(select(Key.id))).execution_options(synchronize_session=False)
    )
    return int(done.rowcount)  # type: ignore[attr-defined]
