"""Whether a document is built as its version of OpenAPI asks, by the official schemas: warnings, never a refusal."""

import json
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portal.openapi.findings import Findings, pointer_of, quoted
from portal.openapi.loosely import object_of
from portal.openapi.official import without_alternatives

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError

_OFFICIAL = Path(__file__).with_name("official")
_SLICE = 500
"""Paths or components that are looked at in one go. The validator copies what it looks at: so the copy stays small."""

_TYPES = {
    "object": "an object",
    "array": "a list",
    "string": "a text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "nothing",
}


def check_structure(tree: dict[str, Any], version: str, findings: Findings) -> None:
    """`version` is 2.0, 3.0, 3.1 or 3.2. Schemas are looked into in 2.0 and 3.0 only: later ones may be of any dialect
    of JSON Schema."""
    validator = _validator(version)
    said: set[tuple[str, str]] = set()
    for part in _slices(tree, version):
        for error in validator.iter_errors(part):
            if findings.is_full:
                findings.count(1)
                continue
            for steps, sentence in _sentences(error, version):
                pointer = pointer_of(steps)
                if (pointer, sentence) not in said:
                    said.add((pointer, sentence))
                    findings.add(pointer, sentence)


@cache
def _validator(version: str) -> Any:
    import jsonschema_rs  # 4 MB that only a process needs which reads documents

    schema = json.loads((_OFFICIAL / f"{version}.json").read_bytes())
    return jsonschema_rs.validator_for(without_alternatives(schema), offline=True)


def _slices(tree: dict[str, Any], version: str) -> Iterator[dict[str, Any]]:
    """`tree` in parts that can be judged one by one. What all parts need beside is a head without faults."""
    maps = [name for name in ("paths", "definitions") if len(object_of(tree.get(name))) > _SLICE]
    components = object_of(tree.get("components"))
    kinds = [kind for kind, parts in components.items() if len(object_of(parts)) > _SLICE]
    rest = {name: {} if name in maps else part for name, part in tree.items()}
    if kinds:
        rest["components"] = {kind: {} if kind in kinds else parts for kind, parts in components.items()}
    yield rest
    version_key = "swagger" if version == "2.0" else "openapi"
    head = {version_key: tree.get(version_key), "info": {"title": "", "version": ""}, "paths": {}}
    for name in maps:
        for some in _cut(tree[name]):
            yield head | {name: some}
    for kind in kinds:
        for some in _cut(components[kind]):
            yield head | {"components": {kind: some}}


def _cut(parts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    items = iter(parts.items())
    while some := dict(islice(items, _SLICE)):
        yield some


def _sentences(error: "ValidationError", version: str) -> Iterator[tuple[list[Any], str]]:
    kind, values = error.kind.name, error.kind.as_dict()
    steps = list(error.instance_path)
    match kind:
        case "anyOf" | "oneOf" if branches := [branch for branch in values.get("context", ()) if branch]:
            for inner in min(branches, key=lambda branch: _distance(branch, error.instance)):
                yield from _sentences(inner, version)
        case "additionalProperties" | "unevaluatedProperties":
            for name in values["unexpected"]:
                yield [*steps, name], f"OpenAPI {version} knows no {quoted(name)} here."
        case "required":
            yield steps, f"{quoted(values['property'])} is missing here."
        case "type":
            wanted = " or ".join(_TYPES.get(name, name) for name in values["types"])
            yield steps, f"This should be {wanted}, and is {_type_of(error.instance)}."
        case "enum":
            options = ", ".join(str(option) for option in values["options"])
            yield steps, f"{quoted(error.instance)} is none of what may stand here: {options}."
        case "const":
            yield steps, f"This should be {quoted(values['expected_value'])}."
        case "pattern" | "format" | "propertyNames":
            yield steps, f"{quoted(_shown(error.instance))} does not have the form that OpenAPI asks for here."
        case "minItems" | "minProperties":
            yield steps, "This is empty, and should not be."
        case "maxItems" | "maxProperties":
            yield steps, "More stands here than may."
        case "uniqueItems":
            yield steps, "Something stands in this list twice."
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" | "minLength" | "maxLength":
            yield steps, f"{quoted(_shown(error.instance))} is too small or too large for what stands here."
        case "falseSchema" | "not":
            yield steps, f"OpenAPI {version} does not allow this here, or not beside what stands with it."
        case "anyOf" | "oneOf":
            yield steps, "Of things that exclude each other, several stand here, or none."
        case _:
            yield steps, f"This is not as OpenAPI {version} asks ({kind})."


def _distance(branch: "list[ValidationError]", instance: Any) -> tuple[bool, int, int]:
    """How far a form that was not met is from what its author meant: less is closer."""
    is_reference = isinstance(instance, dict) and "$ref" in instance
    wants_reference = any(_lacks(error, "$ref") for error in branch)
    tells_apart = sum(
        error.kind.name in {"enum", "const", "type"} and len(error.instance_path) <= len(branch[0].instance_path) + 1
        for error in branch
    )
    return wants_reference and not is_reference, tells_apart, len(branch)


def _lacks(error: "ValidationError", name: str) -> bool:
    return error.kind.name == "required" and error.kind.as_dict()["property"] == name


def _type_of(value: Any) -> str:
    match value:
        case dict():
            return "an object"
        case list():
            return "a list"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case None:
            return "nothing"
        case _:
            return "a text"


def _shown(value: Any) -> Any:
    return "this" if isinstance(value, dict | list) else value
