"""`make run`: everything of one machine, set up, started, watched and stopped.

Supervisor starts the programs and restarts what dies. This process prepares the database before, tells when all
answer, keeps their output together, and sees to it that nothing is left behind.
"""

import contextlib
import fcntl
import logging
import logging.handlers
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from portal import migrate
from portal.config import Config, WrongSetting
from portal.db import engine_options, engine_url
from portal.errors import PortalError
from portal.programs import Programs, free_port, is_free, loopback

if TYPE_CHECKING:
    from portal.registry import Token

_STOP_SECONDS = 10
_PATIENCE_SECONDS = 30
_ADMINISTRATOR = "admin@example.com"


class CannotRun(PortalError):
    """`str()` says what keeps everything from starting and what to do about it."""


@dataclass(frozen=True, slots=True, repr=False)
class Start:
    """What was found or made before the programs start. The secrets live in this process's memory and nowhere else."""

    administrator: str | None
    """Whose e-mail address signs in; None when there is nobody yet."""
    password: str | None = None
    token: "Token | None" = None
    sample_port: int | None = None


def main(arguments: list[str] | None = None) -> int:
    """Runs until a signal; the exit status. Nothing is left running when it returns."""
    wanted = sys.argv[1:] if arguments is None else arguments
    try:
        if unknown := [each for each in wanted if each != "--migrate"]:
            raise CannotRun(f"{unknown[0]} is not an option. There is only --migrate.")
        config = Config.read()
        with alone(config):
            _check_ports(config)
            _check_certificate(config)
            start = prepare(config, may_migrate="--migrate" in wanted)
            return _supervise(config, start)
    except (PortalError, WrongSetting) as error:
        print(f"Portico does not start: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


@contextlib.contextmanager
def alone(config: Config) -> Iterator[None]:
    """One start a folder: two would fight for Envoy and the ports of each other's settings."""
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    config.data_dir.chmod(0o700)
    with (config.data_dir / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotRun(
                f"It runs in {config.data_dir} already. Stop that one, or choose another folder with PORTAL_DATA_DIR."
            ) from None
        yield


def _check_ports(config: Config) -> None:
    if not is_free(config.bind, config.port):
        raise CannotRun(
            f"port {config.port} on {config.bind}, for the portal, is in use by another program. "
            "Stop that program, or choose another port with PORTAL_PORT."
        )
    # An Envoy that a killed node left behind holds its own port; the next node takes it over.
    if not is_free(config.gateway_bind, config.gateway_port) and not _envoy_was_left(config):
        raise CannotRun(
            f"port {config.gateway_port} on {config.gateway_bind}, for the gateway, is in use by another program. "
            "Stop that program, or choose another port with PORTAL_GATEWAY_PORT."
        )


def _check_certificate(config: Config) -> None:
    """Here too, because Supervisor would start a node that cannot start over and over."""
    if config.gateway_tls:
        from portal.gateway import certificate, place

        try:
            certificate.judge(*place.pair_of(config).read())
        except certificate.Unusable as error:
            raise CannotRun(str(error)) from error


def prepare(config: Config, *, may_migrate: bool) -> Start:
    """Bring the database to where programs can start on it. Raises CannotRun when `may_migrate` is needed for that.

    Only a database in the data folder is migrated unasked, and only there an administrator and the sample are made.
    """
    ours = not (os.environ.get("PORTAL_DATABASE_URL") or os.environ.get("PORTAL_DATABASE_URL_FILE"))
    address = engine_url(config.database_url)
    engine = create_engine(address, **engine_options(address))
    try:
        if ours or may_migrate:
            for sentence in migrate.upgrade(engine):
                print(f"Migrated: {sentence}")
        elif waiting := migrate.pending(engine):
            raise CannotRun(
                f"the database of PORTAL_DATABASE_URL waits for {len(waiting)} migrations, the first one is "
                f"“{waiting[0]}”. Make a backup, then apply them with `make run ARGS=--migrate` or `flask db upgrade`."
            )
        # In SQL, because the models take a second to import, which every later start would wait for.
        with engine.connect() as connection:
            email = connection.scalar(text("SELECT email FROM person WHERE is_administrator ORDER BY id LIMIT 1"))
            is_empty = connection.scalar(text("SELECT id FROM person LIMIT 1")) is None
            port = connection.scalar(text("SELECT port FROM sample"))
        if ours and is_empty:
            return _first_start(config)
        if not ours or not Programs.sample_python().exists():
            port = None
        if port is not None and not is_free("127.0.0.1", port):
            port = _move_sample(engine)
        return Start(email, sample_port=port)
    finally:
        engine.dispose()


def _first_start(config: Config) -> Start:
    """The administrator, a team that may publish, and the sample, all in one transaction."""
    from flask_security import hash_password

    from portal import accounts, create_app, registry, sample
    from portal.accounts.people import create_person, new_password
    from portal.db import db

    with create_app(config).app_context():
        password = new_password()
        hashed = hash_password(password)
        with db.begin() as session:
            person = create_person(
                session,
                email=_ADMINISTRATOR,
                name="Administrator",
                password_hash=hashed,
                is_administrator=True,
            )
            team = accounts.create_team(session, slug="platform", name="Platform", owner=person, may_publish=True)
            # So that the first API that somebody registers can be subscribed to.
            registry.create_plan(session, team, slug="standard", name="Standard", per_second=20, per_minute=600)
            token, port = None, None
            if Programs.sample_python().exists():
                port = free_port()
                token = sample.create(session, f"http://127.0.0.1:{port}", person)
        db.engine.dispose()
    return Start(_ADMINISTRATOR, password, token, port)


def _move_sample(engine: Engine) -> int:
    """Another program has taken the port of the sample's upstream."""
    from portal import sample

    port = free_port()
    with Session(engine) as session:
        session.connection(execution_options={"sqlite_begin": "IMMEDIATE"})
        sample.move(session, port)
        session.commit()
    return port


def _supervise(config: Config, start: Start) -> int:
    stops: queue.SimpleQueue[int] = queue.SimpleQueue()  # its put() may be called from a signal handler
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Nohup means what it says; a shell that starts us with & ignores SIGINT for us, and does not mean it.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda received, _frame: stops.put(received))
    programs = Programs(config, sample_port=start.sample_port)
    quiet = threading.Event()
    output = threading.Thread(target=_keep_output, args=(config, programs), name="output")
    output.start()
    ready, received = False, None
    patience = time.monotonic() + _PATIENCE_SECONDS
    try:
        while programs.is_alive() and (received := _next(stops, 0.5 if ready else 0.05)) is None:
            if ready:
                continue
            silent = programs.silent()
            if not silent:
                ready = True
                _say_ready(config, start)
                if start.token is not None:
                    _send_sample_calls(config, start.token, quiet)
            elif time.monotonic() > patience:
                print(f"The {' and the '.join(silent)} does not answer yet. The lines above may say why.", flush=True)
                patience += _PATIENCE_SECONDS
        print("\nStopping …" if programs.is_alive() else "Supervisor ended. Stopping the rest …", flush=True)
    finally:
        quiet.set()
        programs.stop(_STOP_SECONDS)
        _stop_left_envoy(config)
        output.join(timeout=2)
        if start.password is not None and not ready:
            print(f"The administrator was made: {start.administrator}, password {start.password}", flush=True)
    return 0 if ready and received is not None else 1


def _next(stops: "queue.SimpleQueue[int]", seconds: float) -> int | None:
    with contextlib.suppress(queue.Empty):
        return stops.get(timeout=seconds)
    return None


def _say_ready(config: Config, start: Start) -> None:
    lines = ["", "  Portico is ready. Ctrl-C stops it.", ""]
    lines += [f"    Portal    {config.url}", f"    Gateway   {config.gateway_url}"]
    flask = f"{Path(sys.prefix).name}/bin/flask"
    if start.administrator is None:
        lines += [f"    Nobody can sign in yet: {flask} user create you@example.com --administrator"]
    elif start.password is not None:
        lines += [f"    Sign in   {start.administrator}", f"    Password  {start.password}   (shown this once)"]
    else:
        lines += [f"    Sign in   {start.administrator}"]
        lines += [f"    New password: {flask} user reset {start.administrator}"]
    for sentence in config.in_clear:
        lines += ["", f"  Warning: {sentence}"]
    print("\n".join([*lines, ""]), flush=True)


def _send_sample_calls(config: Config, token: "Token", quiet: threading.Event) -> None:
    from portal import sample

    scheme = "https" if config.gateway_tls else "http"
    gateway = f"{scheme}://{loopback(config.gateway_bind)}:{config.gateway_port}"
    threading.Thread(target=sample.send_calls, args=(gateway, token, quiet), name="sample calls", daemon=True).start()


def _keep_output(config: Config, programs: Programs) -> None:
    """What all programs say goes to standard output and, bounded, into the data folder."""
    file = logging.handlers.RotatingFileHandler(config.data_dir / "portico.log", maxBytes=10_000_000, backupCount=3)
    for line in programs.lines():
        record = logging.LogRecord("", logging.INFO, "", 0, line, None, None)
        file.handle(record)
        with contextlib.suppress(OSError):  # the terminal is gone; the programs are not to notice
            print(line, flush=True)
    file.close()


def _envoy_was_left(config: Config) -> bool:
    """Envoy holds this lock exactly while it lives."""
    with contextlib.suppress(FileNotFoundError), (config.gateway_dir / "envoy.lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _stop_left_envoy(config: Config) -> None:
    """A node that was killed while it stopped leaves Envoy; elsewhere that is a virtue."""
    if _envoy_was_left(config):
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((config.gateway_dir / "envoy.pid").read_text()), signal.SIGKILL)


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
