"""Schemas of 2.0, and what parameters of 2.0 say that 3.0 says in a schema."""

from typing import Any

from portal.openapi.loosely import object_of

OF_SCHEMAS = (
    *("type", "format", "items", "default", "enum", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"),
    *("maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems", "multipleOf", "x-nullable"),
    *("properties", "additionalProperties", "allOf"),
)
_MAPS = {"properties", "patternProperties"}
_LISTS = {"allOf", "anyOf", "oneOf"}
_SINGLE = {"items", "additionalProperties", "not"}

# What authors write for a type that has another name, or is a format.
_TYPES: dict[str, dict[str, Any]] = {
    **{name: {"type": name} for name in ("string", "number", "integer", "boolean", "array", "object")},
    "file": {"type": "string", "format": "binary"},
    "int": {"type": "integer"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "long": {"type": "integer", "format": "int64"},
    "float": {"type": "number", "format": "float"},
    "double": {"type": "number", "format": "double"},
    "decimal": {"type": "number"},
    "bool": {"type": "boolean"},
    "str": {"type": "string"},
    "text": {"type": "string"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
    "date-time": {"type": "string", "format": "date-time"},
    "uuid": {"type": "string", "format": "uuid"},
    "list": {"type": "array"},
    "map": {"type": "object"},
    "dict": {"type": "object"},
    "any": {},
    "null": {"nullable": True},
}


def schema_of(old: Any) -> Any:
    if not isinstance(old, dict):
        return old
    new: dict[str, Any] = {}
    for key, value in old.items():
        if key in _MAPS and isinstance(value, dict):
            new[key] = {name: schema_of(part) for name, part in value.items()}
        elif key in _LISTS and isinstance(value, list):
            new[key] = [schema_of(part) for part in value]
        elif key == "items" and isinstance(value, list):
            # One schema for each place in the list: 3.0 has one for all of them.
            parts = [schema_of(part) for part in value]
            new[key] = parts[0] if len(parts) == 1 else {"anyOf": parts} if parts else {}
        elif key in _SINGLE:
            new[key] = schema_of(value)
        elif key == "discriminator" and isinstance(value, str):
            new[key] = {"propertyName": value}
        elif key == "type":
            for name, part in _type_of(value).items():
                new.setdefault(name, part)
        elif key != "collectionFormat":
            new[key] = value
    if old.get("x-nullable") is True:
        new["nullable"] = True
    if new.get("type") == "array" and "items" not in new:
        new["items"] = {}
    return new


def schema_of_parameter(old: dict[str, Any]) -> dict[str, Any]:
    """Of a parameter or header that is no body. One that has a schema by mistake is taken at its word."""
    given = object_of(old.get("schema"))
    return object_of(schema_of({key: old[key] for key in OF_SCHEMAS if key in old} | given))


def _type_of(value: Any) -> dict[str, Any]:
    if not isinstance(value, list):
        return _TYPES.get(str(value).lower(), {"type": value})
    kinds = [_type_of(kind) for kind in value if kind != "null" and not isinstance(kind, list)]
    nullable = {"nullable": True} if "null" in value else {}
    return (kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else {}) | nullable
