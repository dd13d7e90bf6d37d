"""Consumers and their subscriptions."""

import base64
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload
from sqlalchemy.orm.attributes import instance_state

from portal.accounts.models import Person, Team
from portal.db import utcnow
from portal.errors import Conflict, Invalid, NameTaken, NotFound
from portal.registry import lifecycle, quotas, revision
from portal.registry.document import SLUG
from portal.registry.models import Api, Consumer, Plan, Subscription, SubscriptionState, UpstreamSecret
from portal.registry.offers import may_choose
from portal.registry.visibility import may_see


@dataclass(frozen=True, slots=True)
class Loss:
    """What a team loses when APIs of another one that its consumers use are deleted."""

    team: Team
    uses: list[tuple[str, str]]
    """The name of a consumer, and of an API with its version."""


def create_consumer(
    session: Session, team: Team, *, slug: str, name: str, description: str = "", public_id: str | None = None
) -> Consumer:
    """Raises Invalid and NameTaken. It can call nothing before it has a subscription and a key.

    A consumer that moves here from another installation brings its `public_id`, by which upstreams know it.
    """
    if not SLUG.fullmatch(slug):
        raise Invalid({"slug": "Use small letters, digits and dashes, such as web-shop."})
    if session.scalar(select(Consumer.id).where(Consumer.team_id == team.id, Consumer.slug == slug)):
        raise NameTaken("slug", f"{team.name} already has a consumer {slug}. Choose another slug.")
    if public_id and session.scalar(select(Consumer.id).where(Consumer.public_id == public_id)):
        raise NameTaken("id", f"Another consumer has the id {public_id} already. Leave it out; a new one is made.")
    consumer = Consumer(team=team, slug=slug, public_id=public_id or _public_id())
    change_consumer(consumer, name=name, description=description)
    session.add(consumer)
    return consumer


def change_consumer(consumer: Consumer, *, name: str, description: str) -> None:
    name = " ".join(name.split())
    if not name:
        raise Invalid({"name": "Give it a name."})
    consumer.name, consumer.description = name, description.strip()


def delete_consumer(session: Session, consumer: Consumer) -> None:
    """For good, with its subscriptions and keys. Its calls stay in the log and in the charts.

    Raises NotFound when somebody else has deleted it meanwhile.
    """
    hold(session, consumer)
    # What another's deletion of an API has taken along meanwhile is not taken twice.
    session.execute(
        select(Subscription.id)
        .where(Subscription.consumer_id == consumer.id)
        .order_by(Subscription.id)
        .with_for_update()
    )
    session.expire(consumer, ["subscriptions", "keys"])
    session.delete(consumer)
    revision.touch(session)


def current_subscription(session: Session, consumer_id: int, api_id: int) -> Subscription | None:
    """A consumer uses an API once at a time."""
    return session.scalar(
        select(Subscription).where(
            Subscription.consumer_id == consumer_id,
            Subscription.api_id == api_id,
            Subscription.state != SubscriptionState.ENDED,
        )
    )


def subscribe(session: Session, consumer: Consumer, api: Api, plan: Plan, *, by: Person | None) -> Subscription:
    """Raises Conflict when the API is not published, retired or closed, does not offer the plan to the consumer's team,
    or is subscribed to already; NotFound for an API that `by` may not know of."""
    if by is not None and not may_see(by, api):
        raise NotFound()
    if refusal := lifecycle.refusal(api):
        raise Conflict(refusal)
    if plan not in api.plans or not may_choose(consumer.team, plan):
        raise Conflict(f"{api.name} does not offer the plan {plan.name}. Choose one that it offers.")
    current = current_subscription(session, consumer.id, api.id)
    if current is not None:
        raise Conflict(f"{consumer.name} already uses {api.name} under the plan {current.plan.name}.")
    subscription = Subscription(consumer=consumer, api=api, plan=plan, created_by_id=by.id if by else None)
    session.add(subscription)
    session.flush()  # what it has used before is counted under its number from now on
    quotas.go_on(session, subscription)
    revision.touch(session)
    return subscription


def take_over_subscription(
    session: Session, consumer: Consumer, api: Api, plan: Plan, *, ends_at: datetime | None
) -> Subscription:
    """One that was agreed elsewhere: whether the API is published and offers the plan is not asked again.

    One that there is under another plan ends. Raises Conflict for a plan of another team than the API's.
    """
    if plan.team_id != api.team_id:
        raise Conflict(f"{plan.name} belongs to another team than {api.name}. Choose a plan of that team.")
    current = current_subscription(session, consumer.id, api.id)
    if current is not None:
        end_subscription(session, current)
        session.flush()  # a consumer uses an API once at a time
    subscription = Subscription(consumer=consumer, api=api, plan=plan, ends_at=ends_at)
    session.add(subscription)
    session.flush()  # as in `subscribe`
    quotas.go_on(session, subscription)
    revision.touch(session)
    return subscription


def limit_subscription(session: Session, subscription: Subscription, ends_at: datetime | None) -> None:
    """When it stops by itself; None for never. Raises Conflict for one that has ended."""
    if subscription.state is SubscriptionState.ENDED:
        raise Conflict("This subscription has ended. Subscribe again.")
    subscription.ends_at = ends_at
    revision.touch(session)


def end_subscription(session: Session, subscription: Subscription) -> None:
    """The gateway answers `not_subscribed` within a second. Subscribing again is always possible."""
    if subscription.state is not SubscriptionState.ENDED:
        subscription.state = SubscriptionState.ENDED
        subscription.ends_at = utcnow()
        revision.touch(session)


def guests(session: Session, apis: Collection[Api]) -> list[Subscription]:
    """Current uses of these APIs by consumers of other teams."""
    return list(
        session.scalars(
            select(Subscription)
            .join(Subscription.api)
            .join(Subscription.consumer)
            .where(
                Subscription.api_id.in_([api.id for api in apis]),
                Subscription.state != SubscriptionState.ENDED,
                Consumer.team_id != Api.team_id,
            )
            .options(joinedload(Subscription.api), joinedload(Subscription.consumer).joinedload(Consumer.team))
            .order_by(Subscription.id)
        )
    )


def losses(subscriptions: Collection[Subscription]) -> list[Loss]:
    """By the team of the consumer. Read it before they are deleted."""
    found: dict[int, Loss] = {}
    for each in subscriptions:
        loss = found.setdefault(each.consumer.team_id, Loss(each.consumer.team, []))
        loss.uses.append((each.consumer.name, f"{each.api.name} {each.api.version}"))
    return list(found.values())


def hold(session: Session, thing: Consumer | Api | Plan | UpstreamSecret, *, but_subscriptions: bool = False) -> None:
    """Nobody else changes it, or adds to it, until the commit: on PostgreSQL others wait here.

    Subscriptions and what else only refers to it may go on being made. Everybody holds things before the revision,
    which `touch` keeps for last: who took it first would wait for somebody who waits for it.

    Raises NotFound when somebody else has deleted it meanwhile.
    """
    kind, state = type(thing), instance_state(thing)
    (number,) = state.identity or (None,)
    # The team before what it owns, as its own deletion has it: PostgreSQL looks a row's team up again as soon as one
    # transaction changes the row twice.
    owner = select(Team.id).join(kind, kind.team_id == Team.id).where(kind.id == number)
    session.execute(owner.with_for_update(of=Team, read=True, key_share=True))
    if session.scalar(select(kind.id).where(kind.id == number).with_for_update(key_share=but_subscriptions)) is None:
        raise NotFound("Somebody else has deleted it meanwhile.")


def _public_id() -> str:
    return "con_" + base64.b32encode(secrets.token_bytes(10)).decode("ascii").lower()
