"""The operations and schemas of one document as a reader finds them: by tag, by words, a window at a time. Pure.

A document never changes under its hash, so what is made here of 22 000 operations is made once and kept.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from portal.openapi import Tag
from portal.openapi.references import name_of

WINDOW = 100
"""Operations, or schemas, that one page lists."""

Thing = TypeVar("Thing")


class Operation(Protocol):
    """What a stored operation and one of a description in memory have both."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def deprecated(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    """The stable id of the operation."""
    method: str
    path: str
    summary: str
    tags: tuple[str, ...]
    deprecated: bool

    @classmethod
    def of(cls, name: str, operation: Operation, tags: Iterable[str]) -> "Entry":
        return cls(name, operation.method, operation.path, operation.summary, tuple(tags), operation.deprecated)

    @property
    def title(self) -> str:
        return self.summary or f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Group:
    """The operations under one tag."""

    name: str
    description: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Schema:
    """One that has a name in the document."""

    name: str
    pointer: str


@dataclass(frozen=True, slots=True)
class Window(Generic[Thing]):
    """A few of many."""

    entries: Sequence[Thing]
    start: int
    """How many stand before."""
    count: int
    """Of all."""

    @property
    def end(self) -> int:
        return self.start + len(self.entries)

    @property
    def before(self) -> int:
        return max(0, self.start - WINDOW)


class Index:
    """All operations of a document, in its order."""

    def __init__(self, entries: Iterable[Entry], tags: Iterable[Tag]) -> None:
        self.entries = tuple(entries)
        self.by_name = {entry.name: entry for entry in self.entries}
        self.groups = self._grouped(tuple(tags))
        self._by_tag = {group.name: group for group in self.groups}
        self._words: tuple[str, ...] | None = None

    def group(self, name: str) -> Group | None:
        return self._by_tag.get(name)

    def group_of(self, entry: Entry) -> Group:
        """The first one that it stands in."""
        return self._by_tag[entry.tags[0] if entry.tags else self._without_tag]

    def find(self, text: str, tag: str = "") -> Sequence[Entry]:
        """Those that have every word of `text` in their method, path, summary or id, under `tag` if there is one."""
        words = text.lower().split()
        group = self.group(tag) if tag else None
        if tag and group is None:
            return ()
        if not words:
            return group.entries if group else self.entries
        if self._words is None:
            self._words = tuple(f"{it.method} {it.path} {it.summary} {it.name}".lower() for it in self.entries)
        found = [it for it, said in zip(self.entries, self._words, strict=True) if all(word in said for word in words)]
        return [it for it in found if tag in (it.tags or (self._without_tag,))] if tag else found

    def _grouped(self, tags: tuple[Tag, ...]) -> tuple[Group, ...]:
        found: dict[str, list[Entry]] = {tag.name: [] for tag in tags}
        alone: list[Entry] = []
        for entry in self.entries:
            for tag in entry.tags:
                found.setdefault(tag, []).append(entry)
            if not entry.tags:
                alone.append(entry)
        described = {tag.name: tag.description for tag in tags}
        self._without_tag = "Other operations" if any(found.values()) else "Operations"
        if alone:
            found.setdefault(self._without_tag, []).extend(alone)
        return tuple(Group(name, described.get(name, ""), tuple(of)) for name, of in found.items() if of)


def window(entries: Sequence[Thing], start: int = 0) -> Window[Thing]:
    """Up to `WINDOW` of them from `start` on; the last ones where `start` lies behind the end."""
    start = max(0, min(start, (len(entries) - 1) // WINDOW * WINDOW))
    return Window(entries[start : start + WINDOW], start, len(entries))


def window_around(entries: Sequence[Entry], entry: Entry) -> Window[Entry]:
    """The window that `entry` stands in."""
    place = next((n for n, it in enumerate(entries) if it.name == entry.name), 0)
    return window(entries, place // WINDOW * WINDOW)


def schemas_at(pointers: Iterable[str]) -> tuple[Schema, ...]:
    """In the order of their names, each once, however it is spelled in references to it."""
    named = {name_of(pointer): pointer for pointer in sorted(pointers, reverse=True)}
    return tuple(Schema(name, named[name]) for name in sorted(named, key=lambda name: (name.lower(), name)))


def schemas_named(schemas: Sequence[Schema], text: str) -> Sequence[Schema]:
    """Those that have every word of `text` in their name."""
    words = text.lower().split()
    return [it for it in schemas if all(word in it.name.lower() for word in words)] if words else schemas
