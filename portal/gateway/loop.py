"""A step, done over and over in a thread of its own."""

import logging
import threading
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

log = logging.getLogger(__name__)

_LONGEST_WAIT = 5.0


class Outage:
    """What several loops see of one database, said once when it goes away and once when it is back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._without: set[str] = set()

    def saw_failure(self, loop: str, error: SQLAlchemyError) -> None:
        with self._lock:
            first = not self._without
            self._without.add(loop)
        if first:
            why = str(getattr(error, "orig", None) or error).partition("\n")[0]
            log.warning("The database fails: %s. The gateway serves what it has; trying again.", why.rstrip("."))

    def saw_success(self, loop: str) -> None:
        if loop not in self._without:
            return
        with self._lock:
            last = self._without == {loop}
            self._without.discard(loop)
        if last:
            log.info("The database answers again.")


class Loop(threading.Thread):
    """Calls `step` until it finds no work, waits for `pause` seconds or a `wake`, and again.

    A step that fails is tried again, ever less often. It never ends the loop.
    """

    def __init__(self, name: str, step: Callable[[], bool], *, pause: float, outage: Outage) -> None:
        super().__init__(name=name, daemon=True)
        self._step = step
        self._pause = pause
        self._outage = outage
        self._woken = threading.Event()
        self._ending = False

    def wake(self) -> None:
        self._woken.set()

    def end(self) -> None:
        """The step under way is finished; no other begins."""
        self._ending = True
        self._woken.set()

    def run(self) -> None:
        failures = 0
        while not self._ending:
            self._woken.clear()
            if self._ending:
                return
            try:
                found = self._step()
            except SQLAlchemyError as error:
                self._outage.saw_failure(self.name, error)
            except Exception:
                # Nobody may notice for days that one of a node's loops has gone: better to say it again and again.
                log.exception("The node's loop “%s” failed. It tries again.", self.name)
            else:
                self._outage.saw_success(self.name)
                failures = 0
                if not found:
                    self._woken.wait(self._pause)
                continue
            failures += 1
            self._woken.wait(min(_LONGEST_WAIT, 0.1 * 2 ** min(failures, 10)))
