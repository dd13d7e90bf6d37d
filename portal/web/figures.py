"""What traffic looks like: tiles, charts and tables of one scope in one window, ready for `traffic/_figures.html`."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.registry.models import Api, Release
from portal.traffic import rankings, series
from portal.traffic.callers import callers
from portal.traffic.filters import NO_OPERATION
from portal.traffic.models import DAY, HOUR, ByOperation
from portal.traffic.rankings import Top
from portal.traffic.reasons import REASONS
from portal.traffic.scope import Scope
from portal.traffic.series import Counts, Latency
from portal.traffic.window import Window
from portal.web import call_filters, operations, scopes, tiles
from portal.web.operations import NamedOperation
from portal.web.scopes import Named
from portal.web.tiles import Tile
from portal.web.windows import View

SOME_OPERATIONS, MANY_OPERATIONS = 15, 500
"""Rows of the table of operations, as it opens and when more of them are asked for."""
_CALLERS_SINCE, _MOST_CALLERS = timedelta(days=30), 100
_MOST_MARKERS = 4


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the tables of APIs and consumers."""

    named: Named
    calls: int
    calls_url: str
    error_share: float | None
    errors_url: str
    latency: Latency


@dataclass(frozen=True, slots=True)
class ReasonRow:
    reason: str
    sentence: str
    calls: int
    share: float
    url: str


@dataclass(frozen=True, slots=True)
class OperationRow:
    """A line of the table of operations. `described` is None for calls that no operation describes."""

    described: NamedOperation | None
    url: str
    """The page narrowed to it."""
    calls: int
    calls_url: str
    error_share: float
    latency: Latency


@dataclass(frozen=True, slots=True)
class OperationRows:
    rows: list[OperationRow]
    of: int
    """How many were called in all."""
    more_url: str | None
    """The page with more of them."""


@dataclass(frozen=True, slots=True)
class CallerRow:
    named: Named
    calls: int
    calls_url: str
    last: datetime


@dataclass(frozen=True, slots=True)
class Callers:
    first: list[CallerRow]
    """Those that called most."""
    of: int


@dataclass(frozen=True, slots=True)
class Figures:
    view: View
    """What was looked at, in the steps that were chosen."""
    calls: int
    tiles: list[Tile]
    is_compared: bool
    """Whether the tiles say how they differ from the period before."""
    calls_chart: dict[str, Any]
    latency_chart: dict[str, Any] | None
    """None where no step has calls enough for a percentile."""
    errors_chart: dict[str, Any]
    apis: list[Row]
    consumers: list[Row]
    reasons: list[ReasonRow]
    operations: OperationRows | None
    """None where they are not told apart: on other pages than an API's, and where none was ever described."""
    callers: Callers | None
    """Who called the one operation that is looked at; None elsewhere."""
    calls_url: str


def figures(
    session: Session,
    scope: Scope,
    view: View,
    *,
    with_reasons: bool = False,
    rows: int = 8,
    of: Api | None = None,
) -> Figures:
    """`of`: the API whose operations are told apart, which must be the one that `scope` is narrowed to."""
    timeline = series.over_time(session, scope, view.window)
    if timeline.total.counts.calls < series.ENOUGH * len(timeline.buckets) and view.has_coarser:
        view = view.coarser()
        timeline = series.over_time(session, scope, view.window)
    window, buckets, now = view.window, timeline.buckets, timeline.total
    before = series.totals(session, scope, window.before) if _reaches_back(session, window) else None
    if before and not before.counts.calls:
        before = None
    apis = rankings.top_apis(session, scope, window, rows).first if scope.api_id is None else []
    consumers = rankings.Ranking([], 0)
    active = None
    if scope.consumer_id is None and scope.operation is None:
        consumers = rankings.top_consumers(session, scope, window, rows)
        active = tiles.Active(
            consumers.of, rankings.active_consumers(session, scope, window.before) if before else None
        )
    of_apis = scopes.name_apis(session, scope, [top.id for top in apis])
    of_consumers = scopes.name_consumers(session, scope, [top.id for top in consumers.first])
    latency = _percentiles([bucket.latency for bucket in buckets])
    common = {
        "times": [bucket.start for bucket in buckets],
        "incomplete_last": not buckets[-1].complete,
        "markers": _releases(session, scope, window),
    }
    of_operation = None if scope.operation is None else _callers(session, scope, view)
    return Figures(
        view=view,
        calls=now.counts.calls,
        tiles=tiles.tiles(view, now, before, active, of_operation.of if of_operation else None),
        is_compared=before is not None,
        calls_chart={**common, "unit": "calls", "series": _by_class([bucket.counts for bucket in buckets])},
        latency_chart={**common, "unit": "us", "series": latency} if latency else None,
        errors_chart={
            **common,
            "unit": "share",
            "series": [
                _share("4xx", [(each.counts.client_errors, each.counts.calls) for each in buckets]),
                _share("429", [(each.counts.limited, each.counts.calls) for each in buckets]),
                _share("5xx", [(each.counts.server_errors, each.counts.calls) for each in buckets]),
            ],
        },
        apis=[_row(view, "api", of_apis[top.id], top) for top in apis],
        consumers=[_row(view, "consumer", of_consumers[top.id], top) for top in consumers.first],
        reasons=_reasons(session, scope, view) if with_reasons else [],
        operations=_operations(session, scope, view, of) if of is not None and scope.operation is None else None,
        callers=of_operation,
        calls_url=view.calls_url(),
    )


def idle_row(view: View, named: Named) -> Row:
    """An API that nobody called in the window."""
    url = view.calls_url(api=named.label)
    return Row(named, 0, url, None, url, Latency())


_CLASSES = (
    ("2xx", "2xx", "ok"),
    ("3xx", "3xx", "redirected"),
    ("4xx", "4xx", "client_errors"),
    ("429", "429", "limited"),
    ("5xx", "5xx", "server_errors"),
    ("no answer", "unknown", "other"),
)


def _by_class(counts: list[Counts]) -> list[dict[str, Any]]:
    """One series a class; classes that nothing belongs to are left out, but never all of them."""
    found = [
        {"name": name, "color": color, "values": [getattr(each, field) for each in counts]}
        for name, color, field in _CLASSES
        if field == "ok" or any(getattr(each, field) for each in counts)
    ]
    return found


def _percentiles(latencies: list[Latency]) -> list[dict[str, Any]]:
    """Empty where there is nothing to draw."""
    if all(each.p50_us is None for each in latencies):
        return []
    return [
        {"name": name, "color": name, "values": [getattr(each, f"{name}_us") for each in latencies]}
        for name in ("p50", "p95", "p99")
    ]


def _share(name: str, parts: list[tuple[int, int]]) -> dict[str, Any]:
    """Where nothing was called there is no share: unknown, not 0."""
    return {"name": name, "color": name, "values": [some / whole if whole else None for some, whole in parts]}


def _reaches_back(session: Session, window: Window) -> bool:
    """Whether the whole period before was lived through; half of one would make every number look like growth."""
    hour, day = (
        session.scalar(select(func.min(ByOperation.at)).where(ByOperation.level == level)) for level in (HOUR, DAY)
    )
    if hour is None or day is None:
        return False
    # Hours are exact but are forgotten after a while, days never.
    first = hour if hour - day < DAY else day
    return datetime.fromtimestamp(first, UTC) <= window.before.since


def _row(view: View, kind: str, named: Named, top: Top[int]) -> Row:
    url = view.calls_url(**{kind: named.label})
    return Row(named, top.calls, url, top.error_share, url, top.latency)


def _operations(session: Session, scope: Scope, view: View, api: Api) -> OperationRows | None:
    limit = MANY_OPERATIONS if view.with_all else SOME_OPERATIONS
    found = rankings.top_operations(session, scope, view.window, limit)
    names = [top.id for top in found.first if top.id]
    if not names and not operations.are_described(api):
        return None
    named = operations.name_operations(session, api, names)
    rows = [
        OperationRow(
            described=named[top.id] if top.id else None,
            url=view.traffic_url(api, operation=top.id or NO_OPERATION),
            calls=top.calls,
            calls_url=view.calls_url(operation=top.id or NO_OPERATION),
            error_share=top.error_share,
            latency=top.latency,
        )
        for top in found.first
    ]
    has_more = found.of > len(rows) and not view.with_all
    return OperationRows(rows, found.of, view.traffic_url(api, operations="all") if has_more else None)


def _callers(session: Session, scope: Scope, view: View) -> Callers:
    """The consumers that called the scope's operation in the last 30 days, whatever the window."""
    since = view.window.now - _CALLERS_SINCE
    found = callers(session, scope.api_id or 0, [scope.operation or ""], since)
    named = scopes.name_consumers(session, scope, [caller.consumer_id for caller in found[:_MOST_CALLERS]])
    asked = {"operation": scope.operation or NO_OPERATION, "from": call_filters.written(since), "to": None}
    return Callers(
        [
            CallerRow(
                named[caller.consumer_id],
                caller.calls,
                view.calls_url(**asked, consumer=named[caller.consumer_id].label),
                caller.last,
            )
            for caller in found[:_MOST_CALLERS]
        ],
        len(found),
    )


def _reasons(session: Session, scope: Scope, view: View) -> list[ReasonRow]:
    found = series.reasons(session, scope, view.window)
    total = sum(each.calls for each in found)
    return [
        ReasonRow(
            each.reason,
            REASONS.get(each.reason, "This reason has no sentence in this version of Portico."),
            each.calls,
            each.calls / total,
            view.calls_url(reason=each.reason),
        )
        for each in found
        if each.reason != "ok"
    ]


def _releases(session: Session, scope: Scope, window: Window) -> list[dict[str, Any]]:
    """The newest releases of own APIs in the window, for the time axis; a crowd of them would hide the bars."""
    statement = (
        select(Release.published_at, Release.number, Api.name)
        .join(Api, Api.id == Release.api_id)
        .where(Release.published_at >= window.since, Release.published_at < window.until)
        .order_by(Release.published_at.desc())
        .limit(_MOST_MARKERS + 1)
    )
    if scope.api_id is not None:
        statement = statement.where(Release.api_id == scope.api_id)
    elif not scope.everything:
        statement = statement.where(Release.api_id.in_(scope.api_ids))
    found = session.execute(statement).all()
    if len(found) > _MOST_MARKERS:
        return []
    return [
        {"time": at, "label": f"release {number}" if scope.api_id else f"{name}: release {number}"}
        for at, number, name in found
    ]
