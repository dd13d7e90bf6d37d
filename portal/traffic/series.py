"""What charts and totals show, read from the roll-ups and never from rows.

Latencies are those of calls that were sent to an upstream: refusals of the gateway itself take microseconds and would
make an API look faster the more it refuses. Below `ENOUGH` of them the percentiles are None, which is not 0.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Dialect,
    and_,
    case,
    exists,
    false,
    func,
    null,
    select,
    true,
    type_coerce,
    union_all,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import LargeBinary, TypeDecorator

from portal.registry.models import Key
from portal.traffic import histogram
from portal.traffic.models import DAY, LEVELS, MINUTE, ByConsumer, ByKey, ByOperation, InAll
from portal.traffic.scope import Scope

ENOUGH = 20
"""Fewer calls than this have no percentiles."""

PRESETS = {
    "1h": (timedelta(hours=1), 60),
    "24h": (timedelta(hours=24), 3_600),
    "7d": (timedelta(days=7), 3 * 3_600),
    "30d": (timedelta(days=30), DAY),
    "90d": (timedelta(days=90), DAY),
}
"""Length and step in seconds of the windows that pages offer."""


@dataclass(frozen=True, slots=True)
class Window:
    """From `since` up to `until`, in steps of `step` seconds; both ends lie on UTC multiples of the step."""

    since: datetime
    until: datetime
    step: int
    now: datetime
    """What is after this has not happened; the step that it lies in is incomplete."""

    @classmethod
    def last(cls, preset: str, now: datetime) -> "Window":
        """The newest window of this length; its last step is the one that `now` lies in. Raises KeyError."""
        length, step = PRESETS[preset]
        until = _aligned(now, step) + timedelta(seconds=step)
        return cls(until - length, until, step, now)

    @classmethod
    def between(cls, since: datetime, until: datetime, now: datetime) -> "Window":
        """A window of one's own choice, widened to whole steps, of which there are 200 at most while days allow."""
        seconds = (until - since).total_seconds()
        step = next((each for each in _STEPS if seconds <= each * 200), DAY)
        if now - since > timedelta(hours=47):
            step = max(step, 3_600)
        if now - since > timedelta(days=89):
            step = max(step, DAY)
        end = _aligned(until, step)
        return cls(_aligned(since, step), end if end == until else end + timedelta(seconds=step), step, now)

    @property
    def level(self) -> int:
        """The coarsest roll-up that the steps can be made of."""
        return next(level for level in reversed(LEVELS) if self.step % level == 0)

    @property
    def starts(self) -> list[datetime]:
        count = int((self.until - self.since).total_seconds()) // self.step
        return [self.since + timedelta(seconds=self.step * n) for n in range(count)]

    @property
    def before(self) -> "Window":
        """The period of the same length that ends where this one begins."""
        return replace(self, since=self.since - (self.until - self.since), until=self.since)

    def is_complete(self, start: datetime) -> bool:
        return start + timedelta(seconds=self.step) <= self.now


Part = tuple[Any, ColumnElement[bool]]
_STEPS = (MINUTE, 300, 900, 3_600, 3 * 3_600, 6 * 3_600)


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
class Top:
    id: int
    """Of an API or a consumer, which may be deleted by now."""
    calls: int
    errors: int
    latency: Latency

    @property
    def error_share(self) -> float:
        return self.errors / self.calls


@dataclass(frozen=True, slots=True)
class Ranking:
    first: list[Top]
    """Those that were called, or called, most."""
    of: int
    """How many there are in all, which costs nothing beside them and as much again when asked for alone."""


@dataclass(frozen=True, slots=True)
class ReasonCount:
    reason: str
    calls: int


def over_time(session: Session, scope: Scope, window: Window) -> Timeline:
    of_step: dict[int, _Sum] = defaultdict(_Sum)
    total = _Sum()
    for table, seen in _parts(scope):
        start = (table.at - table.at % window.step).label("start")
        for second, *row in session.execute(
            select(start, table.status, func.sum(table.calls), _bag_of(table))
            .where(seen, *_within(table, window.level, window.since, window.until))
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
    for (table, seen), piece in product(_parts(scope), _pieces(window)):
        for row in session.execute(
            select(table.status, func.sum(table.calls), _bag_of(table))
            .where(seen, *_within(table, *piece))
            .group_by(table.status)
        ):
            total.add(*row)
    return Totals(total.counts, total.latency)


def top_apis(session: Session, scope: Scope, window: Window, limit: int = 8) -> Ranking:
    """The APIs that were called most, without calls to no API. Empty when the scope is narrowed to a key."""
    if scope.key_id is not None:
        return Ranking([], 0)
    parts: list[Part] = [(ByOperation, true())] if scope.is_whole else _parts(scope)
    return _top(session, parts, window, "api_id", limit)


def top_consumers(session: Session, scope: Scope, window: Window, limit: int = 8) -> Ranking:
    """The consumers that called most, without calls of nobody known. Empty when the scope is narrowed to a key."""
    if scope.key_id is not None:
        return Ranking([], 0)
    seen = scope.of_both(ByConsumer.api_id, ByConsumer.consumer_id)
    return _top(session, [(ByConsumer, seen)], window, "consumer_id", limit)


def active_consumers(session: Session, scope: Scope, window: Window) -> int:
    """How many consumers called at least once; 0 when the scope is narrowed to a key."""
    if scope.key_id is not None:
        return 0
    seen = scope.of_both(ByConsumer.api_id, ByConsumer.consumer_id)
    found: set[int] = set()
    for piece in _pieces(window):
        found.update(
            session.scalars(
                select(ByConsumer.consumer_id)
                .where(ByConsumer.consumer_id != 0, seen, *_within(ByConsumer, *piece))
                .distinct()
            )
        )
    return len(found)


def reasons(session: Session, scope: Scope, window: Window) -> list[ReasonCount]:
    """How often each reason word was given, the most frequent first."""
    counts: dict[str, int] = defaultdict(int)
    for (table, seen), piece in product(_parts(scope), _pieces(window)):
        for reason, calls in session.execute(
            select(table.reason, func.sum(table.calls)).where(seen, *_within(table, *piece)).group_by(table.reason)
        ):
            counts[reason] += int(calls)
    return [ReasonCount(*each) for each in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def _top(session: Session, parts: list[Part], window: Window, name: str, limit: int) -> Ranking:
    """`name` is the column to group by, which all tables of the parts have."""
    groups = union_all(
        *(
            select(
                getattr(table, name).label("id"),
                func.sum(table.calls).label("calls"),
                func.sum(case((table.status >= 400, table.calls), else_=0)).label("errors"),
            )
            .where(getattr(table, name) != 0, seen, *_within(table, *piece))
            .group_by(getattr(table, name))
            for (table, seen), piece in product(parts, _pieces(window))
        )
    ).subquery()
    calls = func.sum(groups.c.calls)
    # The database ranks them: a row for each consumer would cost as much again as counting its calls.
    found = session.execute(
        select(groups.c.id, calls, func.sum(groups.c.errors), func.count().over())
        .group_by(groups.c.id)
        .order_by(calls.desc(), groups.c.id)
        .limit(limit)
    ).all()
    first = [id_ for id_, *_ in found]
    bags: dict[int, list[bytes]] = defaultdict(list)
    for (table, seen), piece in product(parts, _pieces(window)):
        column = getattr(table, name)
        for id_, bag in session.execute(
            select(column, _bag_of(table)).where(column.in_(first), seen, *_within(table, *piece)).group_by(column)
        ):
            bags[id_].append(bag)
    return Ranking(
        [Top(id_, int(calls), int(errors), _latency(bags[id_])) for id_, calls, errors, _ in found],
        found[0][3] if found else 0,
    )


def _parts(scope: Scope) -> list[Part]:
    """Tables and conditions which together hold each call of the scope once, each led by its primary key."""
    if scope.key_id is not None:
        return [(ByKey, _of_key(scope))]
    if scope.is_whole:
        return [(InAll, true())]
    if not scope.needs_consumers:
        return [(ByOperation, scope.of_api(ByOperation.api_id))]
    seen = scope.of_both(ByConsumer.api_id, ByConsumer.consumer_id)
    if scope.everything or scope.consumer_id is not None or not scope.api_ids:
        return [(ByConsumer, seen)]
    elsewhere = ByConsumer.api_id.not_in(sorted(scope.api_ids))
    mine = ByConsumer.consumer_id.in_(sorted(scope.consumer_ids))
    return [(ByOperation, scope.of_api(ByOperation.api_id)), (ByConsumer, and_(seen, mine, elsewhere))]


def _of_key(scope: Scope) -> ColumnElement[bool]:
    # The roll-up by key knows neither API nor consumer, so whose the key is must be asked of the registry.
    if scope.api_id is not None:
        return false()
    owner = select(Key.consumer_id).where(Key.id == scope.key_id)
    if not scope.everything:
        owner = owner.where(Key.consumer_id.in_(sorted(scope.consumer_ids)))
    if scope.consumer_id is not None:
        owner = owner.where(Key.consumer_id == scope.consumer_id)
    mine = true() if scope.everything and scope.consumer_id is None else exists(owner)
    return (ByKey.key_id == scope.key_id) & mine


def _within(table: Any, level: int, since: datetime, until: datetime) -> list[ColumnElement[bool]]:
    starts = range(int(since.timestamp()), int(until.timestamp()), level)
    if len(starts) > 200:
        return [table.level == level, table.at >= starts.start, table.at < starts.stop]
    # Named one by one, so that the index goes on to the API or the consumer; behind a range it would not.
    return [table.level == level, table.at.in_(starts)]


def _pieces(window: Window) -> list[tuple[int, datetime, datetime]]:
    """(level, since, until) that make up the window: whole days from the days, which are fewest, the ends finer."""
    first_day = _aligned(window.since + timedelta(seconds=DAY - 1), DAY)
    last_day = _aligned(window.until, DAY)
    if window.until > window.now and last_day < window.until:
        # Today's day holds what has happened so far, which is all that there is.
        last_day += timedelta(days=1)
    if window.level == DAY or first_day >= last_day:
        return [(window.level, window.since, window.until)]
    pieces = [
        (window.level, window.since, first_day),
        (DAY, first_day, last_day),
        (window.level, last_day, window.until),
    ]
    return [piece for piece in pieces if piece[1] < piece[2]]


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
        return _latency(self._bags)


def _class_of(status: int) -> str:
    if status == 429:
        return "limited"
    return {2: "ok", 3: "redirected", 4: "client_errors", 5: "server_errors"}.get(status // 100, "other")


def _latency(bags: Iterable[bytes]) -> Latency:
    n, found = histogram.quantiles(b"".join(bags), (0.5, 0.95, 0.99))
    return Latency(n, *found) if n >= ENOUGH else Latency(n)


def _aligned(when: datetime, step: int) -> datetime:
    second = int(when.timestamp())
    return datetime.fromtimestamp(second - second % step, UTC)


class _Bag(TypeDecorator[bytes]):
    """Histograms of a group, joined. SQLite can only join text, so they come in hexadecimal."""

    impl = LargeBinary
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], bytes]:
        return lambda value: bytes.fromhex(value) if isinstance(value, str) else bytes(value or b"")


class _Joined(FunctionElement[bytes]):
    """All histograms of a group in one. The database joins them: a row for each would cost ten times more."""

    type = _Bag()
    inherit_cache = True


@compiles(_Joined)
def _joined(element: _Joined, compiler: Any, **kw: Any) -> str:
    return f"string_agg({compiler.process(element.clauses, **kw)}, ''::bytea)"


@compiles(_Joined, "sqlite")
def _joined_on_sqlite(element: _Joined, compiler: Any, **kw: Any) -> str:
    return f"group_concat(hex({compiler.process(element.clauses, **kw)}), '')"


def _bag_of(table: Any) -> ColumnElement[Any]:
    return type_coerce(null(), _Bag()) if table is ByKey else _Joined(table.latency)
