"""Documents to test with: the real ones of `tests/specs`, and small ones made in place."""

import json
from pathlib import Path
from typing import Any

from portal.openapi import Description, Operation
from portal.openapi.references import METHODS, Look, looking

SPECS = sorted((Path(__file__).parent.parent / "specs").glob("*.json"))


def tree_of(path: Path) -> dict[str, Any]:
    return json.loads(path.read_bytes())


def document(paths: dict[str, Any] | None = None, *, openapi: str = "3.1.0", **fields: Any) -> dict[str, Any]:
    return {"openapi": openapi, "info": {"title": "Pets", "version": "1"}, "paths": paths or {}, **fields}


def looking_at(**schemas: Any) -> Look:
    return looking(document(components={"schemas": schemas}))


def description(tree: dict[str, Any]) -> Description:
    operations = []
    for path, item in tree.get("paths", {}).items():
        for method in METHODS:
            if method not in item:
                continue
            operation = item[method]
            word = path.replace("~", "~0").replace("/", "~1")
            operations.append(
                Operation(
                    id=operation.get("operationId", f"{method}{path.replace('/', '-')}"),
                    method=method.upper(),
                    path=path,
                    summary=operation.get("summary", ""),
                    description=operation.get("description", ""),
                    tags=tuple(operation.get("tags", ())),
                    deprecated=operation.get("deprecated", False),
                    pointer=f"/paths/{word}/{method}",
                )
            )
    return Description("3.1.0", "Pets", "", "", "1", (), (), tuple(operations), None, tree, ())
