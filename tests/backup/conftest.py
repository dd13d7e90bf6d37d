"""Installations to back up and to restore into, on both databases."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from portal import migrate, schema
from portal.config import Config, kept_secret
from portal.db import engine_options, engine_url
from portal.vault import Vault
from tests import factories
from tests.web import logged


class Installation:
    """A data folder and its database."""

    def __init__(self, config: Config) -> None:
        self.config = config
        config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        url = engine_url(config.database_url)
        self.engine = create_engine(url, **engine_options(url))

    @property
    def log(self) -> Path:
        return self.config.data_dir / "access.log"

    def fill(self) -> "Installation":
        """One of each thing, a call with its line in the log, a misread line, and generated secrets."""
        migrate.upgrade(self.engine)
        with Session(self.engine) as session:
            team = factories.team(session, name="Läufer\t\\N")
            api = factories.api(session, team=team, live=True, plans=[factories.plan(session, team=team)])
            consumer = factories.consumer(session, team=team)
            factories.subscription(session, consumer, api)
            key, _ = factories.key(session, consumer)
            session.commit()
            call = logged.line(api, consumer, key)
        logged.store(self.engine, self.config.data_dir, call, b"no call\n")
        kept_secret(self.config.data_dir, "secret_key")
        Vault.of(self.config).seal(b"")
        return self

    def stop(self) -> "Installation":
        self.engine.dispose()
        return self

    def contents(self) -> dict[str, list[Any]]:
        """Every row of every table."""
        with self.engine.connect() as connection:
            return {
                table.name: sorted(map(repr, connection.execute(select(table)).all()))
                for table in schema.metadata.sorted_tables
            }


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def new(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Installation]]:
    """Makes an installation in a folder of this name, with an empty database."""
    made: list[Installation] = []
    server = request.getfixturevalue("postgres_url") if request.param == "postgresql" else None

    def install(name: str) -> Installation:
        config = Config(data_dir=tmp_path / name)
        if server is not None:
            url = make_url(server)
            database = f"{url.database}_{name}"
            with psycopg.connect(server, autocommit=True) as connection:
                connection.execute(f'CREATE DATABASE "{database}"')
            address = url.set(database=database).render_as_string(hide_password=False)
            config = Config(data_dir=tmp_path / name, database_url=address)
        made.append(Installation(config))
        return made[-1]

    yield install
    for each in made:
        each.engine.dispose()
        if server is not None:
            with psycopg.connect(server, autocommit=True) as connection:
                connection.execute(f'DROP DATABASE "{each.engine.url.database}" WITH (FORCE)')


def touched(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT n FROM revision").scalar_one())
