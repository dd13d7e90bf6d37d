"""How long the server takes for the docs of an API with 22 000 operations.

The document is generated (`openapi_documents.py`) and stored as an import stores it. Pages are asked for through the
application itself, without a network: operations picked at random, each once, so that nothing of them is remembered.
"""

import gc
import random
import time
from dataclasses import dataclass
from pathlib import Path

from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from bench import machine
from bench.openapi_documents import SIZES, document
from bench.population import database
from bench.rows import Budget, Row, quantile
from portal import create_app, openapi
from portal.config import Config
from portal.registry import descriptions
from portal.registry.models import Visibility
from tests import factories

ROWS = ("docs_operation", "docs_overview", "docs_search", "docs_first")

_BASE = "/catalogue/freight/freight/v1"


@dataclass(frozen=True, slots=True)
class Size:
    operations: int = SIZES["huge"][0]
    bytes: int = SIZES["huge"][1]
    pages: int = 300


FULL = Size()
TINY = Size(*SIZES["typical"], pages=3)


def run(size: Size = FULL) -> list[Row]:
    with machine.folder() as folder:
        names = fill(folder, size)
        app = create_app(_config(folder), overrides={"TESTING": True})
        client = app.test_client()
        client.environ_base["HTTP_ACCEPT"] = "text/html"
        chosen = random.Random(1).sample(names, min(len(names), size.pages + 1))
        first = _took(client, f"/operations/{chosen[0]}")
        took = {
            "docs_operation": [_took(client, f"/operations/{name}") for name in chosen[1:]],
            "docs_overview": [_took(client, "") for _ in range(size.pages // 3)],
            "docs_search": [_took(client, f"/operations?q={words}") for words in _searches(size.pages // 3)],
        }
    of = f"{size.operations:,} operations, server time"
    what = {
        "docs_operation": f"docs page of one operation, an API of {of}",
        "docs_overview": f"docs overview, an API of {of}",
        "docs_search": f"docs search over one API of {of}",
    }
    rows = [
        Row(
            name,
            f"{what[name]}, p95 of {len(milliseconds)}",
            quantile(milliseconds, 0.95),
            "ms",
            Budget("≤", 100.0) if name == "docs_operation" else None,
            samples=tuple(milliseconds),
        )
        for name, milliseconds in took.items()
    ]
    return [*rows, Row("docs_first", f"first docs page after a start, an API of {of}", first, "ms")]


def fill(folder: Path, size: Size) -> list[str]:
    """The ids of the operations."""
    data = document(size.operations, size.bytes)
    description = openapi.read(data)
    engine = database(_config(folder))
    with Session(engine) as session:
        team = factories.team(session, slug="freight", name="Freight")
        plan = factories.plan(session, team=team)
        digest = descriptions.keep(session, data, description).sha256
        api = factories.api(session, team=team, slug="freight", live=True, plans=[plan], openapi=digest)
        api.visibility = Visibility.PUBLIC
        session.commit()
    engine.dispose()
    return [operation.id for operation in description.operations]


def _config(folder: Path) -> Config:
    return Config(data_dir=folder / "var", node_name="bench", public_catalogue=True)


def _searches(count: int) -> list[str]:
    words = ("order", "get+invoice", "account+list", "post", "shipment+tax")
    return [words[number % len(words)] for number in range(count)]


def _took(client: FlaskClient, below: str) -> float:
    """Milliseconds."""
    gc.collect()  # whatever the page before left is not this page's
    begin = time.perf_counter()
    answer = client.get(f"{_BASE}{below}")
    seconds = time.perf_counter() - begin
    if answer.status_code != 200:
        raise RuntimeError(f"The docs answered {answer.status_code}: {answer.data[:500]!r}")
    return seconds * 1_000
