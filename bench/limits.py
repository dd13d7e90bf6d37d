"""How many calls a plan's limit lets through while far more keep coming, beside what it promises.

Three limits at once, each on a subscription of its own, in a gateway with two workers, which share its buckets.
"""

import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC

from sqlalchemy.orm import Session

from bench import machine
from bench.keys import wait_for_answer, wait_until
from bench.node import Installation, installation
from bench.population import Population, Right
from bench.rows import Budget, Row
from portal import registry
from portal.registry.models import Plan

ROWS = ("limit_10_a_second", "limit_100_a_second", "limit_60_a_minute")
_LIMITS = ((10, 1), (100, 1), (60, 60))
"""Calls, and in how many seconds; as many may come at once."""
_OVERLOAD = 10
"""Times what is allowed, but at least a hundred a second."""


@dataclass(frozen=True, slots=True)
class Size:
    # Caller n, and caller n + 3, use API n under plan n.
    population: Population = Population(apis=3, keys=1_000, callers=6, subscriptions=6, plans=3)
    seconds: float = 120.0


FULL = Size()
TINY = Size(seconds=1.0)


def run(size: Size = FULL) -> list[Row]:
    machine.require("nginx")
    with machine.folder() as folder, installation(folder, size.population, workers=2) as house:
        wait_until(house.gateway.port, house.rights[0], 200)
        _limit(house)
        with ThreadPoolExecutor(len(_LIMITS)) as threads:
            driven = [
                threads.submit(_drive, house.gateway.port, right, max(100, _OVERLOAD * rate / interval), size.seconds)
                for right, (rate, interval) in zip(house.rights, _LIMITS, strict=False)
            ]
            found = [each.result() for each in driven]
    return [
        _row(name, rate, interval, *each) for name, (rate, interval), each in zip(ROWS, _LIMITS, found, strict=True)
    ]


def _row(name: str, rate: int, interval: int, statuses: Counter[int], seconds: float) -> Row:
    promised = rate + rate / interval * seconds
    return Row(
        name,
        f"calls let through in {seconds:.0f} s of overload ÷ (burst + rate × t), {rate} in {interval} s",
        statuses[200] / promised,
        budget=Budget("≤", 1.02),
        note=f"{statuses[200]:,} let through, {promised:,.1f} promised, {statuses[429]:,} refused.",
        more={"statuses": {str(status): count for status, count in statuses.items()}, "seconds": seconds},
    )


def _limit(house: Installation) -> None:
    """All three at once, waited for with a subscription whose bucket nobody measures."""
    with Session(house.engine.execution_options(sqlite_begin="IMMEDIATE")) as session, session.begin():
        for number, (rate, interval) in enumerate(_LIMITS, 1):
            plan = session.get_one(Plan, number)
            limits = {"per_second": None, "per_minute": None} | {"per_second" if interval == 1 else "per_minute": rate}
            registry.change_plan(session, plan, zone=UTC, **(registry.PlanValues.of(plan).as_dict() | limits))
    wait_for_answer(house.gateway.port, house.rights[3], b"x-ratelimit-limit: %d\r\n" % _LIMITS[0][0])


def _drive(port: int, right: Right, pace: float, seconds: float) -> tuple[Counter[int], float]:
    """Statuses, and the seconds from before the first call to behind the last one."""
    call = f"GET {right.path}/things HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {right.key}\r\n\r\n".encode()
    statuses: Counter[int] = Counter()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        begin = due = time.monotonic()
        while due < begin + seconds:
            time.sleep(max(0.0, due - time.monotonic()))
            due += 1 / pace
            connection.sendall(call)
            statuses[int(connection.recv(8_192)[9:12])] += 1
        return statuses, time.monotonic() - begin
