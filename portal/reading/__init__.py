"""Documents that people bring, read: small ones at once, large ones by the worker in a process of their own.

Effects stand here; what a document means, and what becomes of an import, the registry says.
"""

import zlib
from typing import Any

from sqlalchemy.exc import IntegrityError

from portal.accounts import Person, Team
from portal.config import Config
from portal.db import db, utcnow
from portal.errors import Conflict, Unreadable
from portal.openapi.syntax import MOST_BYTES
from portal.reading.parent import Refused, Stopped, read_apart
from portal.registry import descriptions, imports, sweeping
from portal.registry.models import Api, Import, ImportSource
from portal.registry.understanding import is_quick, understand

__all__ = ["bring", "forget", "read"]

_AT_ONCE = 100
"""Documents that one transaction of the sweep looks at."""


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
    """The number of an import that is ready, or that the worker will read. Raises Unreadable, at once where it can.

    `source_name` and `led_to` as in `Import`.
    """
    digest = api.draft.get("openapi") if api else None
    base = descriptions.bytes_of(db.session(), digest) if digest else None
    if len(data) > MOST_BYTES:
        raise Unreadable(
            f"This document has {len(data) / 1e6:,.0f} MB, and Portico reads up to {MOST_BYTES // 10**6} MB."
        )
    brought: dict[str, Any] = {"api": api, "source": source, "source_name": source_name, "led_to": led_to}
    brought |= {"size": len(data), "by": by}
    if not is_quick(data, base):
        packed = zlib.compress(data, 6)
        with db.begin() as session:
            row = imports.begin(session, team, **brought)
            imports.hand_over(session, row, packed)
            return row.id
    understood = understand(data, base)
    while True:
        try:
            with db.begin() as session:
                row = imports.begin(session, team, **brought)
                imports.finish(session, row, understood, compared_with=digest if base is not None else None)
                session.flush()
                return row.id
        except IntegrityError:
            # Somebody stores the very same document at the same moment. Theirs is found the next time.
            if descriptions.bytes_of(db.session(), understood.laid.sha256) is None:
                raise
            understood = understand(data, base)


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
