"""Everything that `make run` starts, and which process of it is what: those who end one want to know."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from bench import load, machine
from bench.load import Server
from bench.population import Population, Right, fill
from portal import migrate
from portal.config import Config
from portal.db import engine_options, engine_url
from portal.gateway.place import place_of

PROGRAMS = {
    "web": b"gunicorn\0wsgi:app",
    "node": b"-m\0portal.gateway\0",
    "worker": b"flask\0worker\0run",
}
"""Name in Supervisor's file -> what stands in the command lines of its processes."""
_ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Stack:
    config: Config
    engine: Engine
    rights: list[Right]
    backend: Server

    @property
    def gateway(self) -> Server:
        """The Envoy that runs now."""
        return Server("gateway", envoy_of(self.config), self.config.gateway_port)

    def pids(self, program: str) -> set[int]:
        return pids(self.config.data_dir, program)

    def kill(self, program: str) -> tuple[set[int], float]:
        """End every process of it at once; which these were, and when, by the monotonic clock."""
        found = self.pids(program)
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        return found, time.monotonic()

    @contextlib.contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction as the portal's are."""
        with Session(self.engine.execution_options(sqlite_begin="IMMEDIATE")) as session, session.begin():
            yield session


@contextlib.contextmanager
def stack(folder: Path, population: Population) -> Iterator[Stack]:
    """Running and answering, on SQLite, with a registry of this size and without the sample."""
    database = f"sqlite:///{folder / 'portico.sqlite3'}"
    config = Config(
        data_dir=folder / "var",
        database_url=database,
        port=machine.free_port(),
        gateway_port=machine.free_port(),
        gateway_workers=1,
        node_name="bench",
        upstream_loopback=True,
    )
    config.data_dir.mkdir(mode=0o700)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")} | {
        "PORTAL_DATA_DIR": str(config.data_dir),
        "PORTAL_DATABASE_URL": database,
        "PORTAL_PORT": str(config.port),
        "PORTAL_GATEWAY_PORT": str(config.gateway_port),
        "PORTAL_GATEWAY_WORKERS": "1",
        "PORTAL_NODE_NAME": config.node_name,
        "PORTAL_UPSTREAM_LOOPBACK": "1",
    }
    url, log = engine_url(database), folder / "run.log"
    engine = create_engine(url, **engine_options(url))
    migrate.upgrade(engine)
    with load.backend(folder, core=max(os.sched_getaffinity(0))) as backend:
        rights = fill(engine, population, upstream=f"http://127.0.0.1:{backend.port}")
        argv = [sys.executable, "-m", "portal.run"]
        with machine.running(
            argv, log=log, environ=environ, ready=lambda: "Portico is ready" in log.read_text(), cwd=_ROOT
        ):
            yield Stack(config, engine, rights, backend)
    engine.dispose()


def processes(data_dir: Path) -> list[int]:
    """Every process that was started for this folder: they all have it in their environment."""
    mark = f"PORTAL_DATA_DIR={data_dir}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended in between
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def pids(data_dir: Path, program: str) -> set[int]:
    found = set()
    for pid in processes(data_dir):
        with contextlib.suppress(OSError):
            if PROGRAMS[program] in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.add(pid)
    return found


def envoy_of(config: Config) -> int:
    """The pid of the Envoy that runs for this folder; 0 while none does."""
    place = place_of(config)
    with contextlib.suppress(OSError, ValueError):
        pid = int((place.directory / "envoy.pid").read_text())
        if str(place.directory).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return 0
