"""Consumers and their subscriptions."""

import base64
import secrets

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts.models import Person, Team
from portal.db import utcnow
from portal.errors import Conflict, Invalid, NameTaken
from portal.registry import revision
from portal.registry.document import SLUG
from portal.registry.models import Api, Consumer, Plan, Subscription, SubscriptionState


def create_consumer(session: Session, team: Team, *, slug: str, name: str, description: str = "") -> Consumer:
    """Raises Invalid and NameTaken. It can call nothing before it has a subscription and a key."""
    if not SLUG.fullmatch(slug):
        raise Invalid({"slug": "Use small letters, digits and dashes, such as web-shop."})
    if session.scalar(select(Consumer.id).where(Consumer.team_id == team.id, Consumer.slug == slug)):
        raise NameTaken("slug", f"{team.name} already has a consumer {slug}. Choose another slug.")
    consumer = Consumer(team=team, slug=slug, public_id=_public_id())
    change_consumer(consumer, name=name, description=description)
    session.add(consumer)
    return consumer


def change_consumer(consumer: Consumer, *, name: str, description: str) -> None:
    name = " ".join(name.split())
    if not name:
        raise Invalid({"name": "Give it a name."})
    consumer.name, consumer.description = name, description.strip()


def delete_consumer(session: Session, consumer: Consumer) -> None:
    """For good, with its subscriptions and keys. Its calls stay in the log and in the charts."""
    session.delete(consumer)
    revision.touch(session)


def subscribe(session: Session, consumer: Consumer, api: Api, plan: Plan, *, by: Person | None) -> Subscription:
    """Raises Conflict when the API is not published, does not offer the plan, or is subscribed to already."""
    if api.live_release_id is None:
        raise Conflict(f"{api.name} is not published yet. Only published APIs can be subscribed to.")
    if plan not in api.plans:
        raise Conflict(f"{api.name} does not offer the plan {plan.name}. Choose one that it offers.")
    current = session.scalar(
        select(Subscription).where(
            Subscription.consumer_id == consumer.id,
            Subscription.api_id == api.id,
            Subscription.state != SubscriptionState.ENDED,
        )
    )
    if current is not None:
        raise Conflict(f"{consumer.name} already uses {api.name} under the plan {current.plan.name}.")
    subscription = Subscription(consumer=consumer, api=api, plan=plan, created_by_id=by.id if by else None)
    session.add(subscription)
    revision.touch(session)
    return subscription


def end_subscription(session: Session, subscription: Subscription) -> None:
    """The gateway answers `not_subscribed` within a second. Subscribing again is always possible."""
    if subscription.state is not SubscriptionState.ENDED:
        subscription.state = SubscriptionState.ENDED
        subscription.ends_at = utcnow()
        revision.touch(session)


def _public_id() -> str:
    return "con_" + base64.b32encode(secrets.token_bytes(10)).decode("ascii").lower()
