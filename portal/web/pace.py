"""How fast one person may ask what is asked while they type. Counted in this process: it keeps a script from taking the
database's time, and writes nothing."""

import math
from threading import Lock

from portal.errors import TooManyAttempts

_MOST_KEPT = 10_000


class Pace:
    """A bucket for each person: `burst` at once, then so many per second."""

    def __init__(self, *, burst: int, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._left: dict[int, tuple[float, float]] = {}
        self._lock = Lock()

    def step(self, who: int, now: float) -> None:
        """Count one of `who` at `now`, in seconds of a clock that never goes back. Raises TooManyAttempts."""
        with self._lock:
            left, at = self._left.get(who, (float(self._burst), now))
            left = min(self._burst, left + (now - at) * self._per_second)
            if left < 1:
                raise TooManyAttempts(math.ceil((1 - left) / self._per_second))
            if len(self._left) >= _MOST_KEPT:
                self._left.clear()
            self._left[who] = (left - 1, now)
