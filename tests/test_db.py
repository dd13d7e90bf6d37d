import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import URL, create_engine, select
from sqlalchemy.exc import OperationalError, StatementError

from portal.accounts import Person
from portal.db import db, engine_url, existing
from portal.registry.models import Revision
from tests import factories


class TestBegin:
    def test_commits_at_the_end(self, app, session):
        with app.app_context(), db.begin() as inside:
            factories.person(inside, email="mika@portico.example")

        assert session.scalar(select(Person.email)) == "mika@portico.example"

    def test_rolls_back_what_raised(self, app, session):
        def fail() -> None:
            with db.begin() as inside:
                inside.scalar(select(Revision)).n = 7
                raise LookupError

        with app.app_context(), pytest.raises(LookupError):
            fail()

        assert session.scalar(select(Revision.n)) == 0

    def test_counters_of_many_threads_lose_nothing(self, app, session):
        """Read, add, write: without the write lock before the read, threads would overwrite one another."""

        def add() -> None:
            with app.app_context():
                for _ in range(10):
                    db.session.scalar(select(Revision))  # a read before, as guards do
                    with db.begin() as inside:
                        inside.scalar(select(Revision)).n += 1

        threads = [threading.Thread(target=add) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert session.scalar(select(Revision.n)) == 40


class TestUTCDateTime:
    def test_comes_back_aware_and_in_utc(self, session):
        team = factories.team(session)
        team.created_at = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=2)))
        session.commit()

        assert team.created_at == datetime(2026, 3, 1, 10, tzinfo=UTC)
        assert team.created_at.tzinfo is UTC

    def test_a_naive_time_is_refused(self, session):
        team = factories.team(session)
        team.created_at = datetime(2026, 3, 1, 12)

        with pytest.raises(StatementError, match="has no time zone"):
            session.flush()


class TestExisting:
    def test_file_that_is_away_is_an_error_and_stays_away(self, tmp_path):
        path = tmp_path / "50% of it?.sqlite3"
        engine = create_engine(existing(engine_url(f"sqlite:///{path}")))

        with pytest.raises(OperationalError, match="unable to open database file"):
            engine.connect()

        assert not path.exists()

    def test_file_that_is_there_is_opened(self, tmp_path):
        url = URL.create("sqlite", database=str(tmp_path / "50% of it?.sqlite3"))
        for engine in (create_engine(url), create_engine(existing(url))):
            with engine.begin() as connection:
                connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS one (n INTEGER)")
                connection.exec_driver_sql("INSERT INTO one VALUES (1)")
                count = connection.exec_driver_sql("SELECT count(*) FROM one").scalar()
            engine.dispose()

        assert count == 2

    def test_addresses_of_servers_are_left_alone(self):
        url = engine_url("postgresql://portico@db.example/portico")

        assert existing(url) == url


def test_postgres_addresses_mean_psycopg_3():
    assert engine_url("postgres://u:p@h/d").drivername == "postgresql+psycopg"
    assert engine_url("postgresql://u:p@h/d").drivername == "postgresql+psycopg"
    assert engine_url("sqlite:///x").drivername == "sqlite"
