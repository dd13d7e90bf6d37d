"""The OpenAPI document of an API as callers should use it: the gateway's address, the gateway's key."""

import json
from hashlib import sha256
from typing import Literal

from sqlalchemy.orm import Session

from portal import openapi
from portal.openapi.export import as_json, as_yaml, exported
from portal.registry import Document, descriptions
from portal.registry.models import Api
from portal.web import curl

Form = Literal["json", "yaml"]
_EDITION = 1
"""Grows when the same API is written otherwise than before."""


def key_of(api: Api, document: Document, form: Form, gateway_url: str) -> str:
    """The same for as long as the export is the same."""
    said = {
        "edition": _EDITION,
        "form": form,
        "openapi": document.openapi,
        "deprecated": api.deprecated_at is not None,
        **_words(api, document, gateway_url),
        "key": document.key.model_dump(),
    }
    return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def write(session: Session, api: Api, document: Document, form: Form, gateway_url: str) -> str:
    """Takes about two seconds for each megabyte of the document as JSON, and three as YAML."""
    data = descriptions.bytes_of(session, document.openapi) if document.openapi else None
    whole = exported(
        None if data is None else openapi.read(data).tree,
        key=document.key,
        deprecated=api.deprecated_at is not None,
        **_words(api, document, gateway_url),
    )
    return as_yaml(whole) if form == "yaml" else as_json(whole)


def _words(api: Api, document: Document, gateway_url: str) -> dict[str, str]:
    return {
        "title": document.name,
        "version": api.version,
        "description": document.description,
        "server": curl.addresses(document, gateway_url)[0].rstrip("/"),
    }
