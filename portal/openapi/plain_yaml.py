"""YAML, read as OpenAPI means it: the values of JSON, and nothing that YAML 1.1 makes of dates, octals, `on` and `yes`.

The tree is built from libyaml's events: no step recurses, an alias is counted as what it would be written out, and a
bomb is refused at the first alias too many. https://yaml.org/spec/1.2.2/#103-core-schema
"""

import re
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from portal.errors import Unreadable
from portal.openapi.findings import Findings, pointer_of, quoted
from portal.openapi.plain import plain_number, plain_text

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]")
_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_KNOWN_TAGS = "tag:yaml.org,2002:"
_PLAIN_TAGS = {f"{_KNOWN_TAGS}{kind}" for kind in ("int", "float", "bool", "null")}
_LONGEST_NUMBER = 400
# Words of their author that look like numbers: 1.10 is not 1.1.
_WORDS = {("openapi",), ("swagger",), ("info", "version"), ("info", "title")}


class _Open:
    """A mapping or sequence whose end has not come yet."""

    __slots__ = ("anchor", "container", "is_plain_key", "key", "merges", "weight")

    def __init__(self, container: dict[str, Any] | list[Any], anchor: str | None) -> None:
        self.container = container
        self.anchor = anchor
        self.key: str | None = None
        self.is_plain_key = False
        self.merges: list[dict[str, Any]] = []
        self.weight = 2


class _Builder:
    def __init__(self, findings: Findings, *, most_deep: int, most_weight: int) -> None:
        self.root: Any = None
        self._findings = findings
        self._most_deep = most_deep
        self._most_weight = most_weight
        self._stack: list[_Open] = []
        self._anchored: dict[str, tuple[Any, int]] = {}

    def take(self, event: Event) -> None:
        if isinstance(event, ScalarEvent):
            self._scalar(event)
        elif isinstance(event, MappingStartEvent):
            self._begin(event, {})
        elif isinstance(event, SequenceStartEvent):
            self._begin(event, [])
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            self._end()
        elif isinstance(event, AliasEvent):
            self._alias(event)

    def _scalar(self, event: ScalarEvent) -> None:
        text: str = event.value
        top = self._stack[-1] if self._stack else None
        if top is not None and top.key is None and type(top.container) is dict:
            self._set_key(top, text, event.implicit[0], event)
            return
        weight = len(text) + 2
        value = plain_text(text) if not event.implicit[0] and event.tag is None else self._value(event, text)
        if event.anchor is not None:
            self._anchored[event.anchor] = (value, weight)
        self._put(value, weight)

    def _value(self, event: ScalarEvent, text: str) -> Any:
        if event.tag is not None and event.tag not in _PLAIN_TAGS:
            if not event.tag.startswith(_KNOWN_TAGS):
                self._findings.add(self._pointer(), f"The tag {quoted(event.tag)} was left out.")
            return plain_text(text)
        if len(self._stack) <= 2 and tuple(open_.key for open_ in self._stack) in _WORDS:
            return plain_text(text)
        return _resolved(text)

    def _begin(self, event: CollectionStartEvent, container: dict[str, Any] | list[Any]) -> None:
        top = self._stack[-1] if self._stack else None
        if top is not None and top.key is None and type(top.container) is dict:
            raise Unreadable(
                f"{_where(event)} has a key that is no text. Put it into quotation marks if it begins with {{ or [."
            )
        if len(self._stack) >= self._most_deep:
            raise Unreadable(f"{_where(event)} nests deeper than {self._most_deep} levels, which no API needs.")
        if event.tag is not None and not event.tag.startswith(_KNOWN_TAGS):
            self._findings.add(self._pointer(), f"The tag {quoted(event.tag)} was left out.")
        self._stack.append(_Open(container, event.anchor))

    def _end(self) -> None:
        done = self._stack.pop()
        if done.merges and isinstance(done.container, dict):
            # What the mapping says itself wins over what it takes from others, and the first of those over the next.
            own = dict(done.container)
            done.container.clear()
            for merged in reversed(done.merges):
                done.container.update(merged)
            done.container.update(own)
        if done.anchor is not None:
            self._anchored[done.anchor] = (done.container, done.weight)
        self._put(done.container, done.weight)

    def _alias(self, event: AliasEvent) -> None:
        if event.anchor not in self._anchored:
            inside = any(open_.anchor == event.anchor for open_ in self._stack)
            what = "refers to the very part it stands in" if inside else "refers to a name that is given nowhere before"
            raise Unreadable(f"{_where(event)}: *{event.anchor} {what}.")
        value, weight = self._anchored[event.anchor]
        top = self._stack[-1]
        if top.key is None and isinstance(top.container, dict):
            self._set_key(top, str(value) if not isinstance(value, dict | list) else event.anchor, False, event)
            return
        self._put(value, weight)

    def _set_key(self, top: _Open, text: str, is_plain: bool, event: Event) -> None:
        top.weight += len(text) + 2
        key = plain_text(text)
        if key in top.container:
            self._findings.add(
                pointer_of((*self._steps()[:-1], key)),
                f"{_where(event)} gives {quoted(key)} a second time. The last one was read.",
            )
        top.key, top.is_plain_key = key, is_plain

    def _put(self, value: Any, weight: int) -> None:
        if not self._stack:
            self.root = value
            return
        top = self._stack[-1]
        top.weight += weight
        if top.weight > self._most_weight:
            raise Unreadable(
                "Written out, the aliases of this YAML make more than Portico reads of a whole document. "
                "Put what repeats under components, and refer to it with $ref."
            )
        if isinstance(top.container, list):
            top.container.append(value)
            return
        assert top.key is not None
        if top.key == "<<" and top.is_plain_key and (merges := _mappings(value)):
            top.merges += merges
        else:
            top.container[top.key] = value
        top.key = None

    def _steps(self) -> list[Any]:
        return [len(it.container) if isinstance(it.container, list) else it.key for it in self._stack]

    def _pointer(self) -> str:
        return pointer_of(self._steps())


def read_yaml(text: str, findings: Findings, *, most_deep: int, most_weight: int) -> Any:
    """The first document of `text` as plain values. `most_weight` bounds it with every alias written out, in about
    characters. Raises Unreadable, with line and column."""
    builder = _Builder(findings, most_deep=most_deep, most_weight=most_weight)
    documents = 0
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            if type(event) is DocumentStartEvent:
                documents += 1
                if documents > 1:
                    findings.add("", f"{_where(event)} begins a second document. Only the first was read.")
                    break
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"Line {mark.line + 1:,}, column {mark.column + 1:,}" if mark else "Something"
        raise Unreadable(f"{where} is not YAML: {error.problem or error.context}.") from None
    except yaml.YAMLError as error:
        raise Unreadable(f"This is not YAML: {getattr(error, 'reason', error)}.") from None
    return builder.root


def _resolved(text: str) -> Any:
    """What a scalar without quotation marks means in the core schema of YAML 1.2. 0644 stays a text: it is an octal to
    some, a number to others, and often a postal code."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    first = text[0]
    if not (first.isdigit() or first in "+-.") or len(text) > _LONGEST_NUMBER or _LEADING_ZERO.match(text):
        return plain_text(text)
    if _INTEGER.fullmatch(text):
        return plain_number(int(text))
    if _FLOAT.fullmatch(text):
        number = plain_number(float(text))
        return text if isinstance(number, str) else number
    if _BASED.fullmatch(text):
        return plain_number(int(text, 0))
    return plain_text(text)


def _mappings(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return list(value)
    return []


def _where(event: Event) -> str:
    mark = event.start_mark
    return f"Line {mark.line + 1:,}, column {mark.column + 1:,}" if mark else "Something"
