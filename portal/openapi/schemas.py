"""Schemas as readers see them: a tree of names, types in words, constraints in words."""

import json
from dataclasses import dataclass
from typing import Any

from portal.openapi.constraints import constraints_of
from portal.openapi.references import Look, follow, name_of
from portal.openapi.shapes import TYPES, choices_of, flat, json_type, properties_of, required_of, types_of

MOST_NODES = 400
DEEPEST = 6
WORDS = 500
"""Characters that take as much of a page as another node."""
_HEAVIEST = 20
_MOST_CHILDREN = 200
_MOST_WORDS = 100
_LONGEST_VALUE = 500


@dataclass(frozen=True, slots=True)
class SchemaNode:
    name: str
    """Of the property; "" for the schema itself, an item, a choice."""
    type: str
    """In words: `string (date-time)`, `array of Pet`, `string or null`."""
    title: str = ""
    """The name of the schema that it refers to, or its `title`."""
    required: bool = False
    deprecated: bool = False
    read_only: bool = False
    write_only: bool = False
    constraints: tuple[str, ...] = ()
    default: str | None = None
    """As JSON, like `const`, `enum` and `examples`."""
    const: str | None = None
    enum: tuple[str, ...] = ()
    more_enum: int = 0
    """How many values of the enumeration are left out."""
    examples: tuple[str, ...] = ()
    description: str = ""
    choice: str = ""
    """`one of` or `any of`; "" where there are no choices."""
    choices: tuple["SchemaNode", ...] = ()
    discriminator: str = ""
    """The property that says which of the choices it is."""
    children: tuple["SchemaNode", ...] = ()
    items: "SchemaNode | None" = None
    """What each item of an array is, where it has more to show than its type."""
    values: "SchemaNode | None" = None
    """What each value of a map is, under names that the caller chooses."""
    closed: bool = False
    """No other properties than those of `children` are allowed."""
    repeats: str = ""
    """The name of the schema around it that begins again here."""
    pointer: str = ""
    """Of the schema that goes on here, where the tree was cut for its depth or size: what to ask `tree_of` for next."""
    more: int = 0
    """How many properties or choices are left out."""

    @property
    def weight(self) -> int:
        """How much of a page it takes without what is below it, in nodes with little to say."""
        texts = (self.name, self.type, self.title, self.description, self.default or "", self.const or "")
        some = (*self.constraints, *self.enum, *self.examples)
        return 1 + (sum(map(len, texts)) + sum(map(len, some))) // WORDS

    @property
    def size(self) -> int:
        """`weight` of the whole tree."""
        below = (*self.children, *self.choices, *(it for it in (self.items, self.values) if it is not None))
        return self.weight + sum(it.size for it in below)


def tree_of(schema: Any, look: Look, *, most: int = MOST_NODES, deepest: int = DEEPEST, skip: int = 0) -> SchemaNode:
    """The tree of `schema`, with at most about `most` nodes and `deepest` levels: what is cut says so in `more`, and in
    `pointer` where a schema of its own begins there. Nodes with much to say count as several. Of the first properties
    or choices that there are, so many are left out as `skip` says, and not counted in `more`."""
    return _Grower(look, most, deepest, skip).node("", schema, frozenset(), 0)


class _Grower:
    def __init__(self, look: Look, most: int, deepest: int, skip: int) -> None:
        self._look = look
        self._skip = skip
        self._left = most
        self._deepest = deepest

    def node(self, name: str, schema: Any, within: frozenset[str], depth: int, required: bool = False) -> SchemaNode:
        shape, reference = flat(schema, self._look)
        fields = _own_words(shape)
        shown: dict[str, Any] = {
            "name": name,
            "type": type_words(schema, self._look),
            "title": name_of(reference) if reference else _text(shape.get("title")),
            "required": required,
            **fields,
        }
        # Not all of a very long text: what is in the schema is to be seen beside it.
        self._left -= min(SchemaNode(**shown).weight - 1, _HEAVIEST)
        if reference and reference in within:
            return SchemaNode(**shown, repeats=name_of(reference))
        inside = {**shape}
        array = _array_of(shape)
        # An array of objects shows the object at once: nobody wants to open two things.
        if not _has_inside(inside) and array is None:
            return SchemaNode(**shown)
        if depth >= self._deepest or self._left <= 0:
            count = len(properties_of(shape)) + len(choices_of(shape)[1])
            return SchemaNode(**shown, pointer=reference, more=count or 1)
        within = within | {reference} if reference else within
        found = self._inside(shape, array, within, depth + 1)
        if found["more"] and not found.get("pointer"):
            found["pointer"] = reference
        return SchemaNode(**shown, **found)

    def _inside(self, shape: dict[str, Any], array: Any, within: frozenset[str], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        word, choices = choices_of(shape)
        named, required = properties_of(shape), required_of(shape)
        is_choice = bool(choices) and not _is_nullable_only(choices, self._look)
        skip = 0
        if named or is_choice:
            skip, self._skip = self._skip, 0
        children, more = self._share(list(named.items())[skip:])
        options, more_options = self._share(
            [("", choice) for choice in choices[max(0, skip - len(named)) :]] if is_choice else []
        )
        found["more"] = more + more_options
        found["children"] = tuple(
            self.node(str(name), below, within, depth, name in required) for name, below in children
        )
        if is_choice:
            found["choice"] = {"oneOf": "one of", "anyOf": "any of"}[word]
            found["choices"] = tuple(self.node("", choice, within, depth) for _, choice in options)
        elif choices:
            only = self.node("", next(it for it in choices if not _is_null(it, self._look)), within, depth)
            found |= {key: getattr(only, key) for key in ("choices", "choice", "items", "values", "repeats", "pointer")}
            found["children"] += only.children
            found["more"] = more + only.more
        discriminator = shape.get("discriminator")
        if isinstance(discriminator, dict):
            found["discriminator"] = _text(discriminator.get("propertyName"))
        if array is not None:
            item = self.node("", array, within, depth)
            if _says_more(item):
                found["items"] = item
        values = shape.get("additionalProperties", shape.get("unevaluatedProperties"))
        found["closed"] = values is False
        if isinstance(values, dict):
            found["values"] = self.node("", values, within, depth)
        return found

    def _share(self, below: list[tuple[str, Any]]) -> tuple[list[tuple[str, Any]], int]:
        """As many as are left to show. They are counted before any of them grows, so that a monstrous first property
        does not hide its siblings."""
        shown = below[: max(0, min(self._left, _MOST_CHILDREN))]
        self._left -= len(shown)
        return shown, len(below) - len(shown)


def type_words(schema: Any, look: Look) -> str:
    """The type in words, such as `array of Pet`, `string (date-time) or null`, `map of integer`."""
    return _type_words(schema, look, 0)


def _type_words(schema: Any, look: Look, depth: int) -> str:
    shape, reference = flat(schema, look)
    types = types_of(shape) or _types_of_values(shape)
    null = ["null"] if "null" in types else []
    words = [_one_type(kind, shape, look, depth, reference) for kind in types if kind != "null"]
    if not words:
        _, choices = choices_of(shape)
        if choices and depth < 3:
            words = list(dict.fromkeys(_type_words(choice, look, depth + 1) for choice in choices[:5]))
            words += ["others"] if len(choices) > 5 else []
        elif reference:
            words = [name_of(reference)]
        elif "not" in shape and shape["not"] == {}:
            words = ["nothing"]
        elif not null:
            words = ["any"]
    return " or ".join(dict.fromkeys(words + null))


def _types_of_values(shape: dict[str, Any]) -> tuple[str, ...]:
    """Of what is one of some values, and does not say its type beside."""
    said = shape.get("enum")
    values = said if isinstance(said, list) else [shape["const"]] if "const" in shape else []
    words = {json_type(value) for value in values}
    return tuple(word for word in TYPES if word in words and not (word == "integer" and "number" in words))


def _one_type(kind: str, shape: dict[str, Any], look: Look, depth: int, reference: str) -> str:
    if kind == "array":
        items = shape.get("items")
        return f"array of {_type_words(items, look, depth + 1)}" if isinstance(items, dict) and depth < 3 else "array"
    if kind == "object":
        values = shape.get("additionalProperties")
        if reference:
            return name_of(reference)
        if isinstance(values, dict) and values and not properties_of(shape) and depth < 3:
            return f"map of {_type_words(values, look, depth + 1)}"
        return "object"
    form = shape.get("format")
    return f"{kind} ({form})" if isinstance(form, str) and form and form != kind else kind


def _own_words(shape: dict[str, Any]) -> dict[str, Any]:
    said = shape.get("enum")
    enum = said if isinstance(said, list) else []
    examples = shape.get("examples")
    written = [shape["example"]] if "example" in shape else examples[:5] if isinstance(examples, list) else []
    return {
        "deprecated": shape.get("deprecated") is True,
        "read_only": shape.get("readOnly") is True,
        "write_only": shape.get("writeOnly") is True,
        "constraints": constraints_of(shape),
        "default": _json(shape["default"]) if "default" in shape else None,
        "const": _json(shape["const"]) if "const" in shape else None,
        "enum": tuple(_json(value) for value in enum[:_MOST_WORDS]),
        "more_enum": max(0, len(enum) - _MOST_WORDS),
        "examples": tuple(_json(value) for value in written),
        "description": _text(shape.get("description")),
    }


def _array_of(shape: dict[str, Any]) -> Any:
    items = shape.get("items")
    return items if isinstance(items, dict) and items and "array" in types_of(shape) else None


def _has_inside(shape: dict[str, Any]) -> bool:
    values = shape.get("additionalProperties", shape.get("unevaluatedProperties"))
    return bool(
        properties_of(shape) or choices_of(shape)[1] or (isinstance(values, dict) and values) or values is False
    )


def _says_more(item: SchemaNode) -> bool:
    return any(
        (item.children, item.choices, item.items, item.values, item.enum, item.constraints, item.description)
    ) or bool(item.repeats or item.pointer or item.more or item.const)


def _is_nullable_only(choices: list[Any], look: Look) -> bool:
    """`anyOf: [Pet, null]` is how JSON Schema says nullable, and no choice to a reader."""
    return len(choices) == 2 and sum(_is_null(choice, look) for choice in choices) == 1


def _is_null(choice: Any, look: Look) -> bool:
    value, _ = follow(choice, look)
    return isinstance(value, dict) and value.get("type") in ("null", ["null"])


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
