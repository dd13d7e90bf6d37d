"""What pages show of OpenAPI documents: operations in long lists, changes, those who call what changes."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from flask import request, url_for
from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session, selectinload

from portal.accounts import Team
from portal.db import utcnow
from portal.outbound.addresses import AddressRules
from portal.outbound.fetch import Fetched, NotFetched, fetch
from portal.registry.models import Api, Consumer, Import, ImportSource, ImportState, OpenAPIDocument, Operation
from portal.traffic import callers as traffic
from portal.web import lists
from portal.web.intake import LARGEST_ID

SIZE = 100
_ACCEPT = "application/openapi+json, application/json, application/yaml, text/yaml, text/plain;q=0.9, */*;q=0.5"
_NO_TEXT = ("image/", "audio/", "video/", "font/", "application/pdf")


@dataclass(frozen=True, slots=True)
class Operations:
    """One page of a document's operations, and how many fit what was looked for."""

    rows: list[Operation]
    count: int
    q: str
    newer_url: str | None
    older_url: str | None


@dataclass(frozen=True, slots=True)
class ChangesShown:
    """Some of the changes, what breaks first, and how many there are of each kind."""

    rows: list[dict[str, Any]]
    counts: Mapping[str, int]
    """`added`, `removed`, `changed`, `breaking`."""
    fitting: int
    """How many fit what was looked for, as far as they are kept."""
    q: str
    kind: str
    newer_url: str | None
    older_url: str | None

    @property
    def total(self) -> int:
        return self.counts["added"] + self.counts["removed"] + self.counts["changed"]


@dataclass(frozen=True, slots=True)
class CallerShown:
    consumer: str
    team: str
    calls: int
    last: datetime


def operations(session: Session, digest: str) -> Operations:
    """Those that this request asks for (`q`, `from`), in the order of the document."""
    q, start = lists.query(), _start()
    rows = operations_like(digest, q)
    if q:
        count = session.scalar(select(func.count()).select_from(rows.subquery())) or 0
        page = rows.order_by(Operation.position).offset(start).limit(SIZE)
    else:
        count = session.scalar(select(OpenAPIDocument.operation_count).where(OpenAPIDocument.sha256 == digest)) or 0
        page = rows.where(Operation.position >= start).order_by(Operation.position).limit(SIZE)
    return Operations(list(session.scalars(page)), count, q, *_steps(start, count))


def operations_like(digest: str, q: str) -> Select[Operation]:
    """Those in which `q` stands, or whose method it is; all without it."""
    rows = select(Operation).where(Operation.sha256 == digest)
    if not q:
        return rows
    fits = (column.icontains(q, autoescape=True) for column in (Operation.path, Operation.summary, Operation.name))
    return rows.where(or_(*fits, Operation.method == q.upper()))


def first_operations(session: Session, digest: str, most: int) -> list[Operation]:
    rows = select(Operation).where(Operation.sha256 == digest).order_by(Operation.position).limit(most)
    return list(session.scalars(rows))


def changes(found: Mapping[str, Any] | None, most: int | None = None) -> ChangesShown:
    """Those that this request asks for (`q`, `kind`, `from`), or the first so many."""
    found = found or {"added": 0, "removed": 0, "changed": 0, "breaking": 0, "rows": []}
    counts = {name: found[name] for name in ("added", "removed", "changed", "breaking")}
    if most is not None:
        return ChangesShown(found["rows"][:most], counts, len(found["rows"]), "", "", None, None)
    q, kind, start = lists.query().lower(), lists.query("kind"), _start()
    rows = [
        row
        for row in found["rows"]
        if (not q or q in f"{row['method']} {row['path']} {row['id']}".lower())
        and (kind not in counts or (row["breaking"] if kind == "breaking" else row["kind"] == kind))
    ]
    return ChangesShown(rows[start : start + SIZE], counts, len(rows), q, kind, *_steps(start, len(rows)))


def callers(session: Session, api: Api, names: Collection[str]) -> dict[str, list[CallerShown]]:
    """Who called these operations within 30 days, by the operation's name, most calls first."""
    found = traffic.callers(session, api.id, names, utcnow() - traffic.LOOKED_BACK)
    ids = {each.consumer_id for each in found}
    known = {
        consumer.id: consumer
        for consumer in session.scalars(
            select(Consumer).where(Consumer.id.in_(ids)).options(selectinload(Consumer.team))
        )
    }
    shown: dict[str, list[CallerShown]] = defaultdict(list)
    for each in found:
        if consumer := known.get(each.consumer_id):
            shown[each.operation].append(CallerShown(consumer.name, consumer.team.name, each.calls, each.last))
    return shown


def last_address(session: Session, api: Api) -> str:
    """Where its document was fetched from last, or ""."""
    return (
        session.scalar(
            select(Import.source_name)
            .where(Import.api_id == api.id, Import.state == ImportState.APPLIED, Import.source == ImportSource.ADDRESS)
            .order_by(Import.id.desc())
            .limit(1)
        )
        or ""
    )


def twin(session: Session, team: Team, slug: str, version: str) -> Api | None:
    """The API that has this name and version already."""
    return session.scalar(select(Api).where(Api.team_id == team.id, Api.slug == slug, Api.version == version))


def document_at(address: str, rules: AddressRules, *, most_bytes: int) -> Fetched:
    """Raises NotFetched, also for what cannot be a document. What it says it is decides little else: many say the
    wrong."""
    fetched = fetch(address, rules, most_bytes=most_bytes, accept=_ACCEPT)
    if fetched.content_type.startswith(_NO_TEXT):
        raise NotFetched(f"That address answers with {fetched.content_type}, which is no OpenAPI document.")
    if fetched.content_type in {"text/html", "application/xhtml+xml"} and fetched.data.lstrip()[:1] == b"<":
        raise NotFetched(
            "That address answers with a web page. Give the address of the document itself: pages that show one often "
            "link to it, as /openapi.json or behind a button “Raw”."
        )
    return fetched


def _start() -> int:
    start = request.args.get("from", default=0, type=int)
    return start if 0 <= start <= LARGEST_ID else 0


def _steps(start: int, count: int) -> tuple[str | None, str | None]:
    newer = _here(max(0, start - SIZE)) if start else None
    return newer, _here(start + SIZE) if start + SIZE < count else None


def _here(start: int) -> str:
    asked = {name: value for name, value in request.args.items() if name != "from"}
    query = urlencode(asked | ({"from": start} if start else {}))
    here = url_for(request.endpoint or "", **(request.view_args or {}))
    return f"{here}?{query}" if query else here
