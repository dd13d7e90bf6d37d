"""How keys are used, as the ingest stores it."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal.registry.models import Key
from portal.traffic import retention, usage
from portal.traffic.models import Call, KeyUse
from tests.traffic.lines import NOW, call, refused

DAY = timedelta(days=1)


class TestLastUse:
    def test_is_the_latest_call_with_its_address_and_agent(self, engine, store_lines):
        store_lines(
            *call(timedelta(hours=2), consumer=1, ip="192.0.2.1", ua="old/1"),
            *call(timedelta(hours=1), consumer=1, ip="2001:db8::7", ua="new/2", m="POST"),
            *call(timedelta(minutes=5), consumer=2),
        )
        # A line may be stored after one of a later call.
        store_lines(*call(timedelta(hours=3), consumer=1, ip="192.0.2.9"))

        with Session(engine) as session:
            found = usage.last_uses(session, [1, 3])

        assert found.keys() == {1}
        assert found[1].at == NOW - timedelta(hours=1)
        assert (found[1].address, found[1].user_agent, found[1].method) == ("2001:db8::7", "new/2", "POST")

    def test_counts_calls_that_were_refused(self, engine, store_lines):
        store_lines(*call(timedelta(hours=1), st=429, f="RL", **refused(d="local_rate_limited")))

        with Session(engine) as session:
            assert usage.last_uses(session, [1])[1].reason == "rate_limited"

    def test_is_known_when_the_call_itself_is_forgotten(self, engine, store_lines):
        store_lines(*call(timedelta(days=20)))
        with Session(engine) as session:
            while retention.sweep(session, now=NOW, call_days=7):
                pass
            session.commit()
            assert session.scalars(select(Call.at)).all() == []
            found = usage.last_uses(session, [1])[1]

        assert found.at == NOW - timedelta(days=20)
        assert (found.request_id, found.address, found.user_agent) == (None, None, None)

    def test_is_forgotten_with_the_key(self, engine, store_lines):
        store_lines(*call(timedelta(hours=1), consumer=1), *call(timedelta(hours=1), consumer=2))
        with Session(engine) as session:
            session.execute(delete(Key).where(Key.id == 2))
            assert usage.forget(session) == 1
            assert session.scalars(select(KeyUse.key_id)).all() == [1]
            session.rollback()


class TestCalls:
    def test_are_counted_by_key(self, engine, store_lines):
        store_lines(
            *call(timedelta(hours=1), consumer=1, n=3),
            *call(timedelta(hours=40), consumer=1, n=5),
            *call(timedelta(days=20), consumer=1, n=7),
            *call(timedelta(hours=1), consumer=2, n=2),
        )
        with Session(engine) as session:
            assert usage.calls_of(session, [1, 2, 3], NOW - DAY, NOW) == {1: 3, 2: 2}
            assert usage.calls_of(session, [1], NOW - 29 * DAY, NOW) == {1: 15}

    def test_are_told_day_by_day(self, engine, store_lines):
        store_lines(*call(timedelta(hours=1), n=3), *call(timedelta(days=2), n=5), *call(timedelta(days=3), n=9))
        with Session(engine) as session:
            days = usage.by_day(session, [1, 2], 3, NOW)

        today = datetime(2026, 11, 20, tzinfo=UTC)
        assert days == [(today - 2 * DAY, {1: 5}), (today - DAY, {}), (today, {1: 3})]


class TestUnused:
    def unused(self, engine, days: int) -> set[int]:
        with Session(engine) as session:
            session.query(Key).where(Key.id == 3).update({"created_at": NOW - timedelta(days=10)})
            session.query(Key).where(Key.id != 3).update({"created_at": NOW - timedelta(days=400)})
            chosen = select(Key.id).outerjoin(KeyUse, KeyUse.key_id == Key.id)
            found = session.scalars(chosen.where(usage.unused_since(NOW - timedelta(days=days)), Key.id < 5)).all()
            session.rollback()
            return set(found)

    def test_are_old_keys_without_a_call_since(self, engine, store_lines):
        store_lines(*call(timedelta(days=40), consumer=1), *call(timedelta(days=5), consumer=2))

        assert self.unused(engine, 7) == {1, 3, 4}
        assert self.unused(engine, 30) == {1, 4}
        assert self.unused(engine, 90) == {4}
