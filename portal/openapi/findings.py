"""What is wrong in a document, collected while it is read: so many of a kind, and how many more there were."""

from collections.abc import Iterable
from typing import Any

from portal.openapi.values import Warning

MOST = 200
"""Warnings that one step of reading says before it only counts."""

_LONGEST_POINTER = 1_000
_LONGEST_NAME = 80


class Findings:
    def __init__(self) -> None:
        self._warnings: list[Warning] = []
        self._more = 0

    def add(self, pointer: str, sentence: str) -> None:
        if len(self._warnings) < MOST:
            self._warnings.append(Warning(_short(pointer), sentence))
        else:
            self._more += 1

    def count(self, more: int) -> None:
        """Further ones that are known by their number only."""
        self._more += more

    @property
    def is_full(self) -> bool:
        return len(self._warnings) >= MOST

    def warnings(self) -> tuple[Warning, ...]:
        more = (Warning("", f"And {self._more:,} more of this kind."),) if self._more else ()
        return (*self._warnings, *more)


def pointer_of(steps: Iterable[Any]) -> str:
    """A JSON pointer (RFC 6901) made of keys and indexes."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)


def quoted(name: object) -> str:
    """A word of the document as it stands in a sentence: on one line, and not longer than one reads."""
    words = " ".join(str(name)[: 2 * _LONGEST_NAME].split())
    return f"“{words[: _LONGEST_NAME - 1]}…”" if len(words) > _LONGEST_NAME else f"“{words}”"


def number_of(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _short(pointer: str) -> str:
    if len(pointer) <= _LONGEST_POINTER:
        return pointer
    return pointer[: pointer.rfind("/", 0, _LONGEST_POINTER)]
