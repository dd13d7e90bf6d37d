"""A document that is brought again, put together with what people have changed by hand since. Pure.

Of each field there are three: what the document said before (base), what the draft says (mine), what the new document
says (theirs). What only the document changed follows it, what only people changed stays, and what both changed is a
conflict that somebody decides.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from portal.registry.document import Document
from portal.registry.proposals import Proposal


@dataclass(frozen=True, slots=True)
class Meeting:
    """A field about which the draft and the new document do not agree."""

    field: str
    """`name`, `description`, `target`, `key` or `tags`."""
    label: str
    base: str | None
    """What the document said before; None where there was none."""
    mine: str
    theirs: str
    is_conflict: bool
    """Both have changed it. Otherwise only the document has."""

    @property
    def takes_theirs(self) -> bool:
        """Unless somebody decides otherwise."""
        return not self.is_conflict


def meetings(base: Proposal | None, mine: Document, theirs: Proposal) -> list[Meeting]:
    """Where somebody may decide, in the order of the form."""
    found = []
    for name, label in _LABELS.items():
        after = _said(name, theirs)
        before = "" if base is None else _said(name, base)
        if after is None or after == before or _agrees(name, mine, theirs):
            continue  # the document has nothing new to say about it, so what people made of it stays
        stood = base is not None and _agrees(name, mine, base)
        found.append(
            Meeting(name, label, None if base is None else before, _draft(name, mine), after, is_conflict=not stood)
        )
    return found


def merged(mine: Document, theirs: Proposal, fields: Collection[str], digest: str) -> dict[str, Any]:
    """The draft with these fields as the new document has them, as JSON; it refers to that document from now on."""
    values = mine.as_json() | {"openapi": digest}
    for name in fields:
        match name:
            case "target" if theirs.targets:
                (kept,) = values["upstream"]["targets"][:1]
                values["upstream"]["targets"] = [kept | {"url": theirs.targets[0]}]
            case "key" if theirs.key:
                values["key"] = theirs.key.model_dump()
            case "tags":
                values["tags"] = list(theirs.tags)
            case "name" | "description":
                values[name] = getattr(theirs, name)
    return values


_LABELS = {"name": "Name", "description": "Description", "target": "Target", "key": "Key", "tags": "Tags"}


def _agrees(name: str, mine: Document, said: Proposal) -> bool:
    if name == "target":
        targets = mine.upstream.targets
        return len(targets) == 1 and targets[0].url in said.targets
    if name == "tags":
        return [tag.lower() for tag in mine.tags] == [tag.lower() for tag in said.tags]
    return _draft(name, mine) == _said(name, said)


def _said(name: str, said: Proposal) -> str | None:
    """None where the document says nothing that could be taken."""
    match name:
        case "target":
            return said.targets[0] if said.targets else None
        case "key":
            return _place(said.key.place, said.key.name) if said.key else None
        case "tags":
            return ", ".join(said.tags)
        case "name":
            return said.name or None
        case _:
            return said.description


def _draft(name: str, mine: Document) -> str:
    match name:
        case "target":
            return "\n".join(target.url for target in mine.upstream.targets)
        case "key":
            return _place(mine.key.place, mine.key.name)
        case "tags":
            return ", ".join(mine.tags)
        case "name":
            return mine.name
        case _:
            return mine.description


def _place(place: str, name: str) -> str:
    match place:
        case "bearer":
            return "header Authorization: Bearer"
        case "query":
            return f"query parameter {name}"
        case _:
            return f"header {name}"
