"""`make run`, with real processes: it starts, a dead program comes back, and nothing is left when it stops."""

import http.client
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from bench import stack
from portal import migrate, run
from portal.config import Config
from portal.db import engine_options, engine_url
from portal.programs import Programs, free_port, is_free, supervisor_settings

ROOT = Path(__file__).parent.parent


@pytest.fixture
def settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a start in a folder of its own; short, because Envoy's socket lives in it."""
    for name in [name for name in os.environ if name.startswith("PORTAL_")]:
        monkeypatch.delenv(name)
    values = {
        "PORTAL_DATA_DIR": str(tmp_path_factory.mktemp("v")),
        "PORTAL_PORT": str(free_port()),
        "PORTAL_GATEWAY_PORT": str(free_port()),
        "PORTAL_GATEWAY_WORKERS": "1",
        "PORTAL_WEB_THREADS": "4",
        "PORTAL_UPSTREAM_LOOPBACK": "1",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values


@pytest.fixture
def upstream() -> None:
    """What the sample is served by."""
    if not Programs.sample_python().exists():
        pytest.skip("sample: .venv-sample is not installed, `make test` does that")


@pytest.mark.envoy
@pytest.mark.usefixtures("upstream")
class TestWholeStack:
    def test_it_starts_heals_and_stops_with_nothing_left(self, settings, started):
        data = Path(settings["PORTAL_DATA_DIR"])
        portal, gateway = int(settings["PORTAL_PORT"]), int(settings["PORTAL_GATEWAY_PORT"])

        first = started()
        said = first.until("Password")
        assert f"http://127.0.0.1:{portal}" in said
        assert f"http://localhost:{gateway}" in said
        assert re.search(r"Password +\S{16} ", said)
        assert data.stat().st_mode & 0o777 == 0o700
        assert status(portal, "/readyz") == 200
        assert status(gateway, "/httpbin/get") == 401
        wait_for(lambda: row(data, "SELECT count(*) FROM call WHERE status = 200 AND key_id IS NOT NULL")[0] > 0)
        sample_port, n_keys = row(data, "SELECT (SELECT port FROM sample), (SELECT count(*) FROM key)")
        assert not is_free("127.0.0.1", sample_port)

        web = listener(portal, settings)
        os.kill(web, signal.SIGKILL)
        wait_for(lambda: listener(portal, settings) not in {None, web} and status(portal, "/readyz") == 200)

        ours = processes(settings)
        assert len(ours) >= 6  # the starter, Supervisor, web and its worker, node, worker, Envoy
        first.stop(signal.SIGINT)
        assert processes(settings) == []
        assert all(is_free("127.0.0.1", port) for port in (portal, gateway, sample_port))
        secret = re.search(r"Password +(\S+)", said)
        assert secret is not None
        for file in [path for path in data.rglob("*") if path.is_file()]:
            assert secret[1].encode() not in file.read_bytes()
            assert not re.search(rb"pco_[0-9A-Za-z]{12}_[0-9A-Za-z]{33}", file.read_bytes())

        second = started()
        said = second.until("New password")
        assert "Password  " not in said
        assert "user reset admin@example.com" in said
        assert row(data, "SELECT (SELECT port FROM sample), (SELECT count(*) FROM key)") == (sample_port, n_keys)
        second.stop(signal.SIGTERM)
        assert processes(settings) == []

    def test_a_starter_that_is_killed_takes_everything_along(self, settings, started):
        running = started()
        running.until("ready")

        running.process.kill()
        running.process.wait()

        wait_for(lambda: processes(settings) == [])
        assert is_free("127.0.0.1", int(settings["PORTAL_GATEWAY_PORT"]))


@pytest.mark.usefixtures("upstream")
class TestFirstStart:
    def test_there_is_an_administrator_with_a_team_that_may_publish_and_a_sample(self, settings):
        start = run.prepare(Config.read(), may_migrate=False)

        data = Path(settings["PORTAL_DATA_DIR"])
        assert start.administrator == "admin@example.com"
        assert start.password is not None
        assert start.password not in repr(start)
        assert start.sample_port == row(data, "SELECT port FROM sample")[0]
        assert row(data, "SELECT count(*) FROM person WHERE is_administrator") == (1,)
        assert row(data, "SELECT count(*) FROM team WHERE may_publish AND slug IN ('platform', 'sample')") == (2,)
        assert row(data, "SELECT count(*) FROM mount") == (2,)

    def test_a_later_start_makes_nothing_again(self, settings):
        first = run.prepare(Config.read(), may_migrate=False)
        second = run.prepare(Config.read(), may_migrate=False)

        assert (second.administrator, second.password, second.token) == (first.administrator, None, None)
        assert second.sample_port == first.sample_port

    def test_the_sample_moves_when_another_program_took_its_port(self, settings):
        first = run.prepare(Config.read(), may_migrate=False)
        assert first.sample_port is not None
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", first.sample_port))
            taken.listen()

            second = run.prepare(Config.read(), may_migrate=False)

        assert second.sample_port not in {None, first.sample_port}
        assert row(Path(settings["PORTAL_DATA_DIR"]), "SELECT max(number) FROM release") == (2,)

    def test_a_sample_that_was_removed_does_not_come_back(self, settings):
        run.prepare(Config.read(), may_migrate=False)
        with closing(sqlite3.connect(Path(settings["PORTAL_DATA_DIR"]) / "portico.sqlite3")) as connection:
            connection.execute("DELETE FROM sample")
            connection.commit()

        assert run.prepare(Config.read(), may_migrate=False).sample_port is None


class TestRefusals:
    @pytest.mark.parametrize("name", ["PORTAL_PORT", "PORTAL_GATEWAY_PORT"])
    def test_a_busy_port_is_named_with_its_setting(self, settings, name, capsys):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", int(settings[name])))
            taken.listen()

            assert run.main([]) == 1

        said = capsys.readouterr().err
        assert f"port {settings[name]} on 127.0.0.1" in said
        assert f"another port with {name}." in said

    def test_a_second_start_in_one_folder_is_refused(self, settings, capsys):
        with run.alone(Config.read()):
            assert run.main([]) == 1

        assert "runs in" in capsys.readouterr().err

    def test_a_wrong_setting_is_named(self, settings, monkeypatch, capsys):
        monkeypatch.setenv("PORTAL_PORT", "http")

        assert run.main([]) == 1
        assert "PORTAL_PORT must be a port number" in capsys.readouterr().err

    def test_an_option_that_does_not_exist_is_named(self, settings, capsys):
        assert run.main(["--migarte"]) == 1
        assert "--migarte is not an option" in capsys.readouterr().err


class TestDatabaseOfOnesOwn:
    @pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
    def config(self, request, settings, tmp_path, monkeypatch) -> Config:
        given = request.getfixturevalue("postgres_url") if request.param == "postgresql" else None
        monkeypatch.setenv("PORTAL_DATABASE_URL", given or f"sqlite:///{tmp_path / 'own.sqlite3'}")
        return Config.read()

    def test_pending_migrations_stop_the_start(self, config):
        with pytest.raises(run.CannotRun, match=r"waits for \d+ migrations.*--migrate"):
            run.prepare(config, may_migrate=False)

    def test_it_is_migrated_when_asked_and_nobody_and_nothing_is_made(self, config, capsys):
        start = run.prepare(config, may_migrate=True)

        assert "Migrated: " in capsys.readouterr().out
        assert (start.administrator, start.password, start.token, start.sample_port) == (None, None, None, None)
        engine = create_engine(engine_url(config.database_url), **engine_options(engine_url(config.database_url)))
        assert migrate.pending(engine) == []
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM person")) == 0
        engine.dispose()

    def test_a_later_start_needs_no_option(self, config):
        run.prepare(config, may_migrate=True)

        assert run.prepare(config, may_migrate=False).administrator is None


class TestSupervisorSettings:
    def test_no_secret_is_written_and_no_socket_opened(self, tmp_path):
        config = Config(data_dir=tmp_path / "50% full", database_url="postgresql://u:hidden@db/x", secret_key="hidden")

        said = supervisor_settings(config, sample_port=None)

        assert "hidden" not in said
        assert "_http_server" not in said
        assert "50%% full" in said

    def test_the_sample_is_a_program_only_while_it_exists(self, tmp_path):
        config = Config(data_dir=tmp_path)

        assert "[program:sample]" not in supervisor_settings(config, sample_port=None)
        assert "127.0.0.1:18123" in supervisor_settings(config, sample_port=18123)

    def test_all_programs_are_told_to_stop_at_once(self, tmp_path):
        said = supervisor_settings(Config(data_dir=tmp_path), sample_port=18123)

        assert "programs = web,node,worker,sample" in said


class Running:
    """One start, in a session of its own, as a terminal would make it."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "portal.run"],
            cwd=ROOT,
            env=os.environ | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.said = ""

    def until(self, word: str) -> str:
        """Everything that was said up to the line with `word`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if word in line:
                return self.said
        raise AssertionError(f"It ended without saying {word!r}:\n{self.said}")

    def stop(self, number: signal.Signals) -> None:
        """To the whole group, as Ctrl-C in a terminal is. Raises TimeoutExpired."""
        os.killpg(self.process.pid, number)
        rest, _ = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, self.said + rest


@pytest.fixture
def started(settings: dict[str, str]) -> Iterator[Callable[[], Running]]:
    made: list[Running] = []

    def start() -> Running:
        made.append(Running(settings))
        return made[-1]

    yield start
    for running in made:
        if running.process.poll() is None:
            running.process.terminate()
        running.process.communicate(timeout=30)


def status(port: int, path: str) -> int | None:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None


def row(data: Path, query: str) -> tuple[int, ...]:
    with closing(sqlite3.connect(data / "portico.sqlite3", timeout=10)) as connection:
        return tuple(connection.execute(query).fetchone())


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.05)


def processes(settings: dict[str, str]) -> list[int]:
    """Every process of this start: they all have its folder in their environment, save the sample's upstream."""
    return stack.processes(Path(settings["PORTAL_DATA_DIR"]))


def listener(port: int, settings: dict[str, str]) -> int | None:
    """The oldest process of this start that serves pages: gunicorn's own, not its workers."""
    served = f"127.0.0.1:{port}".encode()
    found = []
    for pid in processes(settings):
        try:
            if served in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                found.append(pid)
        except OSError:
            continue
    return min(found, default=None)
