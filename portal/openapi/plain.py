"""Values made into what JSON, PostgreSQL and a page can hold, whatever a tolerant parser let in."""

import math
import re
from typing import Any

# PostgreSQL stores no NUL, and nothing can be encoded that holds half of a surrogate pair.
_HARMFUL = re.compile("[\x00\ud800-\udfff]")
_GREATEST = 2**64 - 1
_LEAST = -(2**63)


def plain_text(text: str) -> str:
    return _HARMFUL.sub("\ufffd", text) if _HARMFUL.search(text) else text


def plain_number(number: int | float) -> int | float | str:
    """Integers beyond 64 bits become floats, and what is no finite number becomes its word."""
    if isinstance(number, int) and _LEAST <= number <= _GREATEST:
        return number
    try:
        number = float(number)
    except OverflowError:
        return "Infinity" if number > 0 else "-Infinity"
    return number if math.isfinite(number) else str(number)


def make_plain(tree: Any) -> Any:
    """`tree` with each text and number made plain, in place where it can be."""
    root = [tree]
    ahead: list[Any] = [root]
    while ahead:
        node = ahead.pop()
        if isinstance(node, dict):
            items = [(plain_text(key), _plain(value)) for key, value in node.items()]
            node.clear()
            node.update(items)
        else:
            node[:] = [_plain(value) for value in node]
        ahead.extend(below for below in (node.values() if isinstance(node, dict) else node) if _is_container(below))
    return root[0]


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return plain_number(value)
    return value


def _is_container(value: Any) -> bool:
    return isinstance(value, dict | list)
