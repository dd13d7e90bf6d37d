from datetime import timedelta

from sqlalchemy.orm import Session

from portal.traffic import rankings
from portal.traffic.window import Window
from tests.traffic.lines import ALL, NOW, call


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
