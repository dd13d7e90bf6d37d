"""OpenAPI documents of a wanted size: so many operations, and schemas that refer to each other until it is reached.

Equal arguments give equal bytes. The budgets of reading and importing are promised for the three in `SIZES`.
"""

import random
from collections.abc import Iterator
from typing import Any

import orjson

SIZES = {"typical": (20, 33_000), "large": (900, 6_000_000), "huge": (22_000, 47_000_000)}
"""Name -> (operations, bytes)."""

_TEXT = (
    "account address amount archive balance batch branch budget cargo carrier charge claim client contract country "
    "currency customer delivery deposit device discount document driver entry event export factor freight group hub "
    "import invoice item ledger limit margin market member merchant message notice offer order owner parcel partner "
    "payment period person place policy price product profile quota rate receipt record refund region report route "
    "rule schedule segment service shipment site stage status stock store supplier tariff task tax team term ticket "
    "token total tour transfer unit user vendor vehicle version visit voucher warehouse window zone"
)
WORDS = _TEXT.split()
_METHODS = ("get", "post", "put", "delete", "patch")
_FORMATS = ("date-time", "uuid", "email", "uri", None, None)


def document(operations: int, size: int, *, seed: int = 1, version: str = "3.0.3") -> bytes:
    """JSON of about `size` bytes. Schemas refer to earlier and later ones, so that there are circles."""
    chance = random.Random(seed)
    paths = _paths(chance, operations)
    schemas: dict[str, Any] = {}
    tree = {
        "openapi": version,
        "info": {"title": "Freight", "version": "1.0", "description": _sentence(chance, 60)},
        "servers": [{"url": "https://api.example.com/{stage}", "variables": {"stage": {"default": "v1"}}}],
        "security": [{"key": []}],
        "tags": [{"name": word, "description": _sentence(chance, 8)} for word in WORDS[:40]],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": {"limit": {"name": "limit", "in": "query", "schema": {"type": "integer", "default": 20}}},
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"}},
        },
    }
    missing = size - _length(tree)
    for name, schema in _schemas(chance):
        schemas[name] = schema
        missing -= _length(schema) + len(name) + 4
        if missing <= 0:
            break
    _redirect(chance, tree, list(schemas))
    return orjson.dumps(tree)


def _paths(chance: random.Random, operations: int) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for number in range(operations):
        method = _METHODS[number % len(_METHODS)]
        if method == "get":
            first, second = chance.choice(WORDS), chance.choice(WORDS)
            item = paths[f"/{first}s/{{id}}/{second}s/{number}"] = {
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
            }
        item[method] = _operation(chance, method, number)
    return paths


def _operation(chance: random.Random, method: str, number: int) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": ""}}}
    operation: dict[str, Any] = {
        "operationId": f"{method}_{chance.choice(WORDS)}_{number}",
        "summary": _sentence(chance, 6),
        "description": _sentence(chance, 25),
        "tags": [chance.choice(WORDS[:40])],
        "parameters": [
            {"$ref": "#/components/parameters/limit"},
            {"name": chance.choice(WORDS), "in": "query", "schema": {"type": "string", "enum": ["a", "b", "c"]}},
        ],
        "responses": {"200": {"description": "It worked", "content": content}, "404": {"description": "Not there"}},
    }
    if method in {"post", "put", "patch"}:
        example = {word: chance.randrange(1_000) for word in chance.sample(WORDS, 4)}
        operation["requestBody"] = {"content": {"application/json": {"schema": {"$ref": ""}, "example": example}}}
    return operation


def _schemas(chance: random.Random) -> Iterator[tuple[str, dict[str, Any]]]:
    number = 0
    while True:
        number += 1
        properties = {word: _property(chance) for word in chance.sample(WORDS, 10)}
        yield (
            f"{chance.choice(WORDS).title()}{number}",
            {
                "type": "object",
                "description": _sentence(chance, 15),
                "required": sorted(chance.sample(sorted(properties), 3)),
                "properties": properties,
            },
        )


def _property(chance: random.Random) -> dict[str, Any]:
    match chance.randrange(5):
        case 0:
            return {"$ref": ""}
        case 1:
            return {"type": "array", "items": {"$ref": ""}, "maxItems": chance.randrange(1, 500)}
        case 2:
            return {"type": "integer", "minimum": 0, "example": chance.randrange(10_000)}
        case 3:
            form = chance.choice(_FORMATS)
            return {"type": "string", "description": _sentence(chance, 8)} | ({"format": form} if form else {})
        case _:
            return {"allOf": [{"$ref": ""}], "nullable": True, "description": _sentence(chance, 6)}


def _redirect(chance: random.Random, tree: dict[str, Any], names: list[str]) -> None:
    """Fill in where references lead, now that all names are known."""
    ahead: list[Any] = [tree["paths"], tree["components"]]
    while ahead:
        node = ahead.pop()
        if isinstance(node, dict) and node.get("$ref") == "":
            node["$ref"] = f"#/components/schemas/{chance.choice(names)}"
        ahead += [part for part in (node.values() if isinstance(node, dict) else node) if isinstance(part, dict | list)]


def _length(tree: dict[str, Any]) -> int:
    """In bytes, with what references lead to as long as it is going to be on average."""
    written = orjson.dumps(tree)
    return len(written) + 33 * written.count(b'"$ref":""')


def _sentence(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(WORDS, k=words)).capitalize() + "."
