"""What the list pages read: one page of many, by key, with the count of all.

A page begins after (or before) the row whose id stands in the address, so the last page costs what the first does, and
rows that come or go meanwhile neither repeat nor hide others.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from flask import request, url_for
from sqlalchemy import Select, exists, func, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased, contains_eager, selectinload

from portal import registry
from portal.accounts import Invitation, Membership, Person, Role, Team
from portal.registry.models import (
    APPLICATION,
    CURRENT,
    Api,
    Consumer,
    Key,
    Plan,
    Subscription,
    UpstreamSecret,
    api_plan,
)
from portal.web.forms import stripped
from portal.web.intake import LARGEST_ID

SIZE = 50
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    rows: list[T]
    count: int
    """Of all pages."""
    newer_url: str | None
    """The page before this one; named as the pagination macro names it."""
    older_url: str | None

    def counted(self, one: str, many: str = "") -> str:
        return f"{self.count:,} {one if self.count == 1 else many or one + 's'}"


def page(
    session: Session, rows: Select[T], name: InstrumentedAttribute[str], id: InstrumentedAttribute[int]
) -> Page[T]:
    """The page of `rows` that this request asks for (`after`, `before`), in the order of `name`."""
    count = session.scalar(select(func.count()).select_from(rows.order_by(None).subquery())) or 0
    key = tuple_(func.lower(name), id)
    anchor_id = request.args.get("after", type=int) or request.args.get("before", type=int)
    backwards = "after" not in request.args and "before" in request.args
    if anchor_id is not None and not 0 < anchor_id <= LARGEST_ID:
        anchor_id = None
    anchor = anchor_id and session.scalar(select(func.lower(name)).where(id == anchor_id))
    if anchor is not None:
        place = tuple_(anchor, anchor_id)
        rows = rows.where(key < place if backwards else key > place)
    order = (func.lower(name).desc(), id.desc()) if backwards else (func.lower(name), id)
    found = list(session.scalars(rows.order_by(*order).limit(SIZE + 1)))
    more, found = len(found) > SIZE, found[:SIZE]
    if backwards:
        found.reverse()
    has_newer = more if backwards else anchor is not None
    has_older = True if backwards else more
    return Page(
        found,
        count,
        here(before=found[0].id) if found and has_newer else None,  # type: ignore[attr-defined]
        here(after=found[-1].id) if found and has_older else None,  # type: ignore[attr-defined]
    )


def page_by_number(session: Session, rows: Select[T], id: InstrumentedAttribute[int], *, newest_first: bool) -> Page[T]:
    """`page`, in the order in which the rows were made."""
    count = session.scalar(select(func.count()).select_from(rows.order_by(None).subquery())) or 0
    anchor = request.args.get("after", type=int) or request.args.get("before", type=int)
    backwards = "after" not in request.args and "before" in request.args
    if anchor is not None and not 0 < anchor <= LARGEST_ID:
        anchor = None
    if anchor is not None:
        rows = rows.where(id > anchor if backwards == newest_first else id < anchor)
    found = list(session.scalars(rows.order_by(id.desc() if backwards != newest_first else id).limit(SIZE + 1)))
    more, found = len(found) > SIZE, found[:SIZE]
    if backwards:
        found.reverse()
    has_newer = more if backwards else anchor is not None
    has_older = True if backwards else more
    return Page(
        found,
        count,
        here(before=found[0].id) if found and has_newer else None,  # type: ignore[attr-defined]
        here(after=found[-1].id) if found and has_older else None,  # type: ignore[attr-defined]
    )


def query(name: str = "q") -> str:
    return stripped(request.args.get(name))


def without(*names: str) -> str:
    """The address of this page without these parts of its query, from its first page."""
    return here(**dict.fromkeys(names))


def here(**changes: Any) -> str:
    # As a query and not as arguments of `url_for`, which has words of its own: `_scheme` would make other links of it.
    asked = {name: value for name, value in request.args.items() if name not in {"after", "before"}} | changes
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    here = url_for(request.endpoint or "", **(request.view_args or {}))
    return f"{here}?{query}" if query else here


def visible_teams(person: Person, limit: int = 200) -> Select[Team]:
    """The person's teams; all to administrators."""
    teams = select(Team).order_by(func.lower(Team.name), Team.id).limit(limit)
    return teams if person.acts_as_administrator else teams.where(Team.id.in_(_own(person)))


def apis(person: Person, *, q: str, team: str, state: str) -> Select[Api]:
    """APIs of the person's teams; of all teams to administrators. `state` is a word of `Api.state`, or "" for any."""
    rows = select(Api).join(Api.team).options(selectinload(Api.team), selectinload(Api.live_release))
    if not person.acts_as_administrator:
        rows = rows.where(Api.team_id.in_(_own(person)))
    if team:
        rows = rows.where(Team.slug == team)
    if q:
        rows = rows.where(or_(has(Api.name, q), has(Api.slug, q), has(Team.name, q)))
    return rows.where(*in_state(state))


def in_state(state: str) -> tuple[Any, ...]:
    """Conditions for what `Api.state` calls so; none for a word that it has not."""
    live, retired = Api.live_release_id.is_not(None), Api.retired_at.is_not(None)
    match state:
        case "draft":
            return (~live,)
        case "retired":
            return live, retired
        case "paused":
            return live, ~retired, Api.paused
        case "deprecated":
            return live, ~retired, ~Api.paused, Api.deprecated_at.is_not(None)
        case "published":
            return live, ~retired, ~Api.paused, Api.deprecated_at.is_(None)
    return ()


def plans(person: Person, *, q: str, team: str) -> Select[Plan]:
    rows = select(Plan).join(Plan.team).options(selectinload(Plan.team), selectinload(Plan.apis))
    if not person.acts_as_administrator:
        rows = rows.where(Plan.team_id.in_(_own(person)))
    if team:
        rows = rows.where(Team.slug == team)
    return rows.where(or_(has(Plan.name, q), has(Plan.slug, q))) if q else rows


def plans_of(team: Team) -> Select[Plan]:
    return select(Plan).where(Plan.team_id == team.id).order_by(func.lower(Plan.name), Plan.id)


def consumers(person: Person, *, q: str, team: str) -> Select[Consumer]:
    rows = select(Consumer).join(Consumer.team).where(APPLICATION).options(selectinload(Consumer.team))
    if not person.acts_as_administrator:
        rows = rows.where(Consumer.team_id.in_(_own(person)))
    if team:
        rows = rows.where(Team.slug == team)
    if q:
        rows = rows.where(or_(has(Consumer.name, q), has(Consumer.slug, q), Consumer.public_id == q))
    return rows


def keys(session: Session, person: Person, *, begins: str) -> Select[Key]:
    """Keys of the person's consumers, of all to administrators, whose id begins so; letters as they are typed."""
    rows = select(Key).join(Key.consumer).options(contains_eager(Key.consumer).selectinload(Consumer.team))
    if not person.acts_as_administrator:
        rows = rows.where(Consumer.team_id.in_(_own(person)))
    if len(begins) == 12:
        return rows.where(Key.public_id == begins)
    if session.get_bind().dialect.name == "sqlite":
        # There LIKE knows no case and so no index; this order is that of the bytes, in which `{` follows the letters.
        return rows.where(Key.public_id >= begins, Key.public_id < begins + "{")
    return rows.where(Key.public_id.startswith(begins, autoescape=True))


def subscribable(person: Person, *, q: str, closed: bool = False) -> Select[Api]:
    """Published APIs that the person may know of, that offer a plan and take new subscriptions. `closed`: also those
    that take none, or none any more."""
    offers = exists().where(api_plan.c.api_id == Api.id, api_plan.c.plan_id == Plan.id, registry.known_to(person))
    rows = (
        select(Api)
        .join(Api.team)
        .where(Api.live_release_id.is_not(None), offers, registry.visible_to(person))
        .options(selectinload(Api.team), selectinload(Api.live_release), selectinload(Api.plans))
    )
    if not closed:
        everyone = select(Consumer.id).where(Consumer.everyone)
        public = select(Subscription.api_id).where(Subscription.consumer_id.in_(everyone), CURRENT)
        rows = rows.where(Api.closed.is_(False), Api.retired_at.is_(None), Api.id.not_in(public))
    return rows.where(or_(has(Api.name, q), has(Api.slug, q), has(Team.name, q))) if q else rows


def subscribers(api: Api, *, q: str) -> Select[Consumer]:
    """Applications that use the API now."""
    team = aliased(Team)
    rows = (
        select(Consumer)
        .join(Subscription, Subscription.consumer_id == Consumer.id)
        .join(team, team.id == Consumer.team_id)
        .where(Subscription.api_id == api.id, CURRENT, APPLICATION)
        .options(selectinload(Consumer.team))
    )
    return rows.where(or_(has(Consumer.name, q), has(team.name, q))) if q else rows


def users_of(plan: Plan) -> Select[Consumer]:
    """Consumers that have a current subscription under the plan."""
    current = exists().where(
        Subscription.consumer_id == Consumer.id,
        Subscription.plan_id == plan.id,
        CURRENT,
    )
    return select(Consumer).where(current).options(selectinload(Consumer.team))


def teams_under(plan: Plan) -> Select[Team]:
    """The teams of those consumers."""
    its = exists().where(
        Subscription.consumer_id == Consumer.id,
        Subscription.plan_id == plan.id,
        CURRENT,
        Consumer.team_id == Team.id,
    )
    return select(Team).where(its).order_by(func.lower(Team.name), Team.id).limit(200)


def people(*, q: str) -> Select[Person]:
    rows = select(Person).where(Person.deleted_at.is_(None))
    return rows.where(or_(has(Person.name, q), has(Person.email, q))) if q else rows


def invitations(*, q: str) -> Select[Invitation]:
    rows = select(Invitation).options(selectinload(Invitation.invited_by))
    return rows.where(has(Invitation.email, q)) if q else rows


def teams(person: Person, *, q: str) -> Select[Team]:
    """The person's teams; all teams of several to administrators, and their own."""
    own = Team.id.in_(_own(person))
    rows = select(Team).options(selectinload(Team.memberships))
    rows = rows.where(or_(Team.person_id.is_(None), own) if person.acts_as_administrator else own)
    return rows.where(or_(has(Team.name, q), has(Team.slug, q))) if q else rows


def roles_of(person: Person) -> dict[int, Role]:
    """The person's role in each of their teams, by the team's id."""
    return {membership.team_id: membership.role for membership in person.memberships}


def members(session: Session, team: Team) -> list[Membership]:
    rows = select(Membership).join(Membership.person).where(Membership.team_id == team.id)
    return list(
        session.scalars(rows.options(selectinload(Membership.person)).order_by(func.lower(Person.name), Person.id))
    )


def secrets(team: Team) -> Select[UpstreamSecret]:
    """Upstream secrets of a team, with who stored them."""
    return (
        select(UpstreamSecret)
        .where(UpstreamSecret.team_id == team.id)
        .options(selectinload(UpstreamSecret.created_by), selectinload(UpstreamSecret.replaced_by))
    )


def subscriptions_of(session: Session, consumers: Collection[Consumer], api: Api | None = None) -> list[Subscription]:
    """Current subscriptions of these consumers, or those to one API."""
    chosen = (
        select(Subscription)
        .where(
            Subscription.consumer_id.in_([consumer.id for consumer in consumers]),
            CURRENT,
        )
        .options(selectinload(Subscription.plan), selectinload(Subscription.api).selectinload(Api.team))
        .order_by(Subscription.id)
    )
    return list(session.scalars(chosen.where(Subscription.api_id == api.id) if api else chosen))


def by_consumer(subscriptions: Iterable[Subscription]) -> dict[int, list[Subscription]]:
    found: dict[int, list[Subscription]] = {}
    for each in subscriptions:
        found.setdefault(each.consumer_id, []).append(each)
    return found


def active_keys(session: Session, consumers: Collection[Consumer], now: datetime) -> dict[int, int]:
    """How many keys of each consumer work; consumers without one are left out."""
    chosen = (
        select(Key.consumer_id, func.count())
        .where(
            Key.consumer_id.in_([consumer.id for consumer in consumers]),
            Key.revoked_at.is_(None),
            or_(Key.expires_at.is_(None), Key.expires_at > now),
        )
        .group_by(Key.consumer_id)
    )
    return {consumer_id: count for consumer_id, count in session.execute(chosen)}


def one_subscribable(session: Session, person: Person, label: str) -> Api | None:
    """The published API that `<team>/<slug>/<version>` names, when it offers a plan and the person may know of it."""
    parts = label.split("/")
    if len(parts) != 3:
        return None
    team, slug, version = parts
    return session.scalar(
        subscribable(person, q="", closed=True).where(Team.slug == team, Api.slug == slug, Api.version == version)
    )


def _own(person: Person) -> Select[int]:
    return select(Membership.team_id).where(Membership.person_id == person.id)


def has(column: InstrumentedAttribute[str], text: str) -> Any:
    return column.icontains(text, autoescape=True)
