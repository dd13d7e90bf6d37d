from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from portal.registry.periods import Period, begins_anew, day_of, start_of

BERLIN, NEW_YORK, CAIRO = (ZoneInfo(name) for name in ("Europe/Berlin", "America/New_York", "Africa/Cairo"))
DAY, MONTH = Period.DAY, Period.MONTH


@pytest.mark.parametrize(
    ("period", "day", "zone", "wanted"),
    [
        (DAY, date(2026, 11, 20), UTC, datetime(2026, 11, 21)),
        (DAY, date(2026, 12, 31), UTC, datetime(2027, 1, 1)),
        (DAY, date(2028, 2, 28), UTC, datetime(2028, 2, 29)),
        (MONTH, date(2026, 1, 31), UTC, datetime(2026, 2, 1)),
        (MONTH, date(2028, 2, 29), UTC, datetime(2028, 3, 1)),
        (MONTH, date(2026, 12, 1), UTC, datetime(2027, 1, 1)),
        # The month began in winter time and ends in summer time.
        (MONTH, date(2026, 3, 10), BERLIN, datetime(2026, 3, 31, 22)),
        (MONTH, date(2026, 10, 10), BERLIN, datetime(2026, 10, 31, 23)),
        # Days of 23 and of 25 hours.
        (DAY, date(2026, 3, 28), BERLIN, datetime(2026, 3, 28, 23)),
        (DAY, date(2026, 3, 29), BERLIN, datetime(2026, 3, 29, 22)),
        (DAY, date(2026, 10, 24), BERLIN, datetime(2026, 10, 24, 22)),
        (DAY, date(2026, 10, 25), BERLIN, datetime(2026, 10, 25, 23)),
        (DAY, date(2026, 11, 1), NEW_YORK, datetime(2026, 11, 2, 5)),
        # Midnight itself is left out: the clock goes from 23:59 to 01:00.
        (DAY, date(2026, 4, 23), CAIRO, datetime(2026, 4, 23, 22)),
        (DAY, date(2026, 4, 24), CAIRO, datetime(2026, 4, 24, 21)),
    ],
)
def test_a_quota_begins_anew_at_the_next_midnight_there(period, day, zone, wanted):
    assert begins_anew(period, day, zone) == wanted.replace(tzinfo=UTC)


@pytest.mark.parametrize("zone", [UTC, BERLIN, NEW_YORK, CAIRO, ZoneInfo("Asia/Kathmandu"), ZoneInfo("Pacific/Apia")])
def test_the_first_instant_of_each_day_shows_its_date_and_the_one_before_does_not(zone):
    for n in range(800):
        day = date(2026, 1, 1) + timedelta(days=n)
        start = start_of(day, zone)
        assert (day_of(start, zone), day_of(start - timedelta(microseconds=1), zone)) == (day, day - timedelta(days=1))


def test_months_have_their_first_and_last_day():
    assert (MONTH.first(date(2028, 2, 15)), MONTH.last(date(2028, 2, 15))) == (date(2028, 2, 1), date(2028, 2, 29))
    assert (DAY.first(date(2026, 5, 5)), DAY.last(date(2026, 5, 5))) == (date(2026, 5, 5), date(2026, 5, 5))
