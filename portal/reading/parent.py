"""The worker's side of reading a large document: starts the process, watches it, stores what comes out of it."""

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from portal.db import db
from portal.registry import descriptions, imports
from portal.registry.understanding import TOO_MUCH_MEMORY

MOST_SECONDS = 180
"""From the first byte to the last row; less than the lease of a job."""
MOST_MEMORY = 2_000_000_000
"""Bytes of address space."""
_LOOK = 1.0
"""Seconds between two looks whether somebody has cancelled."""
_ROOT = Path(__file__).parents[2]
_KEPT_OF_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "TMPDIR")


Frame = dict[str, Any]
"""See `apart.Frame`."""


class Refused(Exception):
    """`str()` says why, to whoever brought the document."""


class Stopped(Exception):
    """Nobody waits for this turn any more."""


def read_apart(
    import_id: int,
    turn: int,
    data: bytes,
    packed: bytes | None,
    base: bytes | None,
    *,
    seconds: float = MOST_SECONDS,
    memory: int = MOST_MEMORY,
) -> tuple[str, dict[str, Any] | None]:
    """Read `data`, store it, and hold it against `base`: its hash, and what it changes for callers.

    Raises Refused, Stopped, and descriptions.Overtaken when another stores the same document at the same time.
    """
    watch = _Watch(import_id, turn, time.monotonic() + seconds)
    process = subprocess.Popen(
        [sys.executable, "-m", "portal.reading.apart"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=_ROOT,
        env={name: os.environ[name] for name in _KEPT_OF_ENVIRONMENT if name in os.environ},
    )
    with process:
        try:
            watch.say(5, f"Reading {len(data) / 1e6:,.0f} MB")
            _give(process, data, base, memory)
            return _stored(_frames(process, watch), watch, data, packed)
        finally:
            process.kill()


class _Watch:
    """What is being done, told to whoever looks at the import; and whether to go on."""

    def __init__(self, import_id: int, turn: int, until: float) -> None:
        self._import_id, self._turn, self._until = import_id, turn, until
        self._percent, self._step, self._told = 0, "", 0.0

    def say(self, percent: int, step: str) -> None:
        if (percent, step) != (self._percent, self._step):
            self._percent, self._step = percent, step
            self.look()

    def look(self) -> None:
        """Raises Refused when the time is up, Stopped when nobody waits any more."""
        now = time.monotonic()
        if now > self._until:
            raise Refused(
                "Reading this document takes longer than three minutes. Split it into documents of several APIs, "
                "or leave out what callers do not need."
            )
        if now - self._told < _LOOK:
            return
        self._told = now
        with db.begin() as session:
            if not imports.tell(session, self._import_id, self._turn, percent=self._percent, step=self._step):
                raise Stopped


def _give(process: subprocess.Popen[bytes], data: bytes, base: bytes | None, memory: int) -> None:
    assert process.stdin is not None
    try:
        sizes = {"size": len(data), "base": None if base is None else len(base), "memory": memory}
        process.stdin.write(orjson.dumps(sizes) + b"\n")
        process.stdin.write(data)
        process.stdin.write(base or b"")
    except BrokenPipeError:
        pass  # it died; how, is told by its end
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()


def _frames(process: subprocess.Popen[bytes], watch: _Watch) -> Iterator[Frame]:
    """Raises Refused where it ends before its last frame."""
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    line = bytearray()
    while True:
        watch.look()
        if not select.select([pipe], [], [], _LOOK)[0]:
            continue
        chunk = os.read(pipe, 1 << 20)
        if not chunk:
            raise Refused(_how_it_ended(process.wait()))
        head, *rest = chunk.split(b"\n")
        line += head
        for more in rest:
            frame: Frame = orjson.loads(line)
            line = bytearray(more)
            if "refused" in frame:
                raise Refused(frame["refused"])
            yield frame
            if "end" in frame:
                return


def _how_it_ended(code: int) -> str:
    if code == -9:
        return TOO_MUCH_MEMORY
    how = f"signal {-code}" if code < 0 else f"status {code}"
    return (
        f"This document stopped its reader ({how}), so that it cannot be imported. Nothing else was harmed. "
        "Tell an administrator, if it is one that should be read."
    )


def _stored(
    frames: Iterator[Frame], watch: _Watch, data: bytes, packed: bytes | None
) -> tuple[str, dict[str, Any] | None]:
    head = next(frames)["head"]
    count = max(1, head["operation_count"])
    stream = _Rows(frames)
    laid = descriptions.Laid(
        sha256=head["sha256"],
        packed=packed or b"",
        size=len(data),
        facts=head["facts"],
        operation_count=head["operation_count"],
        operations=stream.of("operations"),
        parts=stream.of("parts"),
    )

    def said(written: int) -> None:
        if written <= count:
            watch.say(40 + 30 * written // count, f"Storing {head['operation_count']:,} operations")
        else:
            more = written - count
            watch.say(70 + 29 * more // (more + count), "Storing what they refer to")

    if packed is None:
        return head["sha256"], head["changes"]  # it is stored, and was only held against another
    descriptions.store_in_turns(db.begin, laid, said)
    return head["sha256"], head["changes"]


class _Rows:
    """First those of one kind, then those of the other, as they come."""

    def __init__(self, frames: Iterator[Frame]) -> None:
        self._frames = frames
        self._ahead: Frame | None = None

    def of(self, kind: str) -> Iterator[dict[str, Any]]:
        while True:
            frame = self._ahead or next(self._frames)
            if kind not in frame:
                self._ahead = frame
                return
            self._ahead = None
            for row in frame[kind]:
                yield row | {"content": row["content"].encode()}
