"""Who called and was called most, read from the roll-ups."""

from collections import defaultdict
from dataclasses import dataclass
from itertools import product
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, and_, case, func, select, true, union_all
from sqlalchemy.orm import Session

from portal.traffic.models import ByConsumer, ByOperation
from portal.traffic.rollups import Part, bag_of, parts, pieces, within
from portal.traffic.scope import Scope
from portal.traffic.series import Latency, latency_of
from portal.traffic.window import Window

Id = TypeVar("Id", int, str)


@dataclass(frozen=True, slots=True)
class Top(Generic[Id]):
    id: Id
    """Of an API or a consumer, which may be deleted by now. Of an operation its name; '' for calls that none describes.
    """
    calls: int
    errors: int
    latency: Latency

    @property
    def error_share(self) -> float:
        return self.errors / self.calls


@dataclass(frozen=True, slots=True)
class Ranking(Generic[Id]):
    first: list[Top[Id]]
    """Those that were called, or called, most."""
    of: int
    """How many there are in all, which costs nothing beside them and as much again when asked for alone."""


def top_apis(session: Session, scope: Scope, window: Window, limit: int = 8) -> Ranking[int]:
    """The APIs that were called most, without calls to no API. Empty when the scope is narrowed to a key."""
    if scope.key_id is not None:
        return Ranking([], 0)
    found: list[Part] = [(ByOperation, true())] if scope.is_whole else parts(scope)
    return _top(session, [(table, table.api_id, and_(seen, table.api_id != 0)) for table, seen in found], window, limit)


def top_consumers(session: Session, scope: Scope, window: Window, limit: int = 8) -> Ranking[int]:
    """The consumers that called most, without calls of nobody known. Empty when the scope is narrowed to a key or an
    operation."""
    if scope.key_id is not None or scope.operation is not None:
        return Ranking([], 0)
    seen = scope.of_both(ByConsumer.api_id, ByConsumer.consumer_id)
    return _top(session, [(ByConsumer, ByConsumer.consumer_id, and_(seen, ByConsumer.consumer_id != 0))], window, limit)


def top_operations(session: Session, scope: Scope, window: Window, limit: int = 8) -> Ranking[str]:
    """The operations of the scope's API that were called most. Empty unless the scope holds all calls of one API."""
    if scope.api_id is None or scope.key_id is not None or scope.needs_consumers:
        return Ranking([], 0)
    return _top(session, [(table, table.operation, seen) for table, seen in parts(scope)], window, limit)


def active_consumers(session: Session, scope: Scope, window: Window) -> int:
    """How many consumers called at least once; 0 when the scope is narrowed to a key or an operation."""
    if scope.key_id is not None or scope.operation is not None:
        return 0
    seen = scope.of_both(ByConsumer.api_id, ByConsumer.consumer_id)
    found: set[int] = set()
    for piece in pieces(window):
        found.update(
            session.scalars(
                select(ByConsumer.consumer_id)
                .where(ByConsumer.consumer_id != 0, seen, *within(ByConsumer, *piece))
                .distinct()
            )
        )
    return len(found)


def _top(
    session: Session, tables: list[tuple[Any, Any, ColumnElement[bool]]], window: Window, limit: int
) -> Ranking[Any]:
    """`tables` are roll-ups, the column of each to group by, and which of its rows."""
    groups = union_all(
        *(
            select(
                column.label("id"),
                func.sum(table.calls).label("calls"),
                func.sum(case((table.status >= 400, table.calls), else_=0)).label("errors"),
            )
            .where(seen, *within(table, *piece))
            .group_by(column)
            for (table, column, seen), piece in product(tables, pieces(window))
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
    bags: dict[Any, list[bytes]] = defaultdict(list)
    for (table, column, seen), piece in product(tables, pieces(window)):
        for id_, bag in session.execute(
            select(column, bag_of(table)).where(column.in_(first), seen, *within(table, *piece)).group_by(column)
        ):
            bags[id_].append(bag)
    return Ranking(
        [Top(id_, int(calls), int(errors), latency_of(bags[id_])) for id_, calls, errors, _ in found],
        found[0][3] if found else 0,
    )
