"""How long the server takes for the pages of a consumer with a thousand keys, of which every tenth is limited.

The calls of a day lie behind them, made with all of its keys. Pages are asked for through the application itself,
without a network.
"""

import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flask import Flask
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from bench import machine
from bench.population import database, document_of
from bench.rows import Budget, Row, quantile
from portal import accounts, create_app, registry
from portal.accounts import Person, Role, sessions
from portal.config import Config
from portal.db import db, utcnow
from portal.registry.keys import Restrictions
from portal.registry.models import Consumer
from portal.traffic.ingest import Ingest
from tests.traffic.lines import line, request_id

PAGES = {
    "keyring_consumer": ("its own page", "/consumers/shop/web"),
    "keyring_keys": ("its keys, the first page of them", "/consumers/shop/web/keys"),
}
ROWS = tuple(PAGES)


@dataclass(frozen=True, slots=True)
class Size:
    keys: int = 1_000
    calls: int = 200_000
    rounds: int = 100


FULL = Size()
TINY = Size(keys=60, calls=300, rounds=2)


def run(size: Size = FULL) -> list[Row]:
    with machine.folder() as folder:
        config = Config(data_dir=folder / "var", node_name="bench")
        engine = database(config)
        with Session(engine) as session:
            consumer = fill(session, size)
            public_ids = [key.public_id for key in consumer.keys]
            store(engine, folder, consumer, public_ids, size)
        engine.dispose()
        took = measure(create_app(config, overrides={"TESTING": True}), size.rounds)
    return [
        Row(
            name,
            f"consumer with {size.keys:,} keys, {PAGES[name][0]}, server time, p95 of {len(milliseconds)}",
            quantile(milliseconds, 0.95),
            "ms",
            Budget("≤", 150.0),
            samples=tuple(milliseconds),
        )
        for name, milliseconds in took.items()
    ]


def fill(session: Session, size: Size) -> Consumer:
    """A team with one API, one consumer and its keys, by the verbs of the registry."""
    member = Person(email="member@portico.example", name="Member", password="!", fs_uniquifier="member")
    session.add(member)
    session.flush()
    accounts.create_personal_team(session, member)
    team = accounts.create_team(session, owner=member, slug="shop", name="Shop", may_publish=True)
    session.flush()
    accounts.change_role(session, team.memberships[0], Role.OWNER)
    plan = registry.create_plan(session, team, slug="plan", name="Plan", per_second=10)
    document = registry.read_document(document_of(1, "http://upstream.example:8080"))
    api = registry.create_api(session, team, slug="service-1", version="v1", document=document, by=None)
    session.flush()
    registry.offer_plans(session, api, [plan])
    registry.publish(session, api, by=None, expected=api.draft_number)
    consumer = registry.create_consumer(session, team, slug="web", name="Web shop")
    session.flush()
    use = registry.subscribe(session, consumer, api, plan, by=None)
    session.flush()
    limited = Restrictions(True, ("10.0.0.0/8", "2001:db8::/32"), frozenset({use.id}))
    for n in range(size.keys):
        registry.issue(session, consumer, by=member, label=f"key {n}", restrictions=None if n % 10 else limited)
    session.commit()
    return consumer


def store(engine: Engine, folder: Path, consumer: Consumer, public_ids: list[str], size: Size) -> None:
    log = folder / "log" / "access.log"
    log.parent.mkdir()
    with log.open("wb") as file:
        file.writelines(_lines(consumer.public_id, public_ids, size, time.time()))
    Ingest(engine, node="bench", log_path=log).drain()


def _lines(consumer: str, public_ids: list[str], size: Size, now: float) -> Iterator[bytes]:
    first, step = int((now - 86_400) * 1_000_000), 86_400_000_000 // size.calls
    for n in range(size.calls):
        at = first + n * step
        yield line(at, id=request_id(at, n), r="1|1|h|x-api-key", c=consumer, k=public_ids[n % len(public_ids)])


def measure(app: Flask, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each page, the pages in turn."""
    client, token = app.test_client(), sessions.new_token()
    with app.app_context(), db.begin() as session:
        sessions.begin(session, "member", token, now=utcnow())
    with client.session_transaction() as cookie:
        cookie["_user_id"], cookie["_fresh"] = token, True
    took: dict[str, list[float]] = {name: [] for name in PAGES}
    for round_ in range(rounds + 3):
        for name, (_, address) in PAGES.items():
            gc.collect()  # whatever the round before left is not this page's
            begin = time.perf_counter()
            answer = client.get(address, headers={"Accept": "text/html"})
            seconds = time.perf_counter() - begin
            if answer.status_code != 200 or b"pco_" not in answer.data:
                raise RuntimeError(f"{address} answered {answer.status_code}: {answer.data[:500]!r}")
            if round_ >= 3:
                took[name].append(seconds * 1_000)
    return took
