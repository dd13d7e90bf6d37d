"""Whose calls the person of a request sees, and what the APIs and consumers of those calls are called."""

from collections.abc import Iterable
from dataclasses import dataclass

from flask import url_for
from sqlalchemy import ColumnElement, CompoundSelect, exists, func, or_, select, true, union_all
from sqlalchemy.orm import Session, joinedload

from portal.accounts import BY_ROLE, Membership, Permission, Person, Role, Team
from portal.accounts.audit import AuditEntry
from portal.registry.models import Api, Consumer, Subscription
from portal.traffic.scope import Scope

_SUGGESTIONS = 200


def scope_of(session: Session, person: Person) -> Scope:
    """Administrators see everything, others the calls of those APIs and consumers that their roles let them see."""
    if person.acts_as_administrator:
        return Scope(everything=True)
    return Scope(
        api_ids=frozenset(filter(None, session.scalars(_of_teams(Api, person, Permission.SEE_API_CALLS)))),
        consumer_ids=frozenset(filter(None, session.scalars(_of_teams(Consumer, person, Permission.MANAGE_CONSUMERS)))),
    )


def _of_teams(table: type[Api] | type[Consumer], person: Person, permission: Permission) -> CompoundSelect[int | None]:
    """Numbers of what the person's teams own, and of what they owned and deleted: its calls stay theirs."""
    roles = [role for role in Role if permission in BY_ROLE[role]]
    teams = select(Membership.team_id).where(Membership.person_id == person.id, Membership.role.in_(roles))
    # Rows are gone, and their numbers never come back; the trail is what knows whose they were.
    deleted = select(AuditEntry.thing_id).where(
        AuditEntry.team_id.in_(teams), AuditEntry.kind == table.__tablename__, AuditEntry.action == "deleted"
    )
    # Who calls without a key calls the team's APIs, and is no application of its developers.
    own = (Consumer.everyone.is_(False),) if table is Consumer else ()
    return union_all(select(table.id).where(table.team_id.in_(teams), *own), deleted)


@dataclass(frozen=True, slots=True)
class Named:
    """An API or a consumer as a table shows it."""

    name: str
    label: str
    """What the query string calls it: `<team>/<slug>/<version>` or `<team>/<slug>`; the number of a deleted one."""
    team: str
    url: str | None
    """Its traffic; None when the person may not open it, or when it is deleted."""
    state: str | None = None
    """Of an API: `draft`, `published` or `paused`."""


def name_apis(session: Session, scope: Scope, ids: Iterable[int | None]) -> dict[int, Named]:
    """Every id gets a name: one without a row was deleted."""
    wanted = {id_ for id_ in ids if id_}
    statement = select(Api).where(Api.id.in_(wanted)).options(joinedload(Api.team))
    found = {api.id: name_api(scope, api) for api in session.scalars(statement)} if wanted else {}
    return {id_: found.get(id_) or Named(f"Deleted API {id_}", str(id_), "", None) for id_ in wanted}


def name_api(scope: Scope, api: Api) -> Named:
    url = None
    if scope.everything or api.id in scope.api_ids:
        url = url_for("traffic.api", team=api.team.slug, slug=api.slug, version=api.version)
    return Named(f"{api.name} {api.version}", api.label, api.team.name, url, api.state)


def name_consumers(session: Session, scope: Scope, ids: Iterable[int | None]) -> dict[int, Named]:
    wanted = {id_ for id_ in ids if id_}
    statement = select(Consumer).where(Consumer.id.in_(wanted)).options(joinedload(Consumer.team))
    found = {consumer.id: name_consumer(scope, consumer) for consumer in session.scalars(statement)} if wanted else {}
    return {id_: found.get(id_) or Named(f"Deleted consumer {id_}", str(id_), "", None) for id_ in wanted}


def name_consumer(scope: Scope, consumer: Consumer) -> Named:
    url = None
    if (scope.everything or consumer.id in scope.consumer_ids) and not consumer.everyone:
        url = url_for("traffic.consumer", team=consumer.team.slug, consumer=consumer.slug)
    return Named(consumer.name, f"{consumer.team.slug}/{consumer.slug}", consumer.team.name, url)


def find_api(session: Session, scope: Scope, label: str) -> int | None:
    """The API that a query string names, if the person may know of it: own ones, and those that own consumers use."""
    if label.isdecimal() and len(label) < 10:
        return None if session.get(Api, int(label)) else int(label)
    team, _, rest = label.partition("/")
    slug, _, version = rest.partition("/")
    return session.scalar(
        select(Api.id)
        .join(Api.team)
        .where(Team.slug == team, Api.slug == slug, Api.version == version, _known_apis(scope))
    )


def find_consumer(session: Session, scope: Scope, label: str) -> int | None:
    """The consumer that a query string names, if the person may know of it: own ones, and those that use own APIs."""
    if label.isdecimal() and len(label) < 10:
        return None if session.get(Consumer, int(label)) else int(label)
    team, _, slug = label.partition("/")
    return session.scalar(
        select(Consumer.id).join(Consumer.team).where(Team.slug == team, Consumer.slug == slug, _known_consumers(scope))
    )


def suggest_apis(session: Session, scope: Scope) -> list[tuple[str, str]]:
    """(label, name) for a field that one may also type into: not all where there are many."""
    rows = session.execute(
        select(Team.slug, Api.slug, Api.version, Api.name)
        .join(Api.team)
        .where(_known_apis(scope))
        .order_by(func.lower(Api.name), Api.id)
        .limit(_SUGGESTIONS)
    )
    return [(f"{team}/{slug}/{version}", name) for team, slug, version, name in rows]


def suggest_consumers(session: Session, scope: Scope) -> list[tuple[str, str]]:
    rows = session.execute(
        select(Team.slug, Consumer.slug, Consumer.name)
        .join(Consumer.team)
        .where(_known_consumers(scope))
        .order_by(func.lower(Consumer.name), Consumer.id)
        .limit(_SUGGESTIONS)
    )
    return [(f"{team}/{slug}", name) for team, slug, name in rows]


def _known_apis(scope: Scope) -> ColumnElement[bool]:
    if scope.everything:
        return true()
    used = exists().where(Subscription.api_id == Api.id, Subscription.consumer_id.in_(scope.consumer_ids))
    return or_(Api.id.in_(scope.api_ids), used)


def _known_consumers(scope: Scope) -> ColumnElement[bool]:
    if scope.everything:
        return true()
    uses = exists().where(Subscription.consumer_id == Consumer.id, Subscription.api_id.in_(scope.api_ids))
    return or_(Consumer.id.in_(scope.consumer_ids), uses)
