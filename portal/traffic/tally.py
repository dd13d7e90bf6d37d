"""Counts a batch of calls for the roll-ups, before the database is written to. Pure.

Hours and days are added up from the batch's minutes, so that all levels say the same.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from operator import itemgetter
from typing import Any, NamedTuple

from portal.traffic import histogram
from portal.traffic.models import DAY, HOUR, MINUTE

Row = tuple[Any, ...]

FIELDS = (
    "at",
    "api_id",
    "operation",
    "consumer_id",
    "key_id",
    "status",
    "reason",
    "bytes_in",
    "bytes_out",
    "total_us",
    "target",
    "subscription_id",
)
"""What is read of a call, in the order that `tally` takes it in."""

_END_OF_CALENDARS = 253_402_128_000  # two days before the year 10000

_Group = list[int]
"""Calls, bytes in, bytes out, and then the bucket of each latency."""
_Groups = dict[Row, _Group]


class Deltas(NamedTuple):
    """What a batch adds to the roll-ups: their rows in the order of the columns, sorted by primary key."""

    by_operation: list[Row]
    by_consumer: list[Row]
    by_key: list[Row]
    key_use: list[Row]
    by_consumer_operation: list[Row]
    quota_use: list[Row]
    """Subscription, day as 2026-11-20, calls."""
    in_all: list[Row]


def tally(calls: Iterable[Row], zone: tzinfo = UTC) -> Deltas:
    """`calls` are tuples of FIELDS. A latency counts where the call was sent to a target, and a quota's call where it
    reached one; the days of quotas are those of `zone`."""
    finest: dict[int, _Groups] = {}
    keys: dict[int, _Groups] = {}
    last_of_key: dict[int, int] = {}
    uses: dict[int, dict[int, int]] = {}
    last, of_minute, of_keys = -1, {}, {}  # type: int, _Groups, _Groups
    used: dict[int, int] = {}
    bucket = histogram.bucket
    for at, api, operation, consumer, key, status, reason, bytes_in, bytes_out, total, target, subscription in calls:
        if reason == "preflight":
            continue  # nobody's call: browsers make one of their own accord, and none reaches a target
        minute = at // 60_000_000
        if minute != last:
            last = minute
            of_minute = finest.setdefault(minute * MINUTE, {})
            of_keys = keys.setdefault(minute * MINUTE, {})
            used = uses.setdefault(minute * MINUTE, {})
        # The operation stands last, so that the others of its group are told by what is before it.
        name: Row = (consumer or 0, api or 0, status, reason, operation)
        group = of_minute.get(name)
        if group is not None:
            group[0] += 1
            group[1] += bytes_in
            group[2] += bytes_out
        else:
            of_minute[name] = group = [1, bytes_in, bytes_out]
        if target is not None:
            if total is not None:
                group.append(bucket(total))
            if subscription is not None and reason != "upstream_unreachable":
                used[subscription] = used.get(subscription, 0) + 1
        if key is not None:
            if at > last_of_key.get(key, 0):
                last_of_key[key] = at
            name = (key, status, reason)
            group = of_keys.get(name)
            if group is not None:
                group[0] += 1
                group[1] += bytes_in
                group[2] += bytes_out
            else:
                of_keys[name] = [1, bytes_in, bytes_out]
    consumers = {minute: _sum((name[:4], group) for name, group in groups.items()) for minute, groups in finest.items()}
    operations = {
        minute: _sum(
            ((api, operation, status, reason), group) for (_, api, status, reason, operation), group in groups.items()
        )
        for minute, groups in finest.items()
    }
    in_all = {
        minute: _sum((name[2:], group) for name, group in groups.items()) for minute, groups in operations.items()
    }
    return Deltas(
        _levels(operations, _with_latency),
        _levels(consumers, _with_latency),
        _levels(keys, _without),
        sorted(last_of_key.items()),
        _callers(finest),
        _uses(uses, zone),
        _levels(in_all, _with_latency),
    )


def _callers(minutes: dict[int, _Groups]) -> list[Row]:
    """Of each day, API, operation and known consumer: calls, and the start of the last minute that had some."""
    found: dict[Row, list[int]] = {}
    for minute in sorted(minutes):
        day = minute - minute % DAY
        for (consumer, api, _, _, operation), group in minutes[minute].items():
            if consumer and api:
                name = (day, api, operation, consumer)
                have = found.get(name)
                found[name] = [group[0] + (have[0] if have is not None else 0), minute]
    return [(*name, *counted) for name, counted in sorted(found.items())]


def _uses(minutes: dict[int, dict[int, int]], zone: tzinfo) -> list[Row]:
    found: dict[tuple[int, str], int] = {}
    for minute, used in minutes.items():
        # No day of any zone begins within a minute. A line may claim a year that no calendar has.
        if used and minute < _END_OF_CALENDARS:
            day = datetime.fromtimestamp(minute, zone).date().isoformat()
            for subscription, calls in used.items():
                found[subscription, day] = found.get((subscription, day), 0) + calls
    return [(*name, calls) for name, calls in sorted(found.items())]


def _levels(minutes: dict[int, _Groups], rows_of: Any) -> list[Row]:
    # Sorted, so that two nodes that add to the same rows wait for each other and never in a circle.
    ready = [(minute, rows_of(minutes[minute])) for minute in sorted(minutes)]
    rows = [(MINUTE, minute, *row) for minute, counted in ready for row in counted]
    for level in (HOUR, DAY):
        starts: dict[int, list[tuple[int, list[Row]]]] = {}
        for minute, counted in ready:
            starts.setdefault(minute - minute % level, []).append((minute, counted))
        for start, inside in starts.items():
            counted = inside[0][1]
            if len(inside) > 1:
                counted = rows_of(_sum(item for minute, _ in inside for item in minutes[minute].items()))
            rows += [(level, start, *row) for row in counted]
    return rows


def _sum(items: Iterable[tuple[Row, _Group]]) -> _Groups:
    found: _Groups = {}
    for name, group in items:
        have = found.get(name)
        if have is None:
            found[name] = group.copy()
        else:
            have[0] += group[0]
            have[1] += group[1]
            have[2] += group[2]
            have += group[3:]
    return found


def _with_latency(groups: _Groups) -> list[Row]:
    of_buckets = histogram.of_buckets
    return [
        (*name, calls, bytes_in, bytes_out, of_buckets(buckets))
        for name, (calls, bytes_in, bytes_out, *buckets) in sorted(groups.items(), key=itemgetter(0))
    ]


def _without(groups: _Groups) -> list[Row]:
    return [(*name, *group) for name, group in sorted(groups.items(), key=itemgetter(0))]
