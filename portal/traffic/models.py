"""Calls, what charts read of them, and how far each node's log has been read.

Times of calls are microseconds since 1970 (UTC), times of roll-ups whole seconds: eight bytes instead of SQLite's
27, in the row and again in each index. Nothing here has foreign keys: traffic outlives what it tells about, and a
page that finds no API, consumer or key for an id says that it was deleted.
"""

from datetime import UTC, datetime

from sqlalchemy import BigInteger, Index, Integer, LargeBinary, SmallInteger, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base, UTCDateTime

MINUTE, HOUR, DAY = 60, 3_600, 86_400
"""The levels of every roll-up, as seconds."""
LEVELS = (MINUTE, HOUR, DAY)


class Call(Base):
    """One request through the gateway. Written by ingest only, with the driver; this class is for reading."""

    __tablename__ = "call"

    at: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """When the gateway received it, in microseconds since 1970."""
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """Tells calls of the same microsecond apart, nothing else."""
    request_id: Mapped[bytes] = mapped_column(LargeBinary(16))
    """UUIDv7. It has no index: a call is found through the time inside."""
    api_id: Mapped[int | None] = mapped_column(Integer)
    release: Mapped[int | None] = mapped_column(Integer)
    """Number of the release that was live."""
    consumer_id: Mapped[int | None] = mapped_column(Integer)
    subscription_id: Mapped[int | None] = mapped_column(Integer)
    key_id: Mapped[int | None] = mapped_column(Integer)
    plan_id: Mapped[int | None] = mapped_column(Integer)
    method: Mapped[str | None] = mapped_column(String(20))
    host: Mapped[str | None] = mapped_column(String(255))
    path: Mapped[str | None] = mapped_column(Text)
    """As the client sent it, without the query, cut after 2 000 characters."""
    status: Mapped[int] = mapped_column(SmallInteger)
    """0 when the client went away before any answer."""
    reason: Mapped[str] = mapped_column(String(24))
    """A word of `reasons.py`."""
    flags: Mapped[str | None] = mapped_column(String(60))
    """Envoy's response flags, such as `UF`."""
    details: Mapped[str | None] = mapped_column(String(200))
    """Envoy's response code details; None stands for `via_upstream`."""
    bytes_in: Mapped[int] = mapped_column(BigInteger)
    bytes_out: Mapped[int] = mapped_column(BigInteger)
    total_us: Mapped[int | None] = mapped_column(BigInteger)
    """From the first byte received to the last byte sent."""
    upstream_us: Mapped[int | None] = mapped_column(BigInteger)
    """From the first byte sent upstream to the first byte of its answer."""
    address: Mapped[str | None] = mapped_column(String(45))
    user_agent: Mapped[str | None] = mapped_column(String(300))
    target: Mapped[str | None] = mapped_column(String(100))
    """Address and port that the call was sent to; None when the gateway itself answered."""
    attempts: Mapped[int | None] = mapped_column(SmallInteger)
    trace_id: Mapped[bytes | None] = mapped_column(LargeBinary(16))
    client_request_id: Mapped[str | None] = mapped_column(String(100))
    """The X-Request-Id that the client sent."""
    node: Mapped[str] = mapped_column(String(253))
    source: Mapped[str] = mapped_column(String(10))
    """`gateway` for a call from outside."""
    operation: Mapped[str] = mapped_column(String(63), server_default="")
    """Its name in the release that answered; '' for calls that none of that release's operations describes."""

    __table_args__ = (
        # The primary key is the index by time. PostgreSQL wants the time in it to keep days in tables of their own.
        Index("ix__call__api_id_at", "api_id", "at"),
        Index("ix__call__consumer_id_at", "consumer_id", "at"),
        Index("ix__call__key_id_at", "key_id", "at"),
        Index(
            "ix__call__at__failures",
            "at",
            sqlite_where=text("status >= 400"),
            postgresql_where=text("status >= 400"),
        ),
        # Rows lie in the order of time, so SQLite needs no second tree for it.
        {"sqlite_with_rowid": False},
    )


class _Counts:
    """What every roll-up counts. `level` is MINUTE, HOUR or DAY; `at` the start of the step, seconds since 1970."""

    level: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False, sort_order=-10)
    at: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False, sort_order=-9)
    calls: Mapped[int] = mapped_column(BigInteger, sort_order=10)
    bytes_in: Mapped[int] = mapped_column(BigInteger, sort_order=11)
    bytes_out: Mapped[int] = mapped_column(BigInteger, sort_order=12)


class ByOperation(_Counts, Base):
    """Calls by API, operation, status and reason. `api_id` is 0 for calls to no API."""

    __tablename__ = "calls_by_operation"

    api_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    operation: Mapped[str] = mapped_column(String(63), primary_key=True)
    """'' for calls that no operation of the API describes."""
    status: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    reason: Mapped[str] = mapped_column(String(24), primary_key=True)
    latency: Mapped[bytes] = mapped_column(LargeBinary, sort_order=20)
    """`histogram.py` of the total microseconds of those calls that were sent to an upstream."""

    __table_args__ = ({"sqlite_with_rowid": False},)


class ByConsumer(_Counts, Base):
    """Calls by consumer, API, status and reason. `consumer_id` is 0 for calls of nobody known."""

    __tablename__ = "calls_by_consumer"

    consumer_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    api_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    status: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    reason: Mapped[str] = mapped_column(String(24), primary_key=True)
    latency: Mapped[bytes] = mapped_column(LargeBinary, sort_order=20)

    __table_args__ = ({"sqlite_with_rowid": False},)


class ByKey(_Counts, Base):
    """Calls by key, status and reason. Calls without a known key are not in it."""

    __tablename__ = "calls_by_key"

    key_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    status: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    reason: Mapped[str] = mapped_column(String(24), primary_key=True)

    __table_args__ = ({"sqlite_with_rowid": False},)


class KeyUse(Base):
    """When a key was last used. Rows of calls are kept for a while only, roll-ups are not sorted by key."""

    __tablename__ = "key_use"

    key_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    last_at: Mapped[int] = mapped_column(BigInteger)
    """Of its last call, let through or not, in microseconds since 1970: with `key_id` that finds its row."""

    __table_args__ = ({"sqlite_with_rowid": False},)


class ByConsumerOperation(Base):
    """Which consumer called which operation of an API on a day: who must be told when it changes or goes away."""

    __tablename__ = "calls_by_consumer_operation"

    at: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """Start of the day (UTC), seconds since 1970."""
    api_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    operation: Mapped[str] = mapped_column(String(63), primary_key=True)
    """'' for calls that no operation of the API describes."""
    consumer_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    calls: Mapped[int] = mapped_column(BigInteger)
    last_at: Mapped[int] = mapped_column(BigInteger)
    """Start of the minute of its last call on that day, seconds since 1970."""

    __table_args__ = ({"sqlite_with_rowid": False},)


class InAll(_Counts, Base):
    """All calls by status and reason: what an administrator's first page shows without adding up every API."""

    __tablename__ = "calls_in_all"

    status: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    reason: Mapped[str] = mapped_column(String(24), primary_key=True)
    latency: Mapped[bytes] = mapped_column(LargeBinary, sort_order=20)

    __table_args__ = ({"sqlite_with_rowid": False},)


class LogPosition(Base):
    """How far one log file of a node is stored. Committed together with what was stored from it."""

    __tablename__ = "log_position"

    node: Mapped[str] = mapped_column(String(253), primary_key=True)
    file: Mapped[str] = mapped_column(String(50), primary_key=True)
    """`<device>:<inode>`: it stays when the file is renamed."""
    head: Mapped[bytes] = mapped_column(LargeBinary(32))
    """SHA-256 of the file's first line. An inode is given out again, a first line is not."""
    offset: Mapped[int] = mapped_column(BigInteger)
    """Bytes that are stored; always the end of a line."""


class MisreadLine(Base):
    """Log lines that were not a call. Ingest goes on past them."""

    __tablename__ = "misread_line"

    id: Mapped[int] = mapped_column(primary_key=True)
    node: Mapped[str] = mapped_column(String(253))
    at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    """When it was met."""
    line: Mapped[bytes] = mapped_column(LargeBinary)
    """Its first 4 kB."""
    error: Mapped[str] = mapped_column(String(200))
    count: Mapped[int] = mapped_column(Integer)
    """Lines that this row stands for: of many at once only some are kept, so that a broken log fills no disk."""


def instant(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).replace(microsecond=microseconds % 1_000_000)


def microseconds(when: datetime) -> int:
    """Raises ValueError for an instant without a zone."""
    if when.tzinfo is None:
        raise ValueError(f"{when!r} has no time zone")
    whole = when.astimezone(UTC).replace(microsecond=0)
    return int(whole.timestamp()) * 1_000_000 + when.microsecond
