"""What only one process may have: a folder, a lock, a port. Held by the kernel, so gone with the process."""

import contextlib
import errno
import fcntl
import os
import socket
import time
import uuid
from pathlib import Path

from portal.errors import PortalError


class CannotStart(PortalError):
    """`str()` says what keeps Envoy, or its node, from starting and what to do about it."""


class PortBusy(CannotStart):
    def __init__(self, bind: str, port: int) -> None:
        super().__init__(
            f"The gateway's port {port} on {bind} is in use by another program. "
            "Stop that program, or choose another port with PORTAL_GATEWAY_PORT."
        )


def take_folder(directory: Path) -> tuple[int, str]:
    """Make the folder this process's. A descriptor, to be closed at the end, and the id that the folder has for ever.

    Raises CannotStart while another process has it.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(directory / "node.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise CannotStart(f"Another node already runs in {directory}. Stop that one first.") from None
    kept = directory / "instance"
    if not kept.exists():
        kept.write_text(str(uuid.uuid4()))
    return lock, kept.read_text().strip()


def is_locked(path: Path) -> bool:
    """Whether some process has the lock on this file."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def take_lock(path: Path) -> int:
    """A descriptor that holds the lock, as do all that are inherited from it. Raises BlockingIOError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for _ in range(20):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        time.sleep(0.01)  # another thread may be asking, for a few microseconds, whether it is locked
    os.close(descriptor)
    raise BlockingIOError(errno.EWOULDBLOCK, "another process has the lock", str(path))


def require_free(bind: str, port: int) -> None:
    """Raises PortBusy, or CannotStart when the address is not this machine's."""
    # Envoys share a port without complaint (SO_REUSEPORT), and clients would meet now one, now the other.
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortBusy(bind, port) from error
            raise CannotStart(f"The gateway cannot listen on {bind} port {port}: {error.strerror}.") from error
