"""`kill -9` of web, worker and node under `make run`: each comes back, and the gateway does not notice."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.witness import witness
from tests.gateway.envoy import wait_for
from tests.test_run import Running, processes, settings, status

__all__ = ["settings"]

MARKS = {
    "web": b"gunicorn\0wsgi:app",
    "worker": b"flask\0worker\0run",
    "node": b"flask\0gateway\0run",
}


@pytest.fixture
def running(settings: dict[str, str]) -> Iterator[Running]:
    made = Running(settings)
    made.until("ready")
    assert made.process.stdout is not None
    heard = threading.Thread(target=made.process.stdout.read)  # a full pipe would stop the programs
    heard.start()
    yield made
    made.process.send_signal(signal.SIGTERM)
    made.process.wait(30)
    heard.join(10)
    made.process.stdout.close()


def pids(settings: dict[str, str], name: str) -> set[int]:
    found = set()
    for pid in processes(settings):
        try:
            if MARKS[name] in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.add(pid)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_each_comes_back_and_the_gateway_does_not_notice(
    running: Running, settings: dict[str, str], tmp_path: Path, times: int
) -> None:
    portal, gateway = int(settings["PORTAL_PORT"]), int(settings["PORTAL_GATEWAY_PORT"])
    with witness(gateway, "/_portico/health", "none", rate=100, result=tmp_path / "seen") as seen:
        for _ in range(times):
            for name in MARKS:
                before = pids(settings, name)
                assert before
                for pid in before:
                    os.kill(pid, signal.SIGKILL)
                wait_for(lambda name=name, before=before: pids(settings, name) - before, f"another {name} runs")
                seen.sees_another()
            wait_for(lambda: status(portal, "/readyz") == 200, "the portal answers")
        calls = seen.end()

    assert calls.failures == {}
