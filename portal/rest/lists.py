"""One page of a list, by key: the last page costs what the first does, and rows that come or go hide no others."""

from typing import Any, TypeVar

from sqlalchemy import Select, func, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from portal.rest.shapes import Paging, cursor_of, read_cursor

T = TypeVar("T")


def by_name(
    session: Session,
    rows: Select[T],
    name: InstrumentedAttribute[str],
    id: InstrumentedAttribute[int],
    asked: Paging,
) -> tuple[list[T], str | None]:
    """The page of `rows` in the order of `name`, and the cursor of the next. Raises Invalid.

    The cursor holds the last row's name, so that the next page begins there even if that row is gone by then.
    """
    key = tuple_(func.lower(name), id)
    if asked.cursor is not None:
        rows = rows.where(key > tuple_(*read_cursor(asked.cursor, str, int)))
    found = session.execute(
        rows.add_columns(func.lower(name).label("cursor_name"), id.label("cursor_id"))
        .order_by(None)
        .order_by(func.lower(name), id)
        .limit(asked.limit + 1)
    ).all()
    return _cut(found, asked.limit)


def by_number(
    session: Session, rows: Select[T], id: InstrumentedAttribute[int], asked: Paging
) -> tuple[list[T], str | None]:
    """The newest first."""
    if asked.cursor is not None:
        rows = rows.where(id < read_cursor(asked.cursor, int)[0])
    found = session.execute(
        rows.add_columns(id.label("cursor_id")).order_by(None).order_by(id.desc()).limit(asked.limit + 1)
    ).all()
    return _cut(found, asked.limit)


def _cut(found: Any, limit: int) -> tuple[list[Any], str | None]:
    shown = found[:limit]
    return [row[0] for row in shown], cursor_of(*shown[-1][1:]) if len(found) > limit else None
