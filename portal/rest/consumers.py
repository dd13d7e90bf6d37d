"""Consumers: applications that call APIs."""

from typing import Annotated

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import agreements, registry
from portal.accounts import Permission, Team
from portal.accounts.tokens import Scope
from portal.errors import Invalid
from portal.registry.consumers import LONGEST_CONTACT, MOST_CONTACTS, MOST_METADATA, hold
from portal.registry.models import Consumer
from portal.rest import lists
from portal.rest.route import Answer, tagged
from portal.rest.serving import state_of
from portal.rest.shapes import Asked, Instant, Listed, Name, Search, Slug, Text, Told
from portal.web import lists as pages
from portal.web.guards import a_consumer, a_team, may, me

route = tagged("Consumers")


class ConsumerAnswer(Told):
    team: str
    slug: str
    id: str
    """What upstreams see: `con_` and 16 characters."""
    name: str
    description: str
    contacts: list[str]
    metadata: dict[str, str]
    suspended_at: Instant | None
    """Since when none of its calls is let through; null while it goes on."""
    created_at: Instant


class Consumers(Listed):
    items: list[ConsumerAnswer]


class ConsumerChange(Asked):
    """As a whole: what is left out is emptied."""

    name: Name
    description: Text = ""
    contacts: Annotated[list[Annotated[str, Field(max_length=LONGEST_CONTACT)]], Field(max_length=MOST_CONTACTS)] = []
    """Whom to ask about it: addresses, names or channels. The teams of APIs that it subscribes to see them."""
    metadata: Annotated[dict[str, str], Field(max_length=MOST_METADATA)] = {}
    """What its team wants to find again. A key has letters, digits, dots, dashes and underscores."""


class NewConsumer(ConsumerChange):
    slug: Slug


class ConsumerSearch(Search):
    team: Annotated[str, Field(max_length=63)] = ""
    """Slug of a team."""


def shown(consumer: Consumer) -> ConsumerAnswer:
    return ConsumerAnswer(
        team=consumer.team.slug,
        slug=consumer.slug,
        id=consumer.public_id,
        name=consumer.name,
        description=consumer.description,
        contacts=consumer.contacts,
        metadata=consumer.attributes,
        suspended_at=consumer.suspended_at,
        created_at=consumer.created_at,
    )


def address(consumer: Consumer) -> str:
    return f"/teams/{consumer.team.slug}/consumers/{consumer.slug}"


_state = state_of(shown, hold)


@route("GET", "/consumers", Permission.SIGNED_IN, scope=Scope.READ, query=ConsumerSearch, answer=Consumers)
def index(session: Session, query: ConsumerSearch) -> Consumers:
    """Consumers of your teams; all to administrators."""
    rows = pages.consumers(me(), q=query.q, team=query.team)
    found, following = lists.by_name(session, rows, Consumer.name, Consumer.id, query)
    return Consumers(items=[shown(each) for each in found], next=following)


@route(
    "POST",
    "/teams/<team>/consumers",
    Permission.MANAGE_CONSUMERS,
    a_team,
    scope=Scope.CONSUMERS,
    body=NewConsumer,
    answer=ConsumerAnswer,
    creates=True,
)
def create(session: Session, team: Team, body: NewConsumer) -> Answer:
    """Make a consumer. It can call nothing before it has a subscription and a key."""
    consumer = registry.create_consumer(
        session,
        team,
        slug=body.slug,
        name=body.name,
        description=body.description,
        contacts=body.contacts,
        metadata=body.metadata,
    )
    session.flush()
    return Answer(shown(consumer), location=address(consumer))


@route(
    "GET",
    "/teams/<team>/consumers/<consumer>",
    Permission.MANAGE_CONSUMERS,
    a_consumer,
    scope=Scope.READ,
    answer=ConsumerAnswer,
    etag=True,
)
def show(session: Session, consumer: Consumer) -> ConsumerAnswer:
    """One consumer."""
    return shown(consumer)


@route(
    "PUT",
    "/teams/<team>/consumers/<consumer>",
    Permission.MANAGE_CONSUMERS,
    a_consumer,
    scope=Scope.CONSUMERS,
    body=ConsumerChange,
    answer=ConsumerAnswer,
    etag=True,
    match=_state,
)
def change(session: Session, consumer: Consumer, body: ConsumerChange) -> ConsumerAnswer:
    """Change what a consumer is called and what is said about it."""
    registry.change_consumer(
        consumer,
        name=body.name,
        description=body.description,
        contacts=body.contacts,
        metadata=body.metadata,
    )
    return shown(consumer)


@route(
    "POST",
    "/teams/<team>/consumers/<consumer>/suspend",
    Permission.MANAGE_CONSUMERS,
    a_consumer,
    scope=Scope.CONSUMERS,
    answer=ConsumerAnswer,
)
def suspend(session: Session, consumer: Consumer) -> ConsumerAnswer:
    """Refuse all calls of a consumer with `consumer_suspended`, within a second. Keys and subscriptions stay."""
    agreements.suspend_consumer(session, consumer, by=me())
    return shown(consumer)


@route(
    "POST",
    "/teams/<team>/consumers/<consumer>/resume",
    Permission.MANAGE_CONSUMERS,
    a_consumer,
    scope=Scope.CONSUMERS,
    answer=ConsumerAnswer,
)
def resume(session: Session, consumer: Consumer) -> ConsumerAnswer:
    """Let a suspended consumer call again."""
    agreements.resume_consumer(session, consumer, by=me())
    return shown(consumer)


class Move(Asked):
    team: Slug
    """One in which you may manage consumers."""
    slug: Slug | None = None
    """Its name in addresses there; the one that it has, when it is left out."""


@route(
    "POST",
    "/teams/<team>/consumers/<consumer>/move",
    Permission.MANAGE_TEAM,
    a_consumer,
    scope=Scope.CONSUMERS,
    body=Move,
    answer=ConsumerAnswer,
)
def move(session: Session, consumer: Consumer, body: Move) -> ConsumerAnswer:
    """Move a consumer to another team of yours, with its keys and subscriptions. It calls as before."""
    found = session.scalar(select(Team).where(Team.slug == body.team))
    if found is None or not may(Permission.MANAGE_CONSUMERS, found):
        raise Invalid({"team": f"{body.team} is no team in which you may manage consumers."})
    agreements.move_consumer(session, consumer, found, by=me(), slug=body.slug or "")
    return shown(consumer)


@route(
    "DELETE",
    "/teams/<team>/consumers/<consumer>",
    Permission.MANAGE_TEAM,
    a_consumer,
    scope=Scope.CONSUMERS,
    match=_state,
)
def delete(session: Session, consumer: Consumer) -> None:
    """Delete a consumer with its subscriptions and keys, for good. Its calls stay in the log and in the charts."""
    registry.delete_consumer(session, consumer)
