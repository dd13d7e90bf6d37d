"""The stretch of time that charts and totals show."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from portal.traffic.models import DAY, LEVELS, MINUTE

PRESETS = {
    "1h": (timedelta(hours=1), 60),
    "24h": (timedelta(hours=24), 3_600),
    "7d": (timedelta(days=7), 3 * 3_600),
    "30d": (timedelta(days=30), DAY),
    "90d": (timedelta(days=90), DAY),
}
"""Length and step in seconds of the windows that pages offer."""

_STEPS = (MINUTE, 300, 900, 3_600, 3 * 3_600, 6 * 3_600)


@dataclass(frozen=True, slots=True)
class Window:
    """From `since` up to `until`, in steps of `step` seconds; both ends lie on UTC multiples of the step."""

    since: datetime
    until: datetime
    step: int
    now: datetime
    """What is after this has not happened; the step that it lies in is incomplete."""

    @classmethod
    def last(cls, preset: str, now: datetime) -> "Window":
        """The newest window of this length; its last step is the one that `now` lies in. Raises KeyError."""
        length, step = PRESETS[preset]
        until = aligned(now, step) + timedelta(seconds=step)
        return cls(until - length, until, step, now)

    @classmethod
    def between(cls, since: datetime, until: datetime, now: datetime) -> "Window":
        """A window of one's own choice, widened to whole steps, of which there are 200 at most while days allow."""
        seconds = (until - since).total_seconds()
        step = next((each for each in _STEPS if seconds <= each * 200), DAY)
        if now - since > timedelta(hours=47):
            step = max(step, 3_600)
        if now - since > timedelta(days=89):
            step = max(step, DAY)
        end = aligned(until, step)
        return cls(aligned(since, step), end if end == until else end + timedelta(seconds=step), step, now)

    @property
    def level(self) -> int:
        """The coarsest roll-up that the steps can be made of."""
        return next(level for level in reversed(LEVELS) if self.step % level == 0)

    @property
    def starts(self) -> list[datetime]:
        count = int((self.until - self.since).total_seconds()) // self.step
        return [self.since + timedelta(seconds=self.step * n) for n in range(count)]

    @property
    def before(self) -> "Window":
        """The period of the same length that ends where this one begins."""
        return replace(self, since=self.since - (self.until - self.since), until=self.since)

    def is_complete(self, start: datetime) -> bool:
        return start + timedelta(seconds=self.step) <= self.now


def aligned(when: datetime, step: int) -> datetime:
    second = int(when.timestamp())
    return datetime.fromtimestamp(second - second % step, UTC)
