"""From the bytes of an OpenAPI document to all that is stored of it, and to what it changes for callers. Pure."""

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from portal import openapi
from portal.registry import descriptions

if TYPE_CHECKING:
    from portal.openapi.changes import Change, Changes

QUICK = 1_000_000
"""Bytes, of both documents, that are read and compared while somebody waits: in about half a second."""
QUICK_PLACES = 8_000
"""Paths and operations, of both: 2,000 paths with one operation each in either. Each costs about 0.1 ms."""
MOST_CHANGES = 3_000
TOO_MUCH_MEMORY = (
    "Reading this document takes more than 2 GB of memory. Split it into documents of several APIs, or leave out what "
    "callers do not need."
)
_ANCHOR = re.compile(rb"[-:,\[{]\s*&([^\s,\[\]{}]+)")
_ALIAS = re.compile(rb"\*([^\s,\[\]{}]+)")
"""In YAML, the name of a part, and where it is used again: small documents can be made of it that take long to read."""
_PLACE = re.compile(
    rb"""(?:\b(?:get|put|post|delete|options|head|patch|trace|query)|["'\s{,]/[^"'\s:]*)["']?\s*:""", re.I
)
"""What looks like the key of a path or of an operation."""
_MOST_SENTENCES = 20


@dataclass(frozen=True, slots=True)
class Understood:
    """A document that was read, and what it changes for callers where it was compared with another."""

    laid: descriptions.Laid
    changes: dict[str, Any] | None


def is_quick(data: bytes, base: bytes | None) -> bool:
    """Whether to read it, and to hold it against `base`, takes so little that somebody may wait."""
    both = data, base or b""
    if sum(map(len, both)) > QUICK:
        return False
    # In UTF-16 every other byte is NUL.
    if sum(len(_PLACE.findall(each.replace(b"\0", b""))) for each in both) > QUICK_PLACES:
        return False
    return all(set(_ANCHOR.findall(each)).isdisjoint(_ALIAS.findall(each)) for each in both)


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
    from portal.openapi.changes import compare  # nodes, which load this room, compare nothing

    return changes_as_json(compare(before, description))


def changes_as_json(changes: "Changes") -> dict[str, Any]:
    """{"added": 1, "removed": 0, "changed": 2, "breaking": 1, "broken": [the ids that calls are counted under],
    "rows": [{"kind": "changed", …a `Change`}]}: what breaks first, at most 3,000 rows."""
    breaking, others = list[tuple[str, "Change"]](), list[tuple[str, "Change"]]()
    for kind, some in (("removed", changes.removed), ("changed", changes.changed), ("added", changes.added)):
        for change in some:
            (breaking if change.breaking else others).append((kind, change))
    return {
        "added": len(changes.added),
        "removed": len(changes.removed),
        "changed": len(changes.changed),
        "breaking": len(breaking),
        "broken": [change.before_id for _, change in breaking],
        "rows": [_change_as_json(*each) for each in [*breaking, *others][:MOST_CHANGES]],
    }


def _change_as_json(kind: str, change: "Change") -> dict[str, Any]:
    values = asdict(change) | {"kind": kind}
    for name in ("sentences", "reasons"):
        values[name] = list(values[name][:_MOST_SENTENCES])
    return values
