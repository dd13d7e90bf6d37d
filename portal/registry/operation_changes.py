"""What becomes different in the operations of an API when one OpenAPI document takes the place of another."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import openapi
from portal.registry.descriptions import bytes_of
from portal.registry.models import OpenAPIDocument, Operation

if TYPE_CHECKING:
    from portal.openapi.changes import Changes

MOST_COMPARED = 3_000
"""Operations of both documents together. Two documents of 22 000 take most of a minute, which no page waits for."""
_MOST_NAMED = 50


@dataclass(frozen=True, slots=True)
class OperationChanges:
    """Either `changes`, where both documents were compared word by word, or only what came and went."""

    changes: "Changes | None" = None
    added: int = 0
    removed: int = 0
    added_first: tuple[str, ...] = ()
    """Method and path of the first fifty."""
    removed_first: tuple[str, ...] = ()
    large: bool = False
    """They are too large to be compared word by word."""
    missing: bool = False
    """One of the documents is not stored here, so nothing can be said."""


def operation_changes(session: Session, before: str | None, after: str | None) -> OperationChanges | None:
    """`before` and `after` name OpenAPI documents by their SHA-256; None where nothing could differ.

    Takes seconds for documents of some MB.
    """
    if before == after or (before is None and after is None):
        return None
    named = [each for each in (before, after) if each]
    stored = select(OpenAPIDocument.sha256, OpenAPIDocument.operation_count).where(OpenAPIDocument.sha256.in_(named))
    counts = {digest: count for digest, count in session.execute(stored)}
    if any(each is not None and each not in counts for each in (before, after)):
        return OperationChanges(missing=True)
    if before is None or after is None or sum(counts.values()) > MOST_COMPARED:
        return _counted(session, before, after)
    old, new = bytes_of(session, before), bytes_of(session, after)
    if old is None or new is None:
        return OperationChanges(missing=True)
    from portal.openapi.changes import compare  # nodes, which load this room, compare nothing

    return OperationChanges(compare(openapi.read(old), openapi.read(new)))


def _counted(session: Session, before: str | None, after: str | None) -> OperationChanges:
    old, new = _places(session, before), _places(session, after)
    added = [place for place in new if place not in old]
    removed = [place for place in old if place not in new]
    first = tuple(added[:_MOST_NAMED]), tuple(removed[:_MOST_NAMED])
    return OperationChanges(None, len(added), len(removed), *first, large=bool(before and after))


def _places(session: Session, digest: str | None) -> dict[str, None]:
    """`GET /orders` and so on, in the order of the document."""
    if digest is None:
        return {}
    rows = session.execute(
        select(Operation.method, Operation.path).where(Operation.sha256 == digest).order_by(Operation.position)
    )
    return {f"{method} {path}": None for method, path in rows}
