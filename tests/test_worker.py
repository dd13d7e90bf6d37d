"""The worker: what it does with a due job, and what it does every so often."""

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select

from portal import config_of, doctor, jobs, worker
from portal.accounts.audit import AuditEntry
from portal.accounts.throttle import Throttle
from portal.db import utcnow
from portal.jobs import Job
from portal.notify.models import Notice
from portal.registry import leaks
from portal.registry.models import CatalogueEntry, Key
from portal.traffic.models import MisreadLine
from tests import factories

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _context(app):
    with app.app_context():
        yield


def turn(app, kinds=worker.KINDS) -> bool:
    return worker.turn(config_of(app), "test", kinds)


class TestTurn:
    def test_without_a_due_job_there_is_no_work(self, app, session):
        jobs.enqueue(session, "note", run_at=utcnow() + timedelta(hours=1))
        session.commit()

        assert not turn(app)

    def test_a_job_is_done_once_with_its_payload(self, app, session):
        seen = []
        jobs.enqueue(session, "note", {"to": "Ada"})
        session.commit()

        def note(_config, payload):
            seen.append(payload)
            return "Noted."

        assert turn(app, {"note": note})
        assert not turn(app, {"note": note})

        assert seen == [{"to": "Ada"}]
        assert session.scalar(select(func.count()).select_from(Job)) == 0

    def test_a_job_that_fails_is_kept_with_its_reason_and_holds_up_nobody(self, app, session, caplog):
        jobs.enqueue(session, "poison", run_at=utcnow() - timedelta(hours=1))
        jobs.enqueue(session, "note")
        session.commit()
        seen = []

        def poison(_config, _payload):
            raise ValueError("no such address")

        kinds = {"poison": poison, "note": lambda _config, payload: seen.append(payload) or ""}
        with caplog.at_level(logging.INFO, "portal"):
            assert [turn(app, kinds), turn(app, kinds), turn(app, kinds)] == [True, True, False]

        assert seen == [{}]
        left = session.scalars(select(Job)).one()
        assert (left.kind, left.attempts, left.error) == ("poison", 1, "ValueError: no such address")
        assert left.run_at > utcnow()

    def test_a_job_of_another_release_waits_for_a_worker_that_knows_it(self, app, session):
        jobs.enqueue(session, "from the future")
        session.commit()

        assert turn(app)

        left = session.scalars(select(Job)).one()
        assert left.error == "LookupError: This release knows no job from the future."
        assert left.failed_at is None


class TestPeriodicWork:
    def test_two_workers_announce_it_once_and_share_it(self, app, session):
        worker.announce(utcnow() - timedelta(minutes=2))
        worker.announce(utcnow())

        done = 0
        while turn(app):
            done += 1

        assert done == len(worker.PERIODIC)
        rows = session.scalars(select(Job)).all()
        assert {row.kind for row in rows} == set(worker.PERIODIC)
        assert all(row.run_at > utcnow() and row.error is None for row in rows)

    def test_the_doctor_waits_until_a_new_installation_stands(self, app, session):
        worker.announce(utcnow())

        while turn(app):
            pass

        seen = doctor.last(session, now=utcnow())
        assert (seen.at, seen.is_asked_for) == (None, False)

    def test_teams_hear_of_keys_that_expire_soon_once(self, app, session):
        key, _ = factories.key(session, factories.consumer(session), expires_at=utcnow() + timedelta(days=40))
        key.expires_at = utcnow() + timedelta(days=20)
        session.commit()
        for _ in range(2):
            worker.KINDS["tell_expiring_keys"](config_of(app), {})

        notice = session.scalars(select(Notice)).one()
        assert (notice.event, notice.data["within_days"]) == ("key.expiring", 30)

    def test_a_reported_key_is_looked_up_and_the_trail_says_why_it_went(self, app, session):
        key, token = factories.key(session, factories.consumer(session))
        leaks.report(session, token.value, found_at="a log")
        session.commit()

        assert turn(app)

        session.rollback()
        assert key.leaked
        told = session.scalars(select(AuditEntry).where(AuditEntry.action == "reported as leaked")).one()
        assert (told.by, told.changes) == ("leak report", {"found_at": [None, "a log"]})

    def test_letters_in_files_go_after_a_month_and_nothing_else_does(self, app):
        config, now = config_of(app), utcnow()
        folder = config.data_dir / "mail"
        worker.KINDS["forget_letters"](config, {})  # before there was any letter
        folder.mkdir()
        for name, days in (("old.eml", 31), ("half.tmp", 31), ("young.eml", 29), ("notes.txt", 400)):
            (folder / name).write_text("Hello.")
            os.utime(folder / name, (0, (now - timedelta(days=days)).timestamp()))

        said = worker.KINDS["forget_letters"](config, {})

        assert {file.name for file in folder.iterdir()} == {"young.eml", "notes.txt"}
        assert said.startswith("2 ")

    def test_what_was_published_before_there_was_a_catalogue_is_indexed(self, app, session):
        factories.api(session, live=True)
        session.commit()
        session.execute(delete(CatalogueEntry))
        session.commit()

        said = [worker.KINDS["mend_catalogue"](config_of(app), {}) for _ in range(2)]

        assert said == ["1 APIs were indexed for the catalogue.", ""]
        assert session.scalar(select(func.count()).select_from(CatalogueEntry)) == 1

    def test_every_kind_that_comes_again_is_known(self):
        assert set(worker.PERIODIC) <= set(worker.KINDS)

    def test_what_is_old_goes_and_what_is_young_stays(self, app, session):
        now = utcnow()
        consumer = factories.consumer(session)
        old, _ = factories.key(session, consumer)
        young, _ = factories.key(session, consumer)
        alive, _ = factories.key(session, consumer)
        old.revoked_at, young.revoked_at = now - timedelta(days=31), now - timedelta(days=29)
        session.add_all(
            [
                Throttle(id="a" * 64, attempts=9, at=now - timedelta(days=1), free_at=now - timedelta(days=1)),
                Throttle(id="b" * 64, attempts=9, at=now, free_at=now),
                MisreadLine(node="n", at=now - timedelta(days=400), line=b"x", error="e", count=1),
                MisreadLine(node="n", at=now, line=b"y", error="e", count=1),
            ]
        )
        session.commit()
        kept, old_id = {young.id, alive.id}, old.public_id

        worker.announce(now)
        while turn(app):
            pass

        session.rollback()
        assert set(session.scalars(select(Key.id))) == kept
        assert session.scalars(select(Throttle.id)).all() == ["b" * 64]
        assert session.scalars(select(MisreadLine.line)).all() == [b"y"]
        buried = session.scalars(select(AuditEntry).where(AuditEntry.action == "deleted")).one()
        assert (buried.label, buried.by) == (f"pco_{old_id}", "worker")


class TestProcess:
    def test_it_works_by_itself_and_ends_on_sigterm(self, app, config):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "flask", "worker", "run"],
            cwd=ROOT,
            env=environment | {"PORTAL_DATA_DIR": str(config.data_dir)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            until = time.monotonic() + 60
            while waiting(config.data_dir) != 0:
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.05)
        finally:
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=30)
        assert process.returncode == 0, said
        assert said.splitlines()[-1].endswith("Worker stopped.")


def waiting(folder: Path) -> int | None:
    """Jobs that never went well so far; None before there are any."""
    with closing(sqlite3.connect(folder / "portico.sqlite3", timeout=10)) as connection:
        total, left = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE claimed_by IS NOT NULL OR run_at <= ?) FROM job",
            [utcnow().replace(tzinfo=None).isoformat(" ")],
        ).fetchone()
    return left if total else None
