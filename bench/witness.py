"""A steady client that writes down every answer, so that nothing which got one can be missing unnoticed.

    python -m bench.witness PORT PATH KEY CALLS_PER_SECOND RESULT

Runs until SIGTERM and then writes RESULT: a line for each whole answer, `<when> <status> <X-Request-Id>`, and one for
each call that got none, `<when> 0 <why>`. When is the monotonic clock, which all processes of a machine share.
"""

import contextlib
import gc
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.machine import wait_for

_CONNECTIONS = 16
_PATIENCE = 5.0
_AGAIN = 0.01
_ROOT = Path(__file__).parent.parent


class Seen(NamedTuple):
    at: float
    status: int
    """0 for a call without an answer."""
    request_id: str
    """Of a call without an answer: why."""


@dataclass(frozen=True, slots=True)
class Testimony:
    calls: list[Seen]

    @property
    def answered(self) -> list[bytes]:
        """The request id of each answer."""
        return [bytes.fromhex(call.request_id.replace("-", "")) for call in self.calls if call.status]

    @property
    def statuses(self) -> Counter[int]:
        """0 stands for calls without an answer."""
        return Counter(call.status for call in self.calls)

    @property
    def failures(self) -> Counter[str]:
        """What went wrong with the calls that were not answered with 200."""
        return Counter(
            f"{call.status} {call.request_id}" if not call.status else str(call.status)
            for call in self.calls
            if call.status != 200
        )

    def gap_after(self, moment: float) -> float:
        """Seconds from `moment` until calls were answered well again and no connection was refused any more."""
        first = next((call.at for call in self.calls if call.at > moment and not call.status), moment)
        return next(call.at for call in self.calls if call.at > first and call.status == 200) - moment


class Witness:
    """The running client, as its starter sees it."""

    def __init__(self, process: "subprocess.Popen[bytes]", result: Path) -> None:
        self._process = process
        self._result = result
        self._calls: list[Seen] = []
        self._read = self._good = 0

    def end(self) -> Testimony:
        """What it saw."""
        self._process.send_signal(signal.SIGTERM)
        if self._process.wait(30):
            raise RuntimeError(f"The witness ended with {self._process.returncode}; its words are above.")
        return self.so_far()

    def so_far(self) -> Testimony:
        """In the order of time."""
        self.count()
        return Testimony(list(self._calls))

    def count(self) -> int:
        """How many calls were answered well. Only what is new is read, for the file grows to many megabytes."""
        with self._result.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.decode().splitlines():
            at, status, rest = line.split(" ", 2)
            self._calls.append(Seen(float(at), int(status), rest))
            self._good += status == "200"
        return self._good

    def sees_another(self, number: int = 20) -> None:
        """Wait until so many more calls were answered well."""
        before = self.count()
        wait_for(lambda: self.count() >= before + number, "calls are answered")


@contextlib.contextmanager
def witness(port: int, path: str, key: str, *, rate: int, result: Path) -> Iterator[Witness]:
    result.touch()
    argv = [sys.executable, "-m", "bench.witness", str(port), path, key, str(rate), str(result)]
    process = subprocess.Popen(argv, cwd=_ROOT)
    try:
        made = Witness(process, result)
        wait_for(made.count, "the first call is answered")
        yield made
    finally:
        process.kill()
        process.wait(5)


class _Line:
    """One keep-alive connection with one call at a time."""

    def __init__(self) -> None:
        self.socket: socket.socket | None = None
        self.sent = 0.0
        self.got = b""


class _Client:
    def __init__(self, port: int, call: bytes, result: Path) -> None:
        self._port = port
        self._call = call
        self._file = result.open("a")
        self._selector = selectors.DefaultSelector()
        self.free = deque(_Line() for _ in range(_CONNECTIONS))
        self.busy: set[_Line] = set()
        self.not_before = 0.0

    def send(self) -> None:
        line = self.free.popleft()
        line.got = b""
        try:
            if line.socket is None:
                line.socket = socket.create_connection(("127.0.0.1", self._port), timeout=_PATIENCE)
                line.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._selector.register(line.socket, selectors.EVENT_READ, line)
            line.sent = time.monotonic()
            self.busy.add(line)
            line.socket.sendall(self._call)
        except OSError as error:
            self._fail(line, type(error).__name__)

    def receive(self, seconds: float) -> None:
        for key, _ in self._selector.select(max(0.0, seconds)):
            self._hear(key.data)

    def give_up(self) -> None:
        """Calls that have been waited for too long."""
        for line in [line for line in self.busy if line.sent < time.monotonic() - _PATIENCE]:
            self._fail(line, "silence")

    def write(self) -> None:
        self._file.flush()

    def _hear(self, line: _Line) -> None:
        assert line.socket is not None
        try:
            piece = line.socket.recv(65_536)
        except OSError as error:
            self._fail(line, type(error).__name__)
            return
        if line not in self.busy:
            # The gateway closed a connection on which nothing was asked.
            self._close(line)
            return
        if not piece:
            self._fail(line, "closed")
            return
        line.got += piece
        head, end, body = line.got.partition(b"\r\n\r\n")
        if not end:
            return
        fields = dict(each.lower().split(b": ", 1) for each in head.split(b"\r\n")[1:])
        if len(body) < int(fields.get(b"content-length", b"0")):
            return
        status = head[9:12].decode()
        self._file.write(f"{time.monotonic()!r} {status} {fields.get(b'x-request-id', b'').decode()}\n")
        self.busy.discard(line)
        if fields.get(b"connection") == b"close":
            self._close(line)
        self.free.append(line)

    def _fail(self, line: _Line, why: str) -> None:
        now = time.monotonic()
        self._file.write(f"{now!r} 0 {why}\n")
        self.not_before = now + _AGAIN
        self.busy.discard(line)
        self._close(line)
        if line not in self.free:
            self.free.append(line)

    def _close(self, line: _Line) -> None:
        if line.socket is not None:
            with contextlib.suppress(KeyError):
                self._selector.unregister(line.socket)
            line.socket.close()
            line.socket = None


def main(port: str, path: str, key: str, rate: str, result: str) -> None:
    call = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {key}\r\n\r\n".encode()
    client, over = _Client(int(port), call, Path(result)), False

    def end(_number: int, _frame: object) -> None:
        nonlocal over
        over = True

    signal.signal(signal.SIGTERM, end)
    gc.disable()
    step, due, written = 1 / float(rate), time.monotonic(), 0.0
    while not over or client.busy:
        now = time.monotonic()
        if now > written + 0.05:
            written = now
            client.write()
            client.give_up()
        if not over and client.free and now >= max(due, client.not_before):
            due = max(due + step, now - 0.1)
            client.send()
            if client.free and time.monotonic() >= due and len(client.busy) < _CONNECTIONS // 2:
                continue
        client.receive(0.05 if over or not client.free else max(due, client.not_before) - time.monotonic())
    client.write()


if __name__ == "__main__":
    main(*sys.argv[1:])
