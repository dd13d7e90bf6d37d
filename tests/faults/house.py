"""A whole installation without its pages, in processes of its own: database, node, Envoy, backend, and who calls."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, NullPool, create_engine, func, select
from sqlalchemy.orm import Session

from bench import load
from bench.population import database
from bench.witness import Testimony, Witness, witness
from portal.config import Config
from portal.db import engine_options, engine_url
from portal.gateway import roster
from portal.gateway.place import place_of
from portal.gateway.roster import NodeView
from portal.registry.models import Consumer, Plan
from portal.traffic.models import ByOperation, Call
from tests import factories
from tests.gateway import running
from tests.gateway.envoy import wait_for
from tests.nodes import config_in

ROOT = Path(__file__).parent.parent.parent

needs_nginx = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")


@dataclass
class House:
    config: Config
    engine: Engine
    backend: load.Server
    path: str
    """Of an API that answers 200 to `key`."""
    key: str
    node: "subprocess.Popen[bytes]"
    settings: dict[str, str]
    _witnesses: int = 0
    _said_before: int = 0

    @property
    def log(self) -> Path:
        """What all nodes of this house said."""
        return self.config.data_dir / "node.log"

    @property
    def access_log(self) -> Path:
        return place_of(self.config).access_log

    def session(self) -> Session:
        """One that takes SQLite's write lock at its beginning, as the portal's do."""
        return Session(self.engine.execution_options(sqlite_begin="IMMEDIATE"), expire_on_commit=False)

    def start_node(self, **settings: str) -> None:
        with self.log.open("ab") as output:
            self._said_before = output.tell()
            self.node = subprocess.Popen(
                [sys.executable, "-m", "portal.gateway"],
                cwd=ROOT,
                env=self.settings | settings,
                stdout=output,
                stderr=output,
            )

    def said(self) -> str:
        """By the node that was started last."""
        return self.log.read_bytes()[self._said_before :].decode()

    def until_node_serves(self) -> None:
        wait_for(lambda: "The gateway answers" in self.said(), "the node serves")

    def kill_node(self) -> None:
        self.node.kill()
        self.node.wait(10)

    def stop_node(self) -> None:
        """As a person would: Envoy ends with it, and what was logged is stored."""
        self.node.send_signal(signal.SIGTERM)
        assert self.node.wait(30) == 0, self.log.read_text()[-3_000:]

    def envoy(self) -> int:
        """The pid of the Envoy that runs here; 0 when none does."""
        return next(iter(running.envoys_of(self.config.gateway_dir)), 0)

    def kill_envoy(self, number: signal.Signals = signal.SIGKILL) -> float:
        """When, by the monotonic clock."""
        os.kill(self.envoy(), number)
        return time.monotonic()

    def answers(self, key: str | None = None, path: str | None = None) -> int:
        """Status of one call; 0 when nobody answers."""
        return running.status_of(self.config.gateway_port, path or self.path, {"X-API-Key": key or self.key})

    @contextlib.contextmanager
    def load(self, rate: int = 400) -> Iterator[Witness]:
        self._witnesses += 1
        result = self.config.data_dir / f"witness-{self._witnesses}"
        with witness(self.config.gateway_port, self.path, self.key, rate=rate, result=result) as seen:
            yield seen

    def view(self) -> NodeView:
        with Session(self.engine) as session:
            (found,) = roster.nodes(session)
        return found

    def stored(self) -> "Counter[bytes]":
        """Request id -> how many rows have it."""
        with Session(self.engine) as session:
            return Counter(map(bytes, session.scalars(select(Call.request_id))))

    def assert_stored_once(self, seen: Testimony, *, lost: int = 0) -> int:
        """Every answer is one row, but for so many at most; how many are missing. The node must have stopped."""
        stored = self.stored()
        assert max(stored.values()) == 1
        assert len(set(seen.answered)) == len(seen.answered)
        missing = len(set(seen.answered) - stored.keys())
        assert missing <= lost
        with Session(self.engine) as session:
            counted = session.scalar(select(func.sum(ByOperation.calls)).where(ByOperation.level == 60))
        assert counted == stored.total()
        return missing

    def issue(self, **fields: Any) -> str:
        """Another key of the same consumer."""
        with self.session() as session:
            _, token = factories.key(session, session.get_one(Consumer, 1), **fields)
            session.commit()
        return token.value

    def publish_another(self) -> str:
        """The path of another API that the same key may call, under the same plan."""
        with self.session() as session:
            path = published(session, session.get_one(Consumer, 1), self.backend.port, plan=session.get_one(Plan, 1))
            session.commit()
        return path


def published(session: Session, consumer: Consumer, port: int, *, plan: Plan | None = None, **limits: int) -> str:
    """The path of a live API with an upstream on that port. The consumer is subscribed to it under `plan`, or under
    a new one with these limits."""
    upstream = {"targets": [{"url": f"http://127.0.0.1:{port}"}]}
    api = factories.api(session, team=plan and plan.team, live=True, upstream=upstream)
    chosen = plan or factories.plan(
        session, team=api.team, **({"per_second": 100_000, "per_minute": 6_000_000} | limits)
    )
    factories.subscription(session, consumer, api, chosen)
    return str(api.draft["path"])


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """Not pytest's folder: the name of a socket has room for 107 characters."""
    with tempfile.TemporaryDirectory(prefix="portico-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextlib.contextmanager
def house(database_url: str = "", *, folder: Path | None = None) -> Iterator[House]:
    """Running and answering, in a folder of its own or in one with a short name. Whatever of it lives at the end is
    ended."""
    if folder is None:
        with short_folder() as found, house(database_url, folder=found) as made_there:
            yield made_there
        return
    config = config_in(folder, database_url=database_url)
    settings = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")} | {
        "PORTAL_DATA_DIR": str(config.data_dir),
        "PORTAL_DATABASE_URL": config.database_url,
        "PORTAL_PORT": str(config.port),
        "PORTAL_GATEWAY_PORT": str(config.gateway_port),
        "PORTAL_GATEWAY_WORKERS": "1",
        "PORTAL_UPSTREAM_LOOPBACK": "1",
        "PORTAL_NODE_NAME": config.node_name,
    }
    database(config).dispose()
    url = engine_url(config.database_url)
    # Without a pool: the tests end servers and move files under it.
    engine = create_engine(url, poolclass=NullPool, connect_args=engine_options(url).get("connect_args", {}))
    made: House | None = None
    try:
        with load.backend(folder) as backend:
            with Session(engine) as session:
                consumer = factories.consumer(session)
                path = published(session, consumer, backend.port)
                _, token = factories.key(session, consumer)
                session.commit()
            made = House(config, engine, backend, path, token.value, None, settings)  # type: ignore[arg-type]
            made.start_node()
            made.until_node_serves()
            assert made.answers() == 200
            yield made
    finally:
        if made is not None and made.node.poll() is None:
            made.kill_node()
        running.kill_envoy(config.gateway_dir)
        engine.dispose()
