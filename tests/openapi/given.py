"""Small documents that a test says one thing about."""

import json
from typing import Any

from portal.openapi import Description, read

OK = {"responses": {"200": {"description": "It worked"}}}


def document(paths: Any = None, *, openapi: str = "3.0.3", **parts: Any) -> dict[str, Any]:
    """One that nothing is wrong with, unless `parts` say so."""
    whole = {
        "openapi": openapi,
        "info": {"title": "Pets", "version": "1"},
        "servers": [{"url": "https://pets.example.com"}],
        "paths": {"/pets": {"get": OK}} if paths is None else paths,
    }
    return {**whole, **parts}


def described(tree: Any) -> Description:
    return read(json.dumps(tree).encode())


def sentences(description: Description) -> dict[str, str]:
    """Pointer -> what was warned of there."""
    return {warning.pointer: warning.sentence for warning in description.warnings}
