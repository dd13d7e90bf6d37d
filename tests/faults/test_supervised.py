"""`kill -9` of web, worker and node under `make run`: each comes back, the gateway does not notice, nothing is lost."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from bench import idle
from bench.population import Population
from bench.stack import PROGRAMS, Stack, stack
from bench.witness import witness
from portal.traffic.models import Call
from tests.faults.house import short_folder
from tests.gateway.envoy import wait_for


@pytest.fixture
def running() -> Iterator[Stack]:
    with (
        short_folder() as folder,
        stack(folder, Population(apis=2, keys=4, callers=2, subscriptions=4, plans=1)) as made,
    ):
        yield made


@pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_each_comes_back_and_the_gateway_does_not_notice(running: Stack, tmp_path: Path, times: int) -> None:
    right, port = running.rights[0], running.config.gateway_port
    with witness(port, right.path, right.key, rate=100, result=tmp_path / "seen") as seen:
        for _ in range(times):
            for name in PROGRAMS:
                ended, _ = running.kill(name)
                assert ended
                wait_for(lambda name=name, ended=ended: running.pids(name) - ended, f"another {name} runs")
                seen.sees_another()
            wait_for(lambda: idle.ask(running, "/readyz", {}) == 200, "the portal answers")
        calls = seen.end()

    assert calls.failures == {}
    wait_for(lambda: set(calls.answered) <= stored(running).keys(), "every answered call is stored")
    assert max(stored(running).values()) == 1


def stored(running: Stack) -> "Counter[bytes]":
    """Request id -> how many rows have it."""
    with Session(running.engine) as session:
        return Counter(map(bytes, session.scalars(select(Call.request_id))))
