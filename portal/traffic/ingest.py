"""Tails Envoy's access log into the database, each line exactly once.

A turn reads whole lines, parses and counts them, and then writes rows, roll-ups and the position in the log in one
transaction. What is killed before the commit is read again; what is committed is never read again. On SQLite the write
lock is held for some 40 ms a turn, and a turn takes as many lines as that allows; while more waits than some turns
take, it is held for longer, because large turns write the same pages of the indexes less often.
"""

import gc
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from operator import itemgetter
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, insert, or_, select, update

from portal.db import utcnow
from portal.registry import quotas, revision
from portal.registry.models import Consumer, Key, Subscription
from portal.traffic import logfiles, store
from portal.traffic.described import Described, operation_of
from portal.traffic.logfiles import LogFile
from portal.traffic.models import Call, LogPosition, MisreadLine
from portal.traffic.parse import Misread, ParsedCall, hidden_keys, parse, without_keys
from portal.traffic.tally import FIELDS, Row, tally

log = logging.getLogger(__name__)

LOCK_SECONDS = 0.045
"""How long a turn aims to hold SQLite's write lock, in time of the processor: when others make this one wait, smaller
turns would only add to the work."""
BEHIND_LOCK_SECONDS = 0.3
"""The same while ingest is behind: twice as many calls a second, and somebody who saves a form waits that long."""
BEHIND_TURNS = 3
"""Ingest is behind when more waits than so many turns take."""
FEWEST, MOST = 200, 60_000
"""Lines of a turn."""
KEPT_MISREADS = 20
"""Of the lines of one turn that are not calls, so many are kept; the last of them stands for the rest."""

_POSITION: Any = LogPosition.__table__
_MISREAD: Any = MisreadLine.__table__
_LONGEST_LINE = 1024 * 1024
_COMPACT_EVERY = 16
_AT_ONCE = 500
"""Values of one statement."""
_BEGINNING = re.compile(rb'(?=\{")')
"""Of a line. After a full disk or a power failure, whole lines stand behind a torn one without a newline between them.
No text in a line holds this: quotes in texts are escaped."""
_MOST_PIECES = 20
_NONE = re.compile(rb'"None"')
_consumer, _key = (itemgetter(ParsedCall._fields.index(name)) for name in ("consumer", "key"))
_release = itemgetter(*(ParsedCall._fields.index(name) for name in ("api_id", "release")))
_counted = itemgetter(*([column.name for column in Call.__table__.columns].index(name) for name in FIELDS))


class Ingest:
    """The tail of one node's log. Used by one thread; `step` until it returns 0, wait a little, again."""

    def __init__(
        self,
        engine: Engine,
        *,
        node: str,
        log_path: Path,
        zone: tzinfo = UTC,
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        """`zone` is that of the quotas' days."""
        self._zone = zone
        self._clock = clock
        self._engine = engine.execution_options(sqlite_begin="IMMEDIATE")
        self._reader = engine
        self._node = node
        self._log_path = log_path
        self._seconds_a_line = LOCK_SECONDS / (FEWEST * 5)
        self._bytes_a_line = 500.0
        self._consumers: dict[str, int] = {}
        self._keys: dict[str, int] = {}
        self._described = Described()
        self._touched: set[tuple[int, int]] = set()
        self._turns = 0

    def step(self) -> int:
        """Store the next lines of the oldest file that has some; how many lines, 0 when there is nothing to do.

        Raises what the database raises; nothing is lost or doubled by trying again.
        """
        with _without_collector():
            for file in logfiles.in_order(self._log_path):
                try:
                    if lines := self._read(file):
                        return lines
                except FileNotFoundError:
                    # Renamed since it was listed: the next turn finds it under its new name.
                    return 0
        return 0

    def drain(self) -> int:
        """Store everything that is there now; how many lines."""
        total = 0
        while lines := self.step():
            total += lines
        return total

    def rotate(self, reopen: Callable[[], None], *, above: int = logfiles.ROTATE_ABOVE) -> bool:
        """See `logfiles.rotate`."""
        return logfiles.rotate(self._log_path, reopen, above=above)

    def _read(self, file: LogFile) -> int:
        if file.size == 0 and not file.finished:
            return 0
        head = logfiles.head_of(file)
        known = self._position(file, head)
        # Another first line: it is another file, or was emptied.
        offset = known.offset if known is not None and known.head == head else 0
        chunk = _whole_lines(file, offset, self._turn(file.size - offset))
        text = without_keys(chunk)
        if text != chunk:
            _hide_keys(file, offset, chunk)
            if offset == 0:
                head = logfiles.head_of(file)  # the first line may be another now, and stays it
        lines = text.splitlines() if b"\r" not in text else text.rstrip(b"\n").split(b"\n")
        if lines:
            self._store(file, head, known, offset + len(chunk), lines, plain=_is_plain(chunk))
            self._bytes_a_line = len(chunk) / len(lines)
        if file.finished and offset + len(chunk) >= file.size:
            self._forget(file)
        return len(lines)

    def _position(self, file: LogFile, head: bytes) -> Any:
        """How far this file is stored; None when nothing is.

        A first line is written once, a device and inode are not for ever: a folder that was copied to another disk or
        restored has others, and so have some disks after each start of the machine.
        """
        own = _POSITION.c.node == self._node
        with self._reader.connect() as connection:
            found = connection.execute(
                select(_POSITION).where(own, or_(_POSITION.c.file == file.identity, _POSITION.c.head == head))
            ).all()
        here = next((each for each in found if each.file == file.identity), None)
        if here is not None and here.head == head and here.offset <= file.size:
            return here
        # What two files both have as their first line tells nothing.
        others = {each.identity for each in logfiles.in_order(self._log_path)} - {file.identity}
        same = next((each for each in found if each.head == head and each.file not in others), None)
        if same is None:
            return here
        # An older copy, or what a power failure left of the file: all of it is stored.
        offset = min(same.offset, file.size)
        with self._engine.begin() as connection:
            for identity in {same.file, file.identity}:
                connection.execute(_POSITION.delete().where(own, _POSITION.c.file == identity))
            connection.execute(insert(_POSITION).values(node=self._node, file=file.identity, head=head, offset=offset))
        return self._position(file, head)

    def _store(self, file: LogFile, head: bytes, known: Any, offset: int, lines: list[bytes], *, plain: bool) -> None:
        calls, misreads = _parse(lines)
        rows = self._rows(calls)
        deltas = tally(map(_counted, rows), self._zone)
        with self._engine.connect() as connection, store.unhurried(connection):
            with connection.begin():
                began = time.thread_time()
                self._advance(connection, file, head, known, offset)
                store.write(connection, rows, deltas, plain=plain)
                self._set_aside(connection, misreads)
                self._settle_quotas(connection, deltas.quota_use)
            if len(lines) >= FEWEST:
                self._seconds_a_line += ((time.thread_time() - began) / len(lines) - self._seconds_a_line) / 2
            self._touched |= {(row[0], row[1]) for row in deltas.by_operation}
            self._turns += 1
            if self._turns % _COMPACT_EVERY == 0:
                with connection.begin():
                    store.compact(connection, sorted(self._touched))
                self._touched = set()
                store.checkpoint(connection)

    def _rows(self, calls: list[ParsedCall]) -> list[Row]:
        with self._reader.connect() as connection:
            _learn(connection, Consumer.__table__, self._consumers, set(map(_consumer, calls)))
            _learn(connection, Key.__table__, self._keys, set(map(_key, calls)))
            described = self._described.of(connection, set(map(_release, calls)))
        consumers, keys, node = self._consumers.get, self._keys.get, self._node
        # Tells calls of one microsecond apart, also those of other nodes: chosen at random, then counted on.
        first = secrets.randbits(30)
        rows: list[Row] = []
        for id_, call in enumerate(calls, first):
            at, request_id, api, release, mount, consumer, subscription, key, plan, method, _, path = call[:12]
            trie = described.get((api, release))
            operation = operation_of(trie, method, mount, path) if trie is not None else ""
            who, whose_key = consumer and consumers(consumer), key and keys(key)
            rows.append(
                # To unpack them into one tuple would make a list in between.
                (at, id_, request_id or _new_id(at), api, release, who, subscription, whose_key, plan)  # noqa: RUF005
                + call[9:]
                + (node, "gateway", operation)
            )
        return rows

    def _advance(self, connection: Connection, file: LogFile, head: bytes, known: Any, offset: int) -> None:
        """Also the guard: a second reader of this log fails here, and its transaction with it."""
        this = {"node": self._node, "file": file.identity}
        if known is None:
            connection.execute(insert(_POSITION).values(head=head, offset=offset, **this))
            return
        moved = connection.execute(
            update(_POSITION)
            .where(
                _POSITION.c.node == self._node,
                _POSITION.c.file == file.identity,
                _POSITION.c.head == known.head,
                _POSITION.c.offset == known.offset,
            )
            .values(head=head, offset=offset)
        )
        if moved.rowcount != 1:
            raise RuntimeError(f"Another process stores the log of node {self._node}. Stop one of the two.")

    def _settle_quotas(self, connection: Connection, used: list[Row]) -> None:
        """Comes last in the transaction: whoever changes the revision holds its row until the commit."""
        numbers = list(dict.fromkeys(row[0] for row in used)) if quotas.are_asked_for(connection) else []
        settled = [
            quotas.settle(
                connection,
                Subscription.id.in_(numbers[first : first + _AT_ONCE]),
                now=self._clock(),
                zone=self._zone,
                counting=True,
            )
            for first in range(0, len(numbers), _AT_ONCE)
        ]
        if any(settled):
            revision.grow(connection)

    def _set_aside(self, connection: Connection, misreads: list[tuple[bytes, str]]) -> None:
        kept = misreads[:KEPT_MISREADS]
        rows = [
            {"node": self._node, "at": utcnow(), "line": line[:4_096], "error": error[:200], "count": 1}
            for line, error in kept
        ]
        if rows:
            rows[-1]["count"] = 1 + len(misreads) - len(kept)
            connection.execute(insert(_MISREAD), rows)

    def _turn(self, waiting: int) -> int:
        """How many of the bytes that wait the next turn takes."""
        usual, behind = (
            min(max(seconds / self._seconds_a_line, FEWEST), MOST) * self._bytes_a_line
            for seconds in (LOCK_SECONDS, BEHIND_LOCK_SECONDS)
        )
        return int(behind if waiting > BEHIND_TURNS * usual else usual) + 1

    def _forget(self, file: LogFile) -> None:
        """The order matters: a position without its file harms nobody, a file without its position is read again."""
        file.path.unlink()
        with self._engine.begin() as connection:
            connection.execute(
                _POSITION.delete().where(_POSITION.c.node == self._node, _POSITION.c.file == file.identity)
            )


@contextmanager
def _without_collector() -> Iterator[None]:
    """A turn makes many values and no cycle; to look for cycles among them costs a third of its time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _parse(lines: list[bytes]) -> tuple[list[ParsedCall], list[tuple[bytes, str]]]:
    calls: list[ParsedCall] = []
    misreads: list[tuple[bytes, str]] = []
    for line in lines:
        try:
            calls.append(parse(line))
        except Misread as error:
            pieces = [piece for piece in _BEGINNING.split(line, _MOST_PIECES) if piece]
            if len(pieces) == 1:
                misreads.append((line, str(error)))
                continue
            for piece in pieces:
                try:
                    calls.append(parse(piece))
                except Misread as torn:
                    misreads.append((piece, str(torn)))
    return calls, misreads


def _is_plain(lines: bytes) -> bool:
    """See `store.write`."""
    return b"\\" not in lines and _NONE.search(lines) is None


def _whole_lines(file: LogFile, offset: int, about: int) -> bytes:
    """About so many bytes of whole lines; of a finished file also the last line that has no end.

    A line without end that is longer than any that Envoy writes is handed out as if it had one, or nothing after it
    would ever be read.
    """
    with logfiles.opened(file) as lines:
        lines.seek(offset)
        chunk = lines.read(about)
        if b"\n" not in chunk:
            chunk += lines.read(_LONGEST_LINE)
    end = chunk.rfind(b"\n") + 1
    if end:
        return chunk[:end]
    finished = file.finished and offset + len(chunk) >= file.size
    return chunk if finished or len(chunk) >= _LONGEST_LINE else b""


def _hide_keys(file: LogFile, offset: int, chunk: bytes) -> None:
    """Write over keys that the log itself holds: where Envoy refuses a call before the key filter runs, its line tells
    what came. In place, since Envoy appends. Where the disk does not let us, storing the calls matters more."""
    try:
        with logfiles.opened(file, "r+b") as lines:
            for start, stars in hidden_keys(chunk):
                lines.seek(offset + start)
                lines.write(stars)
    except OSError as error:
        log.warning("Keys that callers put into other places stay in %s: %s", file.path, error)


def _learn(connection: Connection, table: Any, known: dict[str, int], names: Iterable[str | None]) -> None:
    """Numbers of public ids, asked for once. What was deleted is asked for again with each batch that names it."""
    unknown = [name for name in names if name is not None and name not in known]
    for first in range(0, len(unknown), _AT_ONCE):
        found = connection.execute(
            select(table.c.public_id, table.c.id).where(table.c.public_id.in_(unknown[first : first + _AT_ONCE]))
        )
        known.update((public_id, id_) for public_id, id_ in found)


def _new_id(at: int) -> bytes:
    """A UUIDv7 of this time, for a call that Envoy answered before it could give one."""
    number = (at // 1_000) << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
    return number.to_bytes(16, "big")
