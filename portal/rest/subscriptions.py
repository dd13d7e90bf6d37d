"""Subscriptions: a consumer's use of one API under a plan."""

from typing import Annotated

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import agreements, registry
from portal.accounts import Permission
from portal.accounts.tokens import Scope
from portal.errors import Conflict, Invalid
from portal.registry.models import Api, Consumer, Plan, Subscription, SubscriptionState
from portal.registry.subjects import LONGEST
from portal.registry.subscriptions import LONGEST_WORDS, MOST_EXPECTED
from portal.rest import consumers, lists
from portal.rest.route import Answer, tagged
from portal.rest.serving import state_of
from portal.rest.shapes import Asked, Instant, Listed, Moment, Paging, Slug, Told
from portal.web import lists as pages
from portal.web.guards import a_consumer, a_subscription, me

route = tagged("Subscriptions")


class SubscriptionAnswer(Told):
    id: int
    team: str
    consumer: str
    consumer_id: str
    """`con_` and 16 characters, as upstreams see it."""
    contacts: list[str]
    """Whom the consumer's team names for questions."""
    api: str
    """`<team>/<slug>/<version>`."""
    plan: str
    state: SubscriptionState
    starts_at: Instant
    ends_at: Instant | None
    """When it stops by itself, or when it was ended."""
    approved_until: Instant | None
    """How long the API's team lets it go on; null for without an end."""
    noticed_at: Instant | None
    """Since when it is under notice for want of calls: it ends at `ends_at` unless a call comes before."""
    suspended_because: str
    """What the API's team said when it suspended it."""
    subject: str | None
    """What tokens (JWT) call the consumer at this API; null for no tokens."""
    asked_plan: str | None
    """Slug of a plan that is asked for and waits."""


class Subscriptions(Listed):
    items: list[SubscriptionAnswer]


class Asking(Asked):
    plan: Slug | None = None
    """One that the API offers to the consumer's team. Left out, it is the API's default, or the only one."""
    purpose: Annotated[str, Field(max_length=LONGEST_WORDS)] = ""
    """What for. Needed for a plan that wants approval."""
    expected_calls: Annotated[int, Field(ge=1, le=MOST_EXPECTED)] | None = None
    """A day, as far as you can tell."""


Subject = Annotated[str, Field(max_length=LONGEST)]
"""What the token's claim says, to the letter."""


class SubjectGiven(Asked):
    subject: Subject | None
    """Null for no tokens."""


class NewSubscription(Asking):
    api: Annotated[str, Field(min_length=1, max_length=200, examples=["payments/orders/v1"])]
    """`<team>/<slug>/<version>` of a published API that offers plans."""
    ends_at: Moment | None = None
    subject: Subject | None = None


class SubscriptionChange(Asked):
    ends_at: Moment | None
    """When it stops by itself; null for not before it has to."""


def shown(subscription: Subscription) -> SubscriptionAnswer:
    consumer = subscription.consumer
    return SubscriptionAnswer(
        id=subscription.id,
        team=consumer.team.slug,
        consumer=consumer.slug,
        consumer_id=consumer.public_id,
        contacts=consumer.contacts,
        api=subscription.api.label,
        plan=subscription.plan.slug,
        state=subscription.state,
        starts_at=subscription.starts_at,
        ends_at=subscription.ends_at,
        approved_until=subscription.approved_until,
        noticed_at=subscription.noticed_at,
        suspended_because=subscription.suspended_because,
        subject=subscription.subject,
        asked_plan=waiting.plan.slug if (waiting := registry.waiting_of(subscription)) else None,
    )


_state = state_of(shown)


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
    """Subscribe a consumer to an API. Each API at most once at a time (409). Under a plan that wants approval it is
    `pending` until the API's team has decided."""
    api = pages.one_subscribable(session, me(), body.api)
    if api is None:
        raise Invalid({"api": f"There is no published API {body.api} for you that offers a plan."})
    subscription = agreements.subscribe(
        session,
        consumer,
        api,
        offered(api, consumer, body.plan),
        by=me(),
        purpose=body.purpose,
        expected_calls=body.expected_calls,
        ends_at=body.ends_at,
    )
    registry.set_subject(session, subscription, body.subject)
    return Answer(shown(subscription), location=f"{consumers.address(consumer)}/subscriptions/{subscription.id}")


def offered(api: Api, consumer: Consumer | None, slug: str | None) -> Plan:
    """One that the consumer's team may choose; without a consumer, any that the API offers. Raises Invalid."""
    plans = api.plans if consumer is None else registry.offered(api, consumer.team)
    if slug is None and plans and (len(plans) == 1 or plans[0].id == api.default_plan_id):
        return plans[0]
    found = next((plan for plan in plans if plan.slug == slug), None)
    if found is not None:
        return found
    what = f"It offers {', '.join(sorted(each.slug for each in plans))}." if plans else "It offers you none."
    wrong = "has no default plan" if slug is None else f"does not offer you the plan {slug}"
    raise Invalid({"plan": f"{api.name} {wrong}. {what}"})


@route(
    "GET",
    "/teams/<team>/consumers/<consumer>/subscriptions/<int:subscription>",
    Permission.MANAGE_CONSUMERS,
    a_subscription,
    scope=Scope.READ,
    answer=SubscriptionAnswer,
    etag=True,
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
    etag=True,
    match=_state,
)
def change(session: Session, subscription: Subscription, body: SubscriptionChange) -> SubscriptionAnswer:
    """Say when a subscription stops by itself. One that has ended stays ended (409)."""
    registry.limit_subscription(session, subscription, body.ends_at)
    return shown(subscription)


@route(
    "PUT",
    "/teams/<team>/consumers/<consumer>/subscriptions/<int:subscription>/subject",
    Permission.MANAGE_CONSUMERS,
    a_subscription,
    scope=Scope.CONSUMERS,
    body=SubjectGiven,
    answer=SubscriptionAnswer,
    etag=True,
    match=_state,
)
def set_subject(session: Session, subscription: Subscription, body: SubjectGiven) -> SubscriptionAnswer:
    """Say what tokens (JWT) call the consumer at this API. Each API knows a subject once (422)."""
    registry.set_subject(session, subscription, body.subject)
    return shown(subscription)


@route(
    "DELETE",
    "/teams/<team>/consumers/<consumer>/subscriptions/<int:subscription>",
    Permission.MANAGE_CONSUMERS,
    a_subscription,
    scope=Scope.CONSUMERS,
    match=_state,
)
def end(session: Session, subscription: Subscription) -> None:
    """End a subscription. It stays in the list; the gateway answers `not_subscribed` within a second."""
    registry.end_subscription(session, subscription)


@route(
    "POST",
    "/teams/<team>/consumers/<consumer>/subscriptions/<int:subscription>/plan",
    Permission.MANAGE_CONSUMERS,
    a_subscription,
    scope=Scope.CONSUMERS,
    body=Asking,
    answer=SubscriptionAnswer,
)
def switch_plan(session: Session, subscription: Subscription, body: Asking) -> SubscriptionAnswer:
    """Change the plan, or ask for it where it wants approval: what is agreed goes on until that is decided, and when it
    is rejected. One request at a time waits (409)."""
    agreements.switch_plan(
        session,
        subscription,
        offered(subscription.api, subscription.consumer, body.plan),
        by=me(),
        purpose=body.purpose,
        expected_calls=body.expected_calls,
    )
    return shown(subscription)


@route(
    "POST",
    "/teams/<team>/consumers/<consumer>/subscriptions/<int:subscription>/withdraw",
    Permission.MANAGE_CONSUMERS,
    a_subscription,
    scope=Scope.CONSUMERS,
    answer=SubscriptionAnswer,
)
def withdraw(session: Session, subscription: Subscription) -> SubscriptionAnswer:
    """Take back what is asked for and waits (409 when nothing does). A pending subscription ends with it."""
    waiting = registry.waiting_of(subscription)
    if waiting is None:
        raise Conflict("Nothing waits for this subscription: it is decided, or was withdrawn.")
    registry.withdraw_request(session, waiting)
    return shown(subscription)
