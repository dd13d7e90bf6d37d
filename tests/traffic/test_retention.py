from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.traffic.models import (
    DAY,
    HOUR,
    LEVELS,
    MINUTE,
    ByConsumer,
    ByConsumerOperation,
    ByKey,
    ByOperation,
    Call,
    InAll,
    MisreadLine,
    instant,
    microseconds,
)
from portal.traffic.retention import sweep
from tests.traffic.lines import consumer_id, key_id, line, request_id

NOW = datetime(2026, 11, 20, 12, 30, 30, tzinfo=UTC)
AGES = [timedelta(hours=1), timedelta(hours=47), timedelta(hours=50), timedelta(days=29), timedelta(days=31)]
AGES += [timedelta(days=89), timedelta(days=92), timedelta(days=800)]


def lines_of(age: timedelta, count: int = 3) -> list[bytes]:
    at = microseconds(NOW - age)
    who = {"c": consumer_id(1), "k": key_id(1)}
    return [line(at, r=f"{n}|1", id=request_id(at, n), **who) for n in range(1, count + 1)]


class TestSweep:
    def test_each_thing_goes_when_its_time_has_come(self, engine, store_lines):
        store_lines(*(each for age in AGES for each in lines_of(age)))
        with Session(engine) as session, session.begin():
            assert sweep(session, now=NOW, call_days=30) is False

            kept = {NOW - instant(at) for at in session.scalars(select(Call.at))}
            assert kept == {age for age in AGES if age <= timedelta(days=30)}
            for table in (ByOperation, ByConsumer, ByKey, InAll):
                levels = {
                    level: {instant(at * 1_000_000) for at in session.scalars(select(table.at).filter_by(level=level))}
                    for level in LEVELS
                }
                assert [len(levels[level]) for level in (MINUTE, HOUR, DAY)] == [2, 6, 7]
                assert min(levels[MINUTE]) >= NOW - timedelta(hours=48)
            days = {instant(at * 1_000_000) for at in session.scalars(select(ByConsumerOperation.at))}
            assert len(days) == 5
            assert min(days) >= NOW - timedelta(days=90)

    def test_more_than_one_batch_is_said_to_be_left(self, engine, store_lines):
        store_lines(*lines_of(timedelta(days=60), 25))
        left = []
        with Session(engine) as session, session.begin():
            while sweep(session, now=NOW, call_days=30, batch=10):
                left.append(len(session.scalars(select(Call.at)).all()))
            counts = [len(session.scalars(select(table.at)).all()) for table in (Call, ByOperation, ByKey)]

        assert left[:2] == [15, 5]
        # Hours and days stay.
        assert counts == [0, 50, 2]

    def test_old_misread_lines_go(self, engine, store_lines):
        with Session(engine) as session, session.begin():
            for days in (1, 40):
                when = NOW - timedelta(days=days)
                session.add(MisreadLine(node="one", at=when, line=b"x", error="not JSON", count=1))
            session.flush()
            sweep(session, now=NOW, call_days=30)

            assert session.scalars(select(MisreadLine.at)).all() == [NOW - timedelta(days=1)]

    def test_nothing_old_is_nothing_to_do(self, engine, store_lines):
        store_lines(*lines_of(timedelta(minutes=1)))
        with Session(engine) as session, session.begin():
            assert sweep(session, now=NOW, call_days=30, batch=1) is False
