"""A key filter whose script is broken, through a whole node: nobody is let in, and the node says so."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from portal.config import Config
from portal.gateway.filters import key
from tests import factories
from tests.gateway import running
from tests.gateway.envoy import Upstream, wait_for
from tests.gateway.test_node import Published, answer, published, view
from tests.nodes import StartNode


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


def ship(monkeypatch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    """A release whose script differs: as text, for Envoy runs the script and not we."""
    changed = change(key._SCRIPT)
    assert changed != key._SCRIPT
    monkeypatch.setattr(key, "_SCRIPT", changed)


def another_key(session: Session, good: Published) -> None:
    factories.key(session, factories.consumer(session))
    session.commit()


DOES_NOT_LOAD = {
    "no Lua": lambda script: "this is no Lua\n" + script,
    "raises while it loads": lambda script: "error('on purpose')\n" + script,
}


@pytest.mark.parametrize("change", DOES_NOT_LOAD.values(), ids=DOES_NOT_LOAD)
def test_script_that_does_not_load_leaves_the_former_one_and_is_named(
    config: Config,
    engine: Engine,
    start_node: StartNode,
    writing: Callable[[], Session],
    good: Published,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[str], str],
) -> None:
    start_node()
    assert answer(config, good) == 200
    ship(monkeypatch, change)
    with writing() as session:
        another_key(session, good)

    wait_for(lambda: view(engine).state == "troubled", "the node says that something is wrong")

    assert "Envoy refused the new keys and works with the former ones" in view(engine).problems[0].sentence
    assert answer(config, good) == 200
    assert answer(config, good._replace(key="pco_unknown")) == 401

    monkeypatch.undo()
    wait_for(lambda: view(engine).state == "serving", "the mended script is taken, without a new key")
    assert answer(config, good) == 200


def test_script_that_fails_in_every_call_lets_nobody_in(
    config: Config,
    engine: Engine,
    start_node: StartNode,
    writing: Callable[[], Session],
    good: Published,
    upstream: Upstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ship(monkeypatch, lambda script: script.replace("function envoy_on_request", "function nobody_calls_this"))
    start_node()
    reached = len(upstream.calls)

    assert {answer(config, good), answer(config, good._replace(key="pco_unknown"))} == {500}
    assert len(upstream.calls) == reached

    monkeypatch.undo()
    with writing() as session:
        another_key(session, good)
    wait_for(lambda: answer(config, good) == 200, "the mended script is taken")
