"""What tests of a node share: settings of a machine it may run on, nodes that stop at the end, a backend to call."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from portal.config import Config
from portal.gateway.node import Node
from portal.gateway.place import place_of
from portal.gateway.supervisor import Envoy, Gateway
from portal.programs import free_port


class StartNode(Protocol):
    def __call__(self, envoy: Gateway | None = None, *, engine: Engine | None = None, **options: Any) -> Node: ...


def config_in(folder: Path, **fields: Any) -> Config:
    """Of a node in `folder`, whose name must be short, on ports that nobody has."""
    values = {
        "data_dir": folder / "var",
        "gateway_port": free_port(),
        "port": free_port(),
        "gateway_workers": 1,
        "upstream_loopback": True,
        "node_name": "alpha",
    }
    return Config(**(values | fields))


@pytest.fixture
def node_config() -> Iterator[Config]:
    """For modules whose `config` is that of a node."""
    from tests.gateway import running  # pytest rewrites the assertions of a module only before its first import

    with running.place() as place:
        yield config_in(place.directory)


@pytest.fixture
def start_node(config: Config, engine: Engine) -> Iterator[StartNode]:
    """Starts a node with a real Envoy, unless given another. All of them are stopped at the end."""
    started: list[Node] = []
    usual = engine

    def start(envoy: Gateway | None = None, *, engine: Engine | None = None, **options: Any) -> Node:
        node = Node(config, engine or usual, envoy or Envoy(place_of(config)), **options)
        started.append(node)
        node.start()
        return node

    yield start
    for node in started:
        node.stop()


@pytest.fixture
def writing(engine: Engine) -> Callable[[], Session]:
    """Sessions as the portal's: each takes SQLite's write lock at its beginning."""
    return lambda: Session(engine.execution_options(sqlite_begin="IMMEDIATE"), expire_on_commit=False)
