"""Swagger 2.0 in the form of OpenAPI 3.0.3. What 2.0 says and 3.0 says elsewhere is moved, references to it follow, and
extensions stay where they were. https://spec.openapis.org/oas/v2.0.html, https://spec.openapis.org/oas/v3.0.3.html
"""

from typing import Any

from portal.openapi.findings import Findings
from portal.openapi.loosely import line_of, list_of, object_of
from portal.openapi.upgrade.bodies import body_of, form_of
from portal.openapi.upgrade.moves import Moves, extensions_of, names_for
from portal.openapi.upgrade.operations import path_item, response_of
from portal.openapi.upgrade.parameters import parameter_of
from portal.openapi.upgrade.schemas import schema_of
from portal.openapi.upgrade.security import requirements_of, scheme_of

_KEPT = ("info", "tags", "externalDocs")


def upgraded(old: dict[str, Any], findings: Findings) -> dict[str, Any]:
    """Parts of `old` that only hold data are shared with it."""
    names = names_for(object_of(old.get("securityDefinitions")))
    moves = Moves(old, names, findings)
    new: dict[str, Any] = {"openapi": "3.0.3"} | {key: old[key] for key in _KEPT if key in old}
    if servers := _servers(old):
        new["servers"] = servers
    if "security" in old:
        new["security"] = requirements_of(old["security"], names)
    new["paths"] = {
        path: item if path.startswith("x-") else path_item(item, ("paths", path), moves)
        for path, item in object_of(old.get("paths")).items()
    }
    if components := _components(old, moves):
        new["components"] = components
    new |= extensions_of(old)
    moves.redirect(new)
    return new


def _servers(old: dict[str, Any]) -> list[dict[str, Any]]:
    host, base = line_of(old.get("host")), line_of(old.get("basePath")).rstrip("/")
    base = f"/{base}" if base and not base.startswith("/") else base
    written, separator, rest = host.partition("://")
    if separator:
        host = rest
    if not host:
        return [{"url": base}] if base else []
    schemes = [scheme.lower() for scheme in map(line_of, list_of(old.get("schemes")))]
    schemes = [scheme for scheme in ("https", "http") if scheme in (schemes or [written if separator else "https"])]
    return [{"url": f"{scheme}://{host.rstrip('/')}{base}"} for scheme in schemes or ["https"]]


def _components(old: dict[str, Any], moves: Moves) -> dict[str, Any]:
    schemas, parameters, bodies, responses = {}, {}, {}, {}
    definitions, shared = object_of(old.get("definitions")), object_of(old.get("parameters"))
    answers, schemes = object_of(old.get("responses")), object_of(old.get("securityDefinitions"))
    for name, key in names_for(definitions).items():
        moves.move(("definitions", name), ("components", "schemas", key))
        schemas[key] = schema_of(definitions[name])
    for name, key in names_for(shared).items():
        parameter = object_of(shared[name])
        at, place = ("parameters", name), line_of(parameter.get("in"))
        if place in {"body", "formData"}:
            to = ("components", "requestBodies", key)
            moves.move(at, to)
            made = body_of(parameter, moves.consumes) if place == "body" else form_of([parameter], moves.consumes)
            if place == "body":
                moves.move_schema(at, to, made)
            bodies[key] = made
        else:
            moves.move(at, ("components", "parameters", key))
            parameters[key] = parameter_of(parameter, ("parameters", name), moves.findings)
    for name, key in names_for(answers).items():
        to = ("components", "responses", key)
        moves.move(("responses", name), to)
        responses[key] = response_of(answers[name], moves.produces, ("responses", name), to, moves)
    for name, key in moves.schemes.items():
        moves.move(("securityDefinitions", name), ("components", "securitySchemes", key))
    made = {
        "schemas": schemas,
        "responses": responses,
        "parameters": parameters,
        "requestBodies": bodies,
        "securitySchemes": {moves.schemes[name]: scheme_of(scheme) for name, scheme in schemes.items()},
    }
    return {kind: parts for kind, parts in made.items() if parts}
