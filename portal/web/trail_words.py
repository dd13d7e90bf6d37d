"""Entries of the audit trail as people read them: names looked up, before and after in words."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import url_for
from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from portal import registry
from portal.accounts import Membership, Person, Team
from portal.accounts.audit import AuditEntry
from portal.notify.models import Channel
from portal.registry import everyone
from portal.registry.models import Api, Approval, Category, Consumer, Key, Plan, Release, Subscription

KINDS = {
    "access_token": "access token",
    "api": "API",
    "approval": "request",
    "audit_entry": "audit trail",
    "category": "category",
    "channel": "channel",
    "consumer": "consumer",
    "key": "key",
    "membership": "member",
    "person": "person",
    "plan": "plan",
    "plan_operation": "operation limit",
    "release": "release",
    "revision": "installation",
    "subscription": "subscription",
    "team": "team",
}
_PERSON = re.compile(r"\bperson (\d+)\b")
_OPENAPI = re.compile(r"(.+\.)?openapi")
"""A field that names an OpenAPI document by its hash."""


@dataclass(frozen=True, slots=True)
class Change:
    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Told:
    """One entry. `url` leads to the thing where it still exists."""

    id: int
    at: datetime
    who: str
    who_query: str
    """What the filter `person` takes for everything of the same doer."""
    by: str
    address: str | None
    action: str
    kind: str
    name: str
    url: str | None
    is_gone: bool
    changes: list[Change]


@dataclass(frozen=True, slots=True)
class _Thing:
    name: str
    url: str


def tell(session: Session, entries: Collection[AuditEntry]) -> list[Told]:
    """A few statements, however many entries."""
    wanted: dict[str, set[int]] = defaultdict(set)
    digests: set[Any] = set()
    for entry in entries:
        if entry.person_id is not None:
            wanted["person"].add(entry.person_id)
        if entry.thing_id is not None:
            wanted[entry.kind].add(entry.thing_id)
        wanted["person"].update(int(number) for number in _PERSON.findall(entry.label))
        for field, values in entry.changes.items():
            if kind := _refers_to(field):
                wanted[kind].update(value for value in values if isinstance(value, int))
            elif _OPENAPI.fullmatch(field):
                digests.update(value for value in values if isinstance(value, str))
    things = {
        (kind, row[0]): _thing(kind, row)
        for kind, ids in wanted.items()
        if kind in _LOOK_UPS
        for row in session.execute(_LOOK_UPS[kind].where(_ID[kind].in_(ids)))
    }
    documents = registry.openapi_names(session, digests)
    return [_told(entry, things, documents) for entry in entries]


_Things = dict[tuple[str, int], _Thing]


def _told(entry: AuditEntry, things: _Things, documents: Mapping[str, str]) -> Told:
    thing = things.get((entry.kind, entry.thing_id or 0))
    return Told(
        id=entry.id,
        at=entry.at,
        who=_name(things, "person", entry.person_id) if entry.person_id is not None else _doer(entry.by),
        who_query=_query(entry),
        by=entry.by,
        address=entry.address,
        action=entry.action,
        kind=KINDS.get(entry.kind, entry.kind.replace("_", " ")),
        name=_PERSON.sub(lambda match: _name(things, "person", int(match[1])), entry.label),
        url=thing.url if thing else None,
        is_gone=thing is None and entry.thing_id is not None and entry.kind in _LOOK_UPS,
        changes=list(_changes(entry, things, documents)),
    )


def _query(entry: AuditEntry) -> str:
    if entry.person_id is not None:
        return str(entry.person_id)
    return "nobody" if entry.by == "page" else entry.by


def _doer(by: str) -> str:
    return "Nobody signed in" if by == "page" else by.capitalize()


def _changes(entry: AuditEntry, things: _Things, documents: Mapping[str, str]) -> Iterator[Change]:
    for field, (before, after) in entry.changes.items():
        kind = _refers_to(field)
        words = (field.removesuffix("_id") if kind else field).replace("_", " ").replace(".", " › ")
        if kind:
            before, after = (_name(things, kind, each) if isinstance(each, int) else each for each in (before, after))
        elif _OPENAPI.fullmatch(field):
            before, after = (documents.get(each, each) if isinstance(each, str) else each for each in (before, after))
        yield Change(words, _words(before), _words(after))


def _words(value: Any) -> str:
    match value:
        case None | "":
            return "nothing"
        case True | False:
            return "yes" if value else "no"
        case "…":
            return "not shown"
    return str(value)


def _name(things: _Things, kind: str, id: int | None) -> str:
    thing = things.get((kind, id or 0))
    return thing.name if thing else f"deleted {KINDS[kind]} {id}"


def _refers_to(field: str) -> str | None:
    kind = {"successor_id": "api"}.get(field, field.removesuffix("_id"))
    return kind if kind != field and kind in _LOOK_UPS else None


_LOOK_UPS: dict[str, Any] = {
    "person": select(Person.id, Person.name).where(Person.deleted_at.is_(None)),
    "team": select(Team.id, Team.name, Team.slug),
    "api": select(Api.id, Api.name, Team.slug, Api.slug, Api.version).join(Api.team),
    "category": select(Category.id, Category.name, Category.slug),
    "plan": select(Plan.id, Plan.name, Team.slug, Plan.slug).join(Plan.team),
    "consumer": select(Consumer.id, Consumer.name, Team.slug, Consumer.slug).join(Consumer.team),
    "key": select(Key.id, Key.public_id, Team.slug, Consumer.slug).join(Key.consumer).join(Consumer.team),
    "subscription": select(Subscription.id, Consumer.name, Team.slug, Consumer.slug)
    .join(Subscription.consumer)
    .join(Consumer.team),
    "approval": select(Approval.id, Consumer.name)
    .join(Approval.subscription)
    .join(Consumer, Consumer.id == Subscription.consumer_id),
    "release": select(Release.id, Api.name, Team.slug, Api.slug, Api.version, Release.number)
    .join(Api, Api.id == Release.api_id)
    .join(Api.team),
    "channel": select(Channel.id, Channel.name, Team.slug, Channel.name).join(Channel.team),
    "membership": select(Membership.id, Team.name, Team.slug).join(Team, Team.id == Membership.team_id),
}
_ID: dict[str, Any] = {
    "person": Person.id,
    "team": Team.id,
    "api": Api.id,
    "category": Category.id,
    "plan": Plan.id,
    "consumer": Consumer.id,
    "key": Key.id,
    "subscription": Subscription.id,
    "approval": Approval.id,
    "release": Release.id,
    "channel": Channel.id,
    "membership": Membership.id,
}


def _thing(kind: str, row: Row[Any]) -> _Thing:
    id, name, *parts = tuple(row)
    match kind:
        case "person":
            url = url_for("people.show", person=id)
        case "team" | "membership":
            url = url_for("settings.team", team=parts[0])
        case "api":
            url = url_for("apis.show", team=parts[0], slug=parts[1], version=parts[2])
        case "release":
            url = url_for("apis.release", team=parts[0], slug=parts[1], version=parts[2], number=parts[3])
        case "channel":
            url = url_for("channels.show", team=parts[0], channel=parts[1])
        case "category":
            url = url_for("catalogue.index", category=parts[0])
        case "approval":
            url = url_for("approvals.show", approval=id)
        case "plan":
            url = url_for("plans.show", team=parts[0], plan=parts[1])
        case _ if parts[1] == everyone.SLUG:  # it has no page of its own
            url = url_for("settings.team", team=parts[0])
        case _:
            url = url_for("consumers.show", team=parts[0], consumer=parts[1])
    return _Thing(name, url)
