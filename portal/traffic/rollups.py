"""Which rows of the roll-ups hold the calls of a scope and a window, each call once."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Dialect, and_, exists, false, null, select, true, type_coerce
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import LargeBinary, TypeDecorator

from portal.registry.models import Key
from portal.traffic.models import DAY, ByConsumer, ByKey, ByOperation, InAll
from portal.traffic.scope import Scope
from portal.traffic.window import Window, aligned

Part = tuple[Any, ColumnElement[bool]]


def parts(scope: Scope) -> list[Part]:
    """Tables and conditions which together hold each call of the scope once, each led by its primary key.

    A scope with an operation holds nothing unless it is that of a whole API: no roll-up has operations and consumers.
    """
    if scope.operation is not None:
        is_of_api = scope.api_id is not None and scope.key_id is None and not scope.needs_consumers
        return [(ByOperation, _of_operation(scope) if is_of_api else false())]
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


def _of_operation(scope: Scope) -> ColumnElement[bool]:
    return and_(scope.of_api(ByOperation.api_id), ByOperation.operation == scope.operation)


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


def within(table: Any, level: int, since: datetime, until: datetime) -> list[ColumnElement[bool]]:
    starts = range(int(since.timestamp()), int(until.timestamp()), level)
    if len(starts) > 200:
        return [table.level == level, table.at >= starts.start, table.at < starts.stop]
    # Named one by one, so that the index goes on to the API or the consumer; behind a range it would not.
    return [table.level == level, table.at.in_(starts)]


def pieces(window: Window) -> list[tuple[int, datetime, datetime]]:
    """(level, since, until) that make up the window: whole days from the days, which are fewest, the ends finer."""
    first_day = aligned(window.since + timedelta(seconds=DAY - 1), DAY)
    last_day = aligned(window.until, DAY)
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


def bag_of(table: Any) -> ColumnElement[Any]:
    return type_coerce(null(), _Bag()) if table is ByKey else _Joined(table.latency)
