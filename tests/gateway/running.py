"""A short-lived place for a real Envoy, and calls through it."""

import contextlib
import http.client
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from portal.gateway.ir import Api, Place, Snapshot, Target
from portal.gateway.ir import Upstream as UpstreamOf
from tests.gateway.envoy import Upstream, free_port


@contextlib.contextmanager
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


@contextlib.contextmanager
def place(**fields: Any) -> Iterator[Place]:
    """A folder with a short name, since sockets live in it. Whatever Envoy still runs in it at the end is killed."""
    # Not pytest's folder: the name of a socket has room for 107 characters.
    directory = Path(tempfile.mkdtemp(prefix="portico-"))
    try:
        yield Place(directory, **({"port": free_port(), "workers": 1} | fields))
    finally:
        kill_envoy(directory)
        shutil.rmtree(directory, ignore_errors=True)


def envoys_of(directory: Path) -> list[int]:
    """Pids of all Envoys that were started for this folder and live."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command = each.read_bytes()
            if b"--config-path" in command and os.fsencode(directory) in command:
                found.append(int(each.parent.name))
    return found


def kill_envoy(directory: Path) -> None:
    for pid in envoys_of(directory):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def status_of(port: int, path: str, headers: dict[str, str] | None = None) -> int:
    """Of one call; 0 when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers=headers or {})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def api(number: int, **fields: Any) -> Api:
    """An API at /api-<number>, whose upstream nobody needs."""
    values = {
        "id": number,
        "release": 1,
        "label": f"shop/api-{number}/v1",
        "upstream": UpstreamOf((Target("192.0.2.1", 80),)),
        "path": f"/api-{number}",
    }
    return Api(**(values | fields))


def snapshot(*apis: Api, revision: int = 1, **fields: Any) -> Snapshot:
    return Snapshot(revision, apis=apis, **fields)
