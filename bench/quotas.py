"""How far a quota is passed before its calls are refused, while they keep coming, and whether all of them count."""

import socket
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bench import machine
from bench.keys import wait_until
from bench.node import Installation, installation
from bench.population import Population, Right
from bench.rows import Budget, Row
from portal import registry
from portal.registry.models import Plan, QuotaUse

ROWS = ("quota_overrun", "quota_counted")
_TICK = 0.01
_AFTERWARDS = 2.0
"""Seconds of calls after the first refusal: none of them may get through."""


@dataclass(frozen=True, slots=True)
class Size:
    population: Population = Population()
    quota: int = 10_000
    rate: int = 2_000
    """Calls a second."""


FULL = Size()
TINY = Size(Population(apis=3, keys=50, callers=10, subscriptions=30, plans=1), quota=40, rate=200)


def run(size: Size = FULL) -> list[Row]:
    machine.require("nginx")
    with machine.folder() as folder, installation(folder, size.population) as house:
        right = house.rights[0]
        wait_until(house.gateway.port, right, 200)
        _limit(house, size.quota)
        statuses, late = _drive(house, right, size)
        # What was asked before the load began counts as well.
        through = statuses[200] + 1
        counted = _counted(house, through)
    above = max(0, through - size.quota)
    return [
        Row(
            "quota_overrun",
            f"calls let through above a quota of {size.quota:,}, in seconds of {size.rate:,} calls/s",
            above / size.rate,
            "s",
            budget=Budget("≤", 3),
            note=f"{above:,} calls above it, {late:,} of them after the first refusal; {statuses[429]:,} were refused.",
            more={"statuses": {str(status): count for status, count in statuses.items()}},
        ),
        Row("quota_counted", "calls that the quota counts ÷ let through", counted / through, budget=Budget("=", 1)),
    ]


def _limit(house: Installation, quota: int) -> None:
    """A month's, so that no midnight comes in between."""
    with Session(house.engine.execution_options(sqlite_begin="IMMEDIATE")) as session, session.begin():
        for plan in session.scalars(select(Plan)):
            values = registry.PlanValues.of(plan).as_dict() | {"quota_month": quota}
            registry.change_plan(session, plan, zone=UTC, **values)


def _drive(house: Installation, right: Right, size: Size) -> tuple[Counter[int], int]:
    """Statuses of all calls, and how many got through after one was refused."""
    each = max(1, int(size.rate * _TICK))
    call = f"GET {right.path}/things HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {right.key}\r\n\r\n".encode()
    connections = [socket.create_connection(("127.0.0.1", house.gateway.port)) for _ in range(each)]
    statuses: Counter[int] = Counter()
    late, refused_at, due = 0, 0.0, time.monotonic()
    ends = due + machine.PATIENCE + size.quota / size.rate
    while due < (refused_at + _AFTERWARDS if refused_at else ends):
        time.sleep(max(0.0, due - time.monotonic()))
        due += each / size.rate
        for connection in connections:
            connection.sendall(call)
        answers = Counter(int(connection.recv(8_192)[9:12]) for connection in connections)
        late += answers[200] if refused_at else 0
        if answers[429] and not refused_at:
            refused_at = time.monotonic()
        statuses += answers
    for connection in connections:
        connection.close()
    return statuses, late


def _counted(house: Installation, wanted: int) -> int:
    """When all is stored, or no more comes."""
    ends = time.monotonic() + machine.PATIENCE
    while True:
        with Session(house.engine) as session:
            found = int(session.scalar(select(func.sum(QuotaUse.calls))) or 0)
        if found >= wanted or time.monotonic() > ends:
            return found
        time.sleep(0.05)
