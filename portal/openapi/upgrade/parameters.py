"""Parameters of 2.0 that stay parameters, and headers of its responses."""

from typing import Any

from portal.openapi.findings import Findings, pointer_of, quoted
from portal.openapi.loosely import line_of, object_of
from portal.openapi.upgrade.moves import Steps, extensions_of
from portal.openapi.upgrade.schemas import schema_of_parameter

_KEPT = ("name", "in", "description", "required", "deprecated", "allowEmptyValue", "example")
_STYLES = {"ssv": "spaceDelimited", "pipes": "pipeDelimited"}


def parameter_of(old: dict[str, Any], at: Steps, findings: Findings) -> dict[str, Any]:
    if isinstance(old.get("$ref"), str):
        return {"$ref": old["$ref"]}
    new = {key: old[key] for key in _KEPT if key in old}
    place = old.get("in")
    if place != "query":
        new.pop("allowEmptyValue", None)
    if place == "path":
        new["required"] = True
    if "example" not in new and "x-example" in old:
        new["example"] = old["x-example"]
    schema = schema_of_parameter(old)
    if schema.get("type") == "array" and place == "query":
        new |= style_of(old)
        if old.get("collectionFormat") == "tsv":
            findings.add(
                pointer_of((*at, "collectionFormat")),
                f"OpenAPI 3 cannot say that the values of {quoted(line_of(old.get('name')))} have tabs between them. "
                "They are shown with commas.",
            )
    return new | {"schema": schema} | _extensions(old)


def style_of(old: dict[str, Any]) -> dict[str, Any]:
    """How the values of a list are written in a query or a form."""
    written = line_of(old.get("collectionFormat"))
    return {"style": _STYLES.get(written, "form"), "explode": written == "multi"}


def header_of(old: Any) -> dict[str, Any]:
    old = object_of(old)
    new = {"description": old["description"]} if "description" in old else {}
    return new | {"schema": schema_of_parameter(old)} | _extensions(old)


def _extensions(old: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in extensions_of(old).items() if key not in {"x-example", "x-nullable"}}
