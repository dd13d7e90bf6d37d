"""The registry's promises hold on both databases: every test here runs on SQLite and on PostgreSQL."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, insert, text

from portal import schema
from portal.config import Config
from portal.db import engine_options, engine_url
from portal.registry.models import Revision
from tests.postgres import own_schema
from tests.registry import racing


@pytest.fixture(scope="session")
def postgres_schema(postgres_server: str) -> Iterator[Engine]:
    with own_schema(postgres_server) as engine:
        yield engine


@pytest.fixture
def postgres_engine(postgres_schema: Engine) -> Iterator[Engine]:
    with postgres_schema.begin() as connection:
        connection.execute(insert(Revision).values(id=1, n=0))
    yield postgres_schema
    with postgres_schema.begin() as connection:
        tables = ", ".join(f'"{name}"' for name in schema.metadata.tables)
        connection.execute(text(f"TRUNCATE {tables} CASCADE"))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest, config: Config, empty_database: Path) -> Iterator[Engine]:
    if request.param == "postgres":
        yield request.getfixturevalue("postgres_engine")
        return
    url = engine_url(f"sqlite:///{config.data_dir.parent / 'portico.sqlite3'}")
    (config.data_dir.parent / "portico.sqlite3").write_bytes(empty_database.read_bytes())
    made = create_engine(url, **engine_options(url))
    yield made
    made.dispose()


@pytest.fixture
def at_once(engine: Engine) -> Callable[..., list[Exception | None]]:
    return partial(racing.at_once, engine)
