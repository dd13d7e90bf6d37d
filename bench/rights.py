"""From a committed change of somebody's rights to the gateway that acts on it: revoked, suspended, under another plan.

The real node process and the real registry on SQLite, with everything in it that the numbers are promised for. The time
of a change runs from before its transaction begins to the first call that is answered accordingly. `keys.py` has what
other calls notice of it.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from statistics import median
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from bench import machine
from bench.keys import wait_for_answer, wait_until
from bench.node import Installation, installation
from bench.population import Population, Right
from bench.rows import Budget, Row, quantile
from portal import registry
from portal.registry.models import Api, Consumer, Key, Mount, Plan, Subscription

ROWS = ("revoke_to_gateway_p99", "suspend_to_gateway_p99", "plan_to_gateway_p99")
_SENTENCES = {
    "revoke": "revoking a key",
    "suspend": "suspending a subscription or a consumer",
    "plan": "another plan for a subscription, or other limits of a plan",
}


@dataclass(frozen=True, slots=True)
class Size:
    population: Population = Population(limits_differ=True)
    changes: int = 100
    """Of each kind."""


FULL = Size()
TINY = Size(Population(apis=3, keys=50, callers=10, subscriptions=30, plans=2, limits_differ=True), 2)


def run(size: Size = FULL) -> list[Row]:
    machine.require("nginx")
    with machine.folder() as folder, installation(folder, size.population) as house:
        wait_until(house.gateway.port, house.rights[0], 200)
        took = {kind: [change(house, n) for n in range(size.changes)] for kind, change in _CHANGES.items()}
    return [
        Row(
            f"{kind}_to_gateway_p99",
            f"{_SENTENCES[kind]} → the gateway acts on it, p99 of {len(seconds)}, {size.population.keys:,} keys",
            quantile(seconds, 0.99),
            "s",
            Budget("≤", 1.0),
            samples=tuple(seconds),
            note=f"The middle is {median(seconds):.3f} s.",
        )
        for kind, seconds in took.items()
    ]


def _revoke(house: Installation, n: int) -> float:
    right = _any(house, n)

    def issue(session: Session) -> tuple[int, str]:
        key, token = registry.issue(session, session.get_one(Consumer, right.consumer_id), by=None, label="bench")
        session.flush()
        return key.id, token.value

    key_id, token = _commit(house, issue)
    right = right._replace(key=token)
    wait_until(house.gateway.port, right, 200)
    return _timed(
        house,
        lambda session: registry.revoke(session, session.get_one(Key, key_id)),
        lambda port: wait_until(port, right, 401),
    )


def _suspend(house: Installation, n: int) -> float:
    """A subscription and a consumer in turn; resumed before the next."""
    right = _any(house, n)

    def suspend(session: Session) -> None:
        if n % 2:
            registry.suspend_consumer(session, session.get_one(Consumer, right.consumer_id))
        else:
            registry.suspend_subscription(session, _subscription(session, right), words="For a while.")

    def resume(session: Session) -> None:
        registry.resume_consumer(session, session.get_one(Consumer, right.consumer_id))
        registry.resume_subscription(session, _subscription(session, right))

    seconds = _timed(house, suspend, lambda port: wait_until(port, right, 403))
    _commit(house, resume)
    wait_until(house.gateway.port, right, 200)
    return seconds


def _plan(house: Installation, n: int) -> float:
    """Another plan, and other limits of the plan, in turn. Answers say the limit of the minute that holds now."""
    right = _any(house, n)
    with Session(house.engine) as session:
        mine = _subscription(session, right).plan_id
        chosen = mine if n % 2 else next(each for each in session.scalars(select(Plan.id)) if each != mine)
        plan = session.get_one(Plan, chosen)
        values = registry.PlanValues.of(plan).as_dict()
    if n % 2:
        values["per_minute"] -= 1_000

    def change(session: Session) -> None:
        plan = session.get_one(Plan, chosen)
        if n % 2:
            registry.change_plan(session, plan, zone=UTC, **values)
            return
        subscription = _subscription(session, right)
        if plan not in subscription.api.plans:
            subscription.api.plans.append(plan)
        registry.assign_plan(session, subscription, plan)

    limit = b"x-ratelimit-limit: %d\r\n" % values["per_minute"]
    return _timed(house, change, lambda port: wait_for_answer(port, right, limit))


_CHANGES: dict[str, Callable[[Installation, int], float]] = {"revoke": _revoke, "suspend": _suspend, "plan": _plan}


def _any(house: Installation, n: int) -> Right:
    return random.Random(n).choice(house.rights)


def _subscription(session: Session, right: Right) -> Subscription:
    api = select(Api.id).join(Mount, Mount.api_id == Api.id).where(Mount.path == right.path).scalar_subquery()
    chosen = select(Subscription).where(Subscription.consumer_id == right.consumer_id, Subscription.api_id == api)
    return session.scalars(chosen).one()


def _commit(house: Installation, act: Callable[[Session], Any]) -> Any:
    with Session(house.engine.execution_options(sqlite_begin="IMMEDIATE")) as session, session.begin():
        return act(session)


def _timed(house: Installation, act: Callable[[Session], object], wait: Callable[[int], None]) -> float:
    # The node looks every so often; a change must not always come at the same point of its round.
    time.sleep(random.uniform(0.0, 0.15))
    begin = time.monotonic()
    _commit(house, act)
    wait(house.gateway.port)
    return time.monotonic() - begin
