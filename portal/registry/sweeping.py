"""What nobody needs any more of OpenAPI documents: imports that nobody came back for, documents that nothing names."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, delete, select, true, union
from sqlalchemy.orm import Session

from portal.registry import imports
from portal.registry.models import Api, Import, ImportState, OpenAPIDocument, Release
from portal.registry.models.imports import OPEN

_DAY = timedelta(days=1)
_LEFT_OPEN = timedelta(days=14)
_REMEMBERED = timedelta(days=30)


def sweep_imports(session: Session, *, now: datetime) -> int:
    """Imports that nobody came back for: read for a day, looked at for two weeks, over for a month."""
    for state, since, error in (
        (ImportState.WAITING, _DAY, "No worker has read it within a day. Ask an administrator whether one runs."),
        (ImportState.READING, _DAY, "It was not read to its end within a day. Bring it again."),
    ):
        for imported in session.scalars(_older(state, now - since)):
            imports.refuse(imported, error)
    for imported in session.scalars(_older(ImportState.READY, now - _LEFT_OPEN)):
        imports.end(imported, ImportState.DISCARDED)
    over = (ImportState.REFUSED, ImportState.CANCELLED, ImportState.DISCARDED)
    gone = delete(Import).where(Import.state.in_(over), Import.changed_at < now - _REMEMBERED)
    return cast("CursorResult[Any]", session.execute(gone)).rowcount


def _older(state: ImportState, than: datetime) -> Any:
    return select(Import).where(Import.state == state, Import.changed_at < than).with_for_update()


def unnamed(session: Session, *, now: datetime) -> list[str]:
    """Documents that `sweep_documents` may have something to do with; found without holding anybody up."""
    named = _named(session)
    rows = session.execute(select(OpenAPIDocument.sha256, OpenAPIDocument.unnamed_since))
    return [digest for digest, since in rows if digest not in named and (since is None or since <= now - _DAY)]


def sweep_documents(session: Session, digests: Collection[str], *, now: datetime) -> int:
    """Of these documents, delete those that nothing has named for a day, and note from when on nothing does; how many
    went. Whoever comes to name one holds its row first (`descriptions.hold`)."""
    rows = session.scalars(
        select(OpenAPIDocument)
        .where(OpenAPIDocument.sha256.in_(digests))
        .order_by(OpenAPIDocument.sha256)  # two sweepers take turns, in the same order
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    # A statement of its own, after the rows are held: what others have named while this one waited is seen by it.
    named = _named(session, digests)
    gone = [row for row in rows if row.sha256 not in named and row.unnamed_since and row.unnamed_since <= now - _DAY]
    for row in rows:
        if row.sha256 in named:
            row.unnamed_since = None
        elif row.unnamed_since is None:
            row.unnamed_since = now
    session.flush()
    session.execute(delete(OpenAPIDocument).where(OpenAPIDocument.sha256.in_([row.sha256 for row in gone])))
    return len(gone)


def _named(session: Session, digests: Iterable[str] | None = None) -> set[str]:
    """Which documents are named at all, or which of these."""
    columns = (
        (Api.draft["openapi"].as_string(), true()),
        (Release.document["openapi"].as_string(), true()),
        (Import.sha256, Import.state.in_(OPEN)),
    )
    statements = [
        select(column).where(condition, column.is_not(None) if digests is None else column.in_(list(digests)))
        for column, condition in columns
    ]
    return {digest for digest in session.scalars(union(*statements)) if digest}
