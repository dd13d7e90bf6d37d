"""A large document is read while everything else goes on: real workers, on both databases."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from bench.openapi_documents import document
from portal import create_app, migrate, notify, reading
from portal.config import Config
from portal.db import db
from portal.jobs import Job
from portal.registry.models import Import, ImportSource, ImportState
from tests import factories

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds after which something never happens."""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def house(request: pytest.FixtureRequest, tmp_path: Path, empty_database: Path) -> Iterator["House"]:
    where: dict[str, Any] = {"data_dir": tmp_path / "var"}
    where["data_dir"].mkdir(mode=0o700)
    if request.param == "postgresql":
        where["database_url"] = request.getfixturevalue("postgres_url")
    else:
        shutil.copy(empty_database, where["data_dir"] / "portico.sqlite3")
    app = create_app(Config(**where))
    with app.app_context():
        if request.param == "postgresql":
            migrate.upgrade(db.engine)
        yield House(app)
        db.session.remove()
        db.engine.dispose()


class House:
    """An installation with one team, and workers that the test starts."""

    def __init__(self, app: Flask) -> None:
        self.config: Config = app.extensions["portico"]
        with db.begin() as session:
            self._team = factories.team(session).id

    @contextmanager
    def workers(self, count: int) -> Iterator[list[int]]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")}
        environment |= {"PORTAL_DATA_DIR": str(self.config.data_dir), "PORTAL_DATABASE_URL": self.config.database_url}
        command = [sys.executable, "-m", "flask", "worker", "run"]
        processes = [
            subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) for _ in range(count)
        ]
        try:
            yield [process.pid for process in processes]
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            ends = [process.wait(PATIENCE) for process in processes]
        assert ends == [0] * count

    def bring(self, data: bytes) -> int:
        team = db.session.get_one(factories.Team, self._team)
        return reading.bring(team, api=None, source=ImportSource.FILE, source_name="a", data=data, by=None)

    def write(self, count: int) -> None:
        with db.begin() as session:
            for number in range(count):
                notify.mail(session, self.config, to=f"ada{number}@portico.example", subject="Hello", text="Hello.")

    def letters(self) -> list[str]:
        return [path.read_text().partition("To: ")[2].splitlines()[0] for path in self._files()]

    def _files(self) -> list[Path]:
        return sorted((self.config.data_dir / "mail").glob("*.eml"))

    def states(self) -> list[ImportState]:
        db.session.rollback()
        return list(db.session.scalars(select(Import.state).order_by(Import.id)))


def until(holds: Callable[[], Any]) -> Any:
    """What `holds` gives, once it gives something."""
    end = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < end, "It never happens."
        time.sleep(0.01)
    return found


def reader_of(worker: int) -> int | None:
    """The process that reads a document for this worker."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if parent == str(worker) and b"portal.reading.apart" in (folder / "cmdline").read_bytes():
                return int(folder.name)
    return None


def test_mail_goes_out_while_a_document_is_read(house):
    house.bring(document(300, 1_500_000))

    with house.workers(1) as (worker,):
        reader = until(lambda: reader_of(worker))
        os.kill(reader, signal.SIGSTOP)
        try:
            house.write(1)
            until(house.letters)
            assert house.states() == [ImportState.READING]
        finally:
            os.kill(reader, signal.SIGCONT)
        until(lambda: house.states() == [ImportState.READY])


def test_two_workers_do_everything_once(house):
    """Both have two hands each: four claims at a time."""
    for number in range(6):
        house.bring(b"openapi: 3.1.0\ninfo: {title: &x x, version: '%d', x-a: *x}\npaths: {}\n" % number)
    house.write(40)

    with house.workers(2):
        until(lambda: not waiting())

    assert house.states() == [ImportState.READY] * 6
    assert set(db.session.scalars(select(Import.turn))) == {1}
    assert len(house.letters()) == len(set(house.letters())) == 40


def waiting() -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(Job).where(Job.every.is_(None))) or 0
