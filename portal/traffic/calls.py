"""The list of calls and one call, read from rows. `Page.note` says so where a search was cut off."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, select, tuple_, union_all
from sqlalchemy.orm import Session

from portal.db import utcnow
from portal.errors import BadRequest
from portal.traffic.filters import Filters, bounded, conditions
from portal.traffic.models import Call, instant
from portal.traffic.scope import Scope


@dataclass(frozen=True, slots=True)
class CallView:
    """One call as this person may see it. Ids are those of registry rows, which may be deleted by now."""

    at: datetime
    request_id: str
    api_id: int | None
    release: int | None
    consumer_id: int | None
    subscription_id: int | None
    plan_id: int | None
    method: str | None
    host: str | None
    path: str | None
    status: int
    """0 when the client went away before any answer."""
    reason: str
    flags: str | None
    details: str | None
    bytes_in: int
    bytes_out: int
    total_us: int | None
    upstream_us: int | None
    target: str | None
    attempts: int | None
    trace_id: str | None
    client_request_id: str | None
    node: str
    source: str
    operation: str
    """Its name; '' when none of the release's operations describes the call."""
    masked: bool
    """The call is another team's: it is shown without the three below, which are then None."""
    key_id: int | None
    address: str | None
    user_agent: str | None


@dataclass(frozen=True, slots=True)
class Page:
    calls: list[CallView]
    """The newest first."""
    newer: str | None
    """Cursor of the page with newer calls; None on the newest page."""
    older: str | None
    note: str | None
    """A sentence when the search did not go as far back as was asked."""


def list_calls(
    session: Session,
    scope: Scope,
    filters: Filters,
    cursor: str | None = None,
    limit: int = 50,
    *,
    now: datetime | None = None,
) -> Page:
    """Raises BadRequest for a cursor that no page has given."""
    narrow = scope.narrowed(api_id=filters.api_id, consumer_id=filters.consumer_id, key_id=filters.key_id)
    if any(
        asked is not None and asked != held
        for asked, held in (
            (scope.api_id, narrow.api_id),
            (scope.consumer_id, narrow.consumer_id),
            (scope.key_id, narrow.key_id),
        )
    ):
        return Page([], None, None, None)
    filters, note = bounded(filters, now or utcnow())
    backwards, place = _place(cursor)
    found = _rows(session, narrow, filters, place, backwards, limit + 1)
    more, rows = len(found) > limit, found[:limit]
    if backwards:
        rows.reverse()
    views = [_view(scope, row) for row in rows]
    if not rows:
        return Page([], None, None, note)
    has_newer = more if backwards else place is not None
    has_older = True if backwards else more
    return Page(
        views,
        f"n{rows[0].at}.{rows[0].id}" if has_newer else None,
        f"o{rows[-1].at}.{rows[-1].id}" if has_older else None,
        note,
    )


def find_call(session: Session, scope: Scope, request_id: str) -> CallView | None:
    """The call with this id; None also when the person may not know of it, or when the text is no id of a call."""
    try:
        wanted = uuid.UUID(request_id)
    except ValueError:
        return None
    if wanted.version != 7:
        return None
    time = (wanted.int >> 80) * 1_000
    # The id is made when the call's headers are complete, which is later than its first byte; almost always by little.
    for earlier, later in ((20_000, 20_000), (2_000_000, 1_000_000), (60_000_000, 5_000_000)):
        row = session.execute(
            _columns().where(
                Call.at.between(time - earlier, time + later),
                Call.request_id == wanted.bytes,
            )
        ).first()
        if row is not None:
            # Asked afterwards: with the scope in the question SQLite reads all of its calls instead of that time's.
            return _view(scope, row) if scope.holds(row.api_id, row.consumer_id, row.key_id) else None
    return None


def _place(cursor: str | None) -> tuple[bool, tuple[int, int] | None]:
    """(whether newer calls are asked for, the call that they are newer or older than)."""
    if not cursor:
        return False, None
    direction, (at, dot, id_) = cursor[:1], cursor[1:].partition(".")
    largest = 2**63
    if direction in {"n", "o"} and dot and _is_number(at) and _is_number(id_) and max(int(at), int(id_)) < largest:
        return direction == "n", (int(at), int(id_))
    raise BadRequest("This link does not lead to a page of calls. Open the list of calls anew.")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20


_BRANCHES = 200
"""So many APIs and consumers are looked up each by its own index; for more, all calls are read in order of time."""


def _rows(
    session: Session, scope: Scope, filters: Filters, place: tuple[int, int] | None, backwards: bool, limit: int
) -> list[Any]:
    order = (Call.at.asc(), Call.id.asc()) if backwards else (Call.at.desc(), Call.id.desc())
    asked = [*conditions(filters), *_key_of(scope)]
    if place is not None:
        here = tuple_(Call.at, Call.id)
        asked.append(here > tuple_(*place) if backwards else here < tuple_(*place))
    branches = _branches(scope)
    if len(branches) == 1:
        return list(session.execute(_columns().where(branches[0], *asked).order_by(*order).limit(limit)))
    if not branches:
        return []
    # A quiet team in a busy installation would otherwise wait for all calls of the others to be read.
    each = [select(_columns().where(branch, *asked).order_by(*order).limit(limit).subquery()) for branch in branches]
    of_all = union_all(*each).subquery()
    direction = (of_all.c.at.asc(), of_all.c.id.asc()) if backwards else (of_all.c.at.desc(), of_all.c.id.desc())
    return list(session.execute(select(of_all).distinct().order_by(*direction).limit(limit)))


def _branches(scope: Scope) -> list[ColumnElement[bool]]:
    """Conditions of which a call that may be seen meets at least one, each with an index of its own."""
    narrowed = scope.api_id is not None or scope.consumer_id is not None or scope.key_id is not None
    if scope.everything or narrowed or len(scope.api_ids) + len(scope.consumer_ids) > _BRANCHES:
        return [_visible(scope)]
    return [
        *(Call.api_id == id_ for id_ in sorted(scope.api_ids)),
        *(Call.consumer_id == id_ for id_ in sorted(scope.consumer_ids)),
    ]


def _visible(scope: Scope) -> ColumnElement[bool]:
    return and_(scope.of_both(Call.api_id, Call.consumer_id), *_key_of(scope))


def _key_of(scope: Scope) -> Iterable[ColumnElement[bool]]:
    """Asking for a key of which one may not know finds nothing, or asking would tell whose calls are whose."""
    if scope.key_id is None:
        return []
    mine = [] if scope.everything else [Call.consumer_id.in_(sorted(scope.consumer_ids))]
    return [Call.key_id == scope.key_id, *mine]


def _columns() -> Any:
    return select(*Call.__table__.columns)


def _view(scope: Scope, row: Any) -> CallView:
    masked = not scope.sees_all_of(row.consumer_id)
    return CallView(
        at=instant(row.at),
        request_id=str(uuid.UUID(bytes=bytes(row.request_id))),
        api_id=row.api_id,
        release=row.release,
        consumer_id=row.consumer_id,
        subscription_id=row.subscription_id,
        plan_id=row.plan_id,
        method=row.method,
        host=row.host,
        path=row.path,
        status=row.status,
        reason=row.reason,
        flags=row.flags,
        details=row.details or ("via_upstream" if row.target else None),
        bytes_in=row.bytes_in,
        bytes_out=row.bytes_out,
        total_us=row.total_us,
        upstream_us=row.upstream_us,
        target=row.target,
        attempts=row.attempts,
        trace_id=row.trace_id.hex() if row.trace_id else None,
        client_request_id=row.client_request_id,
        node=row.node,
        source=row.source,
        operation=row.operation,
        masked=masked,
        key_id=None if masked else row.key_id,
        address=None if masked else row.address,
        user_agent=None if masked else row.user_agent,
    )
