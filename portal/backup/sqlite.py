"""SQLite: copied by its online backup, which sees one moment while others write, and replaced by a rename.

https://www.sqlite.org/backup.html
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError

from portal import migrate
from portal.backup.archive import CannotBackUp, CannotRestore, sync_folder
from portal.db import engine_options

_PATIENCE = 30.0
"""Seconds to wait for a lock."""


def place(url: URL) -> Path | None:
    """The file, symbolic links followed."""
    if not url.database or url.database == ":memory:":
        raise CannotBackUp("This SQLite database lives in memory only. Set PORTAL_DATABASE_URL to a file.")
    return Path(url.database).resolve()


def dump(url: URL, target: Path) -> str:
    """Copy the database into one file; its revision. Raises CannotBackUp for a database that is not whole."""
    source = place(url)
    if source is None or not source.exists():
        raise CannotBackUp(f"There is no database {source} yet.")
    target.touch(0o600)
    try:
        with (
            contextlib.closing(sqlite3.connect(source, timeout=_PATIENCE)) as reading,
            contextlib.closing(sqlite3.connect(target)) as writing,
        ):
            # All pages in one step: the copy is of one moment, and writers, who append to the log, do not wait.
            reading.backup(writing, pages=-1)
            writing.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
            _require_whole(writing, f"The database {source} is damaged. Restore a backup with --replace.")
            return _revision(writing)
    except sqlite3.Error as error:
        raise CannotBackUp(f"The database {source} cannot be copied: {error}.") from error


def has_data(url: URL) -> bool:
    """Also when nobody can say, because it is damaged."""
    path = place(url)
    if path is None or not path.exists():
        return False
    engine = create_engine(url, **engine_options(url))
    try:
        return _has_rows(engine)
    except (DatabaseError, sqlite3.DatabaseError):
        return True
    finally:
        engine.dispose()


def require_unused(url: URL) -> None:
    """Raises CannotRestore while another process has the file open."""
    with _alone(place(url)):
        pass


def prepare(url: URL, file: Path) -> list[str]:
    """Check and migrate the unpacked database where it lies; what was applied. Raises CannotRestore."""
    try:
        with contextlib.closing(sqlite3.connect(file)) as connection:
            _require_whole(connection, "The database in the backup is damaged. Take another backup.", thorough=True)
            if broken := connection.execute("PRAGMA foreign_key_check").fetchone():
                raise CannotRestore(f"In the backup a row of {broken[0]} refers to nothing. Take another backup.")
    except sqlite3.DatabaseError as error:
        raise CannotRestore("The database in the backup is damaged. Take another backup.") from error
    address = url.set(database=str(file))
    engine = create_engine(address, **engine_options(address))
    try:
        done = migrate.upgrade(engine)
        with engine.begin() as connection:
            connection.execute(text("UPDATE revision SET n = max(n, :before) + 1"), {"before": _number(url)})
    finally:
        engine.dispose()
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    return done


def put_in_place(url: URL, file: Path) -> list[str]:
    """Raises CannotRestore while another process has the present file open."""
    target = place(url)
    assert target is not None
    with _alone(target):
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        file.chmod(0o600)
        os.replace(file, target)
        sync_folder(target.parent)
        for beside in ("-wal", "-shm", "-journal"):
            target.with_name(target.name + beside).unlink(missing_ok=True)
    return []


@contextlib.contextmanager
def _alone(path: Path | None) -> Iterator[None]:
    """Only who is alone may take a database out of WAL mode; what stood in the log is in the file afterwards."""
    if path is None or not path.exists():
        yield
        return
    with contextlib.closing(sqlite3.connect(path, timeout=1.0, isolation_level=None)) as connection:
        try:
            connection.execute("PRAGMA journal_mode=DELETE")
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or "busy" in str(error):
                raise CannotRestore(
                    f"Another process has {path} open. Stop the portal, the node and the worker first."
                ) from error
        except sqlite3.DatabaseError:
            pass  # damaged beyond that; it is about to be replaced
        yield


def _has_rows(engine) -> bool:  # type: ignore[no-untyped-def]
    tables = set(filter(migrate.is_modelled, inspect(engine).get_table_names())) - {"alembic_version", "revision"}
    with engine.connect() as connection:
        return any(connection.exec_driver_sql(f'SELECT 1 FROM "{name}" LIMIT 1').first() for name in sorted(tables))


def _number(url: URL) -> int:
    """What nodes have been told last: the restored database must say something newer."""
    path = place(url)
    if path is None or not path.exists():
        return 0
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as connection:
        row = connection.execute("SELECT n FROM revision").fetchone()
        return int(row[0]) if row else 0
    return 0


def _revision(connection: sqlite3.Connection) -> str:
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:
        row = None
    if row is None:
        raise CannotBackUp("The database has no schema yet. Start Portico once, or apply `flask db upgrade`.")
    return str(row[0])


def _require_whole(connection: sqlite3.Connection, sentence: str, *, thorough: bool = False) -> None:
    found = connection.execute("PRAGMA integrity_check(1)" if thorough else "PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise (CannotRestore if thorough else CannotBackUp)(sentence)
