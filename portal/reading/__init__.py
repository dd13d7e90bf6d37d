"""Documents that people bring, read: small ones at once, large ones by the worker in a process of their own.

Effects stand here; what a document means, and what becomes of an import, the registry says.
"""

import zlib
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.accounts import Person, Team
from portal.config import Config
from portal.db import db, utcnow
from portal.errors import Conflict, Unreadable
from portal.openapi.syntax import MOST_BYTES
from portal.reading.parent import Refused, Stopped, read_apart
from portal.registry import descriptions, imports, sweeping
from portal.registry.models import Api, Import, ImportSource
from portal.registry.understanding import Understood, is_quick, understand

__all__ = ["Brought", "bring", "forget", "look_at", "read", "store"]

_AT_ONCE = 100
"""Documents that one transaction of the sweep looks at."""


@dataclass(frozen=True, slots=True)
class Brought:
    """A document that somebody brings, as far as it is looked at before any transaction."""

    source: ImportSource
    source_name: str
    led_to: str
    size: int
    """Bytes."""
    understood: Understood | None
    """None where the worker shall read it."""
    packed: bytes | None
    """The bytes by zlib for the worker, None where it need not read them."""
    compared_with: str | None


def look_at(api: Api | None, data: bytes, *, source: ImportSource, source_name: str, led_to: str = "") -> Brought:
    """For `api`, or for a new one; `source_name` and `led_to` as in `Import`. Reads it where that is quick.

    What it gives is stored once: the rows of a document are made while they are written. Raises Unreadable.
    """
    digest = api.draft.get("openapi") if api else None
    base = descriptions.bytes_of(db.session(), digest) if digest else None
    if len(data) > MOST_BYTES:
        raise Unreadable(
            f"This document has {len(data) / 1e6:,.0f} MB, and Portico reads up to {MOST_BYTES // 10**6} MB."
        )
    if not is_quick(data, base):
        return Brought(source, source_name, led_to, len(data), None, zlib.compress(data, 6), None)
    compared_with = digest if base is not None else None
    return Brought(source, source_name, led_to, len(data), understand(data, base), None, compared_with)


def store(session: Session, team: Team, brought: Brought, *, api: Api | None, by: Person | None) -> Import:
    """An import that is ready, or that the worker will read.

    Raises IntegrityError where somebody stores the very same document at the same moment. Look at it again then, and
    theirs is found.
    """
    row = imports.begin(
        session,
        team,
        api=api,
        source=brought.source,
        source_name=brought.source_name,
        led_to=brought.led_to,
        size=brought.size,
        by=by,
    )
    if brought.understood is None:
        imports.hand_over(session, row, brought.packed)
    else:
        imports.finish(session, row, brought.understood, compared_with=brought.compared_with)
    session.flush()
    return row


def bring(
    team: Team,
    *,
    api: Api | None,
    source: ImportSource,
    source_name: str,
    led_to: str = "",
    data: bytes,
    by: Person | None,
) -> int:
    """`look_at` and `store` in a transaction of its own: the import's number. Raises Unreadable."""
    while True:
        brought = look_at(api, data, source=source, source_name=source_name, led_to=led_to)
        try:
            with db.begin() as session:
                return store(session, team, brought, api=api, by=by).id
        except IntegrityError:
            if descriptions.bytes_of(db.session(), descriptions.digest_of(data)) is None:
                raise


def read(_config: Config, payload: dict[str, Any]) -> str:
    """The worker's turn with one import. What goes wrong with the document is told in the import, not in the job."""
    import_id = payload["import"]
    with db.begin() as session:
        turn = imports.take_turn(session, import_id)
        if turn is None:
            return ""
        data = imports.brought_of(session, import_id)
        row = session.get_one(Import, import_id)
        packed = row.packed
        digest = row.api.draft.get("openapi") if row.api else None
        base = descriptions.bytes_of(session, digest) if digest else None
    if data is None:
        return _refused(import_id, turn, "The document that was brought is not kept any more. Bring it again.")
    try:
        sha256, changes = read_apart(import_id, turn, data, packed, base)
    except Refused as refused:
        return _refused(import_id, turn, str(refused))
    except Stopped:
        return f"Import {import_id} was cancelled, or is read by another worker."
    compared_with = digest if base is not None else None
    try:
        with db.begin() as session:
            imports.settle(session, import_id, turn, sha256=sha256, changes=changes, compared_with=compared_with)
    except Conflict as gone:
        return _refused(import_id, turn, str(gone))
    return f"Import {import_id} is read: {len(data) / 1e6:.1f} MB."


def forget(_config: Config, _payload: dict[str, Any]) -> str:
    """Imports and documents that nobody needs any more."""
    now = utcnow()
    with db.begin() as session:
        over = sweeping.sweep_imports(session, now=now)
    found, gone = sweeping.unnamed(db.session(), now=now), 0
    for first in range(0, len(found), _AT_ONCE):
        with db.begin() as session:
            gone += sweeping.sweep_documents(session, found[first : first + _AT_ONCE], now=now)
    return f"{over} old imports and {gone} OpenAPI documents that nothing names went." if over or gone else ""


def _refused(import_id: int, turn: int, why: str) -> str:
    with db.begin() as session:
        imports.refuse_turn(session, import_id, turn, why)
    return f"Import {import_id} is refused: {why}"
