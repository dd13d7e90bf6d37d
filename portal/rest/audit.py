"""The audit trail: of everything for administrators, of a team's own things for its owners."""

from typing import Annotated

from pydantic import Field
from sqlalchemy.orm import Session

from portal.accounts import Permission, Team, trail
from portal.accounts.audit import AuditEntry
from portal.accounts.tokens import Scope
from portal.accounts.trail import Asked as Wanted
from portal.rest.route import tagged
from portal.rest.shapes import Instant, Listed, Moment, Number, Paging, Told, cursor_of, read_cursor
from portal.web.guards import a_team
from portal.web.intake import LARGEST_ID
from portal.web.trail_words import Told as Words
from portal.web.trail_words import tell

route = tagged("Audit trail")


class FieldChange(Told):
    field: str
    before: str
    after: str


class EntryAnswer(Told):
    id: int
    at: Instant
    person: int | None
    """Who did it; null for what no person did."""
    who: str
    by: str
    """How: `page`, `token ppt_…`, `command line`, `worker`."""
    address: str | None
    """Told to administrators."""
    action: str
    kind: str
    """What it was done to, such as `api`."""
    thing: int | None
    name: str
    """What the thing was called then."""
    changes: list[FieldChange]


class Entries(Listed):
    items: list[EntryAnswer]


class EntrySearch(Paging):
    person: Annotated[Number, Field(ge=1, le=LARGEST_ID)] | None = None
    action: Annotated[str, Field(max_length=40)] | None = None
    kind: Annotated[str, Field(max_length=40)] | None = None
    since: Moment | None = None
    until: Moment | None = None


@route("GET", "/audit", Permission.ADMINISTER, scope=Scope.ADMIN, query=EntrySearch, answer=Entries)
def index(session: Session, query: EntrySearch) -> Entries:
    """Who did what, the newest first."""
    return _page(session, query, None)


@route(
    "GET", "/teams/<team>/audit", Permission.MANAGE_TEAM, a_team, scope=Scope.READ, query=EntrySearch, answer=Entries
)
def of_team(session: Session, team: Team, query: EntrySearch) -> Entries:
    """What was done to a team's things, the newest first, without addresses."""
    return _page(session, query, team)


def _page(session: Session, query: EntrySearch, team: Team | None) -> Entries:
    wanted = Wanted(
        person_id=query.person,
        action=query.action,
        kind=query.kind,
        since=query.since,
        until=query.until,
        team_id=team.id if team is not None else None,
    )
    before = None if query.cursor is None else read_cursor(query.cursor, int)[0]
    found = trail.page(session, wanted, before=before, size=query.limit)
    return Entries(
        items=[
            _shown(entry, words, with_address=team is None)
            for entry, words in zip(found.entries, tell(session, found.entries), strict=True)
        ],
        next=cursor_of(found.entries[-1].id) if found.has_older else None,
    )


def _shown(entry: AuditEntry, words: Words, *, with_address: bool) -> EntryAnswer:
    return EntryAnswer(
        id=entry.id,
        at=entry.at,
        person=entry.person_id,
        who=words.who,
        by=entry.by,
        address=entry.address if with_address else None,
        action=entry.action,
        kind=entry.kind,
        thing=entry.thing_id,
        name=words.name,
        changes=[FieldChange(field=each.field, before=each.before, after=each.after) for each in words.changes],
    )
