"""The OpenAPI document of an API as callers should use it: the gateway's address, the gateway's key.

A small one is written while somebody waits. A large one takes up to minutes: a job writes it, and it is kept until the
API says something else.
"""

import gzip
import json
from hashlib import sha256
from typing import Any, Literal

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from portal import jobs, openapi
from portal.jobs import Job
from portal.openapi.export import as_json, as_yaml, exported
from portal.registry import descriptions
from portal.registry.document import Authentication, Document, read_document
from portal.registry.models import Api, OpenAPIDocument, OpenAPIExport

KIND = "write_openapi"
"""Of the job; its payload is `{"api": id, "form": "yaml", "server": "https://…", "key": key_of(…)}`."""
LARGE = {"json": 2_000_000, "yaml": 500_000}
"""Bytes of a document that is no longer written while somebody waits. One of this size takes about half a second."""
_USUAL = Authentication()
_EDITION = 1
"""Grows when the same API is written otherwise than before."""

Form = Literal["json", "yaml"]


def key_of(api: Api, document: Document, form: Form, server: str) -> str:
    """The same for as long as the export is the same."""
    said = {
        "edition": _EDITION,
        "form": form,
        "openapi": document.openapi,
        "deprecated": api.deprecated_at is not None,
        **_words(api, document, server),
        "key": document.key.model_dump(),
        **({"authentication": document.authentication.as_json()} if document.authentication != _USUAL else {}),
    }
    return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def is_large(session: Session, document: Document, form: Form) -> bool:
    size = select(OpenAPIDocument.size).where(OpenAPIDocument.sha256 == document.openapi)
    return (session.scalar(size) or 0) > LARGE[form]


def write(session: Session, api: Api, document: Document, form: Form, server: str) -> str:
    """`server` is the gateway's address of the API."""
    data = descriptions.bytes_of(session, document.openapi) if document.openapi else None
    whole = exported(
        None if data is None else openapi.read(data).tree,
        key=document.shown_place,
        or_basic=document.authentication.basic,
        token=_token(document),
        deprecated=api.deprecated_at is not None,
        **_words(api, document, server),
    )
    return as_yaml(whole) if form == "yaml" else as_json(whole)


def _token(document: Document) -> str | None:
    jwt = document.authentication.jwt
    if jwt is None:
        return None
    audiences = f" for {' or '.join(jwt.audiences)}" if jwt.audiences else ""
    return (
        f"A token of {jwt.issuer}{audiences}. Its claim {jwt.claim} leads to the subscription that has it as subject."
    )


def kept(session: Session, key: str) -> bytes | None:
    """What was written under `key_of(…)`, by gzip."""
    return session.scalar(select(OpenAPIExport.packed).where(OpenAPIExport.key == key))


def keep(session: Session, api_id: int, form: Form, key: str, text: str) -> None:
    """Beside the last one that was kept for this API and form: one may be of the live release, one of the draft."""
    row = OpenAPIExport
    of_both = select(row.key).where(row.api_id == api_id, row.form == form, row.key != key)
    old = of_both.order_by(row.created_at.desc(), row.key).offset(1)
    session.execute(delete(row).where(or_(row.key == key, row.key.in_(old))))
    session.add(OpenAPIExport(key=key, api_id=api_id, form=form, packed=gzip.compress(text.encode(), 6, mtime=0)))


def asked(session: Session, key: str) -> Job | None:
    """The job that writes it, which may have been given up."""
    waiting = session.scalars(select(Job).where(Job.kind == KIND).order_by(Job.id.desc()))
    return next((job for job in waiting if job.payload.get("key") == key), None)


def ask(session: Session, api: Api, form: Form, server: str, key: str) -> None:
    """Have it written, unless that is asked for already."""
    if asked(session, key) is None:
        jobs.enqueue(session, KIND, {"api": api.id, "form": form, "server": server, "key": key})


def live_document(api: Api) -> Document | None:
    return read_document(api.live_release.document) if api.live_release is not None else None


def written(session: Session, payload: dict[str, Any]) -> tuple[int, Form, str, str] | None:
    """What `keep` takes, for the payload of a job; None where nobody asks for that any more."""
    api = session.get(Api, payload["api"])
    if api is None:
        return None
    form: Form = payload["form"]
    for document in (live_document(api), read_document(api.draft)):
        if document is not None and key_of(api, document, form, payload["server"]) == payload["key"]:
            return api.id, form, payload["key"], write(session, api, document, form, payload["server"])
    return None


def _words(api: Api, document: Document, server: str) -> dict[str, str]:
    return {"title": document.name, "version": api.version, "description": document.description, "server": server}
