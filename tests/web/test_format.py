from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask, render_template_string
from hypothesis import given
from hypothesis import strategies as st

from portal.web import format

NOW = datetime(2026, 11, 20, 5, 14, 9, tzinfo=UTC)


def plain(text: str) -> str:
    return text.replace("\u202f", " ")


class TestNumber:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (0, "0"),
            (7, "7"),
            (2.5, "2.5"),
            (999, "999"),
            (1000, "1 k"),
            (1234, "1.2 k"),
            (1250, "1.3 k"),
            (99_949, "99.9 k"),
            (99_960, "100 k"),
            (128_412, "128 k"),
            (999_499, "999 k"),
            (999_500, "1 M"),
            (5_300_000_000, "5.3 G"),
            (-1234, "-1.2 k"),
        ],
    )
    def test_has_at_most_three_digits_and_a_unit(self, value, text):
        assert plain(format.number(value)) == text

    def test_unknown_is_a_dash_and_not_nought(self):
        assert format.number(None) == "–"

    @given(st.integers(min_value=0, max_value=10**13))
    def test_is_never_off_by_more_than_it_shows(self, value):
        digits, _, unit = plain(format.number(value)).partition(" ")
        shown = float(digits.replace(",", "")) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}[unit]
        assert shown == pytest.approx(value, rel=0.051)


class TestMs:
    @pytest.mark.parametrize(
        ("microseconds", "text"),
        [
            (0, "0 ms"),
            (900, "0.9 ms"),
            (4_300, "4.3 ms"),
            (9_949, "9.9 ms"),
            (9_950, "10 ms"),
            (340_000, "340 ms"),
            (999_499, "999 ms"),
            (999_500, "1 s"),
            (30_012_000, "30 s"),
            (300_000_000, "5 min"),
            (None, "–"),
        ],
    )
    def test_reads_microseconds_in_the_unit_that_suits(self, microseconds, text):
        assert plain(format.ms(microseconds)) == text


class TestPercent:
    @pytest.mark.parametrize(
        ("share", "text"),
        [
            (0, "0 %"),
            (0.00001, "< 0.01 %"),
            (0.0021, "0.21 %"),
            (0.031, "3.1 %"),
            (0.5, "50 %"),
            (0.9995, "99.95 %"),
            (0.99999, "> 99.99 %"),
            (1, "100 %"),
            (None, "–"),
        ],
    )
    def test_keeps_the_digits_that_matter(self, share, text):
        assert plain(format.percent(share)) == text

    @given(st.floats(min_value=0, max_value=1, exclude_min=True, exclude_max=True))
    def test_a_share_between_is_never_said_to_be_none_or_all(self, share):
        assert plain(format.percent(share)) not in ("0 %", "100 %")


class TestSize:
    @pytest.mark.parametrize(
        ("count", "text"),
        [(0, "0 B"), (999, "999 B"), (1536, "1.5 kB"), (10_000_000, "10 MB"), (None, "–")],
    )
    def test_counts_in_thousands(self, count, text):
        assert plain(format.size(count)) == text


class TestWhen:
    @pytest.mark.parametrize(
        ("ago", "text"),
        [
            (timedelta(seconds=3), "just now"),
            (timedelta(seconds=59.9), "59 seconds ago"),
            (timedelta(minutes=1), "1 minute ago"),
            (timedelta(minutes=4, seconds=50), "4 minutes ago"),
            (timedelta(hours=23, minutes=59), "23 hours ago"),
            (timedelta(days=29), "29 days ago"),
            (timedelta(days=30), "21 Oct 2026"),
            (timedelta(seconds=-5), "in a moment"),
            (timedelta(hours=-2), "in 2 hours"),
            (timedelta(days=-40), "30 Dec 2026"),
        ],
    )
    def test_says_how_long_ago_or_ahead(self, ago, text):
        assert format.when(NOW - ago, NOW) == text

    def test_what_did_not_happen_is_never(self):
        assert format.when(None) == "never"


class TestExact:
    def test_names_its_zone(self):
        assert format.exact(NOW) == "2026-11-20 05:14:09 UTC"

    def test_is_in_utc_whatever_zone_the_moment_came_in(self):
        assert format.exact(NOW.astimezone(ZoneInfo("Asia/Tokyo"))) == "2026-11-20 05:14:09 UTC"


def test_templates_know_the_filters_by_their_short_names():
    app = Flask(__name__)
    format.register(app)
    with app.app_context():
        text = render_template_string("{{ 1234 | number }}, {{ 1536 | bytes }}, {{ 900 | ms }}, {{ 0.5 | percent }}")
    assert plain(text) == "1.2 k, 1.5 kB, 0.9 ms, 50 %"
