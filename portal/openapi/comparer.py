"""Compares schemas of two documents, from wherever an operation uses them."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from portal.openapi.differences import Direction, Note, Pair, Way, differences
from portal.openapi.references import Look, reference_of

Names = tuple[str | None, str | None]
"""What two schemas refer to, before and after; None for one that stands where it is."""

MOST_PARTS = 60
"""Named schemas that are looked at from one place, the nearest first. In some documents all leads to all: what lies
further is told where an operation is nearer to it."""


class Remark(NamedTuple):
    sentence: str
    breaking: bool


class _Part(NamedTuple):
    notes: tuple[Note, ...]
    leads: tuple[tuple[Names, Pair], ...]
    """Those that are not the same in both documents."""


class Comparer:
    """Compares schemas of two documents. Each pair of named ones is compared once, however many operations use it;
    those whose name is not among `touched` are the same in both, with all that they lead to."""

    def __init__(self, look_before: Look, look_after: Look, touched: set[str]) -> None:
        self.look_before = look_before
        self.look_after = look_after
        self._touched = touched
        self._parts: dict[tuple[str, str, Direction], _Part] = {}

    def differences(self, before: Any, after: Any, *, direction: Direction, root: str) -> Iterator[Remark]:
        """`root` names the value, such as `the request body`; sentences tell the way from there."""
        ahead = deque(self._different([Pair((), before, after)]))
        seen: set[Names] = set()
        while ahead:
            names, pair = ahead.popleft()
            if names in seen:
                continue
            if names != (None, None):
                seen.add(names)
            if len(seen) > MOST_PARTS:
                return
            part = self._part(pair, names, direction)
            for note in part.notes:
                yield Remark(f"{_subject(root, pair.way + note.way)} {note.words}.", note.breaking)
            # Most of what a schema leads to was seen: on the way from each operation that is looked at only here.
            for lead_names, lead in part.leads:
                if lead_names not in seen:
                    ahead.append((lead_names, Pair(pair.way + lead.way, lead.before, lead.after)))

    def _part(self, pair: Pair, names: Names, direction: Direction) -> _Part:
        before, after = names
        key = (before, after, direction) if before is not None and after is not None else None
        part = self._parts.get(key) if key else None
        if part is None:
            found = differences(pair.before, pair.after, self.look_before, self.look_after, direction)
            part = _Part(found.notes, tuple(self._different(found.leads)))
            if key:
                self._parts[key] = part
        return part

    def _different(self, pairs: Iterable[Pair]) -> Iterator[tuple[Names, Pair]]:
        for pair in pairs:
            names = reference_of(pair.before), reference_of(pair.after)
            if names[0] is None or names[0] != names[1] or names[1] in self._touched:
                yield names, pair


def _subject(root: str, way: Way) -> str:
    if way:
        return f"“{'.'.join(way).replace('.[]', '[]')}” in {root}"
    return root[:1].upper() + root[1:]
