"""From a committed change to the gateway that acts on it: keys are issued and revoked while others call.

The real node process, the real registry on SQLite, changes by the registry's verbs in another process (this one). The
time of a change runs from before its transaction begins to the first call that is answered accordingly.

A pause is told from the noise of the machine by the steady client of `pacer.py`: it asks the backend directly in the
same moments as through the gateway, and what counts is by how much longer the gateway took. The same is measured while
nothing changes.
"""

import random
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from sqlalchemy import select
from sqlalchemy.orm import Session

from bench import machine
from bench.node import Installation, installation
from bench.population import Population, Right
from bench.rows import Budget, Row, quantile
from portal import registry
from portal.registry.models import Consumer, Key

ROWS = (
    "key_to_gateway_p99",
    "key_to_gateway_p50",
    "longest_pause",
    "pause_p999",
    "longest_pause_quiet",
    "longest_pause_raw",
)


@dataclass(frozen=True, slots=True)
class Size:
    population: Population = Population()
    changes: int = 200
    calls_per_second: int = 400
    quiet_seconds: float = 40.0


FULL = Size()
TINY = Size(Population(apis=3, keys=50, callers=10, subscriptions=30, plans=2), 4, 200, 0.5)


@dataclass(frozen=True, slots=True)
class Moment:
    """One call of the steady client; seconds."""

    at: float
    gateway: float
    backend: float

    @property
    def excess(self) -> float:
        return self.gateway - self.backend


def run(size: Size = FULL) -> list[Row]:
    machine.require("nginx")
    with machine.folder() as folder, installation(folder, size.population) as house:
        steady, result = house.rights[0], folder / "moments"
        wait_until(house.gateway.port, steady, 200)
        argv = [sys.executable, "-m", "bench.pacer", house.gateway.port, house.backend.port]
        argv += [steady.path, steady.key, size.calls_per_second, result]
        with machine.running(argv, log=folder / "pacer.log") as pacer:
            time.sleep(1.0)  # both sides warm; not counted
            quiet_from = time.monotonic()
            time.sleep(size.quiet_seconds)
            changes_from = time.monotonic()
            seconds = change(house, size.changes)
            over = time.monotonic()
            pacer.send_signal(signal.SIGTERM)
            if pacer.wait(machine.PATIENCE):
                raise RuntimeError((folder / "pacer.log").read_text())
        moments = read_moments(result)
    quiet = [moment for moment in moments if quiet_from <= moment.at < changes_from]
    busy = [moment for moment in moments if changes_from <= moment.at < over]
    return _rows(size, seconds, quiet, busy)


def change(house: Installation, count: int) -> list[float]:
    """Issue and revoke in turn; how long each took to be acted on."""
    rng, took = random.Random(2), []
    born: list[tuple[int, Right]] = []
    for n in range(count):
        # The node looks every so often; a change must not always come at the same point of its round.
        time.sleep(rng.uniform(0.0, 0.15))
        begin = time.monotonic()
        if n % 2 == 0:
            right = house.rights[rng.randrange(1, len(house.rights))]
            with Session(house.engine.execution_options(sqlite_begin="IMMEDIATE")) as session, session.begin():
                consumer = session.scalars(select(Consumer).where(Consumer.id == right.consumer_id)).one()
                key, token = registry.issue(session, consumer, by=None, label="bench")
                session.flush()
                born.append((key.id, right._replace(key=token.value)))
            wait_until(house.gateway.port, born[-1][1], 200)
        else:
            key_id, right = born.pop(rng.randrange(len(born)))
            with Session(house.engine.execution_options(sqlite_begin="IMMEDIATE")) as session, session.begin():
                registry.revoke(session, session.scalars(select(Key).where(Key.id == key_id)).one())
            wait_until(house.gateway.port, right, 401)
        took.append(time.monotonic() - begin)
    return took


def wait_until(port: int, right: Right, status: int) -> None:
    """Ask every 2 ms until the gateway answers with this status. Raises TimeoutError."""
    wait_for_answer(port, right, f"HTTP/1.1 {status} ".encode())


def wait_for_answer(port: int, right: Right, expected: bytes) -> None:
    """Ask every 2 ms until this stands in the gateway's answer. Raises TimeoutError."""
    call = f"GET {right.path}/things HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {right.key}\r\n\r\n".encode()
    until = time.monotonic() + machine.PATIENCE
    with socket.create_connection(("127.0.0.1", port), timeout=machine.PATIENCE) as connection:
        while True:
            connection.sendall(call)
            if expected in (answer := connection.recv(8_192)):
                return
            if time.monotonic() > until:
                raise TimeoutError(f"The gateway still answers {answer[:60]!r} after {machine.PATIENCE:g} s.")
            time.sleep(0.002)


def read_moments(file: Path) -> list[Moment]:
    return [Moment(*map(float, line.split())) for line in file.read_text().splitlines()]


def _rows(size: Size, seconds: Sequence[float], quiet: Sequence[Moment], busy: Sequence[Moment]) -> list[Row]:
    keys = f"{size.population.keys:,} keys present"
    excess = [moment.excess * 1_000 for moment in busy]
    idle = [moment.excess * 1_000 for moment in quiet]
    worst = max(busy, key=lambda moment: moment.excess)
    return [
        Row(
            "key_to_gateway_p99",
            f"issuing or revoking a key → the gateway acts on it, p99 of {len(seconds)} changes, {keys}",
            quantile(seconds, 0.99),
            "s",
            Budget("≤", 1.0),
            samples=tuple(seconds),
        ),
        Row("key_to_gateway_p50", "the same, middle", median(seconds), "s"),
        Row(
            "longest_pause",
            f"longest pause of {len(busy):,} other calls meanwhile, beyond a direct call of the same moment",
            max(excess),
            "ms",
            Budget("≤", 25.0),
            note=f"That call took {worst.gateway * 1_000:.1f} ms, the direct one {worst.backend * 1_000:.1f} ms.",
            more={"ten_longest_ms": sorted(round(value, 2) for value in excess)[-10:]},
        ),
        Row("pause_p999", "the same, 99.9th percentile", quantile(excess, 0.999), "ms"),
        Row(
            "longest_pause_quiet",
            f"the longest of {len(quiet):,} calls while no key changes; 99.9th percentile {quantile(idle, 0.999):.1f}",
            max(idle),
            "ms",
            more={"ten_longest_ms": sorted(round(value, 2) for value in idle)[-10:]},
        ),
        Row(
            "longest_pause_raw",
            f"longest call meanwhile without taking the direct one off; direct calls {_longest(busy, 'backend')}, "
            f"quiet {_longest(quiet, 'gateway')} and {_longest(quiet, 'backend')}",
            max(moment.gateway for moment in busy) * 1_000,
            "ms",
        ),
    ]


def _longest(moments: Sequence[Moment], side: str) -> str:
    return f"{max(getattr(moment, side) for moment in moments) * 1_000:.1f} ms"
