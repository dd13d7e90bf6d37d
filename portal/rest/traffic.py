"""Traffic: what charts show, read from the roll-ups."""

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy.orm import Session

from portal.accounts import Permission
from portal.accounts.tokens import Scope
from portal.db import utcnow
from portal.errors import Invalid
from portal.registry.models import Api
from portal.rest.route import tagged
from portal.rest.shapes import Asked, Instant, Moment, Number, Told
from portal.traffic import rankings, series
from portal.traffic.filters import NO_OPERATION
from portal.traffic.rankings import Ranking
from portal.traffic.scope import Scope as View
from portal.traffic.series import Counts, Latency
from portal.traffic.window import Window
from portal.web import operations, scopes
from portal.web.guards import me

route = tagged("Traffic")

_LONGEST = timedelta(days=731)


class TrafficSearch(Asked):
    """`window`, or `since` and perhaps `until`; without any, the last day."""

    window: Literal["1h", "24h", "7d", "30d", "90d"] | None = None
    since: Moment | None = None
    until: Moment | None = None
    api: Annotated[str, Field(max_length=200)] | None = None
    """`<team>/<slug>/<version>`."""
    operation: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    """Id of an operation of that API; `-` for calls that none describes."""
    consumer: Annotated[str, Field(max_length=200)] | None = None
    """`<team>/<slug>`."""


class RankingSearch(TrafficSearch):
    limit: Annotated[Number, Field(ge=1, le=100)] = 10


class LatencyAnswer(Told):
    """In microseconds, of `n` calls that were sent to an upstream; null where n is too small to say."""

    n: int
    p50_us: float | None
    p95_us: float | None
    p99_us: float | None


class CountsAnswer(Told):
    """Calls by class of status."""

    ok: int
    redirected: int
    client_errors: int
    """4xx without 429."""
    limited: int
    """429."""
    server_errors: int
    other: int
    """1xx, and calls without an answer."""


class Step(Told):
    start: Instant
    is_complete: bool
    counts: CountsAnswer
    latency: LatencyAnswer


class WindowAnswer(Told):
    since: Instant
    until: Instant


class Series(WindowAnswer):
    step_seconds: int
    counts: CountsAnswer
    """Of the whole window."""
    latency: LatencyAnswer
    steps: list[Step]


class Ranked(Told):
    label: str
    """`<team>/<slug>/<version>` or `<team>/<slug>`; the number of a deleted one."""
    name: str
    calls: int
    errors: int
    """Calls with a status of 400 and above."""
    latency: LatencyAnswer


class RankingAnswer(WindowAnswer):
    of: int
    """How many there are in all."""
    items: list[Ranked]


class RankedOperation(Told):
    id: str | None
    """Null for calls that no operation describes."""
    method: str | None
    """Null where no release of the API describes it any more."""
    path: str | None
    calls: int
    errors: int
    """Calls with a status of 400 and above."""
    latency: LatencyAnswer


class OperationRanking(WindowAnswer):
    of: int
    """How many there are in all."""
    items: list[RankedOperation]


class ReasonCount(Told):
    reason: str
    calls: int


class Reasons(WindowAnswer):
    items: list[ReasonCount]


@route("GET", "/traffic", Permission.SIGNED_IN, scope=Scope.READ, query=TrafficSearch, answer=Series)
def over_time(session: Session, query: TrafficSearch) -> Series:
    """Calls and latencies over time, of all that you may see, of one API or of one consumer."""
    scope, window = _asked(session, query)
    timeline = series.over_time(session, scope, window)
    return Series(
        since=window.since,
        until=window.until,
        step_seconds=window.step,
        counts=_counts(timeline.total.counts),
        latency=_latency(timeline.total.latency),
        steps=[
            Step(
                start=each.start,
                is_complete=each.complete,
                counts=_counts(each.counts),
                latency=_latency(each.latency),
            )
            for each in timeline.buckets
        ],
    )


@route("GET", "/traffic/apis", Permission.SIGNED_IN, scope=Scope.READ, query=RankingSearch, answer=RankingAnswer)
def apis(session: Session, query: RankingSearch) -> RankingAnswer:
    """The APIs that were called most."""
    return _ranked(session, query, rankings.top_apis, scopes.name_apis)


@route("GET", "/traffic/consumers", Permission.SIGNED_IN, scope=Scope.READ, query=RankingSearch, answer=RankingAnswer)
def consumers(session: Session, query: RankingSearch) -> RankingAnswer:
    """The consumers that called most."""
    return _ranked(session, query, rankings.top_consumers, scopes.name_consumers)


@route(
    "GET", "/traffic/operations", Permission.SIGNED_IN, scope=Scope.READ, query=RankingSearch, answer=OperationRanking
)
def top_operations(session: Session, query: RankingSearch) -> OperationRanking:
    """The operations of an API that were called most; `api` is one of which you may see all calls."""
    scope, window = _asked(session, query)
    api = session.get(Api, scope.api_id) if scope.api_id is not None else None
    if api is None:
        raise Invalid({"api": "Say of which API: <team>/<slug>/<version>."})
    found = rankings.top_operations(session, scope, window, query.limit)
    named = operations.name_operations(session, api, [each.id for each in found.first if each.id])
    return OperationRanking(
        since=window.since,
        until=window.until,
        of=found.of,
        items=[
            RankedOperation(
                id=each.id or None,
                method=named[each.id].method if each.id else None,
                path=named[each.id].path if each.id else None,
                calls=each.calls,
                errors=each.errors,
                latency=_latency(each.latency),
            )
            for each in found.first
        ],
    )


@route("GET", "/traffic/reasons", Permission.SIGNED_IN, scope=Scope.READ, query=TrafficSearch, answer=Reasons)
def reasons(session: Session, query: TrafficSearch) -> Reasons:
    """Why the gateway answered as it did, the most frequent first."""
    scope, window = _asked(session, query)
    return Reasons(
        since=window.since,
        until=window.until,
        items=[ReasonCount(reason=each.reason, calls=each.calls) for each in series.reasons(session, scope, window)],
    )


def _ranked(
    session: Session,
    query: RankingSearch,
    top: Callable[[Session, View, Window, int], Ranking[int]],
    name: Callable[..., dict[int, scopes.Named]],
) -> RankingAnswer:
    scope, window = _asked(session, query)
    found = top(session, scope, window, query.limit)
    named = name(session, scope, [each.id for each in found.first])
    return RankingAnswer(
        since=window.since,
        until=window.until,
        of=found.of,
        items=[
            Ranked(
                label=named[each.id].label,
                name=named[each.id].name,
                calls=each.calls,
                errors=each.errors,
                latency=_latency(each.latency),
            )
            for each in found.first
        ],
    )


def _asked(session: Session, query: TrafficSearch) -> tuple[View, Window]:
    """Raises Invalid."""
    now, wrong = utcnow(), {}
    scope = narrow = scopes.scope_of(session, me())
    if query.api is not None:
        api_id = scopes.find_api(session, scope, query.api)
        if api_id is None:
            wrong["api"] = f"There is no API {query.api} whose calls you may see."
        narrow = narrow.narrowed(api_id=api_id)
    if query.consumer is not None:
        consumer_id = scopes.find_consumer(session, scope, query.consumer)
        if consumer_id is None:
            wrong["consumer"] = f"There is no consumer {query.consumer} whose calls you may see."
        narrow = narrow.narrowed(consumer_id=consumer_id)
    if query.operation is not None:
        if query.api is None:
            wrong["operation"] = "Say of which API, with api."
        narrow = narrow.narrowed(operation="" if query.operation == NO_OPERATION else query.operation)
    since, until = query.since, query.until or now
    if query.window is not None and (query.since or query.until):
        wrong["window"] = "Give a window, or times of your own."
    elif since is None and query.until is not None:
        wrong["since"] = "Say where the time begins."
    elif since is not None and not timedelta() < until - since <= _LONGEST:
        wrong["since"] = f"It begins before it ends, and is {_LONGEST.days} days long at most."
    if wrong:
        raise Invalid(wrong)
    return narrow, Window.between(since, until, now) if since else Window.last(query.window or "24h", now)


def _counts(counts: Counts) -> CountsAnswer:
    return CountsAnswer(
        ok=counts.ok,
        redirected=counts.redirected,
        client_errors=counts.client_errors,
        limited=counts.limited,
        server_errors=counts.server_errors,
        other=counts.other,
    )


def _latency(latency: Latency) -> LatencyAnswer:
    return LatencyAnswer(n=latency.n, p50_us=latency.p50_us, p95_us=latency.p95_us, p99_us=latency.p99_us)
