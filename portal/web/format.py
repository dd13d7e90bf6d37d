"""Jinja filters: numbers, sizes and times as people read them. Pages put the exact value beside them, in a title.

`None` means unknown and is shown as a dash, never as 0.
"""

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

from flask import Flask

from portal.db import utcnow

UNKNOWN = "–"
_NARROW_SPACE = "\u202f"


def number(value: float | None) -> str:
    """1234 → `1.2 k`: at most three digits before the unit, one after the point, nothing lost below 1,000."""
    if value is None:
        return UNKNOWN
    if abs(value) < 1000:
        return _trimmed(value, 1 if abs(value) < 100 else 0)
    return _scaled(value, 1000, ("k", "M", "G", "T"))


def ms(microseconds: float | None) -> str:
    """340_000 → `340 ms`; below 10 ms one decimal is kept, from 1 s on it is seconds, from 120 s minutes."""
    if microseconds is None:
        return UNKNOWN
    if microseconds < 9_950:
        return f"{_trimmed(microseconds / 1000, 1)}{_NARROW_SPACE}ms"
    if microseconds < 999_500:
        return f"{_trimmed(microseconds / 1000, 0)}{_NARROW_SPACE}ms"
    if microseconds < 119_500_000:
        return f"{_trimmed(microseconds / 1_000_000, 1)}{_NARROW_SPACE}s"
    return f"{_trimmed(microseconds / 60_000_000, 0)}{_NARROW_SPACE}min"


def percent(share: float | None) -> str:
    """0.9995 → `99.95 %`. A share that is not quite 0 or 1 is never rounded to it."""
    if share is None:
        return UNKNOWN
    if 0 < share < 0.0001:
        return f"<{_NARROW_SPACE}0.01{_NARROW_SPACE}%"
    if 0.9999 < share < 1:
        return f">{_NARROW_SPACE}99.99{_NARROW_SPACE}%"
    places = 2 if share < 0.01 or share > 0.99 else 1
    return f"{_trimmed(share * 100, places)}{_NARROW_SPACE}%"


def size(count: float | None) -> str:
    """1536 → `1.5 kB`, in thousands as networks count. The filter is called `bytes`."""
    if count is None:
        return UNKNOWN
    if abs(count) < 1000:
        return f"{_trimmed(count, 0)}{_NARROW_SPACE}B"
    return _scaled(count, 1000, ("kB", "MB", "GB", "TB"))


def when(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago, or in how long: `4 minutes ago`, `in 2 hours`; the date once that is more than 30 days."""
    if moment is None:
        return "never"
    seconds = ((now or utcnow()) - moment).total_seconds()
    ahead, seconds = seconds < 0, abs(seconds)
    if seconds < 10:
        return "in a moment" if ahead else "just now"
    for limit, length, unit in (
        (60, 1, "second"),
        (3600, 60, "minute"),
        (86_400, 3600, "hour"),
        (30 * 86_400, 86_400, "day"),
    ):
        if seconds < limit:
            count = int(seconds // length)
            words = f"{count} {unit}{'' if count == 1 else 's'}"
            return f"in {words}" if ahead else f"{words} ago"
    return f"{moment.day} {moment:%b %Y}"


def exact(moment: datetime | None) -> str:
    """`2026-11-20 05:14:09 UTC`, for titles; scripts add the reader's own time zone where they run."""
    return "never" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def day(moment: datetime) -> str:
    """`1 Mar 2027`, in UTC."""
    moment = moment.astimezone(UTC)
    return f"{moment.day} {moment:%b %Y}"


def register(app: Flask) -> None:
    app.jinja_env.filters.update(number=number, ms=ms, percent=percent, bytes=size, when=when, exact=exact, day=day)


def _scaled(value: float, step: int, units: tuple[str, ...]) -> str:
    scaled = float(value)
    for unit in units:
        scaled /= step
        # 999,950 would round to 1,000.0 k: it is 1 M.
        if abs(scaled) < step - 0.5 or unit == units[-1]:
            return f"{_trimmed(scaled, 1 if abs(scaled) < 99.95 else 0)}{_NARROW_SPACE}{unit}"
    raise AssertionError("the last unit takes everything")


def _trimmed(value: float, places: int) -> str:
    """Rounded half up, without zeros that say nothing."""
    rounded = Decimal(str(value)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    text = f"{rounded:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
