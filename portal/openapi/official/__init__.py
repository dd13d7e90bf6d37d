"""The official schemas of OpenAPI documents, and what is changed in them before a document is held against them."""

from typing import Any

_REFERENCES = ({"$ref": "#/definitions/Reference"}, {"$ref": "#/definitions/jsonReference"})
_DRAFT_4 = "http://json-schema.org/draft-04/schema#"
_DRAFT_7 = "http://json-schema.org/draft-07/schema#"
# What draft 7 calls otherwise, or means otherwise, than draft 4.
_RENAMED = {
    "/definitions/positiveInteger": "/definitions/nonNegativeInteger",
    "/definitions/positiveIntegerDefault0": "/definitions/nonNegativeIntegerDefault0",
    "/properties/exclusiveMaximum": "/properties/uniqueItems",
    "/properties/exclusiveMinimum": "/properties/uniqueItems",
}


def without_alternatives(schema: dict[str, Any]) -> dict[str, Any]:
    """The schemas of 2.0 and 3.0, in draft 4, say "a schema or a reference" at every level with `oneOf`. A fault then
    fails each level above it, and a validator tells all of them, each with the whole text below: gigabytes of memory
    for a document of a megabyte. `if` of draft 7 says the same, and only the fault fails. Later ones are written so.
    """
    if schema.get("$schema") != _DRAFT_4:
        return schema
    changed: dict[str, Any] = _changed(schema)
    return changed | {"$schema": _DRAFT_7}


def _changed(part: Any) -> Any:
    if isinstance(part, list):
        return [_changed(item) for item in part]
    if not isinstance(part, dict):
        return part
    new = {"$id" if key == "id" and isinstance(value, str) else key: _changed(value) for key, value in part.items()}
    if new.get("exclusiveMinimum") is True:
        new["exclusiveMinimum"] = new.pop("minimum")
    ref = new.get("$ref")
    if isinstance(ref, str) and ref.startswith(_DRAFT_4):
        name = ref.removeprefix(_DRAFT_4)
        new["$ref"] = _DRAFT_7 + _RENAMED.get(name, name)
    for kind in ("oneOf", "anyOf"):
        if isinstance(new.get(kind), list) and "if" not in new:
            new |= _told_apart(new.pop(kind), kind)
    return new


def _told_apart(alternatives: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """References, lists and booleans are known by their look; what is none of them is the last alternative."""
    looks = [(_look_of(alternative), alternative) for alternative in alternatives]
    others = [alternative for look, alternative in looks if look is None]
    if len(others) == len(alternatives) or not others:
        return {kind: alternatives}
    chosen: dict[str, Any] = others[0] if len(others) == 1 else {kind: others}
    for look, alternative in reversed(looks):
        if look is not None:
            chosen = {"if": look, "then": alternative, "else": chosen}
    return chosen


def _look_of(alternative: dict[str, Any]) -> dict[str, Any] | None:
    if alternative in _REFERENCES:
        return {"type": "object", "required": ["$ref"]}
    if alternative.get("type") in ("boolean", "array"):
        return {"type": alternative["type"]}
    return None
