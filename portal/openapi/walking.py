"""Walking over a whole document without recursion, however deep or large it is."""

from collections.abc import Iterator
from typing import Any

from portal.openapi.findings import pointer_of

Place = tuple[Any, Any] | None
"""(the place above, the own key or index); None is the root. A pointer is made of it only where one is said."""

# What stands in these is data, where a `$ref` is a word like others …
_DATA = frozenset({"example", "default", "enum", "const", "value", "dataValue", "serializedValue"})
# … but in these every key is a name that the author chose, and may be one of those words.
_NAMES = frozenset(
    {
        *("properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "responses", "paths"),
        *("webhooks", "schemas", "parameters", "requestBodies", "headers", "securitySchemes", "links", "callbacks"),
        *("pathItems", "mediaTypes", "content", "encoding", "additionalOperations", "securityDefinitions"),
    }
)


def objects_of(tree: Any) -> Iterator[tuple[dict[str, Any], Place]]:
    """Each object that means something to OpenAPI, in the order of the document. Examples, defaults and extensions are
    data, and left out."""
    ahead: list[tuple[Any, Place, bool]] = [(tree, None, False)]
    while ahead:
        node, place, named = ahead.pop()
        if type(node) is list:
            for index in range(len(node) - 1, -1, -1):
                if type(node[index]) in (dict, list):
                    ahead.append((node[index], (place, index), False))
            continue
        if type(node) is not dict:
            continue
        yield node, place
        for key, below in reversed(node.items()):
            if type(below) not in (dict, list):
                continue
            if named:
                ahead.append((below, (place, key), False))
            elif key == "examples":
                # Of a media type they are a map, whose entries may be references; of a schema a list of data.
                if type(below) is dict:
                    ahead.append((below, (place, key), True))
            elif key not in _DATA and not key.startswith("x-"):
                ahead.append((below, (place, key), key in _NAMES and type(below) is dict))


def pointer_to(place: Place) -> str:
    steps = []
    while place is not None:
        place, step = place
        steps.append(step)
    return pointer_of(reversed(steps))


def is_deeper_than(tree: Any, levels: int) -> bool:
    level = [tree]
    for _ in range(levels):
        level = [
            below
            for node in level
            for below in (node.values() if type(node) is dict else node if type(node) is list else ())
            if type(below) is dict or type(below) is list
        ]
        if not level:
            return False
    return True
