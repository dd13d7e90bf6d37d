"""The access log on disk: `access.log`, which Envoy writes, and `access.log.<time>`, which it wrote before.

A rotated file's name ends in twenty digits, so names sort by age. A file is finished when a younger one exists: Envoy
closes the old one before it opens the new one.
"""

import hashlib
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

ROTATE_ABOVE = 64 * 1024 * 1024
_HEAD = 4_096


@dataclass(frozen=True, slots=True)
class LogFile:
    path: Path
    identity: str
    """`<device>:<inode>`."""
    size: int
    finished: bool
    """Nothing will be written to it any more."""


def in_order(log_path: Path) -> list[LogFile]:
    """All files of this log, the oldest first."""
    # The youngest is looked for first: when it is there, the older ones are complete when they are looked at.
    current = _seen(log_path, finished=False)
    rotated = [_seen(path, finished=True) for path in _rotated(log_path)]
    files = [file for file in rotated if file is not None]
    if current is not None:
        return [*files, current]
    if files:
        last = files.pop()
        files.append(LogFile(last.path, last.identity, last.size, finished=False))
    return files


def rotate(log_path: Path, reopen: Callable[[], None], *, above: int = ROTATE_ABOVE) -> bool:
    """Set the log aside when it is larger than `above` bytes; whether Envoy was asked to begin a new one.

    `reopen` makes Envoy open its log again. When it raises, the next call of `rotate` asks again: the log has its old
    name's place empty, and Envoy goes on writing to the renamed file.
    """
    try:
        if log_path.stat().st_size <= above:
            return False
        # After a clock went back, what is set aside now would look older than what was set aside before.
        last = max((int(path.suffix[1:]) for path in _rotated(log_path)), default=0)
        os.rename(log_path, log_path.with_name(f"{log_path.name}.{max(time.time_ns(), last + 1):020d}"))
    except FileNotFoundError:
        if not _rotated(log_path):
            return False
    reopen()
    return True


def opened(file: LogFile, mode: Literal["rb", "r+b"] = "rb") -> BinaryIO:
    """Raises FileNotFoundError where another file has its name by now: whoever sets a log aside does it between any two
    steps of who reads it, and lines of the one file must not be taken for those of the other."""
    found = file.path.open(mode)
    status = os.fstat(found.fileno())
    if _identity(status) != file.identity:
        found.close()
        raise FileNotFoundError(f"{file.path} is another file by now.")
    return found


def head_of(file: LogFile) -> bytes:
    """SHA-256 of the first line, or of its first 4 kB: tells a file from a later one with the same inode.

    Raises FileNotFoundError as `opened` does.
    """
    with opened(file) as lines:
        return hashlib.sha256(lines.read(_HEAD).partition(b"\n")[0]).digest()


def _rotated(log_path: Path) -> list[Path]:
    form = re.compile(re.escape(log_path.name) + r"\.\d{20}")
    try:
        names = os.listdir(log_path.parent)
    except FileNotFoundError:
        return []
    return [log_path.with_name(name) for name in sorted(names) if form.fullmatch(name)]


def _seen(path: Path, *, finished: bool) -> LogFile | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return LogFile(path, _identity(found), found.st_size, finished)


def _identity(status: os.stat_result) -> str:
    return f"{status.st_dev}:{status.st_ino}"
