"""What is different between two schemas, in sentences, and whether it breaks who sends or reads such a value."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from portal.openapi.constraints import bounds_of, constraints_of
from portal.openapi.references import Look, name_of, reference_of
from portal.openapi.schemas import type_words
from portal.openapi.shapes import choices_of, flat, properties_of, required_of, same, types_of

Direction = Literal["request", "response"]
Way = tuple[str, ...]

_DEEPEST = 30
_MOST_WITHIN = 400
"""Schemas that are looked at within one named schema."""
_MOST_NAMED = 5

# A wider format may be asked for in a request, a narrower one given in a response.
_WIDER = {("int32", "int64"), ("float", "double")}


class Note(NamedTuple):
    """A remark to be: what is said of the value that lies that way from here."""

    way: Way
    words: str
    breaking: bool


class Pair(NamedTuple):
    """Two schemas of the two documents, as they are referred to."""

    way: Way
    before: Any
    after: Any


class Part(NamedTuple):
    """What is different between two schemas themselves, and the named ones that they lead to."""

    notes: tuple[Note, ...]
    leads: tuple[Pair, ...]


def differences(before: Any, after: Any, look_before: Look, look_after: Look, direction: Direction) -> Part:
    """What is different between two schemas, down to the named ones that both lead to."""
    comparison = _Comparison(look_before, look_after, direction == "request")
    notes = tuple(comparison.of(before, after, ()))
    return Part(notes, tuple(comparison.leads))


class _Comparison:
    def __init__(self, look_before: Look, look_after: Look, sending: bool) -> None:
        self._look_before = look_before
        self._look_after = look_after
        self._sending = sending
        self.leads: list[Pair] = []
        self._left = _MOST_WITHIN

    def _below(self, before: Any, after: Any, way: Way) -> Iterator[Note]:
        old, new = _reference_inside(before), _reference_inside(after)
        if old is not None and new is not None:
            self.leads.append(Pair(way, old, new))
            null = [
                "null" in types_of(_unwrapped(it, look)[0])
                for it, look in ((before, self._look_before), (after, self._look_after))
            ]
            if null[0] != null[1] and (before is not old or after is not new):
                yield self._null(null[1], way)
        elif len(way) < _DEEPEST and self._left > 0:
            yield from self.of(before, after, way)

    def of(self, before: Any, after: Any, way: Way) -> Iterator[Note]:
        self._left -= 1
        old, _ = _unwrapped(before, self._look_before)
        new, _ = _unwrapped(after, self._look_after)
        kinds = set(types_of(old)), set(types_of(new))
        yield from self._types(before, after, *kinds, way)
        if kinds[0] and kinds[1] and not kinds[0] & kinds[1] - {"null"} and kinds != ({"integer"}, {"number"}):
            # Another type altogether: what differs within says nothing more.
            return
        yield from self._format(old, new, way)
        yield from self._values(old, new, way)
        yield from self._bounds(old, new, way)
        yield from self._choices(old, new, way)
        yield from self._properties(old, new, way)
        for word, name in (("items", "[]"), ("additionalProperties", "*")):
            if isinstance(old.get(word), dict) and isinstance(new.get(word), dict):
                yield from self._below(old[word], new[word], (*way, name))

    def _types(self, before: Any, after: Any, old: set[str], new: set[str], way: Way) -> Iterator[Note]:
        lost, gained = _not_among(old, new), _not_among(new, old)
        if lost | gained == {"null"}:
            yield self._null(gained == {"null"}, way)
        elif lost or gained:
            words = type_words(before, self._look_before), type_words(after, self._look_after)
            words = words if words[0] != words[1] else (_listed(old), _listed(new))
            yield Note(way, f"was {words[0]} and is {words[1]}", bool(lost if self._sending else gained))

    def _null(self, now: bool, way: Way) -> Note:
        return Note(way, "may be null" if now else "may no longer be null", now != self._sending)

    def _format(self, old: dict[str, Any], new: dict[str, Any], way: Way) -> Iterator[Note]:
        one, other = old.get("format"), new.get("format")
        if one == other or not isinstance(one, str | None) or not isinstance(other, str | None):
            return
        fits = other is None or (one, other) in _WIDER if self._sending else one is None or (other, one) in _WIDER
        yield Note(way, f"had {_form(one)} and has {_form(other)}", not fits)

    def _values(self, old: dict[str, Any], new: dict[str, Any], way: Way) -> Iterator[Note]:
        one, other = _enum(old), _enum(new)
        if one is None and other is not None:
            yield Note(way, f"is one of {_listed(other)}, and was free before", self._sending)
        elif one is not None and other is None:
            yield Note(way, f"is free, and was one of {_listed(one)} before", not self._sending)
        elif one is not None and other is not None:
            lost = [value for value in one if not any(same(value, it) for it in other)]
            gained = [value for value in other if not any(same(value, it) for it in one)]
            if lost:
                yield Note(way, f"is no longer {_listed(lost)}", self._sending)
            if gained:
                yield Note(way, f"may also be {_listed(gained)}", not self._sending)

    def _bounds(self, old: dict[str, Any], new: dict[str, Any], way: Way) -> Iterator[Note]:
        one, other = constraints_of(old), constraints_of(new)
        if one != other:
            words = "; ".join(one) or "without bounds", "; ".join(other) or "without bounds"
            yield Note(way, f"was {words[0]} and is {words[1]}", self._sending and _is_tighter(old, new))

    def _choices(self, old: dict[str, Any], new: dict[str, Any], way: Way) -> Iterator[Note]:
        one, other = _named(choices_of(old)[1], self._look_before), _named(choices_of(new)[1], self._look_after)
        if bool(one) != bool(other):
            if one or properties_of(old) or types_of(old):
                yield Note(way, f"{'is a choice' if other else 'was a choice'} of {_listed(one or other)}", True)
            return
        lost, gained = [it for it in one if it not in other], [it for it in other if it not in one]
        if lost:
            yield Note(way, f"is no longer {_listed(lost)}", self._sending)
        if gained:
            yield Note(way, f"may also be {_listed(gained)}", not self._sending)
        for name in one:
            if name in other:
                yield from self._below(one[name], other[name], way)

    def _properties(self, old: dict[str, Any], new: dict[str, Any], way: Way) -> Iterator[Note]:
        hidden = "readOnly" if self._sending else "writeOnly"
        one, other = _shown(old, self._look_before, hidden), _shown(new, self._look_after, hidden)
        was, needs = set(required_of(old)), set(required_of(new))
        for name in one:
            place = (*way, name)
            if name not in other:
                yield Note(place, "is gone", True)
                continue
            if name in needs and name not in was:
                yield Note(place, f"is {'required' if self._sending else 'always there'}", self._sending)
            elif name in was and name not in needs:
                yield Note(place, f"{'is optional' if self._sending else 'may be missing'}", not self._sending)
            yield from self._below(one[name], other[name], place)
        for name in other:
            if name not in one:
                needed = self._sending and name in needs
                yield Note((*way, name), f"is new{' and required' if needed else ''}", needed)
        for name in sorted(needs - was - set(other) - set(properties_of(new))):
            yield Note((*way, name), f"is {'required' if self._sending else 'always there'}", self._sending)
        if new.get("additionalProperties") is False and old.get("additionalProperties") is not False and one:
            yield Note(way, "takes no properties beyond those that are named", self._sending)


def _unwrapped(schema: Any, look: Look) -> tuple[dict[str, Any], str]:
    """`flat`, where a choice between one thing and null is that thing, nullable."""
    shape, name = flat(schema, look)
    word, choices = choices_of(shape)
    rest = [it for it in choices if types_of(flat(it, look)[0]) != ("null",)]
    if len(rest) != 1 or properties_of(shape):
        return shape, name
    only, only_name = flat(rest[0], look)
    whole = {**only, **{key: value for key, value in shape.items() if key != word}}
    if len(choices) > 1:
        whole["nullable"] = True
    return whole, name or only_name


def _reference_inside(schema: Any) -> Any:
    """The reference that `schema` is, alone, beside null or as the only one of `allOf`; otherwise None."""
    if reference_of(schema) is not None:
        return schema
    for word in ("allOf", "anyOf", "oneOf") if isinstance(schema, dict) and "properties" not in schema else ():
        parts = schema.get(word)
        rest = [it for it in parts if it != {"type": "null"}] if isinstance(parts, list) else []
        if len(rest) == 1 and reference_of(rest[0]) is not None:
            return rest[0]
    return None


def _not_among(some: set[str], others: set[str]) -> set[str]:
    """The types of `some` that `others` do not allow; none said means every one is allowed."""
    if not others:
        return set()
    if not some:
        return {"any"}
    return {kind for kind in some if kind not in others and not (kind == "integer" and "number" in others)}


def _enum(shape: dict[str, Any]) -> list[Any] | None:
    if "const" in shape:
        return [shape["const"]]
    values = shape.get("enum")
    return values if isinstance(values, list) and values else None


def _is_tighter(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether a value that the old bounds allow may break the new ones."""
    low, low_out, high, high_out = bounds_of(old)
    new_low, new_low_out, new_high, new_high_out = bounds_of(new)
    if new_low is not None and (low is None or (new_low, new_low_out) > (low, low_out)):
        return True
    if new_high is not None and (high is None or (-new_high, new_high_out) > (-high, high_out)):
        return True
    for word in ("minLength", "minItems", "minProperties"):
        if _number(new.get(word), 0) > _number(old.get(word), 0):
            return True
    for word in ("maxLength", "maxItems", "maxProperties"):
        if _number(new.get(word), float("inf")) < _number(old.get(word), float("inf")):
            return True
    return any(
        new.get(word) not in (None, False) and new.get(word) != old.get(word)
        for word in ("pattern", "multipleOf", "uniqueItems", "contentEncoding", "contentMediaType")
    )


def _shown(shape: dict[str, Any], look: Look, hidden: str) -> dict[str, Any]:
    return {
        str(name): below for name, below in properties_of(shape).items() if flat(below, look)[0].get(hidden) is not True
    }


def _named(choices: list[Any], look: Look) -> dict[str, Any]:
    named: dict[str, Any] = {}
    times: Counter[str] = Counter()
    for choice in choices:
        shape, reference = flat(choice, look)
        title = shape.get("title")
        word = name_of(reference) if reference else title if isinstance(title, str) else type_words(choice, look)
        times[word] += 1
        # A word that the author counted as well may stand there already: which of the two is told is all one.
        named[word if times[word] == 1 else f"{word} ({times[word]})"] = choice
    return named


def _listed(values: Any) -> str:
    words = [value if isinstance(value, str) else json.dumps(value, default=str) for value in values]
    words = sorted(words) if isinstance(values, set) else words
    shown = [f"“{word[:80]}”" for word in words[:_MOST_NAMED]]
    if len(words) > _MOST_NAMED:
        shown.append(f"{len(words) - _MOST_NAMED} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}" if shown else "anything"


def _form(form: str | None) -> str:
    return f"the format {form}" if form else "no format"


def _number(value: Any, otherwise: float) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else otherwise
