"""Values of documents that nobody checked, taken for what should stand there."""

from typing import Any


def object_of(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def text_of(value: Any) -> str:
    """A number is taken for its digits; what is no single value for nothing."""
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def line_of(value: Any) -> str:
    return " ".join(text_of(value).split())
