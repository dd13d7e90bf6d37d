from datetime import timedelta

import pytest

from portal.traffic.models import DAY, HOUR, MINUTE
from portal.traffic.window import Window
from tests.traffic.lines import NOW


class TestWindow:
    @pytest.mark.parametrize(
        ("preset", "count", "level"),
        [("1h", 60, MINUTE), ("24h", 24, HOUR), ("7d", 56, HOUR), ("30d", 30, DAY), ("90d", 90, DAY)],
    )
    def test_of_a_preset_ends_with_the_step_of_now(self, preset, count, level):
        window = Window.last(preset, NOW)

        starts = window.starts
        assert (len(starts), window.level) == (count, level)
        assert starts[-1] <= NOW < starts[-1] + timedelta(seconds=window.step) == window.until
        assert [window.is_complete(start) for start in starts] == [True] * (count - 1) + [False]
        assert all(int(start.timestamp()) % window.step == 0 for start in starts)

    def test_of_ones_own_choice_is_widened_to_whole_steps(self):
        window = Window.between(NOW - timedelta(minutes=90), NOW, NOW)

        assert (window.step, window.since.minute, window.until.minute) == (60, 0, 31)

    @pytest.mark.parametrize(("ago", "step"), [(3, HOUR), (95, DAY)])
    def test_of_long_ago_uses_what_is_still_kept(self, ago, step):
        since = NOW - timedelta(days=ago)

        assert Window.between(since, since + timedelta(hours=1), NOW).step == step

    def test_before_is_as_long_and_ends_where_it_begins(self):
        window = Window.last("24h", NOW)

        assert window.before.until == window.since
        assert window.before.until - window.before.since == timedelta(hours=24)
