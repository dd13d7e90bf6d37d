"""Bounds in words: `1 to 20 characters`, `at least 3`, `matches ^[a-z]+$`."""

from collections.abc import Callable
from typing import Any


def constraints_of(shape: dict[str, Any]) -> tuple[str, ...]:
    """What a flat schema asks of a value beyond its type, one phrase each, in a fixed order."""
    found = [
        _range(shape, "minLength", "maxLength", "character", "characters"),
        _bounds(shape),
        f"a multiple of {shape['multipleOf']}" if _is_number(shape.get("multipleOf")) else "",
        f"matches {shape['pattern']}" if isinstance(shape.get("pattern"), str) else "",
        _range(shape, "minItems", "maxItems", "item", "items"),
        "unique" if shape.get("uniqueItems") is True else "",
        _range(shape, "minProperties", "maxProperties", "property", "properties"),
        f"encoded as {shape['contentEncoding']}" if isinstance(shape.get("contentEncoding"), str) else "",
        f"holds {shape['contentMediaType']}" if isinstance(shape.get("contentMediaType"), str) else "",
    ]
    return tuple(phrase for phrase in found if phrase)


def bounds_of(shape: dict[str, Any]) -> tuple[float | None, bool, float | None, bool]:
    """Lowest and highest number, each with whether it is itself left out, which 3.0 and JSON Schema spell unlike."""
    low, low_out = _end(shape, "minimum", "exclusiveMinimum", max)
    high, high_out = _end(shape, "maximum", "exclusiveMaximum", min)
    return low, low_out, high, high_out


def _end(
    shape: dict[str, Any], bound: str, exclusive: str, tighter: Callable[[float, float], float]
) -> tuple[float | None, bool]:
    value: float | None = shape[bound] if _is_number(shape.get(bound)) else None
    other: float | None = shape[exclusive] if _is_number(shape.get(exclusive)) else None
    if other is None:
        return value, value is not None and shape.get(exclusive) is True
    if value is None or tighter(value, other) == other:
        return other, True
    return value, False


def _bounds(shape: dict[str, Any]) -> str:
    low, low_out, high, high_out = bounds_of(shape)
    if low is not None and high is not None and not low_out and not high_out:
        return f"exactly {low}" if low == high else f"{low} to {high}"
    phrases = []
    if low is not None:
        phrases.append(f"more than {low}" if low_out else f"at least {low}")
    if high is not None:
        phrases.append(f"less than {high}" if high_out else f"at most {high}")
    return " and ".join(phrases)


def _range(shape: dict[str, Any], least: str, most: str, one: str, many: str) -> str:
    low, high = shape.get(least), shape.get(most)
    low = None if not _is_number(low) or not low else low
    high = high if _is_number(high) else None
    if low is not None and high is not None:
        return f"exactly {low} {one if low == 1 else many}" if low == high else f"{low} to {high} {many}"
    if low is not None:
        return f"at least {low} {one if low == 1 else many}"
    if high is not None:
        return f"at most {high} {one if high == 1 else many}"
    return ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
