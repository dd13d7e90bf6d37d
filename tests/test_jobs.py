"""Queued and periodic work: who gets a job, what happens when it fails, and when nobody comes back."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import Session

from portal import jobs
from portal.db import engine_options, engine_url
from portal.jobs import Job

NOW = datetime(2026, 5, 17, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=2)


def claim(session: Session, *, by: str = "one", now: datetime = NOW) -> jobs.Claim | None:
    held = jobs.claim(session, by=by, now=now)
    session.commit()
    return held


@pytest.fixture
def noise(session: Session) -> None:
    """Jobs that nobody may get: not due, given up, held by somebody else."""
    session.add_all(
        [
            Job(kind="later", payload={}, run_at=LATER + timedelta(days=9)),
            Job(kind="given up", payload={}, run_at=NOW - timedelta(days=1), failed_at=NOW),
            Job(kind="held", payload={}, run_at=NOW, claimed_by="other", claimed_until=NOW + timedelta(days=5)),
        ]
    )
    session.commit()


@pytest.mark.usefixtures("noise")
class TestClaim:
    def test_the_job_that_is_due_for_longest_comes_first(self, session):
        jobs.enqueue(session, "second", run_at=NOW - timedelta(minutes=1))
        jobs.enqueue(session, "first", {"n": 1}, run_at=NOW - timedelta(minutes=2))
        session.commit()

        held = [claim(session), claim(session), claim(session)]

        assert [each and each.kind for each in held] == ["first", "second", None]
        assert held[0] is not None
        assert (held[0].payload, held[0].attempt, held[0].every) == ({"n": 1}, 1, None)

    def test_a_job_is_not_claimed_before_its_time(self, session):
        jobs.enqueue(session, "mail", run_at=NOW + timedelta(seconds=1))
        session.commit()

        assert claim(session) is None
        assert claim(session, now=NOW + timedelta(seconds=1)) is not None

    def test_some_kinds_are_left_to_others(self, session):
        jobs.enqueue(session, "import", run_at=NOW - timedelta(minutes=2))
        jobs.enqueue(session, "mail", run_at=NOW - timedelta(minutes=1))
        session.commit()

        found = [
            jobs.claim(session, by="one", now=NOW, only=kinds, but=others)
            for kinds, others in ((None, ["import"]), (None, ["import"]), (["import"], ()), (["import"], ()))
        ]

        assert [each and each.kind for each in found] == ["mail", None, "import", None]

    def test_of_two_workers_that_saw_the_same_job_one_gets_it(self, engine: Engine, session):
        jobs.enqueue(session, "mail", run_at=NOW)
        session.commit()
        with Session(engine) as other:
            # The other worker has looked and not yet written, which is what PostgreSQL allows at any time.
            seen = other.execute(select(Job.id, Job.attempts).where(Job.kind == "mail")).one()
            other.rollback()
            mine = claim(session)
            assert mine is not None
            assert mine.id == seen.id
            assert jobs.claim(other, by="two", now=NOW) is None

    def test_a_job_of_a_worker_that_died_is_free_when_its_lease_ends(self, session):
        jobs.enqueue(session, "mail", run_at=NOW)
        session.commit()
        first = claim(session)

        assert claim(session, by="two", now=NOW + jobs.LEASE - timedelta(seconds=1)) is None
        second = claim(session, by="two", now=NOW + jobs.LEASE)
        assert first is not None
        assert second is not None
        assert second.attempt == 2
        # The first was only slow: what it says now changes nothing.
        assert not jobs.finish(session, first, now=NOW)
        assert jobs.fail(session, first, "slow", now=NOW) is None
        assert jobs.finish(session, second, now=NOW)

    def test_a_job_that_kills_its_workers_steps_aside(self, session):
        jobs.enqueue(session, "poison", run_at=NOW - timedelta(hours=1))
        session.commit()
        now = NOW
        for _ in range(jobs.MOST_ATTEMPTS):
            assert claim(session, now=now) is not None
            now += jobs.LEASE
        jobs.enqueue(session, "harmless", run_at=NOW)
        session.commit()

        held = claim(session, now=now)

        assert held is not None
        assert held.kind == "harmless"
        poison = session.scalars(select(Job).where(Job.kind == "poison")).one()
        assert poison.failed_at == now
        assert poison.error == "No worker that began it came back."


@pytest.mark.usefixtures("noise")
class TestOutcome:
    def test_a_job_that_went_well_is_gone(self, session):
        jobs.enqueue(session, "mail", run_at=NOW)
        session.commit()

        assert jobs.finish(session, claim(session), now=NOW)

        assert session.scalar(select(Job.id).where(Job.kind == "mail")) is None
        assert len(session.scalars(select(Job)).all()) == 3  # the noise

    def test_pauses_grow_until_the_job_is_given_up(self, session):
        jobs.enqueue(session, "import", run_at=NOW)
        session.commit()
        now, pauses = NOW, []
        for _ in range(jobs.MOST_ATTEMPTS):
            held = claim(session, now=now)
            again = jobs.fail(session, held, "ConnectionError: no answer", now=now)
            session.commit()
            if again is not None:
                pauses.append((again - now).total_seconds())
                now = again

        assert pauses == [15, 30, 60, 120, 240, 480, 960]
        row = session.scalars(select(Job).where(Job.kind == "import")).one()
        assert (row.failed_at, row.error, row.claimed_by) == (now, "ConnectionError: no answer", None)
        assert claim(session, now=now + timedelta(days=1)) is None

    def test_a_mail_waits_for_a_server_that_is_away_for_a_day(self, session):
        jobs.enqueue(session, "mail", run_at=NOW)
        session.commit()
        now: datetime | None = NOW
        last = NOW
        while now is not None:
            last = now
            now = jobs.fail(session, claim(session, now=last), "ConnectionError: no answer", now=last)
            session.commit()

        assert timedelta(days=1) < last - NOW < timedelta(days=2)


@pytest.mark.usefixtures("noise")
class TestRepeat:
    def test_work_comes_again_after_its_pause(self, session):
        jobs.repeat(session, "sweep", timedelta(minutes=10), now=NOW)
        session.commit()

        held = claim(session)
        jobs.finish(session, held, now=NOW)
        session.commit()

        assert claim(session, now=NOW + timedelta(minutes=9)) is None
        again = claim(session, now=NOW + timedelta(minutes=10))
        assert again is not None
        assert again.attempt == 1

    def test_announcing_it_twice_keeps_one_row_and_takes_the_new_pause(self, session):
        jobs.repeat(session, "sweep", timedelta(minutes=10), now=NOW)
        session.commit()
        jobs.repeat(session, "sweep", timedelta(minutes=5), now=LATER)
        session.commit()

        row = session.scalars(select(Job).where(Job.kind == "sweep")).one()

        assert (row.every, row.run_at) == (300, NOW)

    def test_it_does_not_wait_for_a_time_that_only_a_wrong_clock_said(self, session):
        ahead = NOW + timedelta(days=365)
        jobs.repeat(session, "sweep", timedelta(minutes=10), now=ahead)
        session.commit()
        held = claim(session, now=ahead)
        jobs.finish(session, held, now=ahead)
        session.commit()
        assert claim(session) is None

        jobs.repeat(session, "sweep", timedelta(minutes=10), now=NOW)
        session.commit()

        assert claim(session) is not None

    def test_it_is_never_given_up_and_waits_no_longer_than_usual(self, session):
        jobs.repeat(session, "sweep", timedelta(minutes=1), now=NOW)
        session.commit()
        now = NOW
        for _ in range(jobs.MOST_ATTEMPTS + 3):
            held = claim(session, now=now)
            assert held is not None
            again = jobs.fail(session, held, "locked", now=now)
            session.commit()
            assert again is not None
            assert again - now <= timedelta(minutes=1)
            now = again


@pytest.mark.postgres
class TestTwoWorkersOnPostgreSQL:
    """On SQLite one transaction writes at a time; here both are in the middle of theirs."""

    def test_one_gets_the_job_and_the_other_goes_away_empty(self, postgres_url):
        address = engine_url(postgres_url)
        engine = create_engine(address, **engine_options(address))
        Job.__table__.create(engine)
        with Session(engine) as session:
            jobs.enqueue(session, "mail", run_at=NOW)
            session.commit()
        found: dict[str, jobs.Claim | None] = {}
        start = threading.Barrier(2)

        def work(name: str) -> None:
            with Session(engine) as session:
                session.execute(select(Job.id)).all()  # the transaction has begun
                start.wait()
                found[name] = jobs.claim(session, by=name, now=NOW)
                session.commit()

        threads = [threading.Thread(target=work, args=[name]) for name in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        engine.dispose()

        winners = [name for name, held in found.items() if held is not None]
        assert len(found) == 2
        assert len(winners) == 1

    def test_two_that_announce_at_once_agree_on_one_row(self, postgres_url):
        address = engine_url(postgres_url)
        engine = create_engine(address, **engine_options(address))
        Job.__table__.create(engine)
        start = threading.Barrier(2)

        def announce() -> None:
            with Session(engine) as session:
                start.wait()
                jobs.repeat(session, "sweep", timedelta(minutes=1), now=NOW)
                session.commit()

        threads = [threading.Thread(target=announce) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        with Session(engine) as session:
            assert session.scalars(select(Job.kind)).all() == ["sweep"]
        engine.dispose()
