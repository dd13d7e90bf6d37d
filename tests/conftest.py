"""The fixtures that all rooms share. The cast is always the same: see `Cast`."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import settings
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, object_session

from portal import accounts, create_app, schema
from portal.accounts import Person, Role, Team
from portal.config import Config, kept_secret
from portal.db import db, engine_options, engine_url, existing, utcnow
from portal.registry.models import Revision
from tests import factories

# A busy machine is no reason to fail, nor is luck: every run tries the same examples. SLOW=1 looks for new ones.
settings.register_profile("portico", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile("portico")

pytest_plugins = ["tests.postgres", "tests.skips", "tests.nodes"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write what the compiler makes now as goldens")


@dataclass
class Cast:
    """One team that may publish, and how five people stand to it."""

    team: Team
    owner: Person
    publisher: Person
    developer: Person
    stranger: Person
    administrator: Person


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the schema and nothing else; tests copy it, which is faster than making it."""
    path = tmp_path_factory.mktemp("schema") / "portico.sqlite3"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        schema.metadata.create_all(connection)
    with Session(engine) as session:
        session.add(Revision(id=1, n=0))
        session.commit()
    engine.dispose()
    return path


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(data_dir=tmp_path / "var", upstream_loopback=True)


@pytest.fixture
def engine(config: Config, empty_database: Path) -> Iterator[Engine]:
    """The database of `app`, without Flask: enough for the rooms below the pages."""
    config.data_dir.mkdir(mode=0o700)
    shutil.copy(empty_database, config.data_dir / "portico.sqlite3")
    url = engine_url(config.database_url)
    engine = create_engine(existing(url), **engine_options(url))
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session of the test's own. Commit what the app must see; `rollback()` before looking at what it did."""
    with Session(engine) as session:
        yield session


Apps = dict[Config, tuple[Flask, dict[str, Any], dict[str, Any]]]
"""Settings but for the data folder -> the app that was made with them, and its settings and extensions as they were."""
MOST_APPS = 8


@pytest.fixture(scope="session")
def apps() -> Apps:
    """Those that tests have in common: to make one, with its 400 routes and its templates, takes longer than a test."""
    return {}


@pytest.fixture
def app(config: Config, engine: Engine, apps: Apps) -> Iterator[Flask]:
    """The portal at this test's database. A test that adds routes takes `own_app` instead."""
    own = Config(data_dir=config.data_dir).database_url
    alike = replace(config, data_dir=Path(), database_url="" if config.database_url == own else config.database_url)
    if alike not in apps:
        if len(apps) == MOST_APPS:
            del apps[next(iter(apps))]
        made = _made(config)
        apps[alike] = made, dict(made.config), dict(made.extensions)
    app, settings_, extensions = apps[alike]
    app.config.clear()
    app.config.update(settings_, SECRET_KEY=config.secret_key or kept_secret(config.data_dir, "secret_key"))
    app.extensions.clear()
    app.extensions.update(extensions, portico=config)
    url = engine_url(config.database_url)
    with app.app_context():
        db.engines[None] = create_engine(existing(url), **engine_options(url))
    yield app
    _end(app)


@pytest.fixture
def own_app(config: Config, engine: Engine) -> Iterator[Flask]:
    app = _made(config)
    yield app
    _end(app)


def _made(config: Config) -> Flask:
    return create_app(
        config,
        overrides={
            "TESTING": True,
            # The real hash with its cheapest settings: what is tested is that passwords are checked, not how slowly.
            "SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS": {
                "argon2__time_cost": 1,
                "argon2__memory_cost": 8,
                "argon2__parallelism": 1,
            },
        },
    )


def _end(app: Flask) -> None:
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser that nobody is signed in with; forms go without their CSRF token unless a test asks for it."""
    app.config["WTF_CSRF_ENABLED"] = False
    client = app.test_client()
    client.environ_base["HTTP_ACCEPT"] = "text/html"
    return client


@pytest.fixture
def cast(session: Session) -> Cast:
    owner = factories.person(session, name="Olga Owner")
    team = factories.team(session, owner=owner, slug="cast", name="The Cast")
    made = Cast(
        team,
        owner,
        factories.member(session, team, Role.PUBLISHER),
        factories.member(session, team, Role.DEVELOPER),
        factories.person(session, name="Sam Stranger"),
        factories.person(session, name="Ada Administrator", is_administrator=True),
    )
    session.commit()
    return made


def sign_in(client: FlaskClient, person: Person | None) -> FlaskClient:
    """Put `person` behind this browser, without the form; None signs out."""
    token = accounts.sessions.new_token()
    if person is not None:
        uniquifier = person.fs_uniquifier
        if (own := object_session(person)) is not None:
            own.commit()  # what the test has read must not hold up what it writes later
        with client.application.app_context(), db.begin() as session:
            begun = accounts.sessions.begin(session, uniquifier, token, now=utcnow())
            assert begun is not None, "this person cannot sign in"
    with client.session_transaction() as cookie:
        cookie.clear()
        if person is not None:
            cookie["_user_id"] = token
            cookie["_fresh"] = True
    return client
