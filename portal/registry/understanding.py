"""From the bytes of an OpenAPI document to all that is stored of it, and to what it changes for callers. Pure."""

import re
from dataclasses import asdict, dataclass
from typing import Any

from portal import openapi
from portal.openapi.changes import Change, Changes, compare
from portal.registry import descriptions

QUICK = 1_000_000
"""Bytes that are read while somebody waits."""
MOST_CHANGES = 3_000
TOO_MUCH_MEMORY = (
    "Reading this document takes more than 2 GB of memory. Split it into documents of several APIs, or leave out what "
    "callers do not need."
)
_ANCHOR = re.compile(rb"[-:,\[{]\s*&([^\s,\[\]{}]+)")
_ALIAS = re.compile(rb"\*([^\s,\[\]{}]+)")
"""In YAML, the name of a part, and where it is used again: small documents can be made of it that take long to read."""
_MOST_SENTENCES = 20


@dataclass(frozen=True, slots=True)
class Understood:
    """A document that was read, and what it changes for callers where it was compared with another."""

    laid: descriptions.Laid
    changes: dict[str, Any] | None


def is_quick(data: bytes, base: bytes | None) -> bool:
    """Whether to read it, and to hold it against `base`, takes so little that somebody may wait."""
    if max(len(data), len(base or b"")) > QUICK:
        return False
    return set(_ANCHOR.findall(data)).isdisjoint(_ALIAS.findall(data))


def understand(data: bytes, base: bytes | None = None) -> Understood:
    """Before any transaction: it takes about a second for 5 MB. `base` is the document that the API has so far.

    Raises Unreadable.
    """
    description = openapi.read(data)
    return Understood(descriptions.lay_out(data, description), None if base is None else changed(base, description))


def changed(base: bytes, description: openapi.Description) -> dict[str, Any] | None:
    try:
        before = openapi.read(base)
    except openapi.Unreadable:
        return None  # a release that could read it wrote it; this one cannot, and has nothing to compare with
    return changes_as_json(compare(before, description))


def changes_as_json(changes: Changes) -> dict[str, Any]:
    """{"added": 1, "removed": 0, "changed": 2, "breaking": 1, "broken": [the ids that calls are counted under],
    "rows": [{"kind": "changed", …a `Change`}]}: what breaks first, at most 3,000 rows."""
    breaking, others = list[dict[str, Any]](), list[dict[str, Any]]()
    for kind, some in (("removed", changes.removed), ("changed", changes.changed), ("added", changes.added)):
        for change in some:
            (breaking if change.breaking else others).append(_change_as_json(kind, change))
    return {
        "added": len(changes.added),
        "removed": len(changes.removed),
        "changed": len(changes.changed),
        "breaking": len(breaking),
        "broken": [row["before_id"] for row in breaking],
        "rows": [*breaking, *others][:MOST_CHANGES],
    }


def _change_as_json(kind: str, change: Change) -> dict[str, Any]:
    values = asdict(change) | {"kind": kind}
    for name in ("sentences", "reasons"):
        values[name] = list(values[name][:_MOST_SENTENCES])
    return values
