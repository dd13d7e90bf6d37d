"""Keys that are revoked, have expired or are gone: refused by a real Envoy, at once and for good."""

import http.client
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, delete
from sqlalchemy.orm import Session

from portal import registry
from portal.config import Config
from portal.db import utcnow
from portal.gateway.node import Node
from portal.gateway.place import place_of
from portal.gateway.supervisor import Envoy
from portal.registry.keys import bury
from portal.registry.models import Key
from tests import factories
from tests.gateway import running
from tests.gateway.conftest import SUBSCRIBER, api, key, token_of, world
from tests.gateway.envoy import Gateway, free_port, wait_for
from tests.gateway.trust.wire import Recorder

pytestmark = pytest.mark.envoy


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
def writing(engine: Engine) -> Callable[[], Session]:
    return lambda: Session(engine.execution_options(sqlite_begin="IMMEDIATE"), expire_on_commit=False)


class Caller:
    """Calls with one key over one connection that stays open, as clients do."""

    def __init__(self, port: int, token: str) -> None:
        self._token = token
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def __call__(self) -> tuple[int, str]:
        """Status and reason; 0 where nobody answers."""
        try:
            self._connection.request("GET", "/orders/v1/x", headers={"X-API-Key": self._token})
            answer = self._connection.getresponse()
            body = answer.read().decode()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return 0, ""
        return answer.status, body.partition('"reason":"')[2].partition('"')[0]

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def calling() -> Iterator[Callable[[int, str], Caller]]:
    made: list[Caller] = []

    def make(port: int, token: str) -> Caller:
        made.append(Caller(port, token))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_revoked_and_deleted_ones_stay_out_even_when_envoy_is_killed(
    config: Config,
    engine: Engine,
    writing: Callable[[], Session],
    recorder: Recorder,
    calling: Callable[[int, str], Caller],
) -> None:
    recorder.forget()
    with writing() as session:
        target = {"targets": [{"url": f"http://127.0.0.1:{recorder.port}"}]}
        row = factories.api(session, live=True, upstream=target, path="/orders/v1")
        consumer = factories.consumer(session)
        factories.subscription(session, consumer, row, factories.plan(session, team=row.team, per_second=None))
        made = [factories.key(session, consumer) for _ in range(4)]
        session.commit()
    numbers = [each.id for each, _ in made]
    revoked, buried, deleted, good = (calling(config.gateway_port, token.value) for _, token in made)
    node = Node(config, engine, Envoy(place_of(config)))
    node.start()
    try:
        for call in (revoked, buried, deleted, good):
            wait_for(lambda call=call: call() == (200, ""), "the key is good")

        with writing() as session:
            registry.revoke(session, session.get_one(Key, numbers[0]))
            session.get_one(Key, numbers[1]).revoked_at = utcnow() - timedelta(days=31)
            session.flush()
            assert bury(session, now=utcnow()) == 1
            session.execute(delete(Key).where(Key.id == numbers[2]))
            session.commit()

        wait_for(lambda: revoked() == (401, "key_revoked"), "the revoked key is refused")
        wait_for(lambda: buried() == (401, "key_unknown"), "the buried key is refused")
        wait_for(lambda: deleted() == (401, "key_unknown"), "the deleted key is refused")
        reached = len(recorder.calls)
        (pid,) = running.envoys_of(config.gateway_dir)
        os.kill(pid, signal.SIGKILL)

        def serves_again() -> bool:
            assert {call()[0] for call in (revoked, buried, deleted)} <= {0, 401}
            return good() == (200, "")

        wait_for(serves_again, "another Envoy serves")
        wait_for(lambda: revoked() == (401, "key_revoked"), "the next Envoy knows it too")
        # Only the good key's calls arrived.
        assert len(recorder.calls) == reached + 1
    finally:
        node.stop()


@pytest.mark.parametrize(("end", "reason"), [("expires", "key_expired"), ("revoked", "key_revoked")])
def test_one_whose_time_comes_is_refused_with_nobody_there_but_envoy(
    gateway: Gateway, recorder: Recorder, calling: Callable[[int, str], Caller], end: str, reason: str
) -> None:
    recorder.forget()
    everything = world(api(1, recorder.port, path="/orders/v1"))
    others = [each for each in everything.keys if each.sha256 != token_of(SUBSCRIBER).sha256]
    soon = int(time.time()) + 3
    gateway.publish(replace(everything, keys=[key(SUBSCRIBER, 1, **{end: soon}), *others]))
    call = calling(gateway.place.port, token_of(SUBSCRIBER).value)

    # Decisions are kept by the filter, and this one must not outlive the key.
    assert call() == (200, "")
    wait_for(lambda: call() == (401, reason), "its time comes")

    assert time.time() >= soon
    reached = len(recorder.calls)
    assert call() == (401, reason)
    assert len(recorder.calls) == reached
