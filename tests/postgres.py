"""A PostgreSQL for tests: the server of PORTAL_TEST_POSTGRES_URL, or a private one that lives as long as the run."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url

from portal import schema
from portal.db import engine_url
from portal.programs import free_port


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Address of a database from which others can be made, as psycopg takes it."""
    if given := os.environ.get("PORTAL_TEST_POSTGRES_URL"):
        yield make_url(given).set(drivername="postgresql").render_as_string(hide_password=False)
        return
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL: no server found, and PORTAL_TEST_POSTGRES_URL is not set")
    with private_server(programs) as server:
        yield server.address


class Server:
    """A private PostgreSQL. It may be stopped and started again; its address stays."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._user = _server_user()
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"postgresql://portico@127.0.0.1:{self._port}/postgres"
        if self._user is not None:
            shutil.chown(folder, self._user)
        initdb = (programs / "initdb", "-D", folder / "data", "-U", "portico", "-A", "trust", "-E", "UTF8", "--no-sync")
        _run(self._user, *initdb)

    def start(self) -> None:
        where = ["-D", self._folder / "data", "-p", str(self._port), "-k", self._folder]
        with (self._folder / "log").open("a") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", *where, *_HASTY], user=self._user, cwd="/", stdout=log, stderr=log
            )
        _wait(self.address, self._process, self._folder / "log")

    def stop(self) -> None:
        """Fast: connections that are open are ended. Stopping twice is fine."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(10)
            self._process = None


@contextmanager
def private_server(programs: Path) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="portico-pg-") as name:
        server = Server(programs, Path(name))
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture
def postgres_of_ones_own() -> Iterator[Server]:
    """A server that the test may stop, with an empty database."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL: no server found to start")
    with private_server(programs) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A database of the test's own, empty, as PORTAL_DATABASE_URL takes it."""
    name = f"portico_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        yield make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def own_schema(server: str) -> Iterator[Engine]:
    """All tables in a schema of its own, for tests that share them: making tables takes longer than most tests."""
    name = f"tests_{uuid.uuid4().hex[:12]}"
    engine = create_engine(engine_url(server), connect_args={"options": f"-csearch_path={name}"})
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
        schema.metadata.create_all(connection)
    yield engine
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
    engine.dispose()


_HASTY = [
    *("-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "synchronous_commit=off"),
    *("-c", "full_page_writes=off", "-c", "max_connections=50"),
]
"""Nothing that must survive a crash is kept here."""


def _programs() -> Path | None:
    """The newest PostgreSQL of this machine; distributions keep `initdb` out of the PATH."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return versions[-1].parent if versions else None


def _server_user() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _run(user: str | None, *command: object) -> None:
    subprocess.run([str(each) for each in command], user=user, cwd="/", check=True, capture_output=True)


def _wait(address: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(address, connect_timeout=5).close()
            return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"The private PostgreSQL does not start:\n{log.read_text()}") from None
            time.sleep(0.05)
