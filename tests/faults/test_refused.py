"""What Envoy refuses while it runs or cannot start with: nobody is let in, and the last good state stays."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from portal import registry
from portal.config import Config
from portal.gateway.node import Node
from portal.gateway.place import place_of
from portal.gateway.supervisor import Envoy
from portal.registry.models import Api
from tests import factories
from tests.gateway import running
from tests.gateway.envoy import Upstream, wait_for
from tests.gateway.test_node import Published, answer, published, view
from tests.nodes import StartNode

StartTrusting = Callable[[], Node]
Harm = Callable[[Path], None]


class Trusting(Envoy):
    """Finds every configuration good beforehand, so that the running Envoy is the first to refuse one."""

    def validate(self, twin: bytes) -> str | None:
        return None


@pytest.fixture
def config(node_config: Config) -> Config:
    return node_config


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with running.upstream() as server:
        yield server


@pytest.fixture
def good(writing: Callable[[], Session], upstream: Upstream) -> Published:
    with writing() as session:
        return published(session, upstream)


@pytest.fixture
def start(config: Config, start_node: StartNode) -> Callable[[], Node]:
    return lambda: start_node(Trusting(place_of(config)))


def test_configuration_that_a_running_envoy_refuses_leaves_the_former_one(
    config: Config,
    engine: Engine,
    start: StartTrusting,
    writing: Callable[[], Session],
    upstream: Upstream,
    good: Published,
) -> None:
    start()
    assert answer(config, good) == 200
    with writing() as session:
        bad = published(session, upstream, upstream={"targets": [{"url": "https://localhost:9"}], "ca_pem": "none"})

    wait_for(lambda: view(engine).state == "troubled", "the node says that something is wrong")

    (problem,) = view(engine).problems
    assert problem.api == ""
    assert "Envoy refused cds/cds.json, so the former configuration stays" in problem.sentence
    assert (answer(config, good), answer(config, bad)) == (200, 404)

    with writing() as session:
        api = session.get_one(Api, bad.id)
        values = api.draft | {"upstream": {"targets": [{"url": f"http://localhost:{upstream.port}"}]}}
        registry.save_draft(session, api, factories.document(**values), by=None, expected=api.draft_number)
        registry.publish(session, api, by=None, expected=api.draft_number)
        session.commit()
    wait_for(lambda: answer(config, bad) == 200, "the mended release is live")
    wait_for(lambda: view(engine).state == "serving", "the node has no complaint any more")


def test_limits_of_a_new_plan_hold_although_its_routes_are_refused(
    config: Config, engine: Engine, start: StartTrusting, writing: Callable[[], Session], upstream: Upstream
) -> None:
    with writing() as session:
        first = published(session, upstream)
    start()
    with writing() as session:
        api = session.get_one(Api, first.id)
        consumer = factories.consumer(session)
        few = factories.plan(session, team=api.team, per_second=None, per_minute=2)
        factories.subscription(session, consumer, api, few)
        limited = first._replace(key=factories.key(session, consumer)[1].value)
        published(session, upstream, upstream={"targets": [{"url": "https://localhost:9"}], "ca_pem": "none"})

    wait_for(lambda: view(engine).state == "troubled", "the node says that something is wrong")

    # Envoy takes the keys up by itself, a little after the node wrote them; a refused call uses nothing up.
    wait_for(lambda: answer(config, limited) == 200, "the new key works")
    assert [answer(config, limited) for _ in range(2)] == [200, 429]


def _missing(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


FILES = [
    "keys/keys.json",
    "data/*.bin",
    "limits/limits.json",
    "operations/operations.json",
    "overall/overall.json",
    "jwt/jwt.json",
    "rds/rds.json",
    "cds/cds.json",
    "lds/lds.json",
]


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(_missing, id="missing"),
        pytest.param(_damaged, id="damaged"),
        pytest.param(_empty, id="empty", marks=pytest.mark.slow),
        pytest.param(_torn, id="torn", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("file", FILES)
def test_file_that_was_harmed_while_all_was_stopped_is_made_anew(
    config: Config, engine: Engine, start: StartTrusting, good: Published, file: str, harm: Harm
) -> None:
    start().stop()
    for path in config.gateway_dir.glob(file):
        harm(path)

    start()

    wait_for(lambda: answer(config, good) == 200, "the key works")
    assert running.status_of(config.gateway_port, good.path, {"X-API-Key": "pco_unknown"}) == 401
    assert running.status_of(config.gateway_port, good.path) == 401


class TestLimitsWithoutDatabase:
    """The limits are harmed while all is stopped, and nobody can say what they were."""

    @pytest.fixture
    def limited(self, writing: Callable[[], Session], upstream: Upstream) -> Published:
        with writing() as session:
            team = factories.team(session)
            plan = factories.plan(session, team=team, per_second=None, per_minute=2)
            return published(session, upstream, team=team, plans=[plan])

    @pytest.mark.parametrize("harm", [_missing, _damaged, _empty, _torn], ids=lambda harm: harm.__name__.strip("_"))
    def test_the_last_good_ones_hold(
        self,
        config: Config,
        engine: Engine,
        start: StartTrusting,
        limited: Published,
        harm: Harm,
    ) -> None:
        start().stop()
        harm(config.gateway_dir / "limits" / "limits.json")

        with away(config, engine):
            start()
            assert [answer(config, limited) for _ in range(3)] == [200, 200, 429]

    @pytest.mark.parametrize("harm", [_missing, _damaged], ids=lambda harm: harm.__name__.strip("_"))
    def test_without_a_copy_nobody_is_let_through(
        self,
        config: Config,
        engine: Engine,
        start: StartTrusting,
        limited: Published,
        harm: Harm,
    ) -> None:
        start().stop()
        for name in ("limits", "good"):
            harm(config.gateway_dir / name / "limits.json")

        with away(config, engine):
            start()
            assert [answer(config, limited) for _ in range(3)] == [429, 429, 429]
            assert running.status_of(config.gateway_port, limited.path) == 401
        wait_for(lambda: answer(config, limited) == 200, "the node has found its database")


@contextlib.contextmanager
def away(config: Config, engine: Engine) -> Iterator[None]:
    database = config.data_dir / "portico.sqlite3"
    engine.dispose()
    elsewhere = database.rename(config.data_dir / "elsewhere")
    database.mkdir()  # so that there is nothing to open
    yield
    database.rmdir()
    elsewhere.rename(database)


@pytest.mark.parametrize(
    ("file", "harm"),
    [("keys/keys.json", _missing), ("keys/keys.json", _torn), ("data/*.bin", _missing), ("data/*.bin", _damaged)],
    ids=lambda value: value.__name__.strip("_") if callable(value) else value,
)
def test_without_keys_and_database_nobody_is_let_in(
    config: Config, engine: Engine, start: StartTrusting, good: Published, file: str, harm: Harm
) -> None:
    start().stop()
    for path in config.gateway_dir.glob(file):
        harm(path)

    with away(config, engine):
        start()
        assert answer(config, good) == 401

    wait_for(lambda: answer(config, good) == 200, "the node has found its database")
