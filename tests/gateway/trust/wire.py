"""Bytes on the wire: an upstream that keeps every byte it gets, and a client that sends just what it is told."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from tests.gateway.envoy import PATIENCE, Gateway

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True)
class Seen:
    """One call as the upstream understood it, strictly by its length headers."""

    line: bytes
    head: bytes
    body: bytes

    @property
    def names(self) -> list[bytes]:
        return [field.partition(b":")[0].lower() for field in self.head.split(b"\r\n") if field]


class Recorder(socketserver.ThreadingTCPServer):
    """Answers `answer` to whatever comes, and keeps `calls` and all the `bytes` of them."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.calls: list[Seen] = []
        self.bytes = b""
        self.answer = OK

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def forget(self) -> None:
        self.calls, self.bytes, self.answer = [], b"", OK


class _Connection(socketserver.StreamRequestHandler):
    server: Recorder

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            while (line := self._line()).strip():
                head = b"".join(iter(self._field, b"\r\n"))
                self.server.calls.append(Seen(line, head, self._body(head.lower())))
                self.wfile.write(self.server.answer)
                if b"connection: close" in self.server.answer.lower():
                    return

    def _line(self) -> bytes:
        return self._kept(self.rfile.readline())

    def _field(self) -> bytes:
        # The end of the connection ends the head too.
        return self._line() or b"\r\n"

    def _body(self, head: bytes) -> bytes:
        # Only what begins a line: some cases have such words inside a value.
        fields = dict(field.split(b": ", 1) for field in head.split(b"\r\n") if b": " in field)
        if fields.get(b"transfer-encoding") == b"chunked":
            body = b""
            while size := int(self._line().partition(b";")[0] or b"0", 16):
                body += self._kept(self.rfile.read(size + 2))[:size]
            while self._line().strip():
                pass
            return body
        return self._kept(self.rfile.read(int(fields.get(b"content-length", b"0"))))

    def _kept(self, came: bytes) -> bytes:
        self.server.bytes += came
        return came


@contextlib.contextmanager
def recording() -> Iterator[Recorder]:
    with Recorder() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def answers(gateway: Gateway, sent: bytes, count: int) -> list[bytes]:
    """Whole answers, `count` of them, or as many as came before the gateway closed the connection.

    After fewer than `count`, waits until the gateway closes it.
    """
    found = []
    with socket.create_connection(("127.0.0.1", gateway.place.port), timeout=PATIENCE) as connection:
        with contextlib.suppress(ConnectionError):  # refused before all was sent; the answer is what counts
            connection.sendall(sent)
        came = b""
        while len(found) < count:
            if (answer := _first(came)) is not None:
                found.append(answer)
                came = came[len(answer) :]
                continue
            try:
                more = connection.recv(65536)
            except ConnectionError:
                break
            if not more:
                break
            came += more
    return found


def _first(came: bytes) -> bytes | None:
    head, complete, rest = came.partition(b"\r\n\r\n")
    if not complete:
        return None
    if head.startswith(b"HTTP/1.1 1"):
        return head + complete
    length = 0
    for field in head.lower().split(b"\r\n"):
        if field.startswith(b"content-length:"):
            length = int(field.partition(b":")[2])
    return came[: len(head) + 4 + length] if len(rest) >= length else None


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])
