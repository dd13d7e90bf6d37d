"""Examples: what a document says, otherwise what its schemas make likely. The same schema always gives the same one.

The order is that of openapi-sampler, which most readers of OpenAPI documents have seen at work: an example that is
written down, the default, the constant or first of an enumeration, then a value made from type, format and bounds.
"""

from typing import Any

from portal.openapi import strings
from portal.openapi.constraints import bounds_of
from portal.openapi.references import Look, follow
from portal.openapi.shapes import choices_of, flat, properties_of, required_of, types_of

DEEPEST = 8
MOST_VALUES = 150
"""In one sample: a schema of schemas would otherwise grow with the power of its depth."""
_MOST_ITEMS = 5

NOTHING = object()
"""Where no value can be had; `None` is one."""

_LEAST_OF_TYPE = {"object": {}, "array": [], "string": "string", "integer": 0, "number": 0, "boolean": True}


def sample(schema: Any, look: Look, *, sending: bool) -> Any:
    """A JSON value for `schema`. What is read-only is left out when `sending`, what is write-only when receiving."""
    value = _Sampler(look, sending).of(schema, frozenset(), 0)
    return None if value is NOTHING else value


def sample_of_media(media: Any, look: Look, *, sending: bool) -> Any:
    """The example of a media type object, a parameter or a header; otherwise one of its schema."""
    media, _ = follow(media, look)
    if not isinstance(media, dict):
        return None
    written = written_example(media, look)
    return written if written is not NOTHING else sample(media.get("schema", {}), look, sending=sending)


def sample_of_parameter(parameter: dict[str, Any], look: Look) -> Any:
    """A value for a parameter object; one that says nothing of itself takes its name as a word."""
    written = written_example(parameter, look)
    if written is not NOTHING:
        return written
    if "schema" not in parameter and isinstance(parameter.get("content"), dict) and parameter["content"]:
        return sample_of_media(next(iter(parameter["content"].values())), look, sending=True)
    # A Swagger 2.0 parameter that was not upgraded is its own schema.
    value = sample(parameter.get("schema", {}), look, sending=True)
    return str(parameter.get("name", "value")) if value is None else value


def written_example(holder: dict[str, Any], look: Look) -> Any:
    """`example`, or the first of `examples` that has its value in the document; `NOTHING` where there is none."""
    if "example" in holder:
        return holder["example"]
    examples = holder.get("examples")
    for entry in examples.values() if isinstance(examples, dict) else ():
        example, _ = follow(entry, look)
        for key in ("value", "dataValue", "serializedValue"):
            if isinstance(example, dict) and key in example:
                return example[key]
    return NOTHING


class _Sampler:
    def __init__(self, look: Look, sending: bool) -> None:
        self._look = look
        self._hidden = "readOnly" if sending else "writeOnly"
        self._left = MOST_VALUES

    def of(self, schema: Any, within: frozenset[str], depth: int) -> Any:
        shape, name = flat(schema, self._look)
        self._left -= 1
        written = _said(shape)
        if written is not NOTHING:
            return written
        kind = next((word for word in types_of(shape) if word != "null"), "")
        if depth >= DEEPEST or self._left <= 0 or name in within:
            # An object that stands within itself ends here, with what its type alone says.
            return NOTHING if name in within else _LEAST_OF_TYPE.get(kind)
        within = within | {name} if name else within
        _, choices = choices_of(shape)
        chosen = self._chosen(choices, within, depth) if choices else NOTHING
        if kind == "object":
            made = self._object(shape, within, depth)
            return {**chosen, **made} if isinstance(chosen, dict) else made
        if chosen is not NOTHING:
            return chosen
        if kind == "array":
            return self._array(shape, within, depth)
        if kind == "string":
            return strings.text(shape)
        if kind in {"integer", "number"}:
            return _number(shape, whole=kind == "integer")
        return True if kind == "boolean" else None

    def _chosen(self, choices: list[Any], within: frozenset[str], depth: int) -> Any:
        """The first choice that is more than `null` and does not lead back to where we are."""
        for choice in choices:
            value = self.of(choice, within, depth + 1)
            if value is not None and value is not NOTHING:
                return value
        return NOTHING

    def _object(self, shape: dict[str, Any], within: frozenset[str], depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        required = required_of(shape)
        for name, below in properties_of(shape).items():
            hidden, _ = flat(below, self._look)
            if hidden.get(self._hidden) is True or (hidden.get("deprecated") is True and name not in required):
                continue
            value = self.of(below, within, depth + 1)
            if value is not NOTHING:
                made[name] = value
        more = shape.get("additionalProperties")
        if isinstance(more, dict) and more:
            word = more.get("x-additionalPropertiesName")
            for number in range(1, max(1, min(_count(shape, "minProperties") - len(made), _MOST_ITEMS)) + 1):
                value = self.of(more, within, depth + 1)
                if value is not NOTHING:
                    made.setdefault(f"{word if isinstance(word, str) else 'property'}{number}", value)
        return made

    def _array(self, shape: dict[str, Any], within: frozenset[str], depth: int) -> list[Any]:
        tuple_of = shape.get("prefixItems", shape["items"] if isinstance(shape.get("items"), list) else [])
        made = [self.of(item, within, depth + 1) for item in tuple_of] if isinstance(tuple_of, list) else []
        items = shape.get("items", shape.get("contains"))
        if isinstance(items, dict):
            wanted = max(1 if not made else 0, min(_count(shape, "minItems"), _MOST_ITEMS) - len(made))
            if "maxItems" in shape:
                wanted = min(wanted, max(0, _count(shape, "maxItems") - len(made)))
            made += [self.of(items, within, depth + 1) for _ in range(wanted)]
        return [value for value in made if value is not NOTHING]


def _said(shape: dict[str, Any]) -> Any:
    if "example" in shape:
        return shape["example"]
    examples = shape.get("examples")
    if isinstance(examples, list) and examples:
        return examples[0]
    if "default" in shape and shape["default"] is not None:
        return shape["default"]
    if "const" in shape:
        return shape["const"]
    choices = shape.get("enum")
    if isinstance(choices, list) and choices:
        return next((value for value in choices if value is not None), None)
    return NOTHING


def _number(shape: dict[str, Any], *, whole: bool) -> int | float:
    """The number nearest to 0 that the bounds allow."""
    step = _bound(shape, "multipleOf") or 0
    gap = step or (1 if whole else 0.1)
    low, low_out, high, high_out = bounds_of(shape)
    if low is not None and low_out:
        low += gap
    if high is not None and high_out:
        high -= gap
    value: int | float = 0
    if low is not None and low > 0:
        value = low if not step else -(-low // step) * step
    elif high is not None and high < 0:
        value = high if not step else high // step * step
    if whole:
        return int(value) if value == int(value) else int(value) + (1 if value > 0 else 0)
    return round(value, 10)


def _bound(shape: dict[str, Any], word: str) -> Any:
    return shape[word] if _is_number(shape.get(word)) else None


def _count(shape: dict[str, Any], word: str) -> int:
    bound = _bound(shape, word)
    return int(bound) if bound is not None and bound > 0 else 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
