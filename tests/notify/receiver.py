"""A receiver of webhooks for tests: a real server on loopback that answers as it is told, and keeps what it gets."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Got:
    path: str
    headers: dict[str, str]
    """Names in small letters."""
    body: bytes


@dataclass
class Receiver:
    port: int = 0
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    answer: bytes = b""
    got: list[Got] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None
    """Called before it answers."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/T0123456789"


@contextmanager
def receiver() -> Iterator[Receiver]:
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.got.append(Got(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            made.meanwhile()
            self.send_response(made.status)
            for name, value in ({"Content-Length": str(len(made.answer))} | made.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(made.answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.port = server.server_port
    threading.Thread(target=lambda: server.serve_forever(0.01), daemon=True).start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
