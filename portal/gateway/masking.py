"""Envoy's words without secrets: what it refuses it may quote, and its words reach pages, the log and the database.

Envoy quotes as it likes (as JSON, as protobuf's text, shortened), so every stretch of a secret that no escaping changes
is looked for by itself.
"""

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path

from portal.gateway.ir import Api

_BREAKS = re.compile(r"[\\\"'%\s]|-----[A-Z ]+-----")
_SHORTEST = 4
"""Characters; a shorter stretch tells nothing and would stand in half of all words."""
_MASK = "…"
_LONGEST = 500


def stretches(apis: Iterable[Api]) -> list[str]:
    """What must not be repeated of these APIs' secrets, the longest first."""
    found: set[str] = set()
    for api in apis:
        if api.credential is not None:
            found.update(_BREAKS.split(api.credential.value))
        if api.upstream.client_certificate is not None:
            found.update(_BREAKS.split(api.upstream.client_certificate.key_pem))
    return sorted((each for each in found if len(each) >= _SHORTEST), key=lambda each: (-len(each), each))


def told(text: str, hidden: Iterable[str]) -> str:
    """A complaint of Envoy's for people: masked first and shortened then, lest half a secret be left at the end."""
    for stretch in hidden:
        text = text.replace(stretch, _MASK)
    return text[:_LONGEST]


def scrub(output: Path, hidden: Iterable[str]) -> None:
    """Write over what a running Envoy has quoted into its output. In place and of the same length: Envoy has the file
    open and goes on at its end."""
    with contextlib.suppress(FileNotFoundError), output.open("r+b") as file:
        text = file.read()
        for stretch in hidden:
            sought = stretch.encode()
            at = text.find(sought)
            while at >= 0:
                file.seek(at)
                file.write(b"*" * len(sought))
                at = text.find(sought, at + len(sought))
