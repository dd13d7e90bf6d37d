"""How fast the access log becomes rows and roll-ups, in one process on one core.

    python -m bench.ingest DATABASE_URL LOG

stores a whole log with the node's own Ingest and says what it took. PostgreSQL's server has the other core.
"""

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import Engine, create_engine, func, insert, select
from sqlalchemy.orm import Session

from bench import machine, postgres
from bench.rows import Budget, Missing, Row, middle
from portal import schema
from portal.accounts.models import Team
from portal.db import Base, engine_options, engine_url
from portal.registry.models import Api, Consumer, Key, OpenAPIDocument, Operation, Release
from portal.traffic.ingest import Ingest
from portal.traffic.models import ByOperation, Call
from tests.traffic.lines import Mix, consumer_id, key_id

ROWS = ("ingest_sqlite", "ingest_sqlite_cpu", "ingest_postgres", "ingest_postgres_cpu")


@dataclass(frozen=True, slots=True)
class Size:
    calls: int = 300_000
    seconds: float = 15.0
    """That the log spans: 20 000 calls a second."""
    apis: int = 200
    consumers: int = 2_000
    rounds: int = 5


FULL = Size()
TINY = Size(calls=2_000, seconds=1.0, apis=3, consumers=10, rounds=1)


def run(size: Size = FULL) -> list[Row]:
    machine.require("taskset")
    machine.require_cores(2)
    with machine.folder() as folder:
        log = folder / "access.log"
        write_log(log, size)
        try:
            with postgres.server(folder, cores=[1]) as url:
                stored = measure(folder, log, size, {"sqlite": "", "postgres": url})
        except Missing as missing:
            stored = measure(folder, log, size, {"sqlite": ""})
            print(f"PostgreSQL is left out. {missing}", file=sys.stderr)
    return [
        row
        for name, budget in (("sqlite", 60_000), ("postgres", 40_000))
        if name in stored
        for row in _rows(name, budget, size, stored[name])
    ]


def write_log(log: Path, size: Size) -> None:
    mix = Mix(apis=size.apis, consumers=size.consumers, seconds=size.seconds)
    with log.open("wb") as file:
        file.writelines(mix.lines(size.calls, int((time.time() - size.seconds) * 1_000_000)))


def measure(folder: Path, log: Path, size: Size, urls: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Each database in turn, each time empty."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in urls}
    for round_ in range(size.rounds):
        for name, url in urls.items():
            url = url or f"sqlite:///{folder / f'{round_}.sqlite3'}"
            prepare(url, size)
            copy = folder / "log" / f"{name}-{round_}" / "access.log"
            copy.parent.mkdir(parents=True)
            os.link(log, copy)
            argv = ["taskset", "-c", "0", sys.executable, "-m", "bench.ingest", url, str(copy)]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False)
            if done.returncode:
                raise RuntimeError(done.stderr)
            found[name].append(json.loads(done.stdout))
            check(url, size)
    return found


def prepare(url: str, size: Size) -> None:
    """An empty schema with what the log names: consumers, keys, and APIs that have an OpenAPI document each."""
    engine = _engine(url)
    schema.metadata.drop_all(engine)
    schema.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(Team), [{"id": 1, "slug": "bench", "name": "Bench"}])
        connection.execute(
            insert(Consumer),
            [
                {"id": n, "public_id": consumer_id(n), "team_id": 1, "slug": f"consumer-{n}", "name": f"Consumer {n}"}
                for n in range(1, size.consumers + 1)
            ],
        )
        connection.execute(
            insert(Key),
            [
                {"public_id": key_id(n), "sha256": n.to_bytes(32, "big"), "consumer_id": n}
                for n in range(1, size.consumers + 1)
            ],
        )
        for table, rows in _apis(size.apis).items():
            connection.execute(insert(table), rows)
    engine.dispose()


def _apis(count: int) -> dict[type[Base], list[dict[str, Any]]]:
    """Of `Mix`, in release 3 and with 20 operations, three of which are called."""
    numbers = range(1, count + 1)
    paths = ["/things/{id}", *(f"/things/{{id}}/parts-{n}" for n in range(4))]
    operations = [(method, path) for path in paths for method in ("GET", "PUT", "POST", "DELETE")]
    return {
        Api: [
            {"id": n, "team_id": 1, "slug": f"service-{n}", "version": "v1", "name": f"Service {n}", "draft": {}}
            for n in numbers
        ],
        Release: [{"api_id": n, "number": 3, "document": {"openapi": f"{n:064x}"}} for n in numbers],
        OpenAPIDocument: [
            {"sha256": f"{n:064x}", "packed": b"", "size": 0, "facts": {}, "operation_count": len(operations)}
            for n in numbers
        ],
        Operation: [
            {"sha256": f"{n:064x}", "position": position, "name": f"{method.lower()}OfService{n}Number{position}"}
            | {"method": method, "path": path, "summary": "", "tags": [], "content": b"{}"}
            for n in numbers
            for position, (method, path) in enumerate(operations)
        ],
    }


def check(url: str, size: Size) -> None:
    """Rows and roll-ups hold every call, or the figure is of something else."""
    engine = _engine(url)
    with Session(engine) as session:
        rows = session.scalar(select(func.count()).select_from(Call))
        counted = session.scalar(select(func.sum(ByOperation.calls)).where(ByOperation.level == 60))
        nameless = session.scalar(select(func.count()).where(Call.operation == ""))
    engine.dispose()
    if not rows == counted == size.calls or nameless:
        raise RuntimeError(
            f"{size.calls} calls in the log, {rows} rows, {counted} in the roll-up, {nameless} without an operation."
        )


def _engine(url: str) -> Engine:
    address = engine_url(url)
    return create_engine(address, **engine_options(address))


def _rows(name: str, budget: int, size: Size, stored: Sequence[dict[str, Any]]) -> list[Row]:
    title = {"sqlite": "SQLite", "postgres": "PostgreSQL"}[name]
    return [
        middle(
            f"ingest_{name}",
            f"calls stored a second by a process with one core, rows and roll-ups, {title}",
            [size.calls / found["seconds"] for found in stored],
            "calls/s",
            budget=Budget("≥", budget),
            more={"calls": size.calls, "longest_turn_ms": median(found["longest_turn_ms"] for found in stored)},
        ),
        middle(
            f"ingest_{name}_cpu",
            "the same for each second of CPU that the process used",
            [size.calls / found["cpu_seconds"] for found in stored],
            "calls/s",
        ),
    ]


def main(url: str, log: str) -> None:
    gc.set_threshold(100_000, 50, 100)  # as the node has it
    engine = _engine(url)
    ingest = Ingest(engine, node="bench", log_path=Path(log))
    with engine.connect():
        pass
    began, cpu, longest = time.perf_counter(), time.process_time(), 0.0
    turn = began
    while ingest.step():
        now = time.perf_counter()
        turn, longest = now, max(longest, now - turn)
    seconds = time.perf_counter() - began
    used = time.process_time() - cpu
    json.dump({"seconds": seconds, "cpu_seconds": used, "longest_turn_ms": longest * 1_000}, sys.stdout)


if __name__ == "__main__":
    main(*islice(sys.argv, 1, 3))
