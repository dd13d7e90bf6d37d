"""A registry of the size that the numbers are promised for, in a database, and the keys to call it with.

Rows go in with Core inserts, the documents through the registry's own schema. What the bench changes afterwards it
changes with the registry's verbs.
"""

import base64
import random
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Engine, create_engine, insert, update
from sqlalchemy.orm import Session

from portal import schema
from portal.accounts.models import Team
from portal.config import Config
from portal.db import engine_options, engine_url, utcnow
from portal.registry.document import read_document
from portal.registry.keys import new_token
from portal.registry.models import Api, Consumer, Key, Mount, Plan, Release, Revision, Subscription

_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    apis: int = 3_000
    keys: int = 100_000
    callers: int = 2_700
    """Keys that calls are made with, each of a consumer of its own; the other keys are only there to be passed by."""
    subscriptions: int = 20_000
    plans: int = 20
    per_second: int = 1_000_000
    """Limits of every plan, high enough to refuse nobody."""
    per_minute: int = 60_000_000
    limits_differ: bool = False
    """Each plan has one a minute less than the one before it, and answers show which: they tell of the slower limit."""
    quota_month: int | None = None
    """Of every plan; high enough as well."""
    overall_per_second: int | None = None
    """Of every API."""
    networked: int = 0
    """Callers whose keys may be used from chosen networks alone: this machine's, and others."""


class Right(NamedTuple):
    """A key, and the path of an API that it may call."""

    path: str
    key: str
    consumer_id: int


def path_of(api: int) -> str:
    return f"/service-{api}/v1"


def database(config: Config) -> Engine:
    """An engine on a new database with the schema and nothing else."""
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    url = engine_url(config.database_url)
    engine = create_engine(url, **engine_options(url))
    schema.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Revision(id=1, n=1))
        session.commit()
    return engine


def fill(engine: Engine, population: Population, *, upstream: str, seed: int = 1) -> list[Right]:
    """Fill an empty database. Every API has the same upstream, so that they share one cluster.

    Every API and every caller is among the rights, as far as there are subscriptions enough.
    """
    rng, now = random.Random(seed), utcnow()
    callers = min(population.callers, population.keys)
    documents = [document_of(n, upstream) for n in range(1, population.apis + 1)]
    tokens = [new_token() for _ in range(callers)]
    pairs = _pairs(rng, population, callers)
    team = {"id": 1, "slug": "bench", "name": "Bench", "may_publish": True, "created_at": now}
    limits = {"per_second": population.per_second, "quota_month": population.quota_month}
    rows: list[tuple[Any, list[dict[str, Any]]]] = [
        (Team, [team]),
        (
            Plan,
            [
                {
                    "id": n,
                    "team_id": 1,
                    "slug": f"plan-{n}",
                    "name": f"Plan {n}",
                    "per_minute": population.per_minute - n * population.limits_differ,
                }
                | limits
                for n in range(1, population.plans + 1)
            ],
        ),
        (
            Api,
            [
                {"id": n, "team_id": 1, "slug": f"service-{n}", "version": "v1", "name": f"API {n}", "draft": document}
                | {"overall_per_second": population.overall_per_second}
                for n, document in enumerate(documents, 1)
            ],
        ),
        (
            Release,
            [{"id": n, "api_id": n, "number": 1, "document": document} for n, document in enumerate(documents, 1)],
        ),
        (Mount, [{"host": "*", "path": path_of(n), "api_id": n} for n in range(1, population.apis + 1)]),
        (
            Consumer,
            [
                {"id": n, "public_id": _consumer_id(rng), "team_id": 1, "slug": f"app-{n}", "name": f"App {n}"}
                for n in range(1, callers + 1)
            ],
        ),
        (
            Subscription,
            [
                {"consumer_id": caller, "api_id": api, "plan_id": 1 + n % population.plans, "starts_at": now}
                for n, (caller, api) in enumerate(pairs)
            ],
        ),
        (
            Key,
            [
                {"public_id": token.public_id, "sha256": token.sha256, "consumer_id": n}
                | {"addresses": _networks(rng) if n <= population.networked else []}
                for n, token in enumerate(tokens, 1)
            ]
            + [
                # Nobody calls with these: their hashes may be anything.
                {"public_id": f"{n:012d}", "sha256": rng.randbytes(32), "consumer_id": 1 + n % callers, "addresses": []}
                for n in range(population.keys - callers)
            ],
        ),
    ]
    with engine.begin() as connection:
        for table, values in rows:
            for start in range(0, len(values), _AT_ONCE):
                connection.execute(insert(table), values[start : start + _AT_ONCE])
        connection.execute(update(Api).values(live_release_id=Api.id))
    return [Right(path_of(api), tokens[caller - 1].value, caller) for caller, api in pairs]


def _pairs(rng: random.Random, population: Population, callers: int) -> list[tuple[int, int]]:
    """(consumer, API), each once: first round and round through both, so that nobody is left out, then at random."""
    most = min(population.subscriptions, callers * population.apis)
    found = {(1 + n % callers, 1 + n % population.apis): None for n in range(min(most, max(callers, population.apis)))}
    while len(found) < most:
        found[rng.randint(1, callers), rng.randint(1, population.apis)] = None
    return list(found)


def _networks(rng: random.Random) -> list[str]:
    others = [f"10.{rng.randrange(256)}.{rng.randrange(256)}.0/24" for _ in range(8)]
    return [*others, f"2001:db8:{rng.randrange(65_536):x}::/48", "127.0.0.0/8"]


def document_of(n: int, upstream: str) -> dict[str, Any]:
    values = {"name": f"Service {n}", "path": path_of(n), "upstream": {"targets": [{"url": upstream}]}}
    return read_document(values).as_json()


def _consumer_id(rng: random.Random) -> str:
    return "con_" + base64.b32encode(rng.randbytes(10)).decode("ascii").lower()
