"""Supervisor, but prompt: `python -m portal.keeper --nodaemon --configuration FILE`.

Supervisor's loop notices the end of a program when its poll is over, and starts it again one poll later: one to two
seconds without a program that needs one second to start. Here a signal ends the poll, and what was found to have ended
is started in the same turn. After Supervisor 4.3, `Supervisor.runforever`.
"""

import contextlib
import os
import signal
from typing import Any

from supervisor import supervisord


class Keeper(supervisord.Supervisor):  # type: ignore[misc]
    def runforever(self) -> None:
        # Not before: Supervisor closes all descriptors that it finds at its beginning.
        self._wake = _Wake()
        super().runforever()

    def get_process_map(self) -> dict[int, Any]:
        return {**super().get_process_map(), self._wake.descriptor: self._wake}

    def handle_signal(self) -> None:
        """Called after the ended were noticed. A program that does not stay up still waits longer and longer."""
        for group in self.process_groups.values():
            group.transition()
        super().handle_signal()


class _Wake:
    """Readable as soon as a signal came. Its methods are what Supervisor asks of a dispatcher."""

    def __init__(self) -> None:
        self.descriptor, writing = os.pipe()
        for end in (self.descriptor, writing):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def handle_read_event(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self.descriptor, 4_096)

    def handle_error(self) -> None:
        """Called while the error is handled."""
        raise


if __name__ == "__main__":
    supervisord.Supervisor = Keeper  # its `main` takes no other
    supervisord.main()
