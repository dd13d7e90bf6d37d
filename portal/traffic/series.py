"""What charts and totals show, read from the roll-ups and never from rows.

Latencies are those of calls that were sent to an upstream: refusals of the gateway itself take microseconds and would
make an API look faster the more it refuses. Below `ENOUGH` of them the percentiles are None, which is not 0.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import product

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.traffic import histogram
from portal.traffic.rollups import bag_of, parts, pieces, within
from portal.traffic.scope import Scope
from portal.traffic.window import Window

ENOUGH = 20
"""Fewer calls than this have no percentiles."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in microseconds of `n` calls; None where n is below ENOUGH."""

    n: int = 0
    p50_us: float | None = None
    p95_us: float | None = None
    p99_us: float | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Calls by class of status. `client_errors` are 4xx without 429, `other` is 1xx and calls without an answer."""

    ok: int = 0
    redirected: int = 0
    client_errors: int = 0
    limited: int = 0
    server_errors: int = 0
    other: int = 0

    @property
    def calls(self) -> int:
        return self.ok + self.redirected + self.client_errors + self.limited + self.server_errors + self.other

    @property
    def errors(self) -> int:
        """All of 400 and above."""
        return self.client_errors + self.limited + self.server_errors

    @property
    def error_share(self) -> float | None:
        return self.errors / self.calls if self.calls else None


@dataclass(frozen=True, slots=True)
class Bucket:
    start: datetime
    complete: bool
    counts: Counts
    latency: Latency


@dataclass(frozen=True, slots=True)
class Totals:
    counts: Counts
    latency: Latency


@dataclass(frozen=True, slots=True)
class Timeline:
    buckets: list[Bucket]
    """One for each step of the window, also where nothing was called."""
    total: Totals


@dataclass(frozen=True, slots=True)
class ReasonCount:
    reason: str
    calls: int


def over_time(session: Session, scope: Scope, window: Window) -> Timeline:
    of_step: dict[int, _Sum] = defaultdict(_Sum)
    total = _Sum()
    for table, seen in parts(scope):
        start = (table.at - table.at % window.step).label("start")
        for second, *row in session.execute(
            select(start, table.status, func.sum(table.calls), bag_of(table))
            .where(seen, *within(table, window.level, window.since, window.until))
            .group_by(start, table.status)
        ):
            of_step[second].add(*row)
            total.add(*row)
    steps = ((start, of_step[int(start.timestamp())]) for start in window.starts)
    return Timeline(
        [Bucket(start, window.is_complete(start), found.counts, found.latency) for start, found in steps],
        Totals(total.counts, total.latency),
    )


def totals(session: Session, scope: Scope, window: Window) -> Totals:
    total = _Sum()
    for (table, seen), piece in product(parts(scope), pieces(window)):
        for row in session.execute(
            select(table.status, func.sum(table.calls), bag_of(table))
            .where(seen, *within(table, *piece))
            .group_by(table.status)
        ):
            total.add(*row)
    return Totals(total.counts, total.latency)


def reasons(session: Session, scope: Scope, window: Window) -> list[ReasonCount]:
    """How often each reason word was given, the most frequent first."""
    counts: dict[str, int] = defaultdict(int)
    for (table, seen), piece in product(parts(scope), pieces(window)):
        for reason, calls in session.execute(
            select(table.reason, func.sum(table.calls)).where(seen, *within(table, *piece)).group_by(table.reason)
        ):
            counts[reason] += int(calls)
    return [ReasonCount(*each) for each in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


class _Sum:
    """Calls by class of status and histograms, added up from groups of a roll-up."""

    def __init__(self) -> None:
        self._classes: dict[str, int] = defaultdict(int)
        self._bags: list[bytes] = []

    def add(self, status: int, calls: int, bag: bytes) -> None:
        self._classes[_class_of(status)] += int(calls)
        self._bags.append(bag)

    @property
    def counts(self) -> Counts:
        return Counts(**self._classes)

    @property
    def latency(self) -> Latency:
        return latency_of(self._bags)


def _class_of(status: int) -> str:
    if status == 429:
        return "limited"
    return {2: "ok", 3: "redirected", 4: "client_errors", 5: "server_errors"}.get(status // 100, "other")


def latency_of(bags: Iterable[bytes]) -> Latency:
    n, found = histogram.quantiles(b"".join(bags), (0.5, 0.95, 0.99))
    return Latency(n, *found) if n >= ENOUGH else Latency(n)
