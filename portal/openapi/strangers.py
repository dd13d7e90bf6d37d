"""What people bring instead of an OpenAPI document, known by how it looks, and what they can do now."""

import re
from typing import Any

from portal.openapi.loosely import object_of

_PACKED = {
    b"\x1f\x8b": "a gzip file",
    b"PK\x03\x04": "a ZIP archive",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
}
_OTHER_FILES = {
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"GIF8": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"\x7fELF": "a program",
}

_LOOKED_AT = 4_000
_MARKUP = {
    r"schemas\.xmlsoap\.org/wsdl|www\.w3\.org/ns/wsdl": "WSDL, the description of a SOAP service",
    r"wadl\.dev\.java\.net|<(\w+:)?resources\b": "WADL",
    r"<(\w+:)?Edmx\b": "OData metadata",
    r"<!doctype html|<html|<head[\s>]|<body[\s>]": "a web page",
}
_LANGUAGES = {
    r"#%RAML": "RAML",
    r"FORMAT:\s*1A": "API Blueprint",
    r"syntax\s*=\s*[\"']proto": "a Protocol Buffers file",
    r'"""|(type|interface|input|enum)\s+\w+[^:\n]*\{|schema\s*(@[^{\n]*)?\{': "GraphQL",
    r"(extend|directive|scalar)\s+[\w@]+": "GraphQL",
}


def packed(data: bytes) -> str | None:
    """A sentence where `data` is no text at all."""
    for magic, kind in _PACKED.items():
        if data.startswith(magic):
            return f"This is {kind}. Unpack it, and give the OpenAPI document that is inside."
    for magic, kind in _OTHER_FILES.items():
        if data.startswith(magic):
            return f"This is {kind}, not an OpenAPI document. Give a document in JSON or YAML."
    return None


def strange_text(text: str) -> str | None:
    """A sentence where `text` is in another language than JSON and YAML."""
    start = text[:_LOOKED_AT].lstrip()
    if start.startswith("<"):
        kinds = (kind for pattern, kind in _MARKUP.items() if re.search(pattern, start, re.IGNORECASE))
        kind = next(kinds, "XML")
    else:
        kind = next((kind for pattern, kind in _LANGUAGES.items() if re.match(pattern, start)), "")
    if kind == "a web page":
        return (
            "This is a web page, not an OpenAPI document. Give the address of the document itself; such pages often "
            "link to it, as openapi.json or swagger.json."
        )
    return f"This is {kind}, which Portico does not read. Give an OpenAPI document in JSON or YAML." if kind else None


def strange_tree(tree: Any) -> str:
    """What `tree` is, that is no OpenAPI document: always a sentence."""
    if tree is None:
        return "There is nothing in this document. Give an OpenAPI document in JSON or YAML."
    if isinstance(tree, list):
        return "This is a list, and an OpenAPI document is an object that begins with openapi or swagger."
    if not isinstance(tree, dict):
        return "This is plain text. Give an OpenAPI document in JSON or YAML."
    kind = _kind_of(tree)
    if kind:
        return f"This is {kind}, which Portico does not read. Give an OpenAPI document of version 2.0 or 3."
    return (
        "This says neither openapi nor swagger, so that it is no OpenAPI document. One begins with a line such as "
        "openapi: 3.1.0."
    )


def _kind_of(tree: dict[str, Any]) -> str | None:
    info = object_of(tree.get("info"))
    if "swaggerVersion" in tree:
        return f"a document of Swagger {str(tree['swaggerVersion'])[:20]}"
    if "asyncapi" in tree:
        return "an AsyncAPI document"
    if "_postman_id" in info or "getpostman.com" in str(info.get("schema", "")) or "_postman_variable_scope" in tree:
        return "a Postman collection"
    if "__schema" in tree or "__schema" in object_of(tree.get("data")):
        return "a GraphQL schema"
    if "arazzo" in tree:
        return "an Arazzo document"
    if "overlay" in tree:
        return "an overlay for an OpenAPI document"
    if str(tree.get("kind", "")).startswith("discovery#"):
        return "a Google discovery document"
    if tree.get("_type") == "export" and "resources" in tree:
        return "an export of Insomnia"
    if "entries" in object_of(tree.get("log")):
        return "a HAR file"
    if "$schema" in tree and "paths" not in tree:
        return "a JSON Schema"
    return None
