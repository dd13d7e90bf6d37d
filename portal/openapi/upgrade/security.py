"""Security definitions of 2.0 and what operations require of them."""

from typing import Any

from portal.openapi.loosely import object_of
from portal.openapi.upgrade.moves import extensions_of

_FLOWS = {"application": "clientCredentials", "accessCode": "authorizationCode"}
_URLS = {
    "implicit": ("authorizationUrl",),
    "password": ("tokenUrl",),
    "clientCredentials": ("tokenUrl",),
    "authorizationCode": ("authorizationUrl", "tokenUrl"),
}


def scheme_of(old: Any) -> Any:
    if not isinstance(old, dict):
        return old
    new = {"description": old["description"]} if "description" in old else {}
    if old.get("type") == "basic":
        return {"type": "http", "scheme": "basic"} | new | extensions_of(old)
    if old.get("type") != "oauth2":
        return dict(old)
    flow = _FLOWS.get(str(old.get("flow")), str(old.get("flow", "implicit")))
    urls = {key: old.get(key, "") for key in _URLS.get(flow, ())}
    return (
        {"type": "oauth2"}
        | new
        | {"flows": {flow: urls | {"scopes": object_of(old.get("scopes"))}}}
        | extensions_of(old)
    )


def requirements_of(old: Any, names: dict[str, str]) -> Any:
    if not isinstance(old, list):
        return old
    return [
        {names.get(name, name): scopes for name, scopes in requirement.items()}
        if isinstance(requirement, dict)
        else requirement
        for requirement in old
    ]
