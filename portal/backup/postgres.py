"""PostgreSQL: written out by its own `pg_dump`, read in by us, in one transaction with the migrations that follow.

`pg_restore` has a transaction of its own, after which a migration could still fail: so the dump is plain SQL, of which
only COPY needs to be understood. https://www.postgresql.org/docs/current/app-pgdump.html
"""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from portal import migrate
from portal.backup.archive import CannotBackUp, CannotRestore

_DEBIAN = Path("/usr/lib/postgresql")
_COPY = re.compile(rb"COPY .* FROM stdin;\n")


def place(url: URL) -> Path | None:
    """It has no file of ours."""
    return None


def dump(url: URL, target: Path) -> str:
    """Write everything out as SQL, of one moment; its revision. Raises CannotBackUp."""
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            server = int(connection.scalar(text("SHOW server_version_num")) or 0) // 10_000
            if not _exists(connection, "alembic_version"):
                raise CannotBackUp("The database has no schema yet. Apply `flask db upgrade` first.")
            revision = str(connection.scalar(text("SELECT version_num FROM alembic_version")))
    except DBAPIError as error:
        raise CannotBackUp(f"The database does not answer: {_first_line(error.orig)}") from error
    finally:
        engine.dispose()
    program, version = _newest_pg_dump()
    if version < server:
        raise CannotBackUp(
            f"The server is PostgreSQL {server}, and pg_dump here is {version}, which cannot read it. "
            f"Install the client programs of PostgreSQL {server} (Debian: postgresql-client-{server})."
        )
    target.touch(0o600)
    given = engine.dialect.create_connect_args(url)[1]
    given.pop("context", None)  # the driver's, not libpq's
    password = given.pop("password", None)
    # Not as an argument: every process of the machine may read those.
    environment = os.environ | ({"PGPASSWORD": password} if password else {})
    command = [str(program), "--format=plain", "--no-owner", "--no-privileges", "--encoding=UTF8", f"--file={target}"]
    done = subprocess.run(
        [*command, f"--dbname={make_conninfo(**given)}"], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CannotBackUp(f"pg_dump failed: {_first_line(done.stderr)}")
    return revision


def has_data(url: URL) -> bool:
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            names = set(_tables(connection)) - {"alembic_version", "revision"}
            return any(connection.exec_driver_sql(f'SELECT 1 FROM "{name}" LIMIT 1').first() for name in sorted(names))
    except DBAPIError as error:
        raise CannotRestore(f"The database does not answer: {_first_line(error.orig)}") from error
    finally:
        engine.dispose()


def require_unused(url: URL) -> None:
    """Raises CannotRestore while anybody else is connected to the database, from whatever machine."""
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            _require_unused(connection)
    finally:
        engine.dispose()


def prepare(url: URL, file: Path) -> list[str]:
    """What is read in is migrated in the same transaction: there is nothing to do before."""
    return []


def put_in_place(url: URL, file: Path) -> list[str]:
    """Replace every table; what was migrated. One transaction: raises CannotRestore, and then nothing has changed."""
    engine = _engine(url)
    try:
        with engine.connect() as connection, connection.begin():
            _require_unused(connection)
            connection.execute(text("SET LOCAL lock_timeout = '10s'"))
            before = _number(connection)
            _drop_all(connection)
            try:
                _load(connection.connection.driver_connection, file)
            except psycopg.Error as error:
                raise CannotRestore(f"The database refuses the backup: {_first_line(error)}") from error
            connection.execute(text("RESET ALL"))  # the dump has its own ideas of search_path and row security
            done = migrate.upgrade_within(connection)
            connection.execute(text("UPDATE revision SET n = greatest(n, :before) + 1"), {"before": before})
            return done
    finally:
        engine.dispose()


def _load(connection: Any, script: Path) -> None:
    """What psql does with a plain dump, without its own commands (`\\restrict`)."""
    statements: list[bytes] = []
    with script.open("rb") as lines, connection.cursor() as cursor:
        for line in lines:
            if _COPY.fullmatch(line):
                cursor.execute(b"".join(statements))
                statements.clear()
                with cursor.copy(line) as copy:
                    for row in lines:
                        if row == b"\\.\n":
                            break
                        copy.write(row)
            elif not line.startswith(b"\\"):
                statements.append(line)
        cursor.execute(b"".join(statements))


def _drop_all(connection: Connection) -> None:
    for name in _tables(connection):
        connection.exec_driver_sql(f'DROP TABLE IF EXISTS "{name}" CASCADE')
    functions = connection.scalars(
        text(
            "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace "
            "AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')"
        )
    )
    for signature in functions.all():
        connection.exec_driver_sql(f"DROP FUNCTION {signature} CASCADE")


def _require_unused(connection: Connection) -> None:
    others = connection.execute(
        text(
            "SELECT count(*), string_agg(DISTINCT coalesce(host(client_addr), 'this machine'), ', ') "
            "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        )
    ).one()
    if others[0]:
        raise CannotRestore(
            f"{others[0]} other {'connection is' if others[0] == 1 else 'connections are'} open to this database, "
            f"from {others[1]}. Stop the portal, the nodes and the workers first."
        )


def _number(connection: Connection) -> int:
    """What nodes have been told last: the restored database must say something newer."""
    return int(connection.scalar(text("SELECT n FROM revision")) or 0) if _exists(connection, "revision") else 0


def _exists(connection: Connection, table: str) -> bool:
    return connection.scalar(text("SELECT to_regclass(:name)"), {"name": table}) is not None


def _tables(connection: Connection) -> list[str]:
    found = text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename")
    return [str(name) for name in connection.scalars(found)]


def _newest_pg_dump() -> tuple[Path, int]:
    """In PATH or where Debian keeps it, and its major version. Raises CannotBackUp."""
    places = {Path(found) for found in [shutil.which("pg_dump")] if found} | set(_DEBIAN.glob("*/bin/pg_dump"))
    versions = []
    for program in sorted(places):
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
        if number := re.search(r"(\d+)(\.|\b)", said):
            versions.append((int(number[1]), program))
    if not versions:
        raise CannotBackUp(
            "pg_dump is needed for a backup of PostgreSQL, and was found neither in PATH nor in /usr/lib/postgresql. "
            "Install PostgreSQL's client programs (Debian: postgresql-client)."
        )
    version, program = max(versions)
    return program, version


def _engine(url: URL) -> Engine:
    return create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 10})


def _first_line(error: object) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".") + "."
