"""Compares schemas of two documents, from wherever an operation uses them."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from portal.openapi.differences import Direction, Pair, Part, Way, differences
from portal.openapi.references import Look, reference_of

MOST_PARTS = 60
"""Named schemas that are looked at from one place, the nearest first. In some documents all leads to all: what lies
further is told where an operation is nearer to it."""


@dataclass(frozen=True, slots=True)
class Remark:
    sentence: str
    breaking: bool


class Comparer:
    """Compares schemas of two documents. Each pair of named ones is compared once, however many operations use it;
    those whose name is not among `touched` are the same in both, with all that they lead to."""

    def __init__(self, look_before: Look, look_after: Look, touched: set[str]) -> None:
        self.look_before = look_before
        self.look_after = look_after
        self._touched = touched
        self._parts: dict[tuple[str, str, Direction], Part] = {}

    def differences(self, before: Any, after: Any, *, direction: Direction, root: str) -> Iterator[Remark]:
        """`root` names the value, such as `the request body`; sentences tell the way from there."""
        ahead = deque([Pair((), before, after)])
        seen: set[tuple[str | None, str | None]] = set()
        while ahead:
            pair = ahead.popleft()
            names = reference_of(pair.before), reference_of(pair.after)
            if names in seen or (names[0] == names[1] is not None and names[1] not in self._touched):
                continue
            if names != (None, None):
                seen.add(names)
            if len(seen) > MOST_PARTS:
                return
            part = self._part(pair, names, direction)
            for note in part.notes:
                yield Remark(f"{_subject(root, pair.way + note.way)} {note.words}.", note.breaking)
            ahead.extend(Pair(pair.way + lead.way, lead.before, lead.after) for lead in part.leads)

    def _part(self, pair: Pair, names: tuple[str | None, str | None], direction: Direction) -> Part:
        before, after = names
        if before is None or after is None:
            return differences(pair.before, pair.after, self.look_before, self.look_after, direction)
        key = before, after, direction
        if key not in self._parts:
            self._parts[key] = differences(pair.before, pair.after, self.look_before, self.look_after, direction)
        return self._parts[key]


def _subject(root: str, way: Way) -> str:
    if way:
        return f"“{'.'.join(way).replace('.[]', '[]')}” in {root}"
    return root[:1].upper() + root[1:]
