"""Databases of these tests: a SQLite file each, and PostgreSQL in a schema of its own where a server is given."""

from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, delete, insert, select, text

import portal.accounts.models
import portal.registry.models  # noqa: F401 - create_all needs all tables that others refer to
from portal.accounts.models import Team
from portal.db import Base, engine_options, engine_url, utcnow
from portal.registry.models import Api, Consumer, Key, OpenAPIDocument, Operation, Release
from portal.traffic.ingest import Ingest
from portal.traffic.models import (
    ByConsumer,
    ByConsumerOperation,
    ByKey,
    ByOperation,
    Call,
    InAll,
    KeyUse,
    LogPosition,
    MisreadLine,
)
from tests.postgres import own_schema
from tests.traffic import lines

CONSUMERS = 40
_WRITTEN = [
    table.__tablename__
    for table in (Call, ByOperation, ByConsumer, ByKey, KeyUse, ByConsumerOperation, InAll, LogPosition, MisreadLine)
]


@pytest.fixture
def sqlite_engine(tmp_path: Path) -> Iterator[Engine]:
    url = engine_url(f"sqlite:///{tmp_path / 'portico.sqlite3'}")
    engine = create_engine(url, **engine_options(url))
    Base.metadata.create_all(engine)
    _fill(engine)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def postgres_schema(postgres_server: str) -> Iterator[Engine]:
    with own_schema(postgres_server) as engine:
        _fill(engine)
        yield engine


@pytest.fixture
def postgres_engine(postgres_schema: Engine) -> Iterator[Engine]:
    yield postgres_schema
    with postgres_schema.begin() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(_WRITTEN)}"))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest) -> Engine:
    """A database with consumers 1 to 40, each with the key of its number."""
    return request.getfixturevalue(f"{request.param}_engine")


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    (tmp_path / "log").mkdir()
    return tmp_path / "log" / "access.log"


@pytest.fixture
def store_lines(engine: Engine, log_path: Path) -> Callable[..., None]:
    """Puts log lines into the database, by way of ingest."""

    def store(*some: bytes) -> None:
        with log_path.open("ab") as log:
            log.writelines(some)
        Ingest(engine, node="one", log_path=log_path).drain()

    return store


@pytest.fixture
def describe(engine: Engine) -> Iterator[Callable[..., None]]:
    """`describe(7, 2, [("GET", "/things/{id}", "getThing")])`: release 2 of API 7 has these operations."""
    yield partial(_describe, engine)
    with engine.begin() as connection:
        for table in (Release, Api, OpenAPIDocument):
            connection.execute(delete(table))


def _describe(engine: Engine, api: int, release: int, operations: list[tuple[str, str, str]]) -> None:
    digest = sha256(repr(operations).encode()).hexdigest()
    with engine.begin() as connection:
        if connection.scalar(select(Api.id).where(Api.id == api)) is None:
            names = {"slug": f"service-{api}", "version": "v1", "name": f"Service {api}"}
            connection.execute(insert(Api).values(id=api, team_id=1, draft={}, **names))
        connection.execute(insert(Release).values(api_id=api, number=release, document={"openapi": digest}))
        if connection.scalar(select(OpenAPIDocument.size).where(OpenAPIDocument.sha256 == digest)) is None:
            facts = {"facts": {}, "operation_count": len(operations)}
            connection.execute(insert(OpenAPIDocument).values(sha256=digest, packed=b"", size=0, **facts))
            for n, (method, path, name) in enumerate(operations):
                rest = {"summary": "", "tags": [], "content": b"{}"}
                connection.execute(
                    insert(Operation).values(sha256=digest, position=n, name=name, method=method, path=path, **rest)
                )


def _fill(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(Team).values(id=1, slug="team", name="Team"))
        connection.execute(
            insert(Consumer),
            [
                {"id": n, "public_id": lines.consumer_id(n), "team_id": 1, "slug": f"app-{n}", "name": f"App {n}"}
                | {"description": "", "created_at": utcnow()}
                for n in range(1, CONSUMERS + 1)
            ],
        )
        connection.execute(
            insert(Key),
            [
                {"id": n, "public_id": lines.key_id(n), "sha256": n.to_bytes(32, "big"), "consumer_id": n}
                | {"label": "", "created_at": utcnow()}
                for n in range(1, CONSUMERS + 1)
            ],
        )
