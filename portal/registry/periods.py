"""Days and months of a time zone: when quotas begin anew. Pure.

A day lasts from one midnight to the next, so 23 or 25 hours where clocks are changed. Where they are changed at
midnight itself, it begins when the new date is first shown.
"""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum


class Period(StrEnum):
    DAY = "day"
    MONTH = "month"

    def first(self, day: date) -> date:
        """The first day of the period that `day` is in."""
        return day if self is Period.DAY else day.replace(day=1)

    def after(self, day: date) -> date:
        """The first day of the next one."""
        if self is Period.DAY:
            return day + timedelta(days=1)
        return (day.replace(day=28) + timedelta(days=4)).replace(day=1)

    def last(self, day: date) -> date:
        return self.after(day) - timedelta(days=1)


def day_of(at: datetime, zone: tzinfo) -> date:
    """What the calendar there shows at this instant."""
    return at.astimezone(zone).date()


def start_of(day: date, zone: tzinfo) -> datetime:
    """The first instant of a day there, in UTC."""
    # Of an hour that is there twice it is the first, and of one that is left out the instant that is in its place.
    return datetime.combine(day, time(), zone).astimezone(UTC)


def begins_anew(period: Period, day: date, zone: tzinfo) -> datetime:
    """The instant in UTC at which the period after that of `day` begins."""
    return start_of(period.after(day), zone)
