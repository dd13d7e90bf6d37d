from datetime import timedelta

from sqlalchemy.orm import Session

from portal.db import utcnow
from portal.traffic.callers import Caller, callers
from portal.traffic.models import microseconds
from tests.traffic.lines import consumer_id, line, request_id
from tests.traffic.test_ingest import THINGS

DAY = timedelta(days=1)


def calls(consumer: int, n: int = 1, *, ago: timedelta = DAY, path: str = "/things/5", **fields) -> list[bytes]:
    """To API 7, unless said otherwise, within one minute."""
    at = microseconds((utcnow() - ago).replace(second=0, microsecond=0))
    return [
        line(at + i, id=request_id(at + i, i), **{"r": "7|1", "p": path, "c": consumer_id(consumer)} | fields)
        for i in range(n)
    ]


def minute(ago: timedelta = DAY):
    return (utcnow() - ago).replace(second=0, microsecond=0)


class TestCallers:
    def test_those_of_an_operation_who_called_most_first(self, engine, store_lines, describe):
        describe(7, 1, THINGS)
        describe(8, 1, THINGS)
        started = minute(5 * DAY)
        store_lines(
            *calls(1, 2, ago=5 * DAY),
            *calls(2, 3, ago=5 * DAY),
            *calls(2, 2, ago=3 * DAY),
            *calls(3, 9, path="/things"),
            *calls(4, 9, path="/nothing"),
            *calls(5, 9, r="8|1"),
            *calls(999, 9),
            *calls(6, 1, ago=40 * DAY),
        )

        with Session(engine) as session:
            found = callers(session, 7, ["getThing"], utcnow() - 30 * DAY)

        assert [(each.operation, each.consumer_id, each.calls) for each in found] == [
            ("getThing", 2, 5),
            ("getThing", 1, 2),
        ]
        assert timedelta(0) <= found[1].last - started <= timedelta(minutes=1)
        assert found[0].last - found[1].last == 2 * DAY

    def test_several_operations_have_a_row_each_and_the_api_as_a_whole_one(self, engine, store_lines, describe):
        describe(7, 1, THINGS)
        store_lines(
            *calls(1, 2), *calls(1, 3, path="/things"), *calls(1, 4, path="/nothing"), *calls(2, 1, path="/nothing")
        )
        many = ["getThing", "listThings", *(f"op{n}" for n in range(300))]

        with Session(engine) as session:
            few = callers(session, 7, many[:2], utcnow() - 2 * DAY)
            same = callers(session, 7, iter(many), utcnow() - 2 * DAY)
            whole = callers(session, 7, None, utcnow() - 2 * DAY)
            unnamed = callers(session, 7, [""], utcnow() - 2 * DAY)

        assert [(each.operation, each.calls) for each in few] == [("listThings", 3), ("getThing", 2)]
        assert same == few
        assert [(each.operation, each.consumer_id, each.calls) for each in whole] == [("", 1, 9), ("", 2, 1)]
        assert [(each.consumer_id, each.calls) for each in unnamed] == [(1, 4), (2, 1)]

    def test_who_called_last_before_that_instant_is_not_among_them(self, engine, store_lines):
        at = (utcnow() - 2 * DAY).replace(hour=12, minute=30, second=0, microsecond=0)
        store_lines(*calls(1, ago=utcnow() - at), *calls(2, ago=utcnow() - at - timedelta(hours=2)))

        with Session(engine) as session:
            found = callers(session, 7, None, at + timedelta(hours=1))

            assert [each.consumer_id for each in found] == [2]
            assert callers(session, 7, [], at) == []
            assert callers(session, 404, None, at) == []
            assert Caller("", 2, 1, found[0].last) == found[0]
