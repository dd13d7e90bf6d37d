"""What people do all day, done under load: no call fails for it, no stream ends, no used-up limit is filled again."""

import http.client
import os
from datetime import UTC
from pathlib import Path
from statistics import mean

import pytest
from sqlalchemy import select

from portal import registry
from portal.registry.models import Consumer, Plan, Revision
from tests import factories
from tests.faults.house import House, published
from tests.gateway import running
from tests.gateway.envoy import wait_for


def until_live(home: House) -> None:
    with home.session() as session:
        revision = session.scalar(select(Revision.n)) or 0
    wait_for(lambda: home.view().revision >= revision, "what was changed is live")


@pytest.mark.parametrize(
    ("publishes", "key_changes", "limit_changes"), [(5, 10, 2), pytest.param(100, 200, 20, marks=pytest.mark.slow)]
)
def test_no_call_fails_for_publishes_keys_and_limits(
    home: House, publishes: int, key_changes: int, limit_changes: int
) -> None:
    todo = ["publish"] * publishes + ["key"] * key_changes + ["limit"] * limit_changes
    with home.load(2_000) as seen:
        for n, what in sorted(enumerate(todo), key=lambda each: each[0] * 7_919 % len(todo)):
            if what == "publish":
                path = home.publish_another()
                wait_for(lambda path=path: home.answers(path=path) == 200, "the new API answers")
            elif what == "key":
                key = home.issue()
                wait_for(lambda key=key: home.answers(key) == 200, "the new key works")
                with home.session() as session:
                    row = session.scalars(select(registry.models.Key).order_by(registry.models.Key.id.desc())).first()
                    registry.revoke(session, row)
                    session.commit()
                wait_for(lambda key=key: home.answers(key) == 401, "the revoked key does not")
            else:
                change_limits(home, 100_000 + n)
                until_live(home)
        calls = seen.end()
    home.stop_node()

    assert calls.failures == {}
    home.assert_stored_once(calls)


@pytest.mark.parametrize("rounds", [6, pytest.param(600, marks=pytest.mark.slow)])
def test_memory_stays_flat_under_a_mixed_load(home: House, rounds: int) -> None:
    measured: list[tuple[int, int]] = []
    with home.load(1_000) as seen:
        # What is filled once, as the pools and caches of the first calls and publishes, does not count.
        for n in range(3 + rounds):
            seen.sees_another(500)
            key = home.issue()
            wait_for(lambda key=key: home.answers(key) == 200, "the new key works")
            if n % 20 == 0:
                change_limits(home, 100_000 + n)
            if n >= 3:
                measured.append((resident(home.node.pid), resident(home.envoy())))
        calls = seen.end()

    assert calls.failures == {}
    for process in zip(*measured, strict=True):
        first, second = halves(list(process))
        assert second < first * 1.2 + 10_000_000


def resident(pid: int) -> int:
    """Bytes of memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def halves(values: list[int]) -> tuple[float, float]:
    """The means of the first and of the second half."""
    middle = len(values) // 2
    return mean(values[:middle]), mean(values[middle:])


def change_limits(home: House, per_second: int) -> None:
    with home.session() as session:
        plan = session.get_one(Plan, 1)
        registry.change_plan(
            session,
            plan,
            zone=UTC,
            name=plan.name,
            description="",
            per_second=per_second,
            per_second_burst=None,
            per_minute=6_000_000,
            per_minute_burst=None,
        )
        session.commit()


def test_streams_and_used_up_limits_outlive_twenty_publishes(on_sqlite: House) -> None:
    home = on_sqlite
    with running.upstream() as upstream:
        with home.session() as session:
            consumer = session.get_one(Consumer, 1)
            streaming = published(session, consumer, upstream.port)
            limited = published(session, consumer, home.backend.port, per_second=1, per_minute=1)
            session.commit()
        wait_for(lambda: home.answers(path=limited) == 429, "the limit is used up")
        wait_for(lambda: home.answers(path=f"{streaming}/echo") == 200, "the stream's API is live")
        connection = http.client.HTTPConnection("127.0.0.1", home.config.gateway_port, timeout=20)
        connection.request("GET", f"{streaming}/stream?lines=21", headers={"X-API-Key": home.key})
        answer = connection.getresponse()
        lines, limits = [], []
        for number in range(21):
            if number:
                key, path = home.issue(), home.publish_another()
                with home.session() as session:
                    other = factories.consumer(session)
                    published(session, other, home.backend.port, plan=session.get_one(Plan, 1))
                    session.commit()
                wait_for(lambda key=key, path=path: home.answers(key, path) == 200, "key and API are live")
            upstream.line.release()
            lines.append(answer.readline())
            answer.readline()
            limits.append(home.answers(path=limited))
        connection.close()

    assert lines == [b"data: %d\n" % number for number in range(21)]
    assert set(limits) == {429}
