"""Paths made sound: each parameter of an address is declared, nothing else is declared as one."""

import string
from typing import TYPE_CHECKING, Any

from portal.openapi.grammar import MISSING
from portal.openapi.references import METHODS, follow

if TYPE_CHECKING:
    from portal.openapi.repair import Repair

_Place = tuple[str, str]


def path_items(repair: "Repair", paths: Any, *, deprecated: bool, key: _Place | None) -> dict[str, Any]:
    """All paths of a document. `key` is where the gateway's key goes (place, name): no parameter of its own."""
    made: dict[str, Any] = {}
    for path, item in paths.items() if isinstance(paths, dict) else ():
        path = str(path)
        if path.startswith("x-"):
            continue
        address, names = address_of(path if path.startswith("/") else f"/{path}")
        mended = path_item(repair, names, item, deprecated=deprecated, key=key)
        made[address] = {**mended, **made.get(address, {})}
    return made


def address_of(path: str) -> tuple[str, list[str]]:
    """The path and the names in it; braces that hold none are encoded."""
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(path) if name]
    except ValueError:
        return path.replace("{", "%7B").replace("}", "%7D"), []
    return path, list(dict.fromkeys(names))


def path_item(
    repair: "Repair", names: list[str] | None, value: Any, *, deprecated: bool, key: _Place | None = None
) -> dict[str, Any]:
    """`names` are those in the address; None where it is no address of the API's (callbacks, webhooks)."""
    item, _ = follow(value, repair.look)
    item = item if isinstance(item, dict) else {}
    made = {field: item[field] for field in ("summary", "description") if isinstance(item.get(field), str)}
    made |= {str(field): part for field, part in item.items() if str(field).startswith("x-")}
    shared = _parameters(repair, item.get("parameters"), names, key)
    if shared:
        made["parameters"] = list(shared.values())
    for method in METHODS:
        if isinstance(item.get(method), dict) and (method != "query" or repair.version >= "3.2"):
            made[method] = _operation(repair, item[method], names, key, shared, deprecated)
    others = item.get("additionalOperations")
    if isinstance(others, dict) and repair.version >= "3.2":
        made["additionalOperations"] = {
            method: _operation(repair, operation, names, key, shared, deprecated)
            for method, operation in others.items()
            if isinstance(operation, dict) and str(method).isalpha() and str(method).lower() not in METHODS
        }
    return made


def _operation(
    repair: "Repair",
    operation: dict[str, Any],
    names: list[str] | None,
    key: _Place | None,
    shared: dict[_Place, Any],
    deprecated: bool,
) -> dict[str, Any]:
    said = repair.of("operation", operation)
    made: dict[str, Any] = {} if said is MISSING else said
    if "operationId" in made:
        made["operationId"] = repair.operation_id(made["operationId"])
    own = _parameters(repair, operation.get("parameters"), names, key)
    for name in names or ():
        if ("path", name) not in own and ("path", name) not in shared:
            own["path", name] = {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    if own:
        made["parameters"] = list(own.values())
    if deprecated:
        made["deprecated"] = True
    made["responses"] = repair.responses(operation.get("responses"))
    return made


def _parameters(repair: "Repair", value: Any, names: list[str] | None, key: _Place | None) -> dict[_Place, Any]:
    found: dict[_Place, Any] = {}
    for entry in value if isinstance(value, list) else ():
        parameter, _ = follow(entry, repair.look)
        if not repair.usable("parameter", parameter):
            continue
        place = parameter["in"], parameter["name"]
        if place in found or (names is not None and place[0] == "path" and place[1] not in names):
            continue
        if key is not None and (place[0], place[1].lower()) == (key[0], key[1].lower()):
            continue
        made = repair.of("parameter", entry)
        if made is not MISSING:
            found[place] = made
    return found
