"""Request bodies, which 2.0 has as parameters: one in `body`, or one for each field of a form."""

from typing import Any

from portal.openapi.loosely import line_of
from portal.openapi.upgrade.moves import extensions_of
from portal.openapi.upgrade.parameters import style_of
from portal.openapi.upgrade.schemas import schema_of, schema_of_parameter

JSON = "application/json"
URL_ENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


def body_of(old: dict[str, Any], consumes: tuple[str, ...]) -> dict[str, Any]:
    new = {"description": old["description"]} if "description" in old else {}
    schema = schema_of(old.get("schema", {}))
    # Each media type has a schema of its own: a reference in it is redirected where it stands.
    new["content"] = {media: {"schema": schema} for media in consumes or (JSON,)}
    if "required" in old:
        new["required"] = old["required"]
    return new | extensions_of(old)


def form_of(fields: list[dict[str, Any]], consumes: tuple[str, ...]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    encoding: dict[str, Any] = {}
    for field in fields:
        name = line_of(field.get("name"))
        schema = schema_of_parameter(field)
        if "description" in field:
            schema["description"] = field["description"]
        properties[name] = schema | extensions_of(field)
        if schema.get("type") == "array":
            encoding[name] = style_of(field)
    schema = {"type": "object", "properties": properties}
    required = [line_of(field.get("name")) for field in fields if field.get("required") is True]
    if required:
        schema["required"] = list(dict.fromkeys(required))
    forms = [media for media in consumes if media.partition(";")[0].strip().lower() in {MULTIPART, URL_ENCODED}]
    if any(field.get("type") == "file" for field in fields):
        forms = [MULTIPART]
    content = {}
    for media in forms or [URL_ENCODED]:
        content[media] = {"schema": schema} | ({"encoding": encoding} if encoding and media == URL_ENCODED else {})
    return {"content": content} | ({"required": True} if required else {})
