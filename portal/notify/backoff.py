"""When a delivery that failed is tried again, and when a receiver that keeps failing is left alone. Pure."""

import random
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

PAUSES = tuple(
    timedelta(seconds=each) for each in (5, 30, 120, 600, 1_800, 3_600, 3 * 3_600, 6 * 3_600, 12 * 3_600, 24 * 3_600)
)
"""From one attempt to the next; the last one again and again."""
GIVEN_UP_AFTER = timedelta(days=3)
FAILURES_IN_A_ROW = 5
"""After so many the receiver is left alone for a while, whatever waits for it."""
_FIRST_BLOCK, _LONGEST_BLOCK = timedelta(seconds=30), timedelta(hours=1)
_LONGEST_WISH = timedelta(days=1)
_JITTER = 0.2


def pause(tries: int, *, chance: random.Random) -> timedelta:
    """After so many attempts, the failed one included. What failed together comes back spread by a fifth."""
    return PAUSES[min(tries, len(PAUSES)) - 1] * chance.uniform(1 - _JITTER, 1 + _JITTER)


def block(failures: int, *, chance: random.Random) -> timedelta:
    """How long a receiver with so many failures in a row is left alone."""
    if failures < FAILURES_IN_A_ROW:
        return timedelta()
    doubled = 1 << min(failures - FAILURES_IN_A_ROW, 10)
    longest = min(_FIRST_BLOCK * doubled, _LONGEST_BLOCK)
    return longest * chance.uniform(1 - _JITTER, 1 + _JITTER)


def wish(retry_after: str, now: datetime) -> timedelta:
    """What `Retry-After` asks for, in seconds or as a date (RFC 9110, 10.2.3): a day at most, or nothing."""
    text = retry_after.strip()
    if text.isdecimal() and len(text) < 10:
        asked = timedelta(seconds=int(text))
    else:
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return timedelta()
        asked = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
    return max(timedelta(), min(asked, _LONGEST_WISH))
