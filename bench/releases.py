"""From a committed release to the gateway that serves it, with every other API of the installation present.

The real node process and the real registry on SQLite; each publish moves an API to another path by the registry's
verbs. Its time runs from before the transaction begins to the first call that is answered on the new path.
"""

import random
import time
from dataclasses import dataclass
from statistics import median

from sqlalchemy import select
from sqlalchemy.orm import Session

from bench import machine
from bench.keys import wait_until
from bench.node import Installation, installation
from bench.population import Population
from bench.rows import Budget, Row, quantile
from portal import registry
from portal.registry.models import Api, Mount

ROWS = ("publish_to_gateway_p95", "publish_to_gateway_p50")


@dataclass(frozen=True, slots=True)
class Size:
    population: Population = Population()
    publishes: int = 40


FULL = Size()
TINY = Size(Population(apis=3, keys=50, callers=10, subscriptions=30, plans=2), 2)


def run(size: Size = FULL) -> list[Row]:
    with machine.folder() as folder, installation(folder, size.population) as house:
        wait_until(house.gateway.port, house.rights[0], 200)
        seconds = publish(house, size.publishes)
    return [
        Row(
            "publish_to_gateway_p95",
            f"publishing a release → the gateway serves it, p95 of {len(seconds)}, {size.population.apis:,} APIs live",
            quantile(seconds, 0.95),
            "s",
            Budget("≤", 2.0),
            samples=tuple(seconds),
        ),
        Row("publish_to_gateway_p50", "the same, middle", median(seconds), "s"),
    ]


def publish(house: Installation, count: int) -> list[float]:
    """How long each took until it was served; the node is idle again before the next one."""
    rng, took = random.Random(3), []
    right = house.rights[0]
    with Session(house.engine) as session:
        api_id = session.scalars(select(Mount.api_id).where(Mount.path == right.path)).one()
    for n in range(count):
        time.sleep(rng.uniform(1.0, 1.5))  # a publish must not always come at the same point of the node's round
        path = f"{right.path}-{n}"
        begin = time.monotonic()
        with Session(house.engine.execution_options(sqlite_begin="IMMEDIATE")) as session, session.begin():
            api = session.get_one(Api, api_id)
            document = registry.read_document(api.draft | {"path": path})
            registry.save_draft(session, api, document, by=None, expected=api.draft_number)
            registry.publish(session, api, by=None, expected=api.draft_number)
        wait_until(house.gateway.port, right._replace(path=path), 200)
        took.append(time.monotonic() - begin)
    return took
