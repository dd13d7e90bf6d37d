"""How long the server takes to search the catalogue while somebody types: 3,000 APIs with 125,000 operations.

One of the APIs has 22,000 operations, the others share the rest. A third of the APIs is for chosen teams or for their
own one only, so that the person who searches may not see all. What is asked for is what search as you type asks for:
the whole view, through the application itself, without a network.
"""

import gc
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, insert, update
from sqlalchemy.orm import Session

from bench import machine
from bench.openapi_documents import WORDS
from bench.population import database
from bench.rows import Budget, Row, quantile
from portal import create_app
from portal.accounts import Role, Team, sessions
from portal.accounts.models import Membership, Person
from portal.config import Config
from portal.db import db, utcnow
from portal.registry import indexing
from portal.registry.document import read_document
from portal.registry.models import (
    Api,
    Category,
    Consumer,
    OpenAPIDocument,
    Operation,
    Plan,
    Release,
    Subscription,
    Visibility,
    api_viewer,
)

ASKED = {
    "letter": ("g", "p", "s", "a"),
    "common": ("get", "list", "id", "post"),
    "word": ("invoice", "ware", "refu"),
    "words": ("list orders", "get customer ord", "payment refund pol"),
    "nothing": ("zebra", "qqq"),
    "all": ("",),
}
"""What is typed, by kind. `all` is the catalogue as it opens, as a whole page."""
ROWS = ("catalogue_search", *(f"catalogue_{kind}" for kind in ASKED))
_TEAMS = 100


@dataclass(frozen=True, slots=True)
class Size:
    apis: int = 3_000
    operations: int = 125_000
    largest: int = 22_000
    """Operations of one of the APIs."""
    consumers: int = 2_000
    subscriptions: int = 20_000
    rounds: int = 40


FULL = Size()
TINY = Size(apis=30, operations=400, largest=100, consumers=20, subscriptions=60, rounds=1)


def run(size: Size = FULL) -> list[Row]:
    with machine.folder() as folder:
        config = Config(data_dir=folder / "var", node_name="bench")
        engine = database(config)
        fill(engine, size)
        engine.dispose()
        app = create_app(config, overrides={"TESTING": True})
        took = measure(app, size.rounds)
    whole = [each for kind, seconds in took.items() if kind != "all" for each in seconds]
    of = f"{size.apis:,} APIs, {size.operations:,} operations, server time"
    rows = [_row("search", "search as you type, every kind of word", of, whole, Budget("≤", 50.0))]
    return rows + [_row(kind, _said(kind), of, seconds, None) for kind, seconds in took.items()]


def measure(app: Flask, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each kind, the kinds in turn."""
    client = _somebody(app)
    took: dict[str, list[float]] = {kind: [] for kind in ASKED}
    for round_ in range(rounds + 1):
        for kind, texts in ASKED.items():
            for text in texts:
                gc.collect()  # whatever the round before left is not this one's
                headers = {"Accept": "text/html"} | ({"HX-Request": "true"} if text else {})
                begin = time.perf_counter()
                answer = client.get("/catalogue", query_string={"q": text}, headers=headers)
                seconds = time.perf_counter() - begin
                if answer.status_code != 200 or (b"No API fits" in answer.data) != (kind == "nothing"):
                    raise RuntimeError(f"{text!r} was answered with {answer.status_code}: {answer.data[:500]!r}")
                if round_:
                    took[kind].append(seconds * 1_000)
    return took


def _somebody(app: Flask) -> FlaskClient:
    """A member of a few teams."""
    client = app.test_client()
    token = sessions.new_token()
    with app.app_context(), db.begin() as session:
        sessions.begin(session, "member" * 3, token, now=utcnow())
    with client.session_transaction() as cookie:
        cookie["_user_id"], cookie["_fresh"] = token, True
    return client


def _row(kind: str, what: str, of: str, milliseconds: list[float], budget: Budget | None) -> Row:
    return Row(
        f"catalogue_{kind}",
        f"{what}, {of}, p95 of {len(milliseconds)}",
        quantile(milliseconds, 0.95),
        "ms",
        budget,
        samples=tuple(milliseconds),
        note=f"p50 {quantile(milliseconds, 0.5):.1f} ms" if budget is None else "",
    )


def _said(kind: str) -> str:
    return "the catalogue as it opens" if kind == "all" else f"search for {', '.join(ASKED[kind])}"


def fill(engine: Engine, size: Size, seed: int = 1) -> None:
    chance = random.Random(seed)
    counts = _counts(size)
    documents = [_document(chance, n) for n in range(1, size.apis + 1)]
    with engine.begin() as connection:
        for table, values in (
            (Team, [{"id": n, "slug": f"team-{n}", "name": _title(chance), "may_publish": True} for n in _to(_TEAMS)]),
            (Person, [_person()]),
            (Membership, [{"team_id": n, "person_id": 1, "role": Role.DEVELOPER} for n in _to(4)]),
            (Category, [{"id": n, "slug": f"shelf-{n}", "name": f"{WORDS[n].title()} and more"} for n in _to(12)]),
            (Plan, [{"id": n, "team_id": n, "slug": "plan", "name": "Plan", "per_second": 10} for n in _to(_TEAMS)]),
            (Api, [_api(chance, n, document) for n, document in enumerate(documents, 1)]),
            (Release, [{"id": n, "api_id": n, "number": 1, "document": it} for n, it in enumerate(documents, 1)]),
            (Consumer, [_consumer(n) for n in _to(size.consumers)]),
            (Subscription, _subscriptions(chance, size)),
            (OpenAPIDocument, [_stored(n, count) for n, count in enumerate(counts, 1)]),
        ):
            connection.execute(insert(table), values)
        viewers = [{"api_id": n, "team_id": 1 + n % _TEAMS} for n in _to(size.apis) if n % 6 == 0]
        connection.execute(insert(api_viewer), viewers)
        for n, count in enumerate(counts, 1):
            connection.execute(insert(Operation), list(_operations(chance, n, count)))
        connection.execute(update(Api).values(live_release_id=Api.id))
    with Session(engine) as session:
        while indexing.mend(session):
            session.commit()


def _to(most: int) -> range:
    return range(1, most + 1)


def _counts(size: Size) -> list[int]:
    left, others = size.operations - size.largest, size.apis - 1
    return [size.largest, *(left // others + (n < left % others) for n in range(others))]


def _document(chance: random.Random, n: int) -> dict[str, Any]:
    return read_document(
        {
            "name": f"{_title(chance)} {n}",
            "description": " ".join(chance.choices(WORDS, k=60)).capitalize() + ". And so on.",
            "path": f"/service-{n}/v1",
            "upstream": {"targets": [{"url": "http://upstream.example:8080"}]},
            "tags": chance.sample(WORDS[:40], 4),
            "openapi": f"{n:064x}",
        }
    ).as_json()


def _api(chance: random.Random, n: int, document: dict[str, Any]) -> dict[str, Any]:
    shown = {0: Visibility.CHOSEN, 3: Visibility.TEAM}.get(n % 6, Visibility.SIGNED_IN)
    # Every tenth stands beside an older version of itself.
    older = n % 10 == 0
    return {
        "id": n,
        "team_id": 1 + (n - older) % _TEAMS,
        "slug": f"service-{n - older}",
        "version": "v2" if older else "v1",
        "name": document["name"],
        "draft": document,
        "visibility": shown,
        "category_id": chance.choice([None, *_to(12)]),
    }


def _stored(n: int, count: int) -> dict[str, Any]:
    return {"sha256": f"{n:064x}", "packed": b"", "size": 0, "facts": {}, "operation_count": count}


def _operations(chance: random.Random, n: int, count: int) -> Iterator[dict[str, Any]]:
    for position in range(count):
        first, second = chance.choice(WORDS), chance.choice(WORDS)
        method = ("get", "post", "put", "delete")[position % 4]
        yield {
            "sha256": f"{n:064x}",
            "position": position,
            "name": f"{'list' if method == 'get' else method}{first.title()}{second.title()}{position}",
            "method": method.upper(),
            "path": f"/{first}s/{{{first}Id}}/{second}s",
            "summary": f"{'List' if method == 'get' else method.title()} the {second}s of a {first}",
            "tags": [first],
            "content": b"{}" * 400,
        }


def _subscriptions(chance: random.Random, size: Size) -> list[dict[str, Any]]:
    pairs = {(chance.randint(1, size.consumers), chance.randint(1, size.apis)) for _ in range(size.subscriptions)}
    return [{"consumer_id": c, "api_id": a, "plan_id": 1 + a % _TEAMS} for c, a in sorted(pairs)]


def _consumer(n: int) -> dict[str, Any]:
    names = {"public_id": f"con_{n:016d}", "slug": f"app-{n}", "name": f"App {n}"}
    return {"id": n, "team_id": 1 + n % _TEAMS} | names


def _person() -> dict[str, Any]:
    names = {"email": "member@portico.example", "name": "Member"}
    return {"id": 1, "password": "!", "fs_uniquifier": "member" * 3, "is_administrator": False} | names


def _title(chance: random.Random) -> str:
    return f"{chance.choice(WORDS)} {chance.choice(WORDS)}".title()
