"""What Envoy has against a configuration, in its own words but without what it says around them.

Envoy likes to quote: what comes from here may be long and may hold secrets of upstreams. `masking.told` is for people.
"""

import os
import re
import subprocess
from pathlib import Path

from portal.gateway.files import write_private


def validate(binary: Path, twin: bytes, directory: Path) -> str | None:
    """The complaint about a whole configuration, or None. Takes 50 ms, with 3 000 APIs half a second."""
    path = directory / f"twin.{os.getpid()}.json"
    write_private(path, twin)
    command = [str(binary), "--mode", "validate", "--config-path", str(path), "--log-level", "error"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return "Envoy did not judge the configuration within 60 s"
    finally:
        path.unlink(missing_ok=True)
    return None if done.returncode == 0 else _in_words(done.stderr.decode(errors="replace"))


def last_refusal(output: Path) -> str:
    """The last refusal of a file in a running Envoy's output; empty if it said nothing."""
    try:
        with output.open("rb") as file:
            file.seek(max(0, output.stat().st_size - 20_000))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((_in_words(line) for line in reversed(lines) if "reject" in line), "")


def _in_words(output: str) -> str:
    text = " ".join(output.split())
    text = re.sub(r"^\[[^\]]*\](\[[^\]]*\])* (\[[^\]]*\] )?", "", text)
    text = re.sub(r"^error initializing configuration '[^']*': ", "", text)
    # Protobuf warns in this way that its words may change.
    text = re.sub(r" goo\.gle/debug\w+", "", text)
    return text.rstrip(".")
