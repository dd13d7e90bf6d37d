"""Whether every call is stored once: full load through the whole chain while the node stores what is logged."""

import contextlib
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from bench import load, machine
from bench.keys import wait_until
from bench.node import Installation, installation
from bench.population import Population
from bench.rows import Budget, Row
from portal.gateway.admin import EnvoySilent
from portal.gateway.compile import STAT_PREFIX
from portal.traffic.models import ByOperation, Call

ROWS = ("calls_stored_once", "calls_completed", "calls_stored_after")


@dataclass(frozen=True, slots=True)
class Size:
    population: Population = Population()
    seconds: int = 60
    workers: int = 1


FULL = Size()
TINY = Size(Population(apis=3, keys=50, callers=10, subscriptions=30, plans=2), seconds=1)


def run(size: Size = FULL) -> list[Row]:
    machine.require("nginx", "wrk", "taskset")
    machine.require_cores(2)
    with machine.folder() as folder, installation(folder, size.population, workers=size.workers) as house:
        wait_until(house.gateway.port, house.rights[0], 200)
        requests = load.write_requests(folder / "requests", house.rights)
        driven = load.drive(house.gateway, requests, seconds=size.seconds, clean=False)
        ended = time.monotonic()
        envoy = drain(house)
        after = time.monotonic() - ended
        stored = count(house.engine)
    agree = stored["rows"] == stored["requests"] == stored["counted"] == envoy["total"]
    return [
        Row(
            "calls_stored_once",
            f"answered calls stored ÷ downstream_rq_completed after {size.seconds} s at full rate",
            stored["answered"] / envoy["completed"] if agree else 0.0,
            budget=Budget("=", 1),
            # Envoy counts a call as completed when its answer begins; wrk leaves some calls without one when it ends.
            note=f"{stored['answered']:,} answered of {stored['rows']:,} rows with {stored['requests']:,} ids, "
            f"{stored['counted']:,} in the roll-up; Envoy: {envoy['completed']:,} completed of {envoy['total']:,}.",
            more={"stored": stored, "envoy": envoy},
        ),
        Row("calls_completed", "calls/s that Envoy served while the node stored them", driven.rate, "calls/s"),
        Row("calls_stored_after", "from the end of the load until the last call was stored", after, "s"),
    ]


def drain(house: Installation) -> dict[str, int]:
    """Wait until every call is over and stored, or a minute has passed without progress; what Envoy counted."""
    most, since = -1, time.monotonic()
    while True:
        envoy, stored = _counted(house), rows(house.engine)
        if envoy["active"] == 0 and stored == envoy["total"] and envoy == _counted(house):
            return envoy
        if stored > most + 100:
            most, since = stored, time.monotonic()
        if time.monotonic() - since > machine.PATIENCE:
            return envoy
        time.sleep(0.05 if envoy["total"] - stored < 1_000 else 1.0)


def _counted(house: Installation) -> dict[str, int]:
    """`completed`, `total` and `active` without the node's own questions after the gateway's health, which are no calls
    and are not logged. One that is being answered while this asks is seen by asking again."""
    while True:
        with contextlib.suppress(EnvoySilent):
            found = house.admin.stats(
                f"^http.{STAT_PREFIX}.(downstream_rq_(completed|total|active)|rq_direct_response)$"
            )
            numbers = {name.removeprefix(f"http.{STAT_PREFIX}."): value for name, value in found.items()}
            health = numbers.get("rq_direct_response", 0)
            return {
                "completed": numbers["downstream_rq_completed"] - health,
                "total": numbers["downstream_rq_total"] - health,
                "active": numbers["downstream_rq_active"],
            }


def rows(engine: Engine) -> int:
    with Session(engine) as session:
        return session.scalar(select(func.count()).select_from(Call)) or 0


def count(engine: Engine) -> dict[str, Any]:
    with Session(engine) as session:
        return {
            "rows": rows(engine),
            "answered": session.scalar(select(func.count()).select_from(Call).where(Call.status > 0)),
            "requests": session.scalar(select(func.count(func.distinct(Call.request_id)))),
            "counted": int(session.scalar(select(func.sum(ByOperation.calls)).where(ByOperation.level == 60)) or 0),
        }
