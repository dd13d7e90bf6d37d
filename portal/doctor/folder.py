"""The data folder, the disk below it, and what this process may open."""

import os
import resource
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from portal.config import KEPT_SECRETS, Config
from portal.db import engine_url
from portal.doctor.finding import Finding

_LEAST_DISK = 1_000_000_000
_LEAST_INODES = 10_000
_LEAST_FILES = 4_096
"""Envoy needs two for each call in flight, and a waiting call of a console one in the portal."""
_LONG_JOURNAL = 1_000_000_000
_DISTANT = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs", "fuse.glusterfs"}


def findings(config: Config) -> Iterator[Finding]:
    folder = config.data_dir
    for path in (folder, *(folder / name for name in (*KEPT_SECRETS, "portico.sqlite3"))):
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & (
            0o077 if path == folder or path.name in KEPT_SECRETS else 0o002
        ):
            right = "700" if path == folder else "600"
            yield Finding(
                "folder", f"Others on this machine can read {path}.", f"Take it from them: chmod {right} {path}"
            )
    if not os.access(folder, os.W_OK):
        yield Finding("folder", f"{folder} cannot be written to.", "Give it to the user that runs Portico.")
    else:
        yield from _disk(folder)
    yield from _sqlite(config)
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if max(files, most) < _LEAST_FILES and resource.RLIM_INFINITY not in (files, most):
        yield Finding(
            "folder",
            f"A process may open no more than {most:,} files here. A busy gateway runs out of connections.",
            "Raise the limit of the service, such as LimitNOFILE=65536 of systemd or `ulimit -n`.",
        )


def _disk(folder: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(folder).free
    if free < _LEAST_DISK:
        yield Finding(
            "disk",
            f"{free / 1e6:,.0f} MB are free on the disk of {folder}. A full disk stops calls from being stored.",
            "Make room, or keep single calls for fewer days with PORTAL_CALL_DAYS.",
        )
    counted = os.statvfs(folder)
    if counted.f_files and counted.f_favail < _LEAST_INODES:
        yield Finding(
            "disk",
            f"The disk of {folder} takes only {counted.f_favail:,} more files, however much room is left.",
            "Delete small files that nobody needs; `df -i` counts them.",
        )


def _sqlite(config: Config) -> Iterator[Finding]:
    url = engine_url(config.database_url)
    if url.get_backend_name() != "sqlite" or not url.database:
        return
    path = Path(url.database)
    if (kind := _file_system(path)) in _DISTANT:
        yield Finding(
            "folder",
            f"The SQLite file {path} lies on a file system of another machine ({kind}), whose locks cannot be relied "
            "on. It may be ruined at any time.",
            "Move the data folder to a disk of this machine, or use PostgreSQL.",
        )
    journal = path.with_name(f"{path.name}-wal")
    if journal.exists() and (size := journal.stat().st_size) > _LONG_JOURNAL:
        yield Finding(
            "disk",
            f"{journal} has grown to {size / 1e6:,.0f} MB, which makes every reading slower.",
            "Something reads for hours. Find who else has the file open, such as a copying program, and end it.",
        )


def _file_system(path: Path) -> str:
    """The kind of the file system that `path` lies on, as Linux calls it; empty where it does not say."""
    try:
        lines = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return ""
    return _kind_at(path.resolve(), [tuple(line.split()[1:3]) for line in lines])  # type: ignore[misc]


def _kind_at(path: Path, mounts: list[tuple[str, str]]) -> str:
    """Of the mounts (place, kind) the last one whose place is the longest that contains `path`."""
    found, longest = "", -1
    for place, kind in mounts:
        # Spaces and the like stand there as octal numbers: proc(5).
        at = Path(place.encode().decode("unicode_escape"))
        if path.is_relative_to(at) and len(at.parts) >= longest:
            found, longest = kind, len(at.parts)
    return found
