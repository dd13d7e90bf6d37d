"""Who may enter a view. Fetching and authorising are one step: no view gets a thing that its person may not have.

    @bp.get("/<team>/<slug>/<version>")
    @requires(Permission.SEE_APIS, an_api)
    def show(api: Api) -> ResponseReturnValue: ...

A thing that the person may not know of answers 404, one that they may not touch 403.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import wraps
from typing import Any

from flask import Flask, current_app, g, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import accounts, registry
from portal.accounts import Invitation, Membership, Permission, Person, Team, audit
from portal.config import Config
from portal.db import db
from portal.errors import Forbidden, NotFound, NotSignedIn
from portal.notify.models import Channel, Delivery
from portal.registry.models import (
    Api,
    Approval,
    Category,
    Consumer,
    Import,
    Key,
    Plan,
    Release,
    Subscription,
    UpstreamSecret,
)
from portal.web.audience import is_program

View = Callable[..., ResponseReturnValue]


@dataclass(frozen=True, slots=True)
class Fetch:
    """How a thing is found by the parts of an address, whose it is, and who may know that it exists."""

    name: str
    """The view's argument that receives the thing."""
    parts: tuple[str, ...]
    load: Callable[..., Any]
    """`load(session, **parts)`: the thing, or None."""
    team: Callable[[Any], Team] | None
    """None for things of the installation, which need a permission that belongs to no team."""
    see: Permission


def person() -> Person | None:
    """Who is signed in; for the REST API, whose token it is: a browser's cookie does nothing there."""
    if is_program():
        found: Person | None = g.get("token_of")
        return found
    return current_user._get_current_object() if current_user.is_authenticated else None


def me() -> Person:
    """Who is signed in, in a view that strangers do not reach."""
    found = person()
    if found is None:
        raise NotSignedIn()
    return found


def sign_changes() -> None:
    """Before a request: the audit trail learns who is behind what it changes. Nobody is looked up for mere reading."""
    someone = None if request.method in {"GET", "HEAD", "OPTIONS"} else person()
    audit.act_as(db.session(), audit.Actor(someone.id if someone else None, "page", request.remote_addr))


def record_export(thing: Any, filters: Collection[str] = ()) -> None:
    """What leaves as a file is told in the trail, before it leaves. Reading changes nothing, so nobody had signed.

    Filters by their names only: what was looked for may be a person's address.
    """
    with db.begin() as session:
        audit.act_as(session, audit.Actor(me().id, "page", request.remote_addr))
        audit.record(session, "exported", thing, **({"filtered_by": ", ".join(filters)} if filters else {}))


def may(permission: Permission, team: Team) -> bool:
    """Whether the person of this request may do this in `team`: for showing, or not showing, a button."""
    return accounts.standing(person(), team).may(permission)


def teams_for(permission: Permission) -> list[Team]:
    """Own teams in which the person of this request may do this, the personal one first; for forms that ask for a team.

    Administrators may do it everywhere: the team that the address names (`?team=payments`) joins the list.
    """
    someone = me()
    teams = someone.teams
    named = _load_team(db.session(), request.args.get("team", "")) if someone.acts_as_administrator else None
    if named is not None and named not in teams:
        teams.append(named)
    return [team for team in teams if may(permission, team)]


def requires(permission: Permission, fetch: Fetch | None = None) -> Callable[[View], View]:
    """Declare what a view needs. Without `fetch` it must be a permission that belongs to no team."""
    if (fetch is None or fetch.team is None) and permission not in _TEAMLESS:
        raise TypeError(f"{permission} belongs to a team: say which thing of it with a fetch")

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(**parts: Any) -> ResponseReturnValue:
            if permission is not Permission.PUBLIC and not (permission is Permission.SEE_CATALOGUE and is_open()):
                someone = me()
                if permission is Permission.ADMINISTER and not someone.acts_as_administrator:
                    raise Forbidden("This page is for administrators of the installation.")
            if fetch is not None:
                parts[fetch.name] = _fetch(fetch, permission, {part: parts.pop(part) for part in fetch.parts})
            return view(**parts)

        guarded.portico_permission = permission  # type: ignore[attr-defined]
        guarded.portico_fetch = fetch  # type: ignore[attr-defined]
        return guarded

    return decorate


def _fetch(fetch: Fetch, permission: Permission, parts: dict[str, Any]) -> Any:
    session = db.session()
    thing = fetch.load(session, **parts)
    if thing is None:
        raise NotFound()
    if fetch.team is None:
        return thing
    standing = accounts.standing(me(), fetch.team(thing))
    if not standing.may(fetch.see):
        raise NotFound()
    if not standing.may(permission):
        if permission is Permission.MANAGE_APIS and not standing.team_may_publish:
            raise Forbidden(f"{fetch.team(thing).name} may not publish APIs. Ask an administrator for the right.")
        raise Forbidden()
    return thing


def is_open() -> bool:
    """Whether strangers may look at the catalogue."""
    config: Config = current_app.extensions["portico"]
    return config.public_catalogue


_TEAMLESS = frozenset({Permission.PUBLIC, Permission.SIGNED_IN, Permission.SEE_CATALOGUE, Permission.ADMINISTER})

LIBRARY_VIEWS = {
    "static": Permission.PUBLIC,
    "security.login": Permission.PUBLIC,
    "security.logout": Permission.PUBLIC,
    "security.register": Permission.PUBLIC,
    "security.reset_password": Permission.PUBLIC,
    "security.confirm_email": Permission.PUBLIC,
    "security.verify": Permission.SIGNED_IN,
    "security.change_password": Permission.SIGNED_IN,
    # Between password and code somebody is not signed in yet.
    "security.two_factor_token_validation": Permission.PUBLIC,
    "security.mf_recovery": Permission.PUBLIC,
    # Lead to our own page (second_factor.py).
    "security.two_factor_setup": Permission.PUBLIC,
    "security.two_factor_setup_validate": Permission.PUBLIC,
    "security.two_factor_rescue": Permission.PUBLIC,
    "security.tf_select": Permission.PUBLIC,
    "security.mf_recovery_codes": Permission.PUBLIC,
}
"""Views that are not ours, and what they ask for themselves."""


def permission_of(app: Flask, endpoint: str) -> Permission | None:
    """What a route declares; None is a mistake that `tests/web/test_permissions.py` reports."""
    declared = getattr(app.view_functions[endpoint], "portico_permission", None)
    return declared or LIBRARY_VIEWS.get(endpoint)


def _load_team(session: Session, team: str) -> Team | None:
    return session.scalar(select(Team).where(Team.slug == team))


def _load_member(session: Session, team: str, member: int) -> Membership | None:
    return session.scalar(select(Membership).join(Membership.team).where(Team.slug == team, Membership.id == member))


def _load_api(session: Session, team: str, slug: str, version: str) -> Api | None:
    return session.scalar(select(Api).join(Api.team).where(Team.slug == team, Api.slug == slug, Api.version == version))


def _load_shown_api(session: Session, team: str, slug: str, version: str) -> Api | None:
    """A published one, as far as this person may know of it."""
    return session.scalar(
        select(Api)
        .join(Api.team)
        .where(Team.slug == team, Api.slug == slug, Api.version == version)
        .where(Api.live_release_id.is_not(None), registry.visible_to(person()))
    )


def _load_release(session: Session, team: str, slug: str, version: str, number: int) -> Release | None:
    api = _load_api(session, team, slug, version)
    if api is None:
        return None
    return session.scalar(select(Release).where(Release.api_id == api.id, Release.number == number))


def _load_person(session: Session, person: int) -> Person | None:
    return session.scalar(select(Person).where(Person.id == person, Person.deleted_at.is_(None)))


def _load_invitation(session: Session, invitation: int) -> Invitation | None:
    return session.get(Invitation, invitation)


def _load_import(session: Session, import_id: int) -> Import | None:
    return session.get(Import, import_id)


def _load_category(session: Session, category: str) -> Category | None:
    return session.scalar(select(Category).where(Category.slug == category))


def _load_plan(session: Session, team: str, plan: str) -> Plan | None:
    return session.scalar(select(Plan).join(Plan.team).where(Team.slug == team, Plan.slug == plan))


def _load_secret(session: Session, team: str, secret: str) -> UpstreamSecret | None:
    return session.scalar(
        select(UpstreamSecret).join(UpstreamSecret.team).where(Team.slug == team, UpstreamSecret.name == secret)
    )


def _load_consumer(session: Session, team: str, consumer: str) -> Consumer | None:
    # What stands for all who call without a key is nobody's to change: publishing keeps it.
    chosen = select(Consumer).join(Consumer.team).where(Team.slug == team, Consumer.slug == consumer)
    return session.scalar(chosen.where(Consumer.everyone.is_(False)))


def _load_key(session: Session, team: str, consumer: str, key: str) -> Key | None:
    owner = _load_consumer(session, team, consumer)
    if owner is None:
        return None
    return session.scalar(select(Key).where(Key.consumer_id == owner.id, Key.public_id == key))


def _load_subscription(session: Session, team: str, consumer: str, subscription: int) -> Subscription | None:
    owner = _load_consumer(session, team, consumer)
    if owner is None:
        return None
    return session.scalar(
        select(Subscription).where(Subscription.consumer_id == owner.id, Subscription.id == subscription)
    )


def _load_use(session: Session, team: str, slug: str, version: str, subscription: int) -> Subscription | None:
    api = _load_api(session, team, slug, version)
    if api is None:
        return None
    found = session.scalar(select(Subscription).where(Subscription.api_id == api.id, Subscription.id == subscription))
    return None if found is None or found.consumer.everyone else found


def _load_approval(session: Session, approval: int) -> Approval | None:
    return session.get(Approval, approval)


def _load_channel(session: Session, team: str, channel: str) -> Channel | None:
    return session.scalar(select(Channel).join(Channel.team).where(Team.slug == team, Channel.name == channel))


def _load_delivery(session: Session, team: str, channel: str, delivery: int) -> Delivery | None:
    return session.scalar(
        select(Delivery)
        .join(Delivery.channel)
        .join(Channel.team)
        .where(Team.slug == team, Channel.name == channel, Delivery.id == delivery)
    )


a_team = Fetch("team", ("team",), _load_team, lambda team: team, Permission.SEE_TEAM)
a_member = Fetch("member", ("team", "member"), _load_member, lambda member: member.team, Permission.SEE_TEAM)
an_api = Fetch("api", ("team", "slug", "version"), _load_api, lambda api: api.team, Permission.SEE_APIS)
a_shown_api = Fetch("api", ("team", "slug", "version"), _load_shown_api, None, Permission.SEE_CATALOGUE)
a_release = Fetch(
    "release", ("team", "slug", "version", "number"), _load_release, lambda it: it.api.team, Permission.SEE_APIS
)
an_import = Fetch("imported", ("import_id",), _load_import, lambda it: it.team, Permission.SEE_APIS)
a_person = Fetch("somebody", ("person",), _load_person, None, Permission.ADMINISTER)
an_invitation = Fetch("invitation", ("invitation",), _load_invitation, None, Permission.ADMINISTER)
a_category = Fetch("category", ("category",), _load_category, None, Permission.SIGNED_IN)
a_plan = Fetch("plan", ("team", "plan"), _load_plan, lambda plan: plan.team, Permission.SEE_APIS)
a_secret = Fetch("secret", ("team", "secret"), _load_secret, lambda it: it.team, Permission.SEE_APIS)
a_channel = Fetch("channel", ("team", "channel"), _load_channel, lambda it: it.team, Permission.SEE_TEAM)
a_delivery = Fetch(
    "delivery", ("team", "channel", "delivery"), _load_delivery, lambda it: it.channel.team, Permission.SEE_TEAM
)
a_consumer = Fetch("consumer", ("team", "consumer"), _load_consumer, lambda it: it.team, Permission.MANAGE_CONSUMERS)
a_key = Fetch("key", ("team", "consumer", "key"), _load_key, lambda it: it.consumer.team, Permission.MANAGE_CONSUMERS)
a_subscription = Fetch(
    "subscription",
    ("team", "consumer", "subscription"),
    _load_subscription,
    lambda it: it.consumer.team,
    Permission.MANAGE_CONSUMERS,
)
# The same subscription as the API's team has it.
a_use = Fetch(
    "subscription",
    ("team", "slug", "version", "subscription"),
    _load_use,
    lambda it: it.api.team,
    Permission.SEE_APIS,
)
an_approval = Fetch("approval", ("approval",), _load_approval, lambda it: it.subscription.api.team, Permission.DECIDE)
