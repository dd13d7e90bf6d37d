"""Subscriptions: a consumer's use of one API under a plan."""

from typing import Annotated

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import registry
from portal.accounts import Permission
from portal.accounts.tokens import Scope
from portal.errors import Invalid
from portal.registry.models import Api, Consumer, Plan, Subscription, SubscriptionState
from portal.rest import consumers, lists
from portal.rest.route import Answer, tagged
from portal.rest.shapes import Asked, Instant, Listed, Moment, Paging, Slug, Told
from portal.web import lists as pages
from portal.web.guards import a_consumer, a_subscription, me

route = tagged("Subscriptions")


class SubscriptionAnswer(Told):
    id: int
    team: str
    consumer: str
    api: str
    """`<team>/<slug>/<version>`."""
    plan: str
    state: SubscriptionState
    starts_at: Instant
    ends_at: Instant | None
    """When it stops by itself, or when it was ended."""


class Subscriptions(Listed):
    items: list[SubscriptionAnswer]


class NewSubscription(Asked):
    api: Annotated[str, Field(min_length=1, max_length=200, examples=["payments/orders/v1"])]
    """`<team>/<slug>/<version>` of a published API that offers plans."""
    plan: Slug | None = None
    """One that the API offers to the consumer's team. Left out, it is the API's default, or the only one."""
    ends_at: Moment | None = None


class SubscriptionChange(Asked):
    ends_at: Moment | None
    """When it stops by itself; null for never."""


def _plan(api: Api, consumer: Consumer, slug: str | None) -> Plan:
    """Raises Invalid."""
    offered = registry.offered(api, consumer.team)
    if slug is None and offered and (len(offered) == 1 or offered[0].id == api.default_plan_id):
        return offered[0]
    found = next((plan for plan in offered if plan.slug == slug), None)
    if found is not None:
        return found
    what = f"It offers {', '.join(sorted(each.slug for each in offered))}." if offered else "It offers you none."
    wrong = "has no default plan" if slug is None else f"does not offer you the plan {slug}"
    raise Invalid({"plan": f"{api.name} {wrong}. {what}"})


def shown(subscription: Subscription) -> SubscriptionAnswer:
    consumer = subscription.consumer
    return SubscriptionAnswer(
        id=subscription.id,
        team=consumer.team.slug,
        consumer=consumer.slug,
        api=subscription.api.label,
        plan=subscription.plan.slug,
        state=subscription.state,
        starts_at=subscription.starts_at,
        ends_at=subscription.ends_at,
    )


@route(
    "GET",
    "/teams/<team>/consumers/<consumer>/subscriptions",
    Permission.MANAGE_CONSUMERS,
    a_consumer,
    scope=Scope.READ,
    query=Paging,
    answer=Subscriptions,
)
def index(session: Session, consumer: Consumer, query: Paging) -> Subscriptions:
    """What a consumer uses and has used, the newest first."""
    rows = select(Subscription).where(Subscription.consumer_id == consumer.id)
    found, following = lists.by_number(session, rows, Subscription.id, query)
    return Subscriptions(items=[shown(each) for each in found], next=following)


@route(
    "POST",
    "/teams/<team>/consumers/<consumer>/subscriptions",
    Permission.MANAGE_CONSUMERS,
    a_consumer,
    scope=Scope.CONSUMERS,
    body=NewSubscription,
    answer=SubscriptionAnswer,
    creates=True,
)
def create(session: Session, consumer: Consumer, body: NewSubscription) -> Answer:
    """Subscribe a consumer to an API. Each API at most once at a time (409)."""
    api = pages.one_subscribable(session, me(), body.api)
    if api is None:
        raise Invalid({"api": f"There is no published API {body.api} for you that offers a plan."})
    plan = _plan(api, consumer, body.plan)
    subscription = registry.subscribe(session, consumer, api, plan, by=me())
    session.flush()
    if body.ends_at is not None:
        registry.limit_subscription(session, subscription, body.ends_at)
    return Answer(shown(subscription), location=f"{consumers.address(consumer)}/subscriptions/{subscription.id}")


@route(
    "GET",
    "/teams/<team>/consumers/<consumer>/subscriptions/<int:subscription>",
    Permission.MANAGE_CONSUMERS,
    a_subscription,
    scope=Scope.READ,
    answer=SubscriptionAnswer,
)
def show(session: Session, subscription: Subscription) -> SubscriptionAnswer:
    """One subscription."""
    return shown(subscription)


@route(
    "PATCH",
    "/teams/<team>/consumers/<consumer>/subscriptions/<int:subscription>",
    Permission.MANAGE_CONSUMERS,
    a_subscription,
    scope=Scope.CONSUMERS,
    body=SubscriptionChange,
    answer=SubscriptionAnswer,
)
def change(session: Session, subscription: Subscription, body: SubscriptionChange) -> SubscriptionAnswer:
    """Say when a subscription stops by itself. One that has ended stays ended (409)."""
    registry.limit_subscription(session, subscription, body.ends_at)
    return shown(subscription)


@route(
    "DELETE",
    "/teams/<team>/consumers/<consumer>/subscriptions/<int:subscription>",
    Permission.MANAGE_CONSUMERS,
    a_subscription,
    scope=Scope.CONSUMERS,
)
def end(session: Session, subscription: Subscription) -> None:
    """End a subscription. It stays in the list; the gateway answers `not_subscribed` within a second."""
    registry.end_subscription(session, subscription)
