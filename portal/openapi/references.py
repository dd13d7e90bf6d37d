"""Where a `$ref` leads. Local references only: what lies in another document is nobody's to fetch here.

A reference is named by what stands after its `#`: a JSON pointer (RFC 6901) as the document spells it, such as
`/components/schemas/Pet`; or `#Pet`, with the sign, where it is an `$anchor` instead.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

Look = Callable[[str], Any]
"""Gives the part of that name. `None` or a `LookupError` says that there is none."""

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")

_LONGEST_CHAIN = 50
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")

# What stands in these is data, where a `$ref` is a word like others …
_DATA = {"example", "default", "enum", "const", "value", "dataValue", "serializedValue"}
# … but in these every key is a name that the author chose, and may be one of those words.
_NAMES = {
    *("properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "responses", "paths", "webhooks"),
    *("schemas", "parameters", "requestBodies", "headers", "securitySchemes", "links", "callbacks", "pathItems"),
    *("mediaTypes", "content", "encoding", "additionalOperations"),
}


def resolve(tree: Any, pointer: str) -> Any:
    """The part of `tree` that `pointer` names. Raises LookupError where nothing stands."""
    if pointer.startswith("#"):
        return _anchors(tree)[pointer[1:]]
    if pointer and not pointer.startswith("/"):
        raise LookupError(pointer)
    for token in pointer.split("/")[1:]:
        tree = _step(tree, token, pointer)
    return tree


def looking(tree: Any) -> Look:
    """`resolve` over one tree, each pointer once, and the whole of it for all of its anchors once."""
    found: dict[str, Any] = {}
    anchors: dict[str, Any] | None = None

    def look(pointer: str) -> Any:
        nonlocal anchors
        if pointer.startswith("#"):
            anchors = _anchors(tree) if anchors is None else anchors
            return anchors[pointer[1:]]
        if pointer not in found:
            found[pointer] = resolve(tree, pointer)
        return found[pointer]

    return look


def reference_of(value: Any) -> str | None:
    """What `value` refers to; None if it refers to nothing, or to another document."""
    if not isinstance(value, dict):
        return None
    ref = value.get("$ref", value.get("$dynamicRef"))
    if not isinstance(ref, str) or not ref.startswith("#"):
        return None
    fragment = ref[1:]
    return fragment if not fragment or fragment.startswith("/") else f"#{fragment}"


def is_reference(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("$ref", value.get("$dynamicRef")), str)


def follow(value: Any, look: Look) -> tuple[Any, str]:
    """The thing at the end of a chain of references, and the name of the last one ("" if `value` is none).

    What stands beside a `$ref` is laid over what it leads to, as OpenAPI 3.1 has it; 3.0 ignores it, its authors did
    not. A reference that leads nowhere, to another document or round in a circle gives what stands beside it alone.
    """
    name, beside, seen = "", [], set[str]()
    while is_reference(value):
        beside.append({key: part for key, part in value.items() if key not in {"$ref", "$dynamicRef"}})
        pointer = reference_of(value)
        name = str(value.get("$ref", value.get("$dynamicRef"))) if pointer is None else pointer
        value = {} if pointer is None or pointer in seen or len(seen) > _LONGEST_CHAIN else _found(look, pointer)
        seen.add(name)
    for over in reversed(beside):
        if over and isinstance(value, dict):
            value = _laid_over(value, over)
    return value, name


def name_of(pointer: str) -> str:
    """The last word of a reference: `Pet` of `/components/schemas/Pet`."""
    return unquote(pointer.rsplit("/", 1)[-1]).replace("~1", "/").replace("~0", "~").lstrip("#")


def escaped(name: str) -> str:
    """`name` as one step of a pointer, which `name_of` reads back."""
    return name.replace("~", "~0").replace("/", "~1").replace("%", "%25")


def references_in(part: Any) -> Iterator[str]:
    """The local references that stand anywhere in `part`, repetitions and those of discriminators included."""
    for value, named in _dicts(part):
        if named:
            continue
        pointer = reference_of(value)
        if pointer is not None:
            yield pointer
        mapping = value.get("mapping")
        if isinstance(mapping, dict) and "propertyName" in value:
            for target in mapping.values():
                if isinstance(target, str) and target:
                    yield target[1:] if target.startswith("#/") else f"/components/schemas/{target}"


def closure(tree: Any, pointer: str) -> dict[str, Any]:
    """Every part that the object at `pointer` reaches by local references: name -> part. Where `pointer` is that of
    an operation, what its path item shares with it is reached too. References that lead nowhere are left out."""
    start = [resolve(tree, pointer)]
    look = looking(tree)
    above, _, last = pointer.rpartition("/")
    if last in METHODS and above.startswith("/paths/"):
        start.append({"parameters": _shared_parameters(tree, above, look)})
    parts: dict[str, Any] = {}
    ahead = [name for part in start for name in references_in(part)]
    while ahead:
        name = ahead.pop()
        if name in parts:
            continue
        try:
            parts[name] = look(name)
        except LookupError:
            continue
        ahead.extend(references_in(parts[name]))
    return parts


def operation_at(tree: Any, pointer: str, look: Look | None = None) -> dict[str, Any]:
    """The operation object with what its surroundings say of it: the path item's parameters (its own win) and the
    document's `security` where it has none of its own. Who asks for many gives the `looking(tree)` that they share."""
    look = look or looking(tree)
    operation = resolve(tree, pointer)
    operation = dict(operation) if isinstance(operation, dict) else {}
    own = _list(operation.get("parameters"))
    named = {_place(parameter, look) for parameter in own}
    shared = [it for it in _shared_parameters(tree, pointer.rpartition("/")[0], look) if _place(it, look) not in named]
    if own or shared:
        operation["parameters"] = [*shared, *own]
    if "security" not in operation and isinstance(tree.get("security"), list):
        operation["security"] = tree["security"]
    return operation


def _shared_parameters(tree: Any, pointer: str, look: Look) -> list[Any]:
    item, _ = follow(resolve(tree, pointer), look)
    return _list(item.get("parameters")) if isinstance(item, dict) else []


def _place(parameter: Any, look: Look) -> tuple[str, str]:
    parameter, _ = follow(parameter, look)
    return (str(parameter.get("in")), str(parameter.get("name"))) if isinstance(parameter, dict) else ("", "")


def _step(node: Any, token: str, pointer: str) -> Any:
    # A fragment is percent-encoded by rights; documents with a bare % in a name exist, so both spellings are tried.
    for spelling in (token, unquote(token)):
        word = spelling.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict) and word in node:
            return node[word]
        if isinstance(node, list) and _INDEX.fullmatch(word) and int(word) < len(node):
            return node[int(word)]
    raise LookupError(pointer)


def _anchors(tree: Any) -> dict[str, Any]:
    """The first part of each name."""
    anchors: dict[str, Any] = {}
    for value, named in _dicts(tree):
        for word in () if named else (value.get("$anchor"), value.get("$dynamicAnchor")):
            if isinstance(word, str):
                anchors.setdefault(word, value)
    return anchors


def _found(look: Look, pointer: str) -> Any:
    try:
        part = look(pointer)
    except LookupError:
        return {}
    return {} if part is None else part


def _laid_over(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    whole = {**under, **over}
    if isinstance(under.get("properties"), dict) and isinstance(over.get("properties"), dict):
        whole["properties"] = {**under["properties"], **over["properties"]}
    if isinstance(under.get("required"), list) and isinstance(over.get("required"), list):
        whole["required"] = [*under["required"], *(it for it in over["required"] if it not in under["required"])]
    return whole


def _dicts(part: Any) -> Iterator[tuple[dict[str, Any], bool]]:
    """Each object in `part`, and whether its keys are names; without recursion, for documents nest as they like."""
    ahead: list[tuple[Any, bool]] = [(part, False)]
    while ahead:
        value, named = ahead.pop()
        if isinstance(value, list):
            ahead.extend((item, False) for item in reversed(value))
        elif isinstance(value, dict):
            yield value, named
            for key, below in reversed(value.items()):
                if named:
                    ahead.append((below, False))
                elif key == "examples":
                    # Of a media type they are a map, whose entries may be references; of a schema a list of data.
                    ahead.append((below if isinstance(below, dict) else None, True))
                elif key not in _DATA and not key.startswith("x-"):
                    ahead.append((below, key in _NAMES and isinstance(below, dict)))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
