"""Whether a value is one that a schema allows. In doubt it is not: this says what is left out, not what is refused."""

import base64
import binascii
import ipaddress
import re
from datetime import date
from typing import Any

from portal.openapi.constraints import bounds_of
from portal.openapi.references import Look
from portal.openapi.shapes import choices_of, flat, json_type, properties_of, required_of, same, types_of

_DEEPEST = 10
_NOT_UNDERSTOOD = ("not", "if", "dependentSchemas", "dependentRequired", "unevaluatedProperties", "unevaluatedItems")
_NOT_UNDERSTOOD_INSIDE = ("patternProperties", "propertyNames", "contains", "prefixItems")

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_FORMATS = {
    "date-time": r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-][0-2]\d:[0-5]\d)",
    "time": r"[0-2]\d:[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-][0-2]\d:[0-5]\d)",
    "duration": r"P(?!$)(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?",
    "email": r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*",
    "hostname": rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*",
    "uri": r"[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9/?#@!$&'()*+,;=._~:%-]+",
    "uri-reference": r"[A-Za-z0-9/?#@!$&'()*+,;=._~:%-]*",
    "uuid": r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
    "json-pointer": r"(/([^~/]|~[01])*)*",
    "color": r"#[0-9a-fA-F]{6}",
}
_OTHERS = {"idn-email", "idn-hostname", "iri", "iri-reference", "uri-template", "relative-json-pointer"}


def fits(value: Any, schema: Any, look: Look, depth: int = 0) -> bool:
    """Whether `value` surely satisfies `schema`."""
    shape, _ = flat(schema, look)
    if depth > _DEEPEST or any(word in shape for word in _NOT_UNDERSTOOD):
        return False
    if value is None and shape.get("nullable") is True:
        return "enum" not in shape or None in shape["enum"]
    kind, types = json_type(value), types_of({"type": shape.get("type")})
    if types and kind not in types and not (kind == "integer" and "number" in types):
        return False
    if isinstance(shape.get("enum"), list) and not any(same(value, it) for it in shape["enum"]):
        return False
    if "const" in shape and not same(value, shape["const"]):
        return False
    word, choices = choices_of(shape)
    if "oneOf" in shape and "anyOf" in shape:
        return False
    met = sum(fits(value, choice, look, depth + 1) for choice in choices)
    # A choice that is not surely met may be met all the same, which "one of" does not forgive.
    if choices and (met == 0 or (word == "oneOf" and (met > 1 or (len(choices) > 1 and kind in {"object", "array"})))):
        return False
    return _bounds(value, kind, shape) and _inside(value, kind, shape, look, depth)


def has_format(value: str, form: Any) -> bool:
    if form in _OTHERS:
        return False
    if form == "date":
        return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", value)) and _made(date.fromisoformat, value)
    if form in {"ipv4", "ipv6"}:
        return _made(ipaddress.IPv4Address if form == "ipv4" else ipaddress.IPv6Address, value)
    if form == "byte":
        return value.isascii() and _made(lambda text: base64.b64decode(text, validate=True), value)
    if form == "regex":
        return is_pattern(value)
    pattern = _FORMATS.get(form) if isinstance(form, str) else None
    return pattern is None or re.fullmatch(pattern, value) is not None


def is_pattern(text: str) -> bool:
    """Whether it is a regular expression for everybody; the dialects of engines that differ are not."""
    return not re.search(r"\(\?(?![:=!<])|\(\?<[a-z]|\\[pPAZzGkKRXhHQE]|[*+?}]\+|\[\[|&&|--|\(\?P", text) and _made(
        re.compile, text
    )


def _bounds(value: Any, kind: str, shape: dict[str, Any]) -> bool:
    if kind in {"integer", "number"}:
        low, low_out, high, high_out = bounds_of(shape)
        if low is not None and (value < low or (low_out and value == low)):
            return False
        if high is not None and (value > high or (high_out and value == high)):
            return False
        size = {"int32": 1 << 31, "int64": 1 << 63}.get(str(shape.get("format")))
        return "multipleOf" not in shape and (size is None or -size <= value < size)
    if kind == "string":
        return (
            _counted(len(value), shape, "Length")
            # It is not tried against the pattern: a pattern of a stranger's may take for ever.
            and "pattern" not in shape
            and has_format(value, shape.get("format"))
        )
    return True


def _inside(value: Any, kind: str, shape: dict[str, Any], look: Look, depth: int) -> bool:
    if kind in {"object", "array"} and any(word in shape for word in _NOT_UNDERSTOOD_INSIDE):
        return False
    if kind == "array":
        items = shape.get("items", {})
        return (
            _counted(len(value), shape, "Items")
            and (shape.get("uniqueItems") is not True or len(value) <= 1)
            and all(fits(item, items, look, depth + 1) for item in value)
        )
    if kind == "object":
        known, more = properties_of(shape), shape.get("additionalProperties", True)
        return (
            _counted(len(value), shape, "Properties")
            and all(name in value for name in required_of(shape))
            and all(fits(below, known.get(name, more), look, depth + 1) for name, below in value.items())
        )
    return True


def _counted(count: int, shape: dict[str, Any], word: str) -> bool:
    low, high = shape.get(f"min{word}"), shape.get(f"max{word}")
    return (not isinstance(low, int | float) or count >= low) and (not isinstance(high, int | float) or count <= high)


def _made(make: Any, value: str) -> bool:
    try:
        make(value)
    except (ValueError, re.error, binascii.Error, OverflowError, RecursionError):
        return False
    return True
