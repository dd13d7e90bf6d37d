"""A steady client: asks the gateway, and in the same moment the backend behind it, so many times a second.

    python -m bench.pacer GATEWAY_PORT BACKEND_PORT PATH KEY CALLS_PER_SECOND RESULT

Runs until SIGTERM and then writes RESULT: a line for each moment, `<when> <gateway seconds> <backend seconds>`, both
counted from the moment that the calls were due, so that a client that is late is no faster for it. Where both are slow,
the machine was; where the gateway alone is slow, the gateway was. The client runs before everybody else where the
system allows it (SCHED_FIFO), without garbage collection, and waits for nothing but its sockets.
"""

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from pathlib import Path

_CONNECTIONS = 32
"""To each side: a pause must not keep the calls behind it from being sent."""
_GATEWAY, _BACKEND = 0, 1


class _Side:
    """Keep-alive connections to one port, each with one call at a time."""

    def __init__(self, port: int, call: bytes) -> None:
        self.call = call
        self.free = deque(socket.create_connection(("127.0.0.1", port)) for _ in range(_CONNECTIONS))
        self.waiting: deque[int] = deque()
        self.busy: dict[socket.socket, int] = {}
        for connection in self.free:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, moment: int) -> None:
        self.waiting.append(moment)
        while self.waiting and self.free:
            connection = self.free.popleft()
            self.busy[connection] = self.waiting.popleft()
            connection.sendall(self.call)

    def receive(self, connection: socket.socket) -> int:
        """The moment whose call was answered. Answers are small and come in one piece."""
        answer = connection.recv(4_096)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"The steady client was answered {answer[:200]!r}.")
        self.free.append(connection)
        return self.busy.pop(connection)


def main(gateway: str, backend: str, path: str, key: str, rate: str, result: str) -> None:
    head = f"GET {path}/things HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    sides = (
        _Side(int(gateway), f"{head}X-API-Key: {key}\r\n\r\n".encode()),
        _Side(int(backend), f"{head}\r\n".encode()),
    )
    over = False

    def end(_number: int, _frame: object) -> None:
        nonlocal over
        over = True

    signal.signal(signal.SIGTERM, end)
    gc.disable()
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    step, begin = 1 / float(rate), time.monotonic()
    due: list[float] = []
    took: tuple[list[float], list[float]] = ([], [])
    while not over:
        now = time.monotonic()
        if now >= begin + len(due) * step:
            moment = len(due)
            due.append(begin + moment * step)
            for side, seconds in zip(sides, took, strict=True):
                seconds.append(-1.0)
                side.send(moment)
            continue
        busy = [*sides[_GATEWAY].busy, *sides[_BACKEND].busy]
        for connection in select.select(busy, (), (), begin + len(due) * step - now)[0]:
            which = _GATEWAY if connection in sides[_GATEWAY].busy else _BACKEND
            moment = sides[which].receive(connection)
            took[which][moment] = time.monotonic() - due[moment]
    Path(result).write_text(
        "".join(f"{at!r} {g!r} {b!r}\n" for at, g, b in zip(due, *took, strict=True) if g >= 0 and b >= 0)
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
