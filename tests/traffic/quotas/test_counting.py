"""Calls that ingest counts against quotas, and what it blocks in the transaction that stores them."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, event, select
from sqlalchemy.orm import Session

from portal import registry
from portal.registry import revision
from portal.registry.models import Consumer, QuotaNotice, QuotaUse, Subscription
from portal.traffic.ingest import Ingest
from portal.traffic.models import Call, microseconds
from tests import factories
from tests.traffic.lines import line, refused, request_id

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TOMORROW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def subscription(session: Session) -> Subscription:
    plan = factories.plan(session, per_second=None, per_minute=None, quota_day=10)
    api = factories.api(session, team=plan.team, live=True, plans=[plan])
    factories.subscription(session, factories.consumer(session), api)
    found = factories.subscription(session, factories.consumer(session), api)
    session.commit()
    return found


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


def calls(subscription: Subscription, count: int, at: datetime = NOON, **fields) -> list[bytes]:
    known = {"r": f"{subscription.api_id}|1|h|0||x", "s": str(subscription.id), "pl": str(subscription.plan_id)}
    known["c"] = subscription.consumer.public_id
    first = microseconds(at)
    return [line(first + n, **known | {"id": request_id(first + n, n)} | fields) for n in range(count)]


def store(engine: Engine, log: Path, *some: list[bytes], now: datetime = NOON, node: str = "one", **more) -> Ingest:
    with log.open("ab") as file:
        for lines in some:
            file.writelines(lines)
    ingest = Ingest(engine, node=node, log_path=log, clock=lambda: now, **more)
    ingest.drain()
    return ingest


def counted(session: Session) -> dict[tuple[int, date], int]:
    session.rollback()
    rows = session.execute(select(QuotaUse.subscription_id, QuotaUse.day, QuotaUse.calls))
    return {(number, day): count for number, day, count in rows}


def stands(session: Session, subscription: Subscription) -> tuple[datetime | None, int]:
    session.rollback()
    return subscription.blocked_until, revision.current(session)


class TestCounting:
    def test_calls_that_reached_the_upstream_count_whatever_it_answered(self, engine, log, session, subscription):
        store(
            engine,
            log,
            calls(subscription, 3),
            calls(subscription, 2, st=500),
            calls(subscription, 1, st=0, f="DC", d="downstream_remote_disconnect"),
            calls(subscription, 5, **refused(st=403, rs="not_subscribed")),
            calls(subscription, 5, up=None, us=None, st=429, f="RL", d="local_rate_limited"),
            calls(subscription, 5, st=503, f="UF", d="upstream_reset_before_response_started{connection_failure}"),
            calls(subscription, 5, s=None),
        )

        assert counted(session) == {(subscription.id, NOON.date()): 6}

    def test_days_are_those_of_the_zone(self, engine, log, session, subscription):
        zone = ZoneInfo("America/New_York")
        changes = datetime(2026, 11, 1, 4, 59, 59, tzinfo=UTC)  # the day on which the clocks there go back
        for at in (changes - timedelta(hours=1), changes + timedelta(seconds=1), changes + timedelta(hours=24)):
            store(engine, log, calls(subscription, 1, at), zone=zone)

        assert counted(session) == {
            (subscription.id, date(2026, 10, 31)): 1,
            (subscription.id, date(2026, 11, 1)): 2,
        }

    def test_late_lines_count_in_their_own_day_and_block_nothing_today(self, engine, log, session, subscription):
        store(engine, log, calls(subscription, 50, NOON - timedelta(days=1)))

        assert counted(session) == {(subscription.id, date(2026, 11, 19)): 50}
        assert stands(session, subscription)[0] is None

    def test_lines_that_are_read_again_count_once(self, engine, log, session, subscription):
        store(engine, log, calls(subscription, 4))
        store(engine, log)

        assert counted(session) == {(subscription.id, NOON.date()): 4}

    def test_nodes_count_together(self, engine, log, session, subscription, tmp_path):
        store(engine, log, calls(subscription, 6))
        store(engine, tmp_path / "other.log", calls(subscription, 4), node="two")

        assert counted(session) == {(subscription.id, NOON.date()): 10}
        assert stands(session, subscription)[0] == TOMORROW

    def test_a_year_that_no_calendar_has_is_stored_and_not_counted(self, engine, log, session, subscription):
        store(engine, log, calls(subscription, 1, id=None, t=str(270_000_000_000_000_000)), calls(subscription, 1))

        assert counted(session) == {(subscription.id, NOON.date()): 1}
        assert len(session.scalars(select(Call.at)).all()) == 2

    def test_calls_of_a_subscription_that_is_gone_harm_nothing(self, engine, log, session, subscription):
        lines = calls(subscription, 20)
        registry.delete_consumer(session, session.get_one(Consumer, subscription.consumer_id))
        session.commit()

        store(engine, log, lines)

        assert len(session.scalars(select(Call.at)).all()) == 20


class TestBlocking:
    def test_the_last_call_blocks_and_tells_the_nodes_once(self, engine, log, session, subscription):
        before = revision.current(session)
        store(engine, log, calls(subscription, 9))
        assert stands(session, subscription) == (None, before)

        store(engine, log, calls(subscription, 1))
        assert stands(session, subscription) == (TOMORROW, before + 1)

        # What came while nodes did not know yet counts as well.
        store(engine, log, calls(subscription, 7))
        assert stands(session, subscription) == (TOMORROW, before + 1)
        assert counted(session) == {(subscription.id, NOON.date()): 17}

    def test_other_subscriptions_go_on(self, engine, log, session, subscription):
        store(engine, log, calls(subscription, 20))

        session.rollback()
        blocked = select(Subscription.id).where(Subscription.blocked_until.is_not(None))
        assert session.scalars(blocked).all() == [subscription.id]

    def test_people_are_to_be_told_of_both_shares_once(self, engine, log, session, subscription):
        for _ in range(3):
            store(engine, log, calls(subscription, 4))

        session.rollback()
        assert sorted(session.scalars(select(QuotaNotice.percent))) == [80, 100]

    def test_what_breaks_before_the_commit_is_done_once_afterwards(self, engine, log, session, subscription):
        before = revision.current(session)
        session.rollback()
        broken = []

        def break_once(_connection, _cursor, statement, *_rest):
            if statement.startswith("UPDATE revision") and not broken:
                broken.append(statement)
                raise OSError("The disk is gone.")

        event.listen(engine, "before_cursor_execute", break_once)
        try:
            with pytest.raises(OSError, match="The disk is gone"):
                store(engine, log, calls(subscription, 12))
            assert (counted(session), stands(session, subscription)) == ({}, (None, before))
            store(engine, log)
        finally:
            event.remove(engine, "before_cursor_execute", break_once)

        assert counted(session) == {(subscription.id, NOON.date()): 12}
        assert stands(session, subscription) == (TOMORROW, before + 1)
