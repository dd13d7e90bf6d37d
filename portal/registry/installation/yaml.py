"""YAML as the files of an installation are written and read: plain data, with the lines it stands on. Pure.

Written in block style, in the order given, without aliases and tags. Read as the core schema of YAML 1.2 has it
(https://yaml.org/spec/1.2.2/#103-core-schema), less octal and other rare numbers: `no`, `1:30` and dates are texts.
What is written reads the same under the wider rules of 1.1.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from yaml import CSafeDumper, CSafeLoader, MarkedYAMLError, ScalarNode, YAMLError, dump, parse
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from yaml.reader import ReaderError

MOST_DEPTH = 100
_PLAIN: tuple[tuple[str, bool | None], ...] = (("null", None), ("true", True), ("false", False))
_WORDS: dict[str, bool | None] = {"": None, "~": None}
_WORDS |= {word: value for plain, value in _PLAIN for word in (plain, plain.capitalize(), plain.upper())}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,29})")
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\.[0-9]+")


class Broken(Exception):
    """The sentence, and the line from 1."""

    def __init__(self, sentence: str, line: int = 1) -> None:
        super().__init__(sentence)
        self.line = line


@dataclass(slots=True)
class _Part:
    """A list or mapping with the lines, from 1, on which its items or the names of its fields stand."""

    line: int
    data: dict[str, Any] | list[Any]
    lines: dict[str | int, int] = field(default_factory=dict)
    below: dict[str | int, "_Part"] = field(default_factory=dict)
    name: str | None = None
    """While it is read: of the field whose value comes next."""


class Marked(NamedTuple):
    """One document of a file, which knows its lines."""

    data: Any
    part: _Part | None
    first: int

    def line(self, path: tuple[str | int, ...]) -> int:
        """From 1. Of the nearest part that is there, where something is missing."""
        line, part = self.first, self.part
        for step in path:
            if part is None or (found := part.lines.get(step)) is None:
                break
            line, part = found, part.below.get(step)
        return line


class _Dumper(CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> ScalarNode:
    # Where a text cannot stand in a block, the emitter takes quotes by itself.
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def written(data: Any) -> str:
    return str(
        dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=2**31 - 1)
    )


def read(text: str) -> Iterator[Marked]:
    """Each document of the file; one that is empty is left out. Raises Broken."""
    try:
        yield from _documents(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, where = (mark.line + 1, f" (column {mark.column + 1})") if mark else (1, "")
        raise Broken(f"This is not YAML: {error.problem or error.context}{where}.", line) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise Broken(f"The character U+{int(error.character):04X} must not stand in YAML as it is.", line) from None
    except YAMLError as error:
        raise Broken(f"This is not YAML: {error}.") from None


def _documents(text: str) -> Iterator[Marked]:
    """From events: whoever composes nodes calls itself for each level, and 100,000 of them end the process."""
    stack: list[_Part] = []
    whole: Marked | None = None
    for event in parse(text, Loader=CSafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        match event:
            case DocumentStartEvent():
                whole = None
            case ScalarEvent():
                value = _scalar(event.value) if event.implicit[0] else event.value
                if not stack:
                    whole = Marked(value, None, line)
                elif not _is_name(stack[-1], event.value, line):
                    _put(stack[-1], value, line)
            case SequenceStartEvent() | MappingStartEvent():
                if len(stack) == MOST_DEPTH:
                    raise Broken("This is nested too deep.", line)
                part = _Part(line, {} if isinstance(event, MappingStartEvent) else [])
                if stack:
                    _put(stack[-1], part.data, line, part)
                else:
                    whole = Marked(part.data, part, line)
                stack.append(part)
            case SequenceEndEvent() | MappingEndEvent():
                stack.pop()
            case AliasEvent():
                raise Broken(f"*{event.anchor} stands for what is written elsewhere. Write it out here.", line)
            case DocumentEndEvent() if whole is not None and whole.data is not None:
                yield whole


def _is_name(part: _Part, text: str, line: int) -> bool:
    """Whether this text is the name of a field, whose value comes next."""
    if isinstance(part.data, list) or part.name is not None:
        return False
    if text in part.data:
        raise Broken(f"{text} stands here twice.", line)
    part.name = text
    part.lines[text] = line
    return True


def _put(part: _Part, value: Any, line: int, below: _Part | None = None) -> None:
    if isinstance(part.data, list):
        place: str | int = len(part.data)
        part.data.append(value)
        part.lines[place] = line
    elif part.name is None:
        raise Broken("The name of a field is a word.", line)
    else:
        # The line is that of the name: a block of text begins below it.
        place, part.name = part.name, None
        part.data[place] = value
    if below is not None:
        part.below[place] = below


def _scalar(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text
