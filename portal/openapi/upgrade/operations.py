"""Path items, operations and responses of 2.0."""

from typing import Any

from portal.openapi.findings import pointer_of
from portal.openapi.loosely import line_of, list_of, object_of
from portal.openapi.references import METHODS, follow
from portal.openapi.upgrade.bodies import JSON, body_of, form_of
from portal.openapi.upgrade.moves import Moves, Steps, extensions_of, media_types
from portal.openapi.upgrade.parameters import header_of, parameter_of
from portal.openapi.upgrade.schemas import schema_of
from portal.openapi.upgrade.security import requirements_of

_REPLACED = {"parameters", "responses", "consumes", "produces", "schemes", "security"}


class _Parameters:
    """A list of parameters, sorted into those that stay and those that are, or are part of, a body."""

    def __init__(self, values: Any, at: Steps, moves: Moves) -> None:
        self.plain: list[dict[str, Any]] = []
        self.bodies: list[tuple[dict[str, Any], dict[str, Any], Steps]] = []
        self.fields: list[dict[str, Any]] = []
        for index, value in enumerate(list_of(values)):
            if not isinstance(value, dict):
                continue
            here = (*at, "parameters", str(index))
            parameter = object_of(follow(value, moves.look)[0])
            place = line_of(parameter.get("in"))
            if place == "body":
                self.bodies.append((value, parameter, here))
            elif place == "formData":
                self.fields.append(parameter)
            else:
                moves.move(here, (*at, "parameters", str(len(self.plain))))
                self.plain.append(parameter_of(value, here, moves.findings))


def path_item(item: Any, at: Steps, moves: Moves) -> Any:
    if not isinstance(item, dict):
        return item
    shared = _Parameters(item.get("parameters"), at, moves)
    new: dict[str, Any] = {}
    for key, value in item.items():
        if key.lower() in METHODS:
            new[key] = _operation(value, shared, (*at, key), moves) if isinstance(value, dict) else value
        elif key == "parameters":
            if shared.plain:
                new[key] = shared.plain
        else:
            new[key] = value
    return new


def _operation(old: dict[str, Any], shared: _Parameters, at: Steps, moves: Moves) -> dict[str, Any]:
    own = _Parameters(old.get("parameters"), at, moves)
    new = {key: value for key, value in old.items() if key not in _REPLACED}
    if own.plain:
        new["parameters"] = own.plain
    consumes = media_types(old["consumes"]) if "consumes" in old else moves.consumes
    produces = media_types(old["produces"]) if "produces" in old else moves.produces
    if body := _body(own, consumes, at, moves) or _body(shared, consumes, at, moves):
        new["requestBody"] = body
    if isinstance(old.get("responses"), dict):
        new["responses"] = {
            code: value
            if code.startswith("x-")
            else response_of(value, produces, (*at, "responses", code), (*at, "responses", code), moves)
            for code, value in old["responses"].items()
        }
    if "security" in old:
        new["security"] = requirements_of(old["security"], moves.schemes)
    return new


def _body(parameters: _Parameters, consumes: tuple[str, ...], at: Steps, moves: Moves) -> dict[str, Any]:
    if len(parameters.bodies) > 1 or (parameters.bodies and parameters.fields):
        pointer = pointer_of(parameters.bodies[-1][2])
        moves.findings.add(pointer, "An operation has one body, and this one has more. The first one was read.")
    for value, parameter, here in parameters.bodies[:1]:
        if isinstance(value.get("$ref"), str) and consumes == moves.consumes:
            return {"$ref": value["$ref"]}
        made = body_of(parameter, consumes)
        moves.move_schema(here, (*at, "requestBody"), made)
        return made
    return form_of(parameters.fields, consumes) if parameters.fields else {}


def response_of(old: Any, produces: tuple[str, ...], at: Steps, to: Steps, moves: Moves) -> Any:
    if not isinstance(old, dict):
        return {"description": line_of(old)}
    if isinstance(old.get("$ref"), str):
        return {"$ref": old["$ref"]}
    new: dict[str, Any] = {"description": old.get("description", "")}
    if isinstance(old.get("headers"), dict):
        new["headers"] = {name: header_of(header) for name, header in old["headers"].items()}
    content: dict[str, Any] = {}
    if "schema" in old:
        is_file = object_of(old["schema"]).get("type") == "file"
        for media in produces or ("application/octet-stream" if is_file else JSON,):
            content[media] = {"schema": schema_of(old["schema"])}
    for media, example in object_of(old.get("examples")).items():
        content.setdefault(media, {})["example"] = example
    if content:
        new["content"] = content
    if "schema" in old:
        moves.move_schema(at, to, new)
    return new | extensions_of(old)
