from datetime import timedelta

from sqlalchemy.orm import Session

from portal.traffic import rankings
from portal.traffic.scope import Scope
from portal.traffic.window import Window
from tests.traffic.lines import ALL, NOW, call
from tests.traffic.test_ingest import THINGS


class TestTop:
    def test_most_called_come_first_with_their_share_of_errors(self, engine, store_lines):
        store_lines(
            *call(timedelta(minutes=5), api=1, n=5),
            *call(timedelta(minutes=5), api=2, n=30),
            *call(timedelta(minutes=5), api=2, n=10, st=500),
            *call(timedelta(hours=26), api=1, n=99),
        )
        with Session(engine) as session:
            both = rankings.top_apis(session, ALL, Window.last("24h", NOW))
            limited = rankings.top_apis(session, ALL, Window.last("24h", NOW), limit=1)
        first, second = both.first

        assert (first.id, first.calls, first.error_share, first.latency.n) == (2, 40, 0.25, 40)
        assert (second.id, second.calls, second.error_share, second.latency.p95_us) == (1, 5, 0, None)
        assert limited.first == [first]
        assert limited.of == both.of == 2

    def test_operations_of_one_api_with_the_calls_that_none_describes(self, engine, store_lines, describe):
        describe(1, 1, THINGS)
        describe(2, 1, THINGS)
        store_lines(
            *call(timedelta(minutes=5), n=30, p="/things/5"),
            *call(timedelta(minutes=5), n=10, p="/things/5", st=500),
            *call(timedelta(hours=3), n=5, p="/nothing"),
            *call(timedelta(minutes=5), n=1, p="/things"),
            *call(timedelta(minutes=5), api=2, n=99, p="/things"),
        )
        with Session(engine) as session:
            window = Window.last("24h", NOW)
            found = rankings.top_operations(session, ALL.narrowed(api_id=1), window, limit=2)
            own = rankings.top_operations(session, Scope(api_ids=frozenset({2})).narrowed(api_id=2), window)
            strange = rankings.top_operations(session, Scope(consumer_ids=frozenset({1})).narrowed(api_id=1), window)
            key = rankings.top_operations(session, ALL.narrowed(api_id=1, key_id=1), window)

        assert [(top.id, top.calls, top.errors, top.latency.n) for top in found.first] == [
            ("getThing", 40, 10, 40),
            ("", 5, 0, 5),
        ]
        assert found.of == 3
        assert [(top.id, top.calls) for top in own.first] == [("listThings", 99)]
        assert strange.of == key.of == rankings.top_operations(session, ALL, window).of == 0
