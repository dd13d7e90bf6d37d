"""A schema as it comes out when references are followed and `allOf` is folded in: what samples, docs and comparison
look at alike, whether OpenAPI 3.0 wrote it or JSON Schema."""

from typing import Any

from portal.openapi.references import Look, follow, is_reference, reference_of

TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")

_OF_TYPE = {
    "object": ("properties", "additionalProperties", "patternProperties", "minProperties", "maxProperties", "required"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"),
    "string": ("minLength", "maxLength", "pattern", "format", "contentEncoding", "contentMediaType"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
_DEEPEST_FOLD = 20


def flat(schema: Any, look: Look) -> tuple[dict[str, Any], str]:
    """`schema` with its references followed and its `allOf` folded in, and the name of what it refers to ("" if it is
    written in place). `true` is the schema that says nothing, and so is what is no schema."""
    value, name = follow(schema, look)
    if value is False:
        return {"not": {}}, name
    if not isinstance(value, dict):
        return {}, name
    if not isinstance(value.get("allOf"), list):
        return value, name
    return _folded(value, look, {name} if name else set(), {name}, 0), name


def types_of(schema: dict[str, Any]) -> tuple[str, ...]:
    """The JSON types that a flat schema allows, in a fixed order; () where it does not say."""
    said = schema.get("type")
    words = {word for word in (said if isinstance(said, list) else [said]) if isinstance(word, str)}
    if not words:
        words = {kind for kind, keywords in _OF_TYPE.items() if any(word in schema for word in keywords)}
        words = words if len(words) == 1 else set()
    if words and schema.get("nullable") is True:
        words.add("null")
    return tuple(word for word in TYPES if word in words)


def json_type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list):
        return "array"
    if isinstance(value, dict):
        return "object"
    return "integer" if isinstance(value, int) or value.is_integer() else "number"


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def properties_of(schema: dict[str, Any]) -> dict[str, Any]:
    found = schema.get("properties")
    return found if isinstance(found, dict) else {}


def required_of(schema: dict[str, Any]) -> tuple[str, ...]:
    found = schema.get("required")
    return tuple(name for name in found if isinstance(name, str)) if isinstance(found, list) else ()


def choices_of(schema: dict[str, Any]) -> tuple[str, list[Any]]:
    """`oneOf` or `anyOf` with what it chooses from; ("", []) where there is no choice."""
    for word in ("oneOf", "anyOf"):
        if isinstance(schema.get(word), list) and schema[word]:
            return word, schema[word]
    return "", []


def _folded(schema: dict[str, Any], look: Look, within: set[str], done: set[str], depth: int) -> dict[str, Any]:
    """`within` are the named schemas that this one is a part of, `done` all that were folded in so far. To be the same
    thing twice asks for nothing more, and where each base has two bases it would be done a million times."""
    whole: dict[str, Any] = {}
    for part in schema["allOf"] if depth < _DEEPEST_FOLD else ():
        value, name = follow(part, look)
        if not isinstance(value, dict) or (name and name in done):
            continue
        done.add(name)
        if isinstance(value.get("allOf"), list):
            value = _folded(value, look, within | ({name} if is_reference(part) else set()), done, depth + 1)
        if any(reference_of(choice) in within for choice in choices_of(value)[1]):
            # A base lists what is built upon it: whoever builds upon it has made that choice.
            value = {key: below for key, below in value.items() if key not in {"oneOf", "anyOf", "discriminator"}}
        _fold(whole, value)
    # Its own properties come last, as they build upon those of the parts; its own words win.
    _fold(whole, {key: value for key, value in schema.items() if key != "allOf"}, wins=True)
    if isinstance(whole.get("required"), dict):
        whole["required"] = list(whole["required"])
    return whole


def _fold(whole: dict[str, Any], part: dict[str, Any], *, wins: bool = False) -> None:
    """Into `whole`, whose `properties` and `required` are its own, the latter the keys of a dict: there are thousands,
    in thousands of parts."""
    for key, value in part.items():
        there = whole.get(key)
        if key == "properties" and isinstance(value, dict) and isinstance(there, dict):
            for name, below in value.items():
                there[name] = {"allOf": [there[name], below]} if name in there else below
        elif key == "required" and isinstance(value, list) and isinstance(there, dict):
            there.update(dict.fromkeys(name for name in value if isinstance(name, str)))
        elif key in {"minimum", "minLength", "minItems", "minProperties"} and _numbers(there, value):
            whole[key] = max(whole[key], value)
        elif key in {"maximum", "maxLength", "maxItems", "maxProperties"} and _numbers(there, value):
            whole[key] = min(whole[key], value)
        elif key == "properties" and isinstance(value, dict):
            whole[key] = dict(value)
        elif key == "required" and isinstance(value, list):
            whole[key] = dict.fromkeys(name for name in value if isinstance(name, str))
        elif (wins or key not in whole) and not (key == "required" and isinstance(value, dict)):
            whole[key] = value


def _numbers(*values: Any) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
