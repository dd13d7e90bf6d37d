"""Databases of these tests: a SQLite file each, and PostgreSQL in a schema of its own where a server is given."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, insert, text

import portal.accounts.models
import portal.registry.models  # noqa: F401 - create_all needs all tables that others refer to
from portal.accounts.models import Team
from portal.db import Base, engine_options, engine_url, utcnow
from portal.registry.models import Consumer, Key
from portal.traffic.ingest import Ingest
from portal.traffic.models import ByConsumer, ByKey, ByOperation, Call, InAll, LogPosition, MisreadLine
from tests.postgres import own_schema
from tests.traffic import lines

CONSUMERS = 40
_WRITTEN = [table.__tablename__ for table in (Call, ByOperation, ByConsumer, ByKey, InAll, LogPosition, MisreadLine)]


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
