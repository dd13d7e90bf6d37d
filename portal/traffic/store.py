"""Writes a batch of calls inside the caller's transaction, in the way that the database is fastest at.

SQLite: prepared statements run by the driver over tuples. PostgreSQL: COPY for the rows; for the roll-ups one
`INSERT … ON CONFLICT` of whole arrays, which locks the rows it adds to, in the order of their keys.
Both add histograms by writing one behind the other (`histogram.py`), so nothing is read before it is written.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from portal.registry.models import QuotaUse
from portal.traffic import histogram
from portal.traffic.models import ByConsumer, ByConsumerOperation, ByKey, ByOperation, Call, InAll, KeyUse
from portal.traffic.tally import Deltas, Row

TABLES: tuple[Any, ...] = tuple(
    table.__table__ for table in (ByOperation, ByConsumer, ByKey, KeyUse, ByConsumerOperation, QuotaUse, InAll)
)
"""In the order of `Deltas`. What all nodes add to comes last, so that they wait for each other shortly."""
WITH_LATENCY = tuple(table for table in TABLES if "latency" in table.columns)
LONG = 2_048
"""Bytes of a histogram that are worth writing anew."""

_COLUMNS = tuple(column.name for column in Call.__table__.columns)


def write(connection: Connection, calls: Sequence[Row], deltas: Deltas, *, plain: bool) -> None:
    """`calls` are tuples in the order of the table's columns. `plain`: no text in them has a backslash, control
    character or the word None alone, so that COPY needs no escapes; but an operation may have that name."""
    if connection.dialect.name == "sqlite":
        _to_sqlite(connection, calls, deltas)
    else:
        _to_postgres(connection, calls, deltas, plain)


def compact(connection: Connection, steps: Iterable[tuple[int, int]], limit: int = 300) -> int:
    """Shorten the long histograms of these (level, start); how many. At most `limit` of each step and roll-up."""
    done = 0
    for table in WITH_LATENCY:
        key = list(table.primary_key.columns)
        change = update(table).where(*(column == bindparam(f"key_{column.name}") for column in key))
        change = change.values(latency=bindparam("shorter"))
        for level, start in steps:
            long = connection.execute(
                select(*key, table.c.latency)
                .where(table.c.level == level, table.c.at == start, func.length(table.c.latency) > LONG)
                .limit(limit)
                .with_for_update(skip_locked=True)
            ).all()
            shorter = [
                {f"key_{column.name}": value for column, value in zip(key, row, strict=False)}
                | {"shorter": histogram.compact(row.latency)}
                for row in long
            ]
            if shorter:
                connection.execute(change, shorter)
            done += len(shorter)
    return done


@contextmanager
def unhurried(connection: Connection) -> Iterator[None]:
    """Commits inside do not checkpoint SQLite's log: the same pages are written again and again. See `checkpoint`."""
    if connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA cache_size = -65536")
    driver.execute("PRAGMA wal_autocheckpoint = 0")
    try:
        yield
    finally:
        if not connection.invalidated:
            driver.execute("PRAGMA wal_autocheckpoint = 1000")


def checkpoint(connection: Connection) -> None:
    """Outside of a transaction. Neither readers nor writers wait for it."""
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def _to_sqlite(connection: Connection, calls: Sequence[Row], deltas: Deltas) -> None:
    if calls:
        connection.exec_driver_sql(_INSERT_CALL, calls)
    for statement, rows in zip(_ADD_ON_SQLITE, deltas, strict=True):
        if rows:
            connection.exec_driver_sql(statement, rows)


def _to_postgres(connection: Connection, calls: Sequence[Row], deltas: Deltas, plain: bool) -> None:
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor:
        if calls:
            with cursor.copy(_COPY_CALL) as copy:
                # In pieces, so that the server reads the one while the next is written here.
                for first in range(0, len(calls), 500):
                    copy.write("".join([_copy_line(call, plain) for call in calls[first : first + 500]]))
        for table, statement, rows in zip(TABLES, _ADD_ON_POSTGRES, deltas, strict=True):
            if rows:
                cursor.execute(statement, _as_arrays(table, rows))


def _as_arrays(table: Any, rows: Sequence[Row]) -> list[str]:
    """One array literal for each column: the driver would look at each value."""
    columns = zip(table.columns.keys(), zip(*rows, strict=True), strict=True)
    return ["{" + ",".join(map(_ELEMENTS.get(name, str), values)) + "}" for name, values in columns]


def _quoted(text: str) -> str:
    """Somebody's operation may be called null."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_ELEMENTS: dict[str, Any] = {"operation": _quoted, "latency": lambda value: value.hex() or '""'}
"""How values become elements of an array literal, where not as they are."""


def _copy_line(call: Row, plain: bool) -> str:
    """One line of COPY's text form, in which the word None stands for NULL and bytes are hexadecimal."""
    at, id_, request_id, *rest = call
    if plain and rest[_TRACE] is None and rest[_OPERATION] != "None":
        return _PLAIN % (at, id_, request_id.hex(), *rest)
    values = []
    for value in call:
        if type(value) is bytes:
            values.append("\\\\x" + value.hex())
        elif value == "None":
            values.append("\\116one")
        else:
            values.append(str(value).translate(_COPY_ESCAPES))
    return "\t".join(values) + "\n"


_COPY_ESCAPES = {ord(c): "\\" + s for c, s in {"\\": "\\", "\t": "t", "\n": "n", "\r": "r"}.items()}
_COPY_CALL = f"COPY call ({', '.join(_COLUMNS)}) FROM STDIN WITH (NULL 'None')"
_PLAIN = "%s\t%s\t\\\\x" + "\t".join(["%s"] * (len(_COLUMNS) - 2)) + "\n"
_TRACE = _COLUMNS.index("trace_id") - 3
_OPERATION = _COLUMNS.index("operation") - 3
_INSERT_CALL = f"INSERT INTO call ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"


def _add(table: Any, values: str, bag: str, larger: str) -> str:
    key = [column.name for column in table.primary_key.columns]
    names = [column.name for column in table.columns]
    sums = [
        f"{name} = {table.name}.{name} + excluded.{name}"
        for name in ("calls", "bytes_in", "bytes_out")
        if name in names
    ]
    if "latency" in names:
        sums.append(f"latency = {bag.format(f'{table.name}.latency || excluded.latency')}")
    if "last_at" in names:
        sums.append(f"last_at = {larger}({table.name}.last_at, excluded.last_at)")
    return (
        f"INSERT INTO {table.name} ({', '.join(names)}) {values.format(n=len(names))} "
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {', '.join(sums)}"
    )


def _question_marks(table: Any) -> str:
    return f"VALUES ({', '.join('?' * len(table.columns))})"


def _arrays(table: Any) -> str:
    kinds = {"BIGINT": "bigint", "INTEGER": "integer", "SMALLINT": "smallint", "DATE": "date"}
    arrays = [f"%s::{kinds.get(str(column.type), 'text')}[]" for column in table.columns]
    names = [column.name for column in table.columns]
    values = ["decode(latency, 'hex')" if name == "latency" else name for name in names]
    return f"SELECT {', '.join(values)} FROM unnest({', '.join(arrays)}) AS added ({', '.join(names)})"


# SQLite's || makes text even of two blobs; its bytes are untouched.
_ADD_ON_SQLITE = [_add(table, _question_marks(table), "CAST({} AS BLOB)", "max") for table in TABLES]
_ADD_ON_POSTGRES = [_add(table, _arrays(table), "{}", "greatest") for table in TABLES]
