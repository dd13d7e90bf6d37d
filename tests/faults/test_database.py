"""The database slow, locked, read-only, restarted, crowded or gone: the gateway serves on, and nothing is lost."""

import contextlib
import time
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy.engine import make_url

from portal.db import utcnow
from portal.registry.models import Consumer
from tests.faults.house import House, house, published
from tests.gateway.envoy import wait_for
from tests.postgres import Server


def psycopg_address(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


@contextlib.contextmanager
def away(home: House) -> Iterator[None]:
    """The database is where nobody looks for it. Nobody may be connected to it when it goes."""
    if home.config.database_url.startswith("postgresql"):
        url = make_url(home.config.database_url)
        home.engine.dispose()
        with psycopg.connect(psycopg_address(str(url.set(database="postgres"))), autocommit=True) as connection:
            connection.execute(f'ALTER DATABASE "{url.database}" RENAME TO "{url.database}_away"')
            yield
            connection.execute(f'ALTER DATABASE "{url.database}_away" RENAME TO "{url.database}"')
        return
    folder = home.config.data_dir / "elsewhere"
    folder.mkdir()
    files = list(home.config.data_dir.glob("portico.sqlite3*"))
    for file in files:
        file.rename(folder / file.name)
    yield
    assert list(home.config.data_dir.glob("portico.sqlite3*")) == [], "nobody makes an empty database in its place"
    for file in files:
        (folder / file.name).rename(file)


@pytest.mark.parametrize("seconds", [6, pytest.param(120, marks=pytest.mark.slow)])
def test_with_everything_stopped_and_the_database_away_the_gateway_serves_on(home: House, seconds: int) -> None:
    with home.session() as session:
        consumer = session.get_one(Consumer, 1)
        limited = published(session, consumer, home.backend.port, per_second=3, per_minute=3)
        session.commit()
    wait_for(lambda: home.answers(path=limited) == 200, "the limited API answers")
    ending = home.issue(expires_at=utcnow() + timedelta(seconds=seconds))
    wait_for(lambda: home.answers(ending) == 200, "the key that ends soon works")

    with home.load(200) as seen:
        home.kill_node()
        with away(home):
            began = time.monotonic()
            wait_for(lambda: home.answers(path=limited) == 429, "the limit is used up")
            assert home.answers("pco_unknown") == 401
            while time.monotonic() < began + seconds - 2:
                seen.sees_another()
            wait_for(lambda: home.answers(ending) == 401, "the key has ended")
            home.start_node()
            home.until_node_serves()
            wait_for(lambda: "The database fails" in home.said(), "the node says that the database is away")
            seen.sees_another()
        wait_for(lambda: "The database answers again" in home.said(), "the node is back with its database")
        calls = seen.end()
    home.stop_node()

    assert calls.failures == {}
    home.assert_stored_once(calls)


class TestSQLite:
    def test_writer_that_holds_the_lock_delays_only_what_is_written(self, on_sqlite: House) -> None:
        with on_sqlite.load() as seen:
            with on_sqlite.session() as session:
                session.connection()
                # Longer than the node waits for the lock.
                wait_for(lambda: "The database fails" in on_sqlite.said(), "the node gives up once")
                session.rollback()
            wait_for(lambda: "The database answers again" in on_sqlite.said(), "the node goes on")
            calls = seen.end()
        on_sqlite.stop_node()

        assert calls.failures == {}
        assert "Traceback" not in on_sqlite.said()
        on_sqlite.assert_stored_once(calls)


@pytest.mark.postgres
class TestPostgreSQL:
    @pytest.fixture
    def place(self, postgres_of_ones_own: Server) -> Iterator[House]:
        with house(postgres_of_ones_own.address) as made:
            yield made

    def test_server_that_stops_and_starts_under_load_loses_nothing(
        self, place: House, postgres_of_ones_own: Server
    ) -> None:
        with place.load() as seen:
            seen.sees_another()
            postgres_of_ones_own.stop()
            wait_for(lambda: "The database fails" in place.said(), "the node sees it")
            seen.sees_another(200)
            postgres_of_ones_own.start()
            assert place.answers(place.issue()) in {200, 401}
            wait_for(lambda: "The database answers again" in place.said(), "the node is back")
            calls = seen.end()
        place.stop_node()

        assert calls.failures == {}
        assert "Traceback" not in place.said()
        place.assert_stored_once(calls)

    def test_server_that_is_read_only_for_a_while_loses_nothing(self, place: House) -> None:
        with place.load() as seen, psycopg.connect(place.config.database_url, autocommit=True) as connection:
            connection.execute("ALTER DATABASE postgres SET default_transaction_read_only = on")
            end_others(connection)
            wait_for(lambda: "The database fails" in place.said(), "the node cannot write")
            before = sum(place.stored().values())
            seen.sees_another(200)
            assert sum(place.stored().values()) == before
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("ALTER DATABASE postgres RESET default_transaction_read_only")
            end_others(connection)
            wait_for(lambda: "The database answers again" in place.said(), "the node can write")
            calls = seen.end()
        place.stop_node()

        assert calls.failures == {}
        assert "Traceback" not in place.said()
        place.assert_stored_once(calls)

    def test_server_without_room_for_connections_loses_nothing(self, place: House) -> None:
        with place.load() as seen, contextlib.ExitStack() as held:
            first = held.enter_context(psycopg.connect(place.config.database_url, autocommit=True))
            with contextlib.suppress(psycopg.OperationalError):
                while True:
                    held.enter_context(psycopg.connect(place.config.database_url, connect_timeout=5))
                    end_others(first, "application_name = '' AND state = 'idle' AND query <> ''")
            wait_for(lambda: "The database fails" in place.said(), "the node gets no connection")
            seen.sees_another()
            held.close()
            wait_for(lambda: "The database answers again" in place.said(), "the node is back")
            calls = seen.end()
        place.stop_node()

        assert calls.failures == {}
        place.assert_stored_once(calls)


def end_others(connection: "psycopg.Connection[tuple[object, ...]]", which: str = "true") -> None:
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND {which}"
    )


def columns(home: House, table: str) -> list[str]:
    with home.engine.connect() as connection:
        return list(connection.exec_driver_sql(f"SELECT * FROM {table}").keys())


def test_columns_that_a_newer_release_adds_do_not_stop_a_node_of_this_one(home: House) -> None:
    with home.load(200) as seen:
        seen.sees_another()
        for table in ("node", "call", "key", "consumer", "subscription", "plan", "api", "release", "log_position"):
            with home.session() as session:
                session.connection().exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN of_a_newer_release INTEGER")
                session.commit()
        key, path = home.issue(), home.publish_another()
        wait_for(lambda: home.answers(key, path) == 200, "new key and API are live")
        seen.sees_another()
        calls = seen.end()
    home.stop_node()

    assert "of_a_newer_release" in columns(home, "call")
    assert calls.failures == {}
    assert "Traceback" not in home.said()
    assert "fails" not in home.said()
    home.assert_stored_once(calls)
