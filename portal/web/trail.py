"""The audit trail as pages: of everything for administrators, of a team's own things for its owners; and as CSV.

Everything that filters stands in the query string: `person` (a number, an e-mail address, or `worker` and the like),
`action`, `kind`, `thing` (a number or a part of what it was called), `address`, `from`, `to`.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from flask import Blueprint, Response, render_template, request, stream_with_context, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.accounts import Permission, Person, Team, trail
from portal.accounts.audit import AuditEntry
from portal.accounts.trail import Asked
from portal.db import db, utcnow
from portal.web.call_filters import instant
from portal.web.guards import a_team, record_export, requires
from portal.web.trail_words import KINDS, tell

bp = Blueprint("trail", __name__, url_prefix="/settings")

ACTIONS = (
    "activated",
    "added",
    "allowed to publish",
    "backed up",
    "changed",
    "changed category",
    "changed draft",
    "changed offer",
    "changed overall limit",
    "changed password",
    "changed role",
    "created",
    "deactivated",
    "deleted",
    "dismissed as administrator",
    "ended",
    "exported",
    "failed to sign in",
    "issued",
    "made administrator",
    "no longer allowed to publish",
    "paused",
    "published",
    "removed",
    "restored",
    "resumed",
    "revoked",
    "shown",
    "shown password",
    "signed in",
    "signed out",
    "subscribed",
    "unpublished",
)
_DOERS = ("command line", "worker", "nobody")
_LABELS = {
    "person": "By",
    "action": "Action",
    "kind": "Kind",
    "thing": "Thing",
    "address": "Address",
    "from": "From",
    "to": "To",
}


@bp.get("/audit")
@requires(Permission.ADMINISTER)
def index() -> ResponseReturnValue:
    return _page("settings/audit.html", Asked())


@bp.get("/audit.csv")
@requires(Permission.ADMINISTER)
def export() -> ResponseReturnValue:
    return _csv(Asked())


@bp.get("/teams/<team>/audit")
@requires(Permission.MANAGE_TEAM, a_team)
def of_team(team: Team) -> ResponseReturnValue:
    return _page("settings/team_audit.html", Asked(team_id=team.id), team=team)


@dataclass(frozen=True, slots=True)
class _Query:
    asked: Asked
    values: dict[str, str]
    """Every filter that is set, as it was typed."""
    mistakes: list[str]
    """Sentences; with one of them nothing is searched."""


def _page(template: str, asked: Asked, **more: Any) -> ResponseReturnValue:
    session = db.session()
    query = _read(session, asked)
    if asked.team_id is not None:
        query = replace(query, asked=replace(query.asked, address=None))  # owners see no addresses: asking tells none
    before, after = (_number(request.args.get(name, "")) for name in ("before", "after"))
    found = (
        trail.Page([], False, False) if query.mistakes else trail.page(session, query.asked, before=before, after=after)
    )
    first, last = (found.entries[0].id, found.entries[-1].id) if found.entries else (None, None)
    return render_template(
        template,
        entries=tell(session, found.entries),
        query=query,
        chips=[
            {"label": _LABELS[name], "value": value, "remove_url": _here(query, without=name)}
            for name, value in query.values.items()
        ],
        newer=_here(query, after=first) if found.has_newer and first else None,
        older=_here(query, before=last) if found.has_older and last else None,
        here=url_for(request.endpoint or "", **(request.view_args or {})),
        csv_url=url_for(".export", _external=False, **query.values),
        by_person=lambda who: _here(query, without="person", person=who),
        actions=ACTIONS,
        kinds=KINDS,
        **more,
    )


def _here(query: _Query, *, without: str = "", **changes: Any) -> str:
    kept: dict[str, Any] = {name: value for name, value in query.values.items() if name != without}
    return url_for(request.endpoint or "", **(request.view_args or {}), **(kept | changes))


def _read(session: Session, asked: Asked) -> _Query:
    # No database knows a text with a NUL in it.
    typed = {name: request.args.get(name, "").replace("\0", "").strip() for name in _LABELS}
    values = {name: value for name, value in typed.items() if value}
    mistakes = []
    for name, value in values.items():
        try:
            asked = replace(asked, **_READ[name](session, value))
        except ValueError as mistake:
            mistakes.append(str(mistake))
    if asked.since and asked.until and asked.since >= asked.until:
        mistakes.append("The time ends before it begins. Choose a later end or an earlier beginning.")
    return _Query(asked, values, mistakes)


def _number(text: str) -> int | None:
    """What fits into the database as a number."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else None


def _person(session: Session, value: str) -> dict[str, Any]:
    if value in _DOERS:
        return {"nobody": True} if value == "nobody" else {"by": value}
    number = _number(value)
    if number is None:
        number = session.scalar(select(Person.id).where(func.lower(Person.email) == value.lower()))
    if number is None:
        raise ValueError(f"Nobody here signs in as {value}. Give an e-mail address, or one of {', '.join(_DOERS)}.")
    return {"person_id": number}


def _thing(_session: Session, value: str) -> dict[str, Any]:
    number = _number(value)
    return {"label": value} if number is None else {"thing_id": number}


_READ: dict[str, Callable[[Session, str], dict[str, Any]]] = {
    "person": _person,
    "action": lambda _session, value: {"action": value},
    "kind": lambda _session, value: {"kind": value},
    "thing": _thing,
    "address": lambda _session, value: {"address": value},
    "from": lambda _session, value: {"since": instant(value)},
    "to": lambda _session, value: {"until": instant(value)},
}


_COLUMNS = ("Time (UTC)", "Person", "Number of person", "By", "Address", "Action", "Kind", "Number", "Thing", "Changes")
_AT_ONCE = 1000


def _csv(asked: Asked) -> ResponseReturnValue:
    """What the list shows with the same query, row by row, so that the whole trail needs no memory."""
    query = _read(db.session(), asked)
    if query.mistakes:
        return Response("\n".join(query.mistakes) + "\n", 422, mimetype="text/plain")
    record_export(AuditEntry, query.values)
    name = f"portico-audit-{utcnow():%Y-%m-%d}.csv"
    return Response(
        stream_with_context(_lines(query.asked)),
        mimetype="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _lines(asked: Asked) -> Iterator[str]:
    session = db.session()  # here, since the view's own may be over when this runs
    yield _line(_COLUMNS)
    before = None
    while True:
        found = trail.page(session, asked, before=before, size=_AT_ONCE)
        for entry, told in zip(found.entries, tell(session, found.entries), strict=True):
            yield _line(
                (
                    f"{entry.at:%Y-%m-%d %H:%M:%S}",
                    told.who,
                    entry.person_id,
                    entry.by,
                    entry.address,
                    entry.action,
                    told.kind,
                    entry.thing_id,
                    told.name,
                    json.dumps(entry.changes, ensure_ascii=False),
                )
            )
        if not found.has_older:
            return
        before = found.entries[-1].id
        session.expunge_all()  # what was written is not needed again


def _line(cells: tuple[Any, ...]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([_cell(each) for each in cells])
    return line.getvalue()


def _cell(value: Any) -> Any:
    """Spreadsheets take a text that begins like this for a formula (OWASP, CSV Injection)."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
