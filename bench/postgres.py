"""A PostgreSQL server of the bench's own: its own folder, a free port, gone afterwards."""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import machine
from bench.rows import Missing

_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")


@contextlib.contextmanager
def server(folder: Path, *, cores: Sequence[int]) -> Iterator[str]:
    """The URL of an empty database on a server with its defaults. Raises Missing where there is no PostgreSQL."""
    programs = _programs()
    home, port = folder / "postgres", machine.free_port()
    home.mkdir()
    # The server refuses to run as root.
    user = "postgres" if os.getuid() == 0 else None
    if user is not None:
        for path in (folder, home):
            shutil.chown(path, user)
    initialise = [programs / "initdb", "-D", home / "data", "-U", "portico", "-A", "trust", "-E", "UTF8", "--no-locale"]
    done = subprocess.run(
        [str(part) for part in initialise], user=user, cwd=home, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Missing(f"PostgreSQL could not be set up: {done.stderr.strip()}")
    argv = [programs / "postgres", "-D", home / "data", "-p", port, "-k", home, "-c", "listen_addresses=127.0.0.1"]

    def answers() -> bool:
        asked = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        return subprocess.run(asked, check=False).returncode == 0

    with machine.pinned(*cores), machine.running(argv, log=folder / "postgres.log", ready=answers, user=user, cwd=home):
        yield f"postgresql://portico@127.0.0.1:{port}/postgres"


def _programs() -> Path:
    found = [path for place in _PLACES for path in Path("/").glob(place.lstrip("/")) if (path / "initdb").exists()]
    if found:
        # The newest.
        return max(found, key=lambda path: [int(digits) for digits in re.findall(r"\d+", str(path))])
    if (program := shutil.which("initdb")) is not None:
        return Path(program).parent
    raise Missing("PostgreSQL is not on this machine. Install it with `apt install postgresql`.")
