from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from portal.traffic import rankings, series
from portal.traffic.models import instant, microseconds
from portal.traffic.scope import Scope
from portal.traffic.series import Counts, Latency, ReasonCount
from portal.traffic.window import Window
from tests.traffic.lines import ALL, NOW, call, refused


class TestOverTime:
    def test_counts_by_class_of_status(self, engine, store_lines):
        store_lines(
            *call(timedelta(minutes=5), n=3),
            *call(timedelta(minutes=5), n=1, st=302),
            *call(timedelta(minutes=5), n=2, st=404),
            *call(timedelta(minutes=5), n=4, **refused(st=429, rs="rate_limited")),
            *call(timedelta(minutes=5), n=1, st=500),
            *call(timedelta(minutes=5), n=1, st=0, f="DC", d=None),
            *call(timedelta(minutes=2), n=1),
            *call(timedelta(hours=2), n=50),
        )
        with Session(engine) as session:
            buckets = series.over_time(session, ALL, Window.last("1h", NOW)).buckets

        assert len(buckets) == 60
        filled = {bucket.start.minute: bucket.counts for bucket in buckets if bucket.counts.calls}
        assert filled == {25: Counts(3, 1, 2, 4, 1, 1), 28: Counts(ok=1)}
        assert [bucket.complete for bucket in buckets] == [True] * 59 + [False]

    def test_few_calls_have_no_percentiles_and_none_is_not_0(self, engine, store_lines):
        store_lines(*call(timedelta(minutes=5), n=19), *call(timedelta(minutes=2), n=20, du=40_000))
        with Session(engine) as session:
            buckets = {
                b.start.minute: b.latency for b in series.over_time(session, ALL, Window.last("1h", NOW)).buckets
            }

        assert buckets[25] == Latency(19, None, None, None)
        assert buckets[28].n == 20
        assert buckets[28].p50_us == buckets[28].p99_us == pytest.approx(40_000, rel=0.02)
        assert buckets[3] == Latency(0, None, None, None)

    def test_refusals_of_the_gateway_do_not_make_an_api_look_fast(self, engine, store_lines):
        store_lines(*call(timedelta(minutes=5), n=20, du=50_000), *call(timedelta(minutes=5), n=500, **refused(st=429)))
        with Session(engine) as session:
            latency = series.totals(session, ALL, Window.last("1h", NOW)).latency

        assert latency.n == 20
        assert latency.p50_us == pytest.approx(50_000, rel=0.02)

    @pytest.mark.parametrize("preset", ["1h", "24h", "7d", "30d", "90d"])
    def test_totals_of_all_windows_are_those_of_their_steps(self, engine, store_lines, preset):
        hours = (0, 1, 5, 11, 13, 23, 24, 47, 100, 160, 170, 500, 2_000, 3_000)
        store_lines(*(each for ago in hours for each in call(timedelta(hours=ago), n=3, consumer=1 + ago % 7)))
        with Session(engine) as session:
            window = Window.last(preset, NOW)
            for each in (window, window.before):
                timeline = series.over_time(session, ALL, each)
                total = series.totals(session, ALL, each)

                inside = [ago for ago in hours if each.since <= NOW - timedelta(hours=ago) < each.until]
                assert total.counts.calls == sum(bucket.counts.calls for bucket in timeline.buckets) == 3 * len(inside)
                assert timeline.total == total
                callers = len({ago % 7 for ago in inside})
                assert rankings.active_consumers(session, ALL, each) == callers
                assert rankings.top_consumers(session, ALL, each, limit=1).of == callers
                assert sum(top.calls for top in rankings.top_apis(session, ALL, each).first) == 3 * len(inside)
                assert sum(reason.calls for reason in series.reasons(session, ALL, each)) == 3 * len(inside)


class TestScope:
    @pytest.fixture(autouse=True)
    def stored(self, store_lines):
        """API a is called by consumer c 10·a + c times, for a and c from 1 to 3; and one call is nobody's."""
        some = [each for a in (1, 2, 3) for c in (1, 2, 3) for each in call(timedelta(minutes=9), a, c, 10 * a + c)]
        store_lines(*some, *call(timedelta(minutes=9), r=None, c=None, k=None, **refused(st=404, f="NR")))

    @pytest.mark.parametrize(
        ("scope", "calls"),
        [
            (ALL, 199),
            (Scope(), 0),
            (Scope(api_ids=frozenset({1})), 11 + 12 + 13),
            (Scope(consumer_ids=frozenset({2})), 12 + 22 + 32),
            (Scope(api_ids=frozenset({1}), consumer_ids=frozenset({2})), 11 + 12 + 13 + 22 + 32),
            (ALL.narrowed(api_id=1), 36),
            (ALL.narrowed(consumer_id=3), 13 + 23 + 33),
            (ALL.narrowed(api_id=1, consumer_id=3), 13),
            (ALL.narrowed(key_id=3), 13 + 23 + 33),
            (Scope(api_ids=frozenset({1}), consumer_ids=frozenset({2})).narrowed(api_id=2), 22),
            (Scope(api_ids=frozenset({1}), consumer_ids=frozenset({2})).narrowed(api_id=1), 36),
            (Scope(api_ids=frozenset({1})).narrowed(consumer_id=3), 13),
            (Scope(api_ids=frozenset({1})).narrowed(api_id=2), 0),
            (Scope(consumer_ids=frozenset({2})).narrowed(key_id=2), 66),
            (Scope(consumer_ids=frozenset({2})).narrowed(key_id=3), 0),
            (Scope(api_ids=frozenset({1, 2, 3})).narrowed(key_id=3), 0),
        ],
    )
    def test_everything_that_is_read_keeps_to_it(self, engine, scope, calls):
        window = Window.last("1h", NOW)
        with Session(engine) as session:
            assert series.totals(session, scope, window).counts.calls == calls
            assert sum(bucket.counts.calls for bucket in series.over_time(session, scope, window).buckets) == calls
            assert sum(reason.calls for reason in series.reasons(session, scope, window)) == calls
            if scope == ALL:
                assert rankings.active_consumers(session, scope, window) == 3
            if scope.key_id is None:
                known = calls - (1 if scope == ALL else 0)
                assert sum(top.calls for top in rankings.top_apis(session, scope, window).first) == known
                assert sum(top.calls for top in rankings.top_consumers(session, scope, window).first) == known

    @pytest.mark.parametrize(
        ("scope", "calls"),
        [
            (ALL.narrowed(api_id=1, operation=""), 36),
            (ALL.narrowed(api_id=1, operation="getThing"), 0),
            (Scope(api_ids=frozenset({1})).narrowed(api_id=1, operation=""), 36),
            # None of these is of a whole API, and what is counted by operation is not counted by anything else.
            (ALL.narrowed(operation=""), 0),
            (ALL.narrowed(api_id=1, consumer_id=1, operation=""), 0),
            (Scope(consumer_ids=frozenset({2})).narrowed(api_id=1, operation=""), 0),
            (Scope(api_ids=frozenset({1})).narrowed(api_id=2, operation=""), 0),
        ],
    )
    def test_operation_is_known_of_a_whole_api_only(self, engine, scope, calls):
        window = Window.last("1h", NOW)
        with Session(engine) as session:
            assert series.totals(session, scope, window).counts.calls == calls
            assert sum(bucket.counts.calls for bucket in series.over_time(session, scope, window).buckets) == calls
            assert sum(top.calls for top in rankings.top_operations(session, scope, window).first) == calls
            assert rankings.top_consumers(session, scope, window).first == []
            assert rankings.active_consumers(session, scope, window) == 0

    def test_narrowing_to_a_key_has_no_percentiles(self, engine):
        with Session(engine) as session:
            now = series.totals(session, ALL.narrowed(key_id=3), Window.last("1h", NOW))

        assert now.latency == Latency(0, None, None, None)


class TestReasons:
    def test_are_counted_most_frequent_first(self, engine, store_lines):
        store_lines(
            *call(timedelta(minutes=5), n=3),
            *call(timedelta(minutes=5), n=5, **refused(st=401, rs="key_expired")),
            *call(timedelta(minutes=5), n=1, **refused(st=401, rs="key_unknown")),
        )
        with Session(engine) as session:
            found = series.reasons(session, ALL, Window.last("1h", NOW))

        assert found == [ReasonCount("key_expired", 5), ReasonCount("ok", 3), ReasonCount("key_unknown", 1)]


class TestTotals:
    def test_of_the_period_before_are_asked_for_in_the_same_way(self, engine, store_lines):
        store_lines(
            *call(timedelta(minutes=5), consumer=1, n=4),
            *call(timedelta(minutes=5), consumer=2, n=1, st=503),
            *call(timedelta(minutes=65), consumer=3, n=2),
        )
        window = Window.last("1h", NOW)
        with Session(engine) as session:
            now, before = (series.totals(session, ALL, each).counts for each in (window, window.before))
            active = [rankings.active_consumers(session, ALL, each) for each in (window, window.before)]

        assert (now.calls, now.error_share, before.calls) == (5, 0.2, 2)
        assert active == [2, 1]

    def test_nothing_has_no_share_of_errors(self, engine):
        with Session(engine) as session:
            assert series.totals(session, ALL, Window.last("1h", NOW)).counts.error_share is None


class TestInstant:
    def test_microseconds_are_exact_both_ways(self):
        when = datetime(2026, 11, 20, 12, 30, 30, 999_999, tzinfo=UTC)

        assert instant(microseconds(when)) == when

    def test_time_without_zone_is_refused(self):
        with pytest.raises(ValueError, match="no time zone"):
            microseconds(datetime(2026, 1, 1))
