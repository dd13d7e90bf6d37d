"""The registry's promises hold on both databases: every test here runs on SQLite and on PostgreSQL."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, insert, text

from portal import schema
from portal.config import Config
from portal.db import engine_options, engine_url
from portal.registry.models import Revision


@pytest.fixture(scope="session")
def postgres_schema(postgres_server: str) -> Iterator[Engine]:
    """One schema for all tests here, because making its tables takes longer than most of them."""
    name = f"registry_{uuid.uuid4().hex[:12]}"
    engine = create_engine(engine_url(postgres_server), connect_args={"options": f"-csearch_path={name}"})
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
        schema.metadata.create_all(connection)
    yield engine
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
    engine.dispose()


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
