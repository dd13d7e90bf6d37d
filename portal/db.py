"""The database: one `Base`, one session per request, one way to write.

Views read through `db.session` and write inside `with db.begin() as session:`; domain functions take the session and
never commit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from flask_sqlalchemy import SQLAlchemy as FlaskSQLAlchemy
from sqlalchemy import Connection, DateTime, Dialect, Engine, MetaData, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix__%(table_name)s__%(column_0_N_name)s",
            "uq": "uq__%(table_name)s__%(column_0_N_name)s",
            "ck": "ck__%(table_name)s__%(constraint_name)s",
            "fk": "fk__%(table_name)s__%(column_0_N_name)s__%(referred_table_name)s",
            "pk": "pk__%(table_name)s",
        }
    )


NEVER_AGAIN = {"sqlite_autoincrement": True}
"""For a table whose numbers stand elsewhere when its rows are gone, in calls and in the audit trail. SQLite would give
the number of a deleted newest row to the next one, and tell the past of the one as that of the other."""


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC instant. SQLite forgets the zone, this restores it; a naive value is refused on the way in."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)


def utcnow() -> datetime:
    return datetime.now(UTC)


class SQLAlchemy(FlaskSQLAlchemy):
    def lock(self) -> Session:
        """Begin the writing transaction of a library's view, which reads, takes its time, and commits by itself.

        On SQLite a transaction that has only read so far cannot write any more once somebody else has written:
        https://www.sqlite.org/isolation.html
        """
        session = self.session()
        session.rollback()
        session.connection(execution_options={"sqlite_begin": "IMMEDIATE"})
        return session

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """One writing transaction: commits at the end, rolls back when anything is raised.

        What was read before is read again inside, after SQLite's write lock is held (BEGIN IMMEDIATE): so a check
        made in here stays true until the commit.
        """
        session = self.lock()
        try:
            yield session
            session.commit()
        except BaseException:
            session.rollback()
            raise


db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": True})


def engine_url(text: str) -> URL:
    """`postgres://` and `postgresql://` mean psycopg 3, whatever the SQLAlchemy default is."""
    url = make_url(text)
    if url.drivername in {"postgres", "postgresql"}:
        url = url.set(drivername="postgresql+psycopg")
    return url


def existing(url: URL) -> URL:
    """`url`, but a SQLite file that is away is an error, as a server that is away would be.

    SQLite would make an empty file in its place, and the journal of that one would ruin the true one when it comes back
    (https://www.sqlite.org/howtocorrupt.html, 1.3 and 1.4). Only what brings a schema may make the file.
    """
    if url.get_backend_name() != "sqlite" or not (url.database or "").startswith("/"):
        return url
    return url.set(database=f"file:{quote(str(url.database))}").update_query_dict({"mode": "rw", "uri": "true"})


def engine_options(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": 5, "check_same_thread": False}}
    return {"pool_pre_ping": True, "pool_size": 10, "max_overflow": 20}


@event.listens_for(Engine, "connect")
def _prepare_sqlite(connection: Any, _record: Any) -> None:
    if not type(connection).__module__.startswith("sqlite3"):
        return
    # The driver's own BEGIN comes too late and is always DEFERRED; `_begin_sqlite` says it instead.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")


@event.listens_for(Engine, "begin")
def _begin_sqlite(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")
