"""The process that reads one large document: bytes in, rows out. It holds no secret and no database.

    {"size": 47000000, "base": 46000000, "memory": 2000000000}\n and then so many bytes of each     on standard input
    one JSON object a line, see `Frame`                                                            on standard output

A document made to break its reader breaks this process and no other.
"""

import gc
import os
import resource
import sys
from collections.abc import Iterable, Iterator
from typing import IO, Any

import orjson

from portal import openapi
from portal.registry import descriptions, understanding

MOST_CPU_SECONDS = 300
"""For a process whose parent is gone; the parent itself is less patient."""
_ROWS = 500

Frame = dict[str, Any]
"""{"refused": a sentence}, or {"head": {sha256, facts, operation_count, changes}} and then {"operations": [rows]} and
{"parts": [rows]}, and at last {"end": True}. Bytes are texts, since they are JSON."""


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_SECONDS, MOST_CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(5)
    # Nearly all that is made here lives to the end, and looking through it again and again takes longer than reading.
    gc.disable()
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no frame
    try:
        for frame in frames(sys.stdin.buffer):
            out.write(orjson.dumps(frame) + b"\n")
            out.flush()
    except (MemoryError, SystemError):  # orjson makes the second of the first
        out.write(orjson.dumps({"refused": understanding.TOO_MUCH_MEMORY}) + b"\n")
        out.flush()
    # Taking apart what was made, piece by piece, takes a second that nobody needs.
    os._exit(0)


def frames(given: IO[bytes]) -> Iterator[Frame]:
    sizes = orjson.loads(given.readline())
    resource.setrlimit(resource.RLIMIT_AS, (sizes["memory"], sizes["memory"]))
    data = given.read(sizes["size"])
    base = None if sizes["base"] is None else given.read(sizes["base"])
    try:
        description = openapi.read(data)
    except openapi.Unreadable as error:
        yield {"refused": str(error)}
        return
    laid = descriptions.lay_out(data, description, packed=b"")
    changes = None if base is None else understanding.changed(base, description)
    yield {
        "head": {
            "sha256": laid.sha256,
            "facts": laid.facts,
            "operation_count": laid.operation_count,
            "changes": changes,
        }
    }
    yield from ({"operations": rows} for rows in _batches(laid.operations))
    yield from ({"parts": rows} for rows in _batches(laid.parts))
    yield {"end": True}


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row | {"content": row["content"].decode()})
        if len(batch) == _ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


if __name__ == "__main__":
    main()
