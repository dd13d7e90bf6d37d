"""Envoy's admin interface, over the Unix socket in the node's folder. Nothing listens on a port."""

import http.client
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from portal.errors import Unavailable


class EnvoySilent(Unavailable):
    """Envoy's admin socket does not answer, or not as it should."""


class Admin:
    def __init__(self, path: Path, *, seconds: float = 2.0) -> None:
        self._path = path
        self._seconds = seconds

    def get(self, target: str) -> bytes:
        """Raises EnvoySilent."""
        return self._ask("GET", target)

    def post(self, target: str) -> bytes:
        """Raises EnvoySilent."""
        return self._ask("POST", target)

    def version(self) -> str:
        """`<commit>/1.40.0/Clean/RELEASE/BoringSSL`, as `envoy --version` says it too. Raises EnvoySilent."""
        info: dict[str, Any] = orjson.loads(self.get("/server_info"))
        return str(info["version"])

    def stats(self, pattern: str) -> dict[str, int]:
        """Counters and gauges whose name the regular expression finds. Raises EnvoySilent."""
        return {name: int(value) for name, value in self._statistics(pattern) if value.isdecimal()}

    def texts(self, pattern: str) -> dict[str, str]:
        """Text statistics whose name the regular expression finds. Raises EnvoySilent."""
        return {name: value.strip('"') for name, value in self._statistics(pattern, "&type=TextReadouts")}

    def _statistics(self, pattern: str, more: str = "") -> list[tuple[str, str]]:
        lines = self.get(f"/stats?filter={quote(pattern, safe='')}{more}").decode().splitlines()
        return [(name, value) for name, _, value in (line.partition(": ") for line in lines)]

    def _ask(self, method: str, target: str) -> bytes:
        connection = _UnixConnection(self._path, self._seconds)
        try:
            connection.request(method, target)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise EnvoySilent(
                f"Envoy does not answer {target} at {self._path}: {error or type(error).__name__}."
            ) from error
        finally:
            connection.close()
        if answer.status != 200:
            raise EnvoySilent(f"Envoy answered {target} with {answer.status}: {body[:200].decode(errors='replace')}")
        return body


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
