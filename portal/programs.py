"""The programs of one machine under Supervisor: which, with what arguments, and whether they answer."""

import contextlib
import ctypes
import http.client
import os
import pwd
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from portal.config import Config

_ROOT = Path(__file__).parent.parent


class Programs:
    """Started by making one. Supervisor has a session of its own: a terminal's Ctrl-C reaches only its starter."""

    def __init__(self, config: Config, *, sample_port: int | None) -> None:
        self._config = config
        settings = config.data_dir / "supervisord.conf"
        settings.touch(mode=0o600)
        settings.write_text(supervisor_settings(config, sample_port))
        reading, writing = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "portal.keeper", "--nodaemon", "--configuration", str(settings)],
            cwd=_ROOT,
            env=os.environ | {"PORTAL_DATA_DIR": str(config.data_dir), "PYTHONUNBUFFERED": "1"},
            # Supervisor holds the reading end as well: a pipe that breaks with its starter's end would end it before
            # it has stopped the programs.
            stdin=reading,
            stdout=writing,
            stderr=writing,
            start_new_session=True,
            preexec_fn=_stop_with_parent,
        )
        os.close(writing)
        self._output = os.fdopen(reading, errors="replace")

    @staticmethod
    def sample_python() -> Path:
        return _ROOT / ".venv-sample" / "bin" / "python"

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def lines(self) -> Iterator[str]:
        """What the programs and Supervisor say, until all have ended."""
        with self._output:
            for line in self._output:
                yield line.rstrip("\n")

    def silent(self) -> list[str]:
        """Which of the two do not answer: the portal with its database, the gateway with its listener."""
        config = self._config
        asked = {
            "portal": (config.bind, config.port, "/readyz", urlsplit(config.url).netloc, False),
            "gateway": (config.gateway_bind, config.gateway_port, "/_portico/health", None, config.gateway_tls),
        }
        return [name for name, where in asked.items() if not _answers(*where)]

    def stop(self, seconds: float) -> None:
        """Ask everything of the session to end, wait for so long, then end what is left. Ending twice is fine."""
        if self.is_alive():
            self._process.terminate()
        # Supervisor tells them one turn later, and none when it was killed: so all are told at once.
        _signal(self._session(), signal.SIGTERM)
        until = time.monotonic() + seconds
        while (self.is_alive() or self._session()) and time.monotonic() < until:
            time.sleep(0.05)
        if self.is_alive():
            self._process.kill()
            self._process.wait()
        _signal(self._session(), signal.SIGKILL)

    def _session(self) -> list[int]:
        """The living processes of Supervisor's session, on systems that have /proc; itself left out."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended in between
            if int(fields[3]) == self._process.pid and fields[0] != "Z":
                found.append(int(stat.parent.name))
        return [pid for pid in found if pid != self._process.pid]


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def supervisor_settings(config: Config, sample_port: int | None) -> str:
    """Supervisor's configuration file. No secret is in it: programs inherit the environment. No socket is opened."""
    python = sys.executable
    commands = {
        "web": [
            *(python, "-m", "gunicorn", "wsgi:app", "--worker-class", "gthread"),
            *("--workers", str(config.web_workers), "--threads", str(config.web_threads)),
            *("--bind", f"{_bracketed(config.bind)}:{config.port}"),
            *("--graceful-timeout", "2", "--log-level", "warning", "--no-control-socket"),
            "--forwarded-allow-ips=",  # who is believed is PORTAL_TRUSTED_HOPS' to say, on loopback too
        ],
        "node": [python, "-m", "portal.gateway"],
        "worker": [python, "-m", "flask", "worker", "run"],
    }
    if sample_port is not None:
        commands["sample"] = [
            *("/usr/bin/env", "-i", str(Programs.sample_python()), "-m", "gunicorn", "httpbin:app"),
            *("--worker-class", "gthread", "--threads", "16", "--bind", f"127.0.0.1:{sample_port}"),
            *("--graceful-timeout", "1", "--log-level", "error", "--no-control-socket"),
        ]
    sections = [_section("supervisord", _supervisord(config))]
    outputs = {"sample": {"stdout_logfile": str(config.data_dir / "sample.log"), "stdout_logfile_maxbytes": "1MB"}}
    sections += [
        _section(f"program:{name}", _program(command) | outputs.get(name, {})) for name, command in commands.items()
    ]
    # One group, because Supervisor stops groups one after the other and the members of a group at once.
    sections += [_section("group:portico", {"programs": ",".join(commands)})]
    return "\n".join(sections)


def _supervisord(config: Config) -> dict[str, str]:
    values = {
        "logfile": "/dev/null",  # it also writes to standard output, which is kept
        "logfile_maxbytes": "0",
        "loglevel": "warn",
        "pidfile": str(config.data_dir / "supervisord.pid"),
        "childlogdir": str(config.data_dir),
        "umask": "077",
    }
    if os.geteuid() == 0:
        values["user"] = pwd.getpwuid(0).pw_name  # said aloud, or it warns at every start
    return values


def _program(command: list[str]) -> dict[str, str]:
    return {
        "command": shlex.join(command),
        "directory": str(_ROOT),
        "autorestart": "true",
        "startsecs": "1",
        "startretries": "10000",  # it pauses a second longer after each; never give up on a database that is away
        "stopwaitsecs": "5",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": "/dev/fd/1",
        "stdout_logfile_maxbytes": "0",
    }


def _section(name: str, values: dict[str, str]) -> str:
    return "\n".join([f"[{name}]", *(f"{key} = {value.replace('%', '%%')}" for key, value in values.items()), ""])


def _stop_with_parent() -> None:
    """Linux: the end of the starter, even by SIGKILL, is a SIGTERM for Supervisor."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def is_free(bind: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in bind else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port on 127.0.0.1 that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def loopback(bind: str) -> str:
    """Where a program that listens on `bind` is reached from this machine, as it stands in a URL."""
    return _bracketed({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind))


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _answers(bind: str, port: int, path: str, host: str | None, tls: bool) -> bool:
    if tls:
        # Whether clients believe the certificate is theirs to say, and it has no reason to name this address.
        context = ssl._create_unverified_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            loopback(bind), port, timeout=2, context=context
        )
    else:
        connection = http.client.HTTPConnection(loopback(bind), port, timeout=2)
    try:
        connection.request("GET", path, headers={"Host": host} if host else {})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
