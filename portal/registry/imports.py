"""OpenAPI documents that somebody brings: begun, read, looked at, then applied or discarded."""

import zlib
from collections.abc import Collection
from typing import Any, cast

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session, undefer

from portal import jobs
from portal.accounts import Person, Team
from portal.db import utcnow
from portal.errors import Conflict, Invalid
from portal.registry import apis, descriptions
from portal.registry.document import Document
from portal.registry.models import Api, Import, ImportSource, ImportState, OpenAPIDocument
from portal.registry.models.imports import OPEN
from portal.registry.proposals import Proposal, proposal
from portal.registry.understanding import Understood

JOB = "read_import"
"""The worker's work with an import that is too large to be read while somebody waits."""
MOST_TURNS = 3
"""Workers that may die over one document."""


def begin(
    session: Session,
    team: Team,
    *,
    api: Api | None,
    source: ImportSource,
    source_name: str,
    led_to: str = "",
    size: int,
    by: Person | None,
) -> Import:
    """For `api`, or for a new one of `team`. Follow it with `finish`, or with `hand_over`."""
    row = Import(
        team=team,
        api=api,
        made_by=by,
        source=source,
        source_name=source_name[:2000],
        led_to=led_to,
        state=ImportState.WAITING,
        size=size,
    )
    session.add(row)
    return row


def hand_over(session: Session, imported: Import, packed: bytes | None) -> None:
    """The worker shall read it: `packed` are its bytes by zlib, None where its document is stored already."""
    imported.packed = packed
    session.flush()  # the job names its number
    jobs.enqueue(session, JOB, {"import": imported.id})


def finish(session: Session, imported: Import, understood: Understood, *, compared_with: str | None) -> None:
    """What was brought is understood: store it. `compared_with` is the API's document that it was held against."""
    if not descriptions.hold(session, understood.laid.sha256):
        descriptions.store(session, understood.laid)
    _ready(imported, understood.laid.sha256, understood.changes, compared_with)


def take_turn(session: Session, import_id: int) -> int | None:
    """Begin to read it, on a turn of one's own; None where nobody waits for it any more.

    What has stopped three workers is refused.
    """
    imported = session.get(Import, import_id, with_for_update=True, populate_existing=True)
    if imported is None or not imported.is_being_read:
        return None
    if imported.turn >= MOST_TURNS:
        refuse(imported, "Reading it has stopped the worker three times. Ask an administrator what its log says.")
        return None
    imported.turn += 1
    _become(imported, ImportState.READING)
    imported.percent, imported.step = 0, "Reading"
    return imported.turn


def tell(session: Session, import_id: int, turn: int, *, percent: int, step: str) -> bool:
    """How far the reader of this turn is; False when it shall stop: cancelled, or overtaken by another turn."""
    still = (Import.id == import_id, Import.turn == turn, Import.state == ImportState.READING)
    told = update(Import).where(*still).values(percent=percent, step=step[:100])
    return cast("CursorResult[Any]", session.execute(told)).rowcount > 0


def settle(
    session: Session,
    import_id: int,
    turn: int,
    *,
    sha256: str,
    changes: dict[str, Any] | None,
    compared_with: str | None,
) -> bool:
    """The reader of this turn has stored the document; False when nobody waits for it any more.

    Raises Conflict when the document has gone meanwhile.
    """
    imported = _of_turn(session, import_id, turn)
    if imported is None:
        return False
    _ready(imported, _held(session, sha256).sha256, changes, compared_with)
    return True


def refuse_turn(session: Session, import_id: int, turn: int, error: str) -> bool:
    imported = _of_turn(session, import_id, turn)
    if imported is None:
        return False
    refuse(imported, error)
    return True


def refuse(imported: Import, error: str) -> None:
    imported.error = error
    end(imported, ImportState.REFUSED)


def cancel(session: Session, imported: Import) -> None:
    """Whoever reads it notices within a second or two. Raises Conflict when there is nothing to cancel any more."""
    _hold(session, imported)
    if not imported.is_being_read:
        raise Conflict("It is read already. Discard it, if it shall not be used.")
    end(imported, ImportState.CANCELLED)


def discard(session: Session, imported: Import) -> None:
    """Raises Conflict for one that was applied."""
    _hold(session, imported)
    if imported.state is ImportState.APPLIED:
        raise Conflict("It was applied already. What it has changed stands in the API's draft.")
    if imported.is_open:
        end(imported, ImportState.DISCARDED)


def compare_again(session: Session, imported: Import) -> None:
    """Have it held against the document that its API has now, by the worker. Raises Conflict where it is not ready."""
    require_ready(session, imported)
    imported.turn = 0
    _become(imported, ImportState.WAITING)
    imported.percent, imported.step = 0, ""
    hand_over(session, imported, None)


def create(
    session: Session, imported: Import, document: Document, *, slug: str, version: str, by: Person | None
) -> Api:
    """A new draft of the import's team, which refers to what was brought.

    Raises Conflict when the import is not ready or is for an API that exists; Invalid, NameTaken.
    """
    require_ready(session, imported)
    if imported.api_id is not None:
        raise Conflict("This import is for an API that exists already.")
    if document.openapi != imported.sha256:
        raise Invalid({"openapi": "The API must refer to the document that was brought."})
    api = apis.create_api(session, imported.team, slug=slug, version=version, document=document, by=by)
    imported.api = api
    end(imported, ImportState.APPLIED)
    return api


def apply(session: Session, imported: Import, document: Document, *, by: Person | None, expected: int) -> None:
    """Save `document`, which refers to what was brought, as the draft of the import's API.

    Raises Conflict when the import is not ready, or was held against another document than the API has now; Changed
    when the draft is not the one that was looked at.
    """
    require_ready(session, imported)
    api = imported.api
    if api is None:
        raise Conflict("This import is for a new API.")
    if document.openapi != imported.sha256:
        raise Invalid({"openapi": "The API must refer to the document that was brought."})
    if api.draft_number == expected and is_stale(imported):
        raise Conflict(STALE)
    apis.save_draft(session, api, document, by=by, expected=expected)
    end(imported, ImportState.APPLIED)


STALE = (
    "Another OpenAPI document has become the draft's since this one was compared with it. Compare it again to see what "
    "would change now."
)


def is_stale(imported: Import) -> bool:
    """Whether what is known of its changes is about another document than its API has."""
    return imported.api is not None and imported.compared_with != imported.api.draft.get("openapi")


def proposal_of(session: Session, imported: Import) -> Proposal:
    """Raises Conflict when its document has gone."""
    return proposal(descriptions.facts_of(_held(session, imported.sha256 or "")), imported.fetched_from)


def base_of(session: Session, api: Api) -> Proposal | None:
    """What the OpenAPI document of its draft suggests; None where it has none."""
    digest = api.draft.get("openapi")
    row = session.get(OpenAPIDocument, digest) if digest else None
    if row is None:
        return None
    brought = session.scalar(
        select(Import)
        .where(Import.api_id == api.id, Import.sha256 == digest, Import.state == ImportState.APPLIED)
        .order_by(Import.id.desc())
        .limit(1)
    )
    return proposal(descriptions.facts_of(row), brought.fetched_from if brought else "")


def brought_of(session: Session, import_id: int) -> bytes | None:
    """The bytes that were brought, wherever they are kept by now."""
    row = session.get(Import, import_id, options=[undefer(Import.packed)], populate_existing=True)
    if row is None:
        return None
    if row.packed is not None:
        return zlib.decompress(row.packed)
    return descriptions.bytes_of(session, row.sha256) if row.sha256 else None


def open_of(session: Session, teams: Collection[int], *, api: Api | None = None) -> list[Import]:
    """Those of these teams, or of one API, that wait for somebody: the newest twenty."""
    rows = select(Import).where(Import.team_id.in_(teams), Import.state.in_(OPEN)).order_by(Import.id.desc()).limit(20)
    return list(session.scalars(rows.where(Import.api_id == api.id) if api else rows))


def _of_turn(session: Session, import_id: int, turn: int) -> Import | None:
    imported = session.get(Import, import_id, with_for_update=True, populate_existing=True)
    is_mine = imported is not None and imported.turn == turn and imported.state is ImportState.READING
    return imported if is_mine else None


def _held(session: Session, digest: str) -> OpenAPIDocument:
    row = descriptions.hold(session, digest)
    if row is None:
        raise Conflict("The document that was brought is not kept any more. Bring it again.")
    return row


def _hold(session: Session, imported: Import) -> None:
    session.refresh(imported, with_for_update=True)


def require_ready(session: Session, imported: Import) -> None:
    """Raises Conflict, which says why nothing can be made of it now."""
    _hold(session, imported)
    if imported.state is not ImportState.READY:
        raise Conflict(_WHY_NOT.get(imported.state, "It is not read yet. Wait until it is."))
    _held(session, imported.sha256 or "")


_WHY_NOT = {
    ImportState.APPLIED: "This import was applied already. What it has changed stands in the API.",
    ImportState.DISCARDED: "This import was discarded. Bring the document again.",
    ImportState.CANCELLED: "This import was cancelled. Bring the document again.",
    ImportState.REFUSED: "This document could not be read. Bring another one.",
}


def _ready(imported: Import, sha256: str, changes: dict[str, Any] | None, compared_with: str | None) -> None:
    imported.sha256, imported.changes, imported.compared_with = sha256, changes, compared_with
    imported.packed, imported.percent, imported.step = None, 100, ""
    _become(imported, ImportState.READY)


def end(imported: Import, state: ImportState) -> None:
    imported.packed = imported.changes = None
    _become(imported, state)


def _become(imported: Import, state: ImportState) -> None:
    imported.state = state
    imported.changed_at = utcnow()
