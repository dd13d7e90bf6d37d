"""How long it takes until an OpenAPI document that somebody brings can be looked at.

A typical document is read in the request that brings it; each is another one, since a document that is stored already
costs nothing. Larger ones are read by the worker in a process of its own: counted is the request and the worker's turn.
"""

import gc
import resource
import time
from dataclasses import dataclass, field

import requests
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from bench import machine
from bench.openapi_documents import SIZES, document
from bench.population import database
from bench.rows import Budget, Row, middle
from portal import create_app, jobs, worker
from portal.config import Config
from portal.db import db
from portal.registry.models import Import, ImportState
from tests import factories
from tests.conftest import sign_in

ROWS = ("import_typical", "import_large", "import_huge", "import_huge_memory")


@dataclass(frozen=True, slots=True)
class Size:
    typical: int = 30
    """How many of them."""
    sizes: dict[str, tuple[int, int]] = field(default_factory=lambda: dict(SIZES))
    """Operations and bytes by name."""


FULL = Size()
TINY = Size(2, {"typical": (3, 3_000), "large": (30, 1_100_000), "huge": (40, 1_200_000)})


def run(size: Size = FULL) -> list[Row]:
    with machine.folder() as folder:
        config = Config(data_dir=folder / "var", node_name="bench")
        engine = database(config)
        with Session(engine) as session:
            owner = factories.person(session)
            factories.team(session, owner=owner, slug="bench")
            session.commit()
            app = create_app(config, overrides={"TESTING": True, "WTF_CSRF_ENABLED": False})
            client = sign_in(app.test_client(), owner)
        engine.dispose()
        operations, size_of = size.sizes["typical"]
        typical = [_brought(app, client, document(operations, size_of, seed=seed)) for seed in range(size.typical + 1)]
        large = _brought(app, client, document(*size.sizes["large"]))
        huge = _brought(app, client, document(*size.sizes["huge"]))
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1_000
    return [
        middle(
            "import_typical",
            f"importing a document of {operations} operations, {size_of / 1_000:,.0f} kB, server time",
            [seconds * 1_000 for seconds in typical[1:]],
            "ms",
            budget=Budget("≤", 100.0),
        ),
        Row("import_large", f"the same, {_of(size, 'large')}, by the worker", large, "s", Budget("≤", 5.0)),
        Row("import_huge", f"the same, {_of(size, 'huge')}, by the worker", huge, "s", Budget("≤", 60.0)),
        Row("import_huge_memory", "memory of the process that read it", memory, "MB", Budget("≤", 2_000.0)),
    ]


def _of(size: Size, name: str) -> str:
    operations, size_of = size.sizes[name]
    return f"{operations:,} operations, {size_of / 1e6:.0f} MB"


def _brought(app: Flask, client: FlaskClient, data: bytes) -> float:
    """Seconds. The worker's turn begins at once: how long it sleeps between two looks is not counted."""
    form = requests.Request(
        "POST", "http://bench", data={"team": "bench"}, files={"file": ("freight.json", data)}
    ).prepare()
    gc.collect()
    begin = time.perf_counter()
    answer = client.post("/apis/import", data=form.body, content_type=form.headers["Content-Type"])
    if answer.status_code != 303:
        raise RuntimeError(f"The import answered {answer.status_code}: {answer.data[-2_000:]!r}")
    with app.app_context():
        if _state(answer.location) is not ImportState.READY:
            while worker.turn(app.extensions["portico"], "bench"):
                pass
        seconds = time.perf_counter() - begin
        if _state(answer.location) is not ImportState.READY:
            failed = db.session.query(jobs.Job.error).all()
            raise RuntimeError(f"The import is {_state(answer.location)}: {failed}")
    return seconds


def _state(address: str) -> ImportState:
    db.session.rollback()
    return db.session.get_one(Import, int(address.rsplit("/", 1)[1])).state
