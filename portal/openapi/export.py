"""The OpenAPI document of an API as the gateway serves it: its address, its key, and nothing that validators refuse."""

import json
from typing import Any, Protocol

import yaml

from portal.openapi.grammar import MISSING
from portal.openapi.references import is_reference
from portal.openapi.repair import Repair, finite
from portal.openapi.repair_paths import path_items

_VERSIONS = {"3.0": "3.0.3", "3.1": "3.1.0", "3.2": "3.2.0"}
_SCHEME = "gatewayKey"
_BASIC = "gatewayPassword"
_TOKEN = "token"
_METHODS = ("get", "post", "put", "patch", "delete")


class KeyPlace(Protocol):
    @property
    def place(self) -> str:
        """`header`, `bearer` or `query`; `basic` for user name and password."""

    @property
    def name(self) -> str:
        """Of the header or query parameter."""


def exported(
    tree: dict[str, Any] | None,
    *,
    title: str,
    version: str,
    description: str,
    server: str,
    key: KeyPlace | None,
    or_basic: bool = False,
    token: str | None = None,
    deprecated: bool = False,
) -> dict[str, Any]:
    """The document with what the portal knows better put in: title, version, description (where there is one), the
    gateway's address instead of the servers, the gateway's key instead of the security schemes (none where `key` is
    None, and user name and password beside it with `or_basic`), and tokens (JWT) with what `token` says of them. It
    keeps its version of OpenAPI up to the minor one. Without a `tree` it says in words what it does not know.
    """
    if tree is None:
        return _undescribed(title, version, description, server, key, or_basic, token, deprecated)
    minor = str(tree.get("openapi", "3.0")).strip().lstrip("vV")[:3]
    minor = minor if minor in _VERSIONS else "3.1"
    repair = Repair(tree, minor)
    # The gateway reads the key there and takes it off: an API that declares it too would have it asked for twice.
    in_authorization = key is not None and key.place in {"bearer", "basic"}
    own = None if key is None else ("header", "authorization") if in_authorization else (key.place, key.name)
    document: dict[str, Any] = {
        "openapi": _VERSIONS[minor],
        "info": _info(repair, tree.get("info"), title, version, description),
        "servers": [{"url": server}],
    }
    for field, kind in (("externalDocs", "externalDocs"), ("tags", "list:tag")):
        made = repair.of(kind, tree.get(field)) if tree.get(field) else MISSING
        if made is not MISSING:
            document[field] = made
    if "tags" in document:
        document["tags"] = _once(document["tags"], minor)
    document |= {name: finite(value) for name, value in tree.items() if str(name).startswith("x-")}
    document["paths"] = path_items(repair, tree.get("paths"), deprecated=deprecated, key=own)
    webhooks = tree.get("webhooks")
    if isinstance(webhooks, dict) and minor >= "3.1":
        document["webhooks"] = {str(name): repair.path_item(item) for name, item in webhooks.items()}
    components = repair.finish()
    return _secured(document, components, key, or_basic, token)


def as_json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def as_yaml(document: dict[str, Any]) -> str:
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)


class _Plain(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """No `&id001`: people read this too."""
        return True


def _text(dumper: _Plain, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Plain.add_representer(str, _text)


def _undescribed(
    title: str,
    version: str,
    description: str,
    server: str,
    key: KeyPlace | None,
    or_basic: bool,
    token: str | None,
    deprecated: bool,
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": "Any call",
        "description": "This API has no description of its operations. Whatever follows its address is passed on: any "
        "path of any depth, any query, any body.",
        "parameters": [{"name": "path", "in": "path", "required": True, "schema": {"type": "string"}}],
        "responses": {"default": {"description": "What the API answers."}},
    }
    if deprecated:
        operation["deprecated"] = True
    body: dict[str, Any] = {"requestBody": {"content": {"*/*": {}}}}
    document: dict[str, Any] = {
        "openapi": _VERSIONS["3.1"],
        "info": {"title": title, "version": version, **({"description": description} if description else {})},
        "servers": [{"url": server}],
        "paths": {"/{path}": {it: operation | (body if it in {"post", "put", "patch"} else {}) for it in _METHODS}},
    }
    return _secured(document, {}, key, or_basic, token)


def _secured(
    document: dict[str, Any], components: dict[str, Any], key: KeyPlace | None, or_basic: bool, token: str | None
) -> dict[str, Any]:
    whose = "from the portal, given to an application that is subscribed to this API."
    schemes: dict[str, dict[str, Any]] = {}
    if key is not None and key.place != "basic":
        said = f"A key {whose}"
        schemes[_SCHEME] = {"type": "apiKey", "in": key.place, "name": key.name, "description": said}
        if key.place == "bearer":
            schemes[_SCHEME] = {"type": "http", "scheme": "bearer", "description": said}
    if key is not None and (or_basic or key.place == "basic"):
        schemes[_BASIC] = {"type": "http", "scheme": "basic", "description": f"A user name and its password {whose}"}
    if token is not None:
        schemes[_TOKEN] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": token}
    if schemes:
        components["securitySchemes"] = schemes
        document["security"] = [{name: []} for name in schemes]
    if components:
        document["components"] = components
    return document


def _info(repair: Repair, said: Any, title: str, version: str, description: str) -> dict[str, Any]:
    said = said if isinstance(said, dict) and not is_reference(said) else {}
    info: dict[str, Any] = {"title": title, "version": version}
    words = description or said.get("description")
    if isinstance(words, str) and words:
        info["description"] = words
    kinds = {"termsOfService": "uri", "contact": "contact", "license": "license"}
    if repair.version >= "3.1":
        kinds["summary"] = "text"
    for field, kind in kinds.items():
        made = repair.of(kind, said[field]) if field in said else MISSING
        if made is not MISSING:
            info[field] = made
    if "identifier" in info.get("license", {}):
        info["license"].pop("url", None)
    return info | {name: finite(value) for name, value in said.items() if str(name).startswith("x-")}


def _once(tags: list[dict[str, Any]], minor: str) -> list[dict[str, Any]]:
    named: dict[str, dict[str, Any]] = {}
    for tag in tags:
        named.setdefault(tag["name"], tag)
    if minor >= "3.2":
        for tag in named.values():
            above, seen = tag, {tag["name"]}
            while "parent" in above:
                if above["parent"] not in named or above["parent"] in seen:
                    del above["parent"]
                    break
                above = named[above["parent"]]
                seen.add(above["name"])
    return list(named.values())
