"""How long the server takes for the home page, with a week of calls behind it.

Calls, roll-ups and names are those of 200 APIs of 20 teams and 2 000 consumers of 100 teams: half of the calls lie in
the last 24 hours, half in the six days before. The page is asked for through the application itself, without a network.
"""

import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flask import Flask
from sqlalchemy import Engine, func, insert, select, update
from sqlalchemy.orm import Session

from bench import machine
from bench.population import database, document_of, path_of
from bench.rows import Budget, Row, quantile
from portal import create_app
from portal.accounts import Role, Team, sessions
from portal.accounts.models import Membership, Person
from portal.config import Config
from portal.db import db, utcnow
from portal.registry.models import Api, Consumer, Key, Mount, Plan, Release, Subscription
from portal.traffic.ingest import Ingest
from portal.traffic.models import Call
from tests.traffic.lines import Mix, consumer_id, key_id

ROWS = ("home_administrator", "home_member", "home_administrator_7d", "home_member_7d")

_DAY = 86_400.0
_PUBLISHING_TEAMS, _TEAMS = 20, 100
_OWN_TEAMS = 6
"""Of the member: half of them publish."""


@dataclass(frozen=True, slots=True)
class Size:
    calls: int = 1_000_000
    apis: int = 200
    consumers: int = 2_000
    rounds: int = 100


FULL = Size()
TINY = Size(calls=400, apis=40, consumers=200, rounds=2)


def run(size: Size = FULL) -> list[Row]:
    with machine.folder() as folder:
        config = Config(data_dir=folder / "var", node_name="bench")
        engine = database(config)
        fill(engine, size)
        store(engine, folder, size)
        with Session(engine) as session:
            calls = session.scalar(select(func.count()).select_from(Call)) or 0
        engine.dispose()
        app = create_app(config, overrides={"TESTING": True})
        took = measure(app, size.rounds)
    return [row for name, seconds in took.items() for row in [_row(name, seconds, calls)]]


def measure(app: Flask, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each page, the pages in turn."""
    pages = {
        f"home_{who}{'' if window == '24h' else '_' + window}": (who, window)
        for window in ("24h", "7d")
        for who in ("administrator", "member")
    }
    clients = {}
    for who in ("administrator", "member"):
        clients[who] = app.test_client()
        token = sessions.new_token()
        with app.app_context(), db.begin() as session:
            sessions.begin(session, who * 3, token, now=utcnow())
        with clients[who].session_transaction() as cookie:
            cookie["_user_id"], cookie["_fresh"] = token, True
    took: dict[str, list[float]] = {name: [] for name in pages}
    for round_ in range(rounds + 3):
        for name, (who, window) in pages.items():
            gc.collect()  # whatever the round before left is not this page's
            begin = time.perf_counter()
            answer = clients[who].get(f"/?window={window}", headers={"Accept": "text/html"})
            seconds = time.perf_counter() - begin
            if answer.status_code != 200 or b"Calls" not in answer.data:
                raise RuntimeError(f"The home page answered {answer.status_code}: {answer.data[:500]!r}")
            if round_ >= 3:
                took[name].append(seconds * 1_000)
    return took


def _row(name: str, milliseconds: list[float], calls: int) -> Row:
    _, who, *window = name.split("_")
    of = "a member of several teams" if who == "member" else "an administrator"
    length = "the last 7 days" if window else "24 hours, as it opens"
    return Row(
        name,
        f"home page of {of}, {length}, {calls:,} calls stored, server time, p95 of {len(milliseconds)}",
        quantile(milliseconds, 0.95),
        "ms",
        None if window else Budget("≤", 100.0),
        samples=tuple(milliseconds),
    )


def fill(engine: Engine, size: Size) -> None:
    """Teams, people, APIs, consumers, keys and subscriptions, with the numbers that `Mix` gives them."""
    mine = [*range(1, _OWN_TEAMS // 2 + 1), *range(_PUBLISHING_TEAMS + 1, _PUBLISHING_TEAMS + 1 + _OWN_TEAMS // 2)]
    # The first subscriptions of `Mix` are decided by its seed alone.
    choices = {(consumer, api) for consumer, api in Mix(apis=size.apis, consumers=size.consumers).choices}
    documents = [document_of(n, "http://upstream.example:8080") for n in range(1, size.apis + 1)]
    with engine.begin() as connection:
        for table, values in (
            (Team, (_team(n) for n in range(1, _TEAMS + 1))),
            (Person, (_person(n, who) for n, who in enumerate(("administrator", "member"), 1))),
            (Membership, ({"team_id": team, "person_id": 2, "role": Role.PUBLISHER} for team in mine)),
            (Plan, ({"id": n, "team_id": n, "slug": "plan", "name": "Plan", "per_second": 10} for n in range(1, 21))),
            (Api, (_api(n, document) for n, document in enumerate(documents, 1))),
            (Release, ({"id": n, "api_id": n, "number": 3, "document": text} for n, text in enumerate(documents, 1))),
            (Mount, ({"host": "*", "path": path_of(n), "api_id": n} for n in range(1, size.apis + 1))),
            (Consumer, (_consumer(n) for n in range(1, size.consumers + 1))),
            (Key, (_key(n) for n in range(1, size.consumers + 1))),
            (Subscription, ({"consumer_id": c, "api_id": a, "plan_id": 1 + (a - 1) % 20} for c, a in sorted(choices))),
        ):
            connection.execute(insert(table), list(values))
        connection.execute(update(Api).values(live_release_id=Api.id))


def _team(n: int) -> dict[str, object]:
    return {"id": n, "slug": f"team-{n}", "name": f"Team {n}", "may_publish": n <= _PUBLISHING_TEAMS}


def _person(n: int, who: str) -> dict[str, object]:
    return {
        "id": n,
        "email": f"{who}@portico.example",
        "name": who.title(),
        "password": "!",
        "fs_uniquifier": who * 3,
        "is_administrator": who == "administrator",
    }


def _api(n: int, document: dict[str, object]) -> dict[str, object]:
    names = {"slug": f"service-{n}", "version": "v1", "name": f"Service {n}"}
    return {"id": n, "team_id": 1 + (n - 1) % _PUBLISHING_TEAMS, "draft": document} | names


def _consumer(n: int) -> dict[str, object]:
    team = 1 + (n - 1) % _TEAMS
    return {"id": n, "public_id": consumer_id(n), "team_id": team, "slug": f"consumer-{n}", "name": f"Consumer {n}"}


def _key(n: int) -> dict[str, object]:
    return {"id": n, "public_id": key_id(n), "sha256": n.to_bytes(32, "big"), "consumer_id": n}


def store(engine: Engine, folder: Path, size: Size) -> None:
    """By way of the log and the node's own ingest, so that roll-ups are what a node would have made of these calls."""
    log = folder / "log" / "access.log"
    log.parent.mkdir()
    with log.open("wb") as file:
        file.writelines(_lines(size, time.time()))
    Ingest(engine, node="bench", log_path=log).drain()


def _lines(size: Size, now: float) -> Iterator[bytes]:
    older = size.calls // 2
    for count, start, seconds in ((older, now - 7 * _DAY, 6 * _DAY), (size.calls - older, now - _DAY, _DAY)):
        mix = Mix(apis=size.apis, consumers=size.consumers, seconds=seconds)
        yield from mix.lines(count, int(start * 1_000_000))
