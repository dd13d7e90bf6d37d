"""One page of a table in the order of any of its columns, by key: the last page costs what the first does.

A page begins after, or ends before, the row whose number stands in the address. Rows in which the column is empty come
last, in either direction; among equals the number decides.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, literal, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Query


@dataclass(frozen=True, slots=True)
class Order:
    column: InstrumentedAttribute[Any]
    id: InstrumentedAttribute[Any]
    descending: bool


@dataclass(frozen=True, slots=True)
class Turned:
    rows: list[Any]
    before: Any
    """Number of the row that the page before this one ends at; None on the first page."""
    after: Any
    """The same for the page after this one; None on the last."""


def page(query: Query[Any], order: Order, *, after: Any = None, before: Any = None, size: int) -> Turned:
    """`query` has every row of all pages. From the beginning when the row that `after` or `before` names is gone."""
    backwards = after is None and before is not None
    number = before if backwards else after
    anchor = query.session.execute(select(order.column).where(order.id == number)).first() if number else None
    query = query.order_by(None)
    if anchor is not None:
        query = query.filter(_beyond(order, anchor[0], number, backwards))
    else:
        backwards = False
    found = query.order_by(*_by(order, backwards)).limit(size + 1).all()
    more, rows = len(found) > size, found[:size]
    if backwards:
        rows.reverse()
    has_before = more if backwards else anchor is not None
    has_after = backwards or more
    first, last = (getattr(each, order.id.key) for each in (rows[0], rows[-1])) if rows else (None, None)
    return Turned(rows, first if has_before else None, last if has_after else None)


def _by(order: Order, backwards: bool) -> list[ColumnElement[Any]]:
    downwards = order.descending != backwards
    empty = order.column.is_(None)
    named = [order.column, order.id]
    return [empty.desc() if backwards else empty, *(each.desc() if downwards else each.asc() for each in named)]


def _beyond(order: Order, value: Any, number: Any, backwards: bool) -> ColumnElement[bool]:
    """The rows after the one that has this value and number; those before it when `backwards`."""
    smaller = order.descending != backwards

    def past(column: InstrumentedAttribute[Any], at: Any) -> ColumnElement[bool]:
        bound = literal(at, column.type)  # a mere True would not be compared
        return column < bound if smaller else column > bound

    empty = order.column.is_(None)
    if value is None:
        among_equals = and_(empty, past(order.id, number))
        return or_(~empty, among_equals) if backwards else among_equals
    equal = and_(order.column == literal(value, order.column.type), past(order.id, number))
    return or_(past(order.column, value), equal) if backwards else or_(past(order.column, value), equal, empty)
