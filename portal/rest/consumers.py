"""Consumers: applications that call APIs."""

from typing import Annotated

from pydantic import Field
from sqlalchemy.orm import Session

from portal import registry
from portal.accounts import Permission, Team
from portal.accounts.tokens import Scope
from portal.registry.consumers import hold
from portal.registry.models import Consumer
from portal.rest import lists
from portal.rest.route import Answer, tagged
from portal.rest.serving import state_of
from portal.rest.shapes import Asked, Instant, Listed, Name, Search, Slug, Text, Told
from portal.web import lists as pages
from portal.web.guards import a_consumer, a_team, me

route = tagged("Consumers")


class ConsumerAnswer(Told):
    team: str
    slug: str
    id: str
    """What upstreams see: `con_` and 16 characters."""
    name: str
    description: str
    created_at: Instant


class Consumers(Listed):
    items: list[ConsumerAnswer]


class ConsumerChange(Asked):
    name: Name
    description: Text = ""


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
    consumer = registry.create_consumer(session, team, slug=body.slug, name=body.name, description=body.description)
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
    """Change a consumer's name and description."""
    registry.change_consumer(consumer, name=body.name, description=body.description)
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
