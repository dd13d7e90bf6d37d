"""OpenAPI documents that the APIs of an installation refer to: those that are stored, and those that files bring."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from sqlalchemy.orm import Session

from portal import openapi
from portal.registry import descriptions
from portal.registry.installation.files import Loaded, Problem
from portal.registry.installation.values import sources_named
from portal.registry.models import OpenAPIDocument


def stored_sources(session: Session, digests: Iterable[str]) -> dict[str, bytes]:
    """The documents with these hashes, as far as they are stored."""
    found = ((digest, descriptions.bytes_of(session, digest)) for digest in digests)
    return {digest: data for digest, data in found if data is not None}


def unreadable_sources(session: Session, loaded: Loaded) -> list[Problem]:
    """Of those that files bring and that are not stored yet."""
    found, new = [], _new(session, loaded)
    for digest, api in sources_named(loaded.installation.apis).items():
        try:
            if digest in new:
                openapi.read(new[digest])
        except openapi.Unreadable as error:
            found.append(loaded.origins[api.identity].problem("document.openapi", str(error)))
    return found


def pretend_sources(session: Session, loaded: Loaded) -> None:
    """Let documents refer to what would be stored by then. Only for a transaction that is taken back."""
    for digest in _new(session, loaded):
        session.add(OpenAPIDocument(sha256=digest, packed=b"", size=0, facts={}, operation_count=0))
    session.flush()  # whoever refers to them looks for them


def keep_sources(begin: Callable[[], AbstractContextManager[Session]], loaded: Loaded) -> None:
    """Store what files bring, each document in a transaction of its own: what nothing names after all is swept away."""
    with begin() as session:
        new = _new(session, loaded)
    for data in new.values():
        description = openapi.read(data)
        with begin() as session:
            descriptions.keep(session, data, description)


def _new(session: Session, loaded: Loaded) -> dict[str, bytes]:
    named, given = sources_named(loaded.installation.apis), loaded.sources
    return {it: given[it] for it in named if it in given and descriptions.hold(session, it) is None}
