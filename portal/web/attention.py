"""What a person should look at: everything that is wrong or soon will be, in sentences with a way to it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import url_for
from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from portal import gateway
from portal.accounts import Person, Team
from portal.gateway import NodeView
from portal.registry.models import CURRENT, Api, Consumer, Key, Subscription
from portal.traffic.models import MisreadLine
from portal.traffic.scope import Scope
from portal.web import format, inbox

MOST = 8
_SOON = timedelta(days=7)
_PATIENCE = timedelta(seconds=30)
"""A node that is behind for less is just publishing."""
_LAG = 1_000_000
"""Bytes of log, some 2 000 calls: what a busy second leaves is no news."""
_MOST_COUNTED = 99
"""Requests that wait, as the navigation has it."""


@dataclass(frozen=True, slots=True)
class Matter:
    tone: str
    """`bad` for what callers notice, `warn` for what they may notice later."""
    sentence: str
    about: str = ""
    """What the sentence is about: an API's name, a node's name."""
    url: str | None = None
    also: tuple[tuple[str, str], ...] = ()
    """Names and addresses of what else it holds for."""


def matters(session: Session, person: Person, scope: Scope, now: datetime) -> list[Matter]:
    """The worst first; of many of a kind only some, the last of which says how many more."""
    found = _of_approvals(session, person)
    nodes = gateway.nodes(session)
    if scope.everything:
        found += _of_nodes(nodes, now)
        found += _of_log(session, nodes, now)
    found += _of_apis(session, scope, nodes)
    found += _of_ends(session, scope, now)
    found += _of_keys(session, scope, now)
    return sorted(found, key=lambda matter: matter.tone != "bad")


def _of_approvals(session: Session, person: Person) -> list[Matter]:
    """Somebody waits for this person, who may not have to do with anything else here."""
    count = inbox.count_waiting(session, person, _MOST_COUNTED + 1)
    if not count:
        return []
    waits = f"{min(count, _MOST_COUNTED)}{'+' if count > _MOST_COUNTED else ''}"
    sentence = "One request waits for your decision." if count == 1 else f"{waits} requests wait for your decision."
    return [Matter("warn", sentence, "Approvals", url_for("approvals.index"))]


def _of_nodes(nodes: list[NodeView], now: datetime) -> list[Matter]:
    page = url_for("gateway.show")
    if not nodes:
        return [Matter("warn", "No node runs it yet, so that no call can be answered.", "Gateway", page)]
    found = []
    for node in nodes:
        if node.state in {"down", "stopped", "silent"}:
            found.append(Matter("bad", node.sentence or f"It is {node.state}.", node.name, page))
        elif not node.is_current and now - (node.published_at or node.started_at) > _PATIENCE:
            found.append(Matter("warn", f"It still serves revision {node.revision}.", node.name, page))
        found += [Matter("bad", problem.sentence, node.name, page) for problem in node.problems if not problem.api]
    return found


def _of_log(session: Session, nodes: list[NodeView], now: datetime) -> list[Matter]:
    page = url_for("gateway.show")
    found = [
        Matter(
            "warn", f"{format.size(node.log_waiting)} of calls are still to store; charts are behind.", node.name, page
        )
        for node in nodes
        if node.log_waiting > _LAG
    ]
    misread = session.scalar(select(func.sum(MisreadLine.count)).where(MisreadLine.at > now - timedelta(days=1)))
    if misread:
        lines = "line" if misread == 1 else "lines"
        found.append(
            Matter("warn", f"{misread:,} {lines} of the last 24 hours could not be read as calls.", "Access log", page)
        )
    return found


def _of_apis(session: Session, scope: Scope, nodes: list[NodeView]) -> list[Matter]:
    """What gateways say about APIs, and APIs that are paused, as far as they are one's own."""
    said = {(problem.api, problem.sentence) for node in nodes for problem in node.problems if problem.api}
    own = select(Api).join(Api.team).options(joinedload(Api.team))
    if not scope.everything:
        own = own.where(Api.id.in_(scope.api_ids))
    found = []
    if said:
        teams = {label.partition("/")[0] for label, _ in said}
        by_label = {api.label: api for api in session.scalars(own.where(Team.slug.in_(teams)))}
        of_each: dict[str, list[tuple[str, str]]] = {}
        for label, sentence in sorted(said):
            if label in by_label:
                # One host that is away is one thing to look at, however many APIs use it.
                of_each.setdefault(sentence, []).append((by_label[label].name, _address(by_label[label])))
        found += [Matter("bad", sentence, *first, tuple(others)) for sentence, (first, *others) in of_each.items()]
    paused = own.where(Api.paused, Api.live_release_id.is_not(None)).order_by(func.lower(Api.name)).limit(MOST)
    found += [
        Matter("warn", "It is paused. Its calls are answered with 503.", api.name, _address(api))
        for api in session.scalars(paused)
    ]
    return found


def _of_ends(session: Session, scope: Scope, now: datetime) -> list[Matter]:
    """Own APIs whose last day has passed, and APIs that own consumers use and that are to end, or have ended."""
    alive = Api.live_release_id.is_not(None)
    overdue = select(Api).options(joinedload(Api.team)).where(alive, Api.sunset_at < now, Api.retired_at.is_(None))
    if not scope.everything:
        overdue = overdue.where(Api.id.in_(scope.api_ids))
    found = [
        Matter("warn", "Its last day has passed, and calls still go through. Retire it.", api.name, _address(api))
        for api in session.scalars(overdue.order_by(Api.sunset_at).limit(MOST))
    ]
    if not scope.consumer_ids:
        return found
    ending = (
        select(Subscription)
        .join(Subscription.api)
        .options(joinedload(Subscription.api), joinedload(Subscription.consumer).joinedload(Consumer.team))
        .where(
            Subscription.consumer_id.in_(scope.consumer_ids),
            CURRENT,
            alive,
            Api.deprecated_at.is_not(None),
        )
        .order_by(Api.sunset_at.is_(None), Api.sunset_at, Subscription.id)
        .limit(MOST)
    )
    return found + [
        Matter(
            "bad" if use.api.retired_at else "warn",
            _end_of(use.api, now),
            use.consumer.name,
            _of_consumer(use.consumer),
        )
        for use in session.scalars(ending)
    ]


def _end_of(api: Api, now: datetime) -> str:
    name = f"{api.name} {api.version}, which it uses,"
    if api.retired_at is not None:
        return f"{name} is retired. Its calls are answered with 410."
    if api.sunset_at is None:
        return f"{name} is deprecated."
    return f"{name} is deprecated; its last day {'was' if api.sunset_at < now else 'is'} {api.sunset_at:%Y-%m-%d}."


def _of_keys(session: Session, scope: Scope, now: datetime) -> list[Matter]:
    """Keys of own consumers that end soon. Not those of everybody: an administrator cannot renew them."""
    if not scope.consumer_ids:
        return []
    ending = (
        select(Key)
        .join(Key.consumer)
        .options(joinedload(Key.consumer).joinedload(Consumer.team))
        .where(
            Key.consumer_id.in_(scope.consumer_ids),
            Key.revoked_at.is_(None),
            Key.expires_at > now,
            Key.expires_at < now + _SOON,
        )
        .order_by(Key.expires_at)
        .limit(MOST)
    )
    return [
        Matter(
            "warn",
            f"This key of {key.consumer.name} expires {format.when(key.expires_at, now)}.",
            f"{key.beginning[:10]}…" + (f" “{key.label}”" if key.label else ""),
            url_for("keys.show", team=key.consumer.team.slug, consumer=key.consumer.slug, key=key.public_id),
        )
        for key in session.scalars(ending)
    ]


def _of_consumer(consumer: Consumer) -> str:
    return url_for("consumers.show", team=consumer.team.slug, consumer=consumer.slug)


def _address(api: Api) -> str:
    return url_for("apis.show", team=api.team.slug, slug=api.slug, version=api.version)
