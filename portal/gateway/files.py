"""How files are written that may hold secrets of upstreams: for nobody else to read, not even for a moment."""

import os
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Raises OSError. Not in one step: what is read meanwhile is written beside and renamed."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)  # one that was left there may be open to others
        file.write(content)


def replace_private(directory: Path, name: str, content: bytes) -> None:
    """Put a whole new file in place of `name` in a node's folder. Raises OSError.

    It is written beside, not in, the folders that Envoy watches: it reads again whenever anything is renamed into one.
    """
    draft = directory / "new" / name.replace("/", ".")
    draft.parent.mkdir(exist_ok=True)
    write_private(draft, content)
    os.replace(draft, directory / name)
