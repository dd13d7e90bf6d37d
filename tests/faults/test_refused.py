"""What Envoy refuses while it runs or cannot start with: nobody is let in, and the last good state stays."""

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
from portal.programs import free_port
from portal.registry.models import Api
from tests import factories
from tests.gateway import running
from tests.gateway.envoy import Upstream, wait_for
from tests.gateway.test_node import Published, answer, published, view


class Trusting(Envoy):
    """Finds every configuration good beforehand, so that the running Envoy is the first to refuse one."""

    def validate(self, twin: bytes) -> str | None:
        return None


@pytest.fixture
def config() -> Iterator[Config]:
    with running.place() as place:
        yield Config(
            data_dir=place.directory / "var",
            gateway_port=free_port(),
            port=free_port(),
            gateway_workers=1,
            upstream_loopback=True,
            node_name="alpha",
        )


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with running.upstream() as server:
        yield server


@pytest.fixture
def good(engine: Engine, upstream: Upstream) -> Published:
    with writing(engine) as session:
        return published(session, upstream)


@pytest.fixture
def start(config: Config, engine: Engine) -> Iterator[Callable[[], Node]]:
    nodes: list[Node] = []

    def started() -> Node:
        nodes.append(Node(config, engine, Trusting(place_of(config))))
        nodes[-1].start()
        return nodes[-1]

    yield started
    for node in nodes:
        node.stop()


def writing(engine: Engine) -> Session:
    return Session(engine.execution_options(sqlite_begin="IMMEDIATE"), expire_on_commit=False)


def test_configuration_that_a_running_envoy_refuses_leaves_the_former_one(
    config: Config, engine: Engine, start: Callable[[], Node], upstream: Upstream, good: Published
) -> None:
    start()
    assert answer(config, good) == 200
    with writing(engine) as session:
        bad = published(session, upstream, upstream={"targets": [{"url": "https://localhost:9"}], "ca_pem": "none"})

    wait_for(lambda: view(engine).state == "troubled", "the node says that something is wrong")

    (problem,) = view(engine).problems
    assert problem.api == ""
    assert "Envoy refused cds/cds.json, so the former configuration stays" in problem.sentence
    assert (answer(config, good), answer(config, bad)) == (200, 404)

    with writing(engine) as session:
        api = session.get_one(Api, bad.id)
        values = api.draft | {"upstream": {"targets": [{"url": f"http://localhost:{upstream.port}"}]}}
        registry.save_draft(session, api, factories.document(**values), by=None, expected=api.draft_number)
        registry.publish(session, api, by=None, expected=api.draft_number)
        session.commit()
    wait_for(lambda: answer(config, bad) == 200, "the mended release is live")
    wait_for(lambda: view(engine).state == "serving", "the node has no complaint any more")


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


FILES = ["keys/keys.json", "data/*.bin", "limits/limits.json", "rds/rds.json", "cds/cds.json", "lds/lds.json"]


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
    config: Config, engine: Engine, start: Callable[[], Node], good: Published, file: str, harm: Callable[[Path], None]
) -> None:
    start().stop()
    for path in config.gateway_dir.glob(file):
        harm(path)

    start()

    wait_for(lambda: answer(config, good) == 200, "the key works")
    assert running.status_of(config.gateway_port, good.path, {"X-API-Key": "pco_unknown"}) == 401
    assert running.status_of(config.gateway_port, good.path) == 401


@pytest.mark.parametrize(
    ("file", "harm"),
    [("keys/keys.json", _missing), ("keys/keys.json", _torn), ("data/*.bin", _missing), ("data/*.bin", _damaged)],
    ids=lambda value: value.__name__.strip("_") if callable(value) else value,
)
def test_without_keys_and_database_nobody_is_let_in(
    config: Config, engine: Engine, start: Callable[[], Node], good: Published, file: str, harm: Callable[[Path], None]
) -> None:
    start().stop()
    for path in config.gateway_dir.glob(file):
        harm(path)
    database = config.data_dir / "portico.sqlite3"
    engine.dispose()
    elsewhere = database.rename(config.data_dir / "elsewhere")
    database.mkdir()  # so that there is nothing to open

    start()
    assert answer(config, good) == 401
    database.rmdir()
    elsewhere.rename(database)

    wait_for(lambda: answer(config, good) == 200, "the node has found its database")
