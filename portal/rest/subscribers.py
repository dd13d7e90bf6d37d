"""Subscriptions as the API's team has them: who uses an API, and what that team decides about it."""

from typing import Annotated

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from portal import agreements
from portal.accounts import Permission
from portal.accounts.tokens import Scope
from portal.db import utcnow
from portal.errors import Invalid
from portal.registry.models import CURRENT, Api, Consumer, Subscription
from portal.registry.subscriptions import LONGEST_WORDS
from portal.rest import lists
from portal.rest.apis import ADDRESS
from portal.rest.route import Answer, tagged
from portal.rest.shapes import Asked, Listed, Moment, Number, Paging, Search, Slug, Told
from portal.rest.subscriptions import SubscriptionAnswer, offered
from portal.rest.subscriptions import shown as as_subscription
from portal.web import inbox
from portal.web.guards import a_use, an_api, me

route = tagged("Subscribers")

_ONE = f"{ADDRESS}/subscribers/<int:subscription>"


class SubscriberAnswer(Told):
    consumer_id: str
    """`con_` and 16 characters, as upstreams see it."""
    consumer_name: str
    contacts: list[str]
    subscription: SubscriptionAnswer


class Subscribers(Listed):
    items: list[SubscriberAnswer]


class Admission(Asked):
    consumer: Annotated[str, Field(min_length=1, max_length=40, examples=["con_abcdefghijklmnop"])]
    """Its id: of other teams' consumers you know no more."""
    plan: Slug
    until: Moment | None = None


class Suspension(Asked):
    reason: Annotated[str, Field(min_length=1, max_length=LONGEST_WORDS)]
    """The consumer's team reads it."""


class Term(Asked):
    until: Moment | None
    """Null for without an end."""


class PlanGiven(Asked):
    plan: Slug


class NoticeGiven(Asked):
    ends_at: Moment


class Unused(Search):
    days: Annotated[Number, Field(ge=1, le=90)] = 90
    """For how long nobody has called."""


def shown(subscription: Subscription) -> SubscriberAnswer:
    consumer = subscription.consumer
    return SubscriberAnswer(
        consumer_id=consumer.public_id,
        consumer_name=consumer.name,
        contacts=consumer.contacts,
        subscription=as_subscription(subscription),
    )


@route("GET", f"{ADDRESS}/subscribers", Permission.SEE_APIS, an_api, scope=Scope.READ, query=Paging, answer=Subscribers)
def index(session: Session, api: Api, query: Paging) -> Subscribers:
    """Who uses an API or asks for it, the newest first."""
    rows = select(Subscription).where(Subscription.api_id == api.id, CURRENT).options(*_WITH)
    found, following = lists.by_number(session, rows, Subscription.id, query)
    return Subscribers(items=[shown(each) for each in found], next=following)


@route(
    "POST",
    f"{ADDRESS}/subscribers",
    Permission.DECIDE,
    an_api,
    scope=Scope.APIS,
    body=Admission,
    answer=SubscriberAnswer,
    creates=True,
)
def admit(session: Session, api: Api, body: Admission) -> Answer:
    """Subscribe a consumer yourself. Nothing is asked, also where the plan wants approval."""
    consumer = session.scalar(select(Consumer).where(Consumer.public_id == body.consumer))
    if consumer is None:
        raise Invalid({"consumer": "No consumer has this id. Ask its team for it."})
    made = agreements.admit(session, consumer, api, offered(api, None, body.plan), by=me(), until=body.until)
    return Answer(shown(made), location=f"/apis/{api.label}/subscribers/{made.id}")


@route("GET", _ONE, Permission.SEE_APIS, a_use, scope=Scope.READ, answer=SubscriberAnswer)
def show(session: Session, subscription: Subscription) -> SubscriberAnswer:
    """One subscription to an API."""
    return shown(subscription)


@route("POST", f"{_ONE}/suspend", Permission.DECIDE, a_use, scope=Scope.APIS, body=Suspension, answer=SubscriberAnswer)
def suspend(session: Session, subscription: Subscription, body: Suspension) -> SubscriberAnswer:
    """Refuse its calls with `subscription_suspended`, within a second, until it is resumed."""
    agreements.suspend(session, subscription, by=me(), words=body.reason)
    return shown(subscription)


@route("POST", f"{_ONE}/resume", Permission.DECIDE, a_use, scope=Scope.APIS, answer=SubscriberAnswer)
def resume(session: Session, subscription: Subscription) -> SubscriberAnswer:
    """Let its calls through again."""
    agreements.resume(session, subscription, by=me())
    return shown(subscription)


@route("PUT", f"{_ONE}/plan", Permission.DECIDE, a_use, scope=Scope.APIS, body=PlanGiven, answer=SubscriberAnswer)
def assign_plan(session: Session, subscription: Subscription, body: PlanGiven) -> SubscriberAnswer:
    """Give it another plan that the API offers, at once."""
    agreements.assign_plan(session, subscription, offered(subscription.api, None, body.plan), by=me())
    return shown(subscription)


@route("PUT", f"{_ONE}/term", Permission.DECIDE, a_use, scope=Scope.APIS, body=Term, answer=SubscriberAnswer)
def grant_until(session: Session, subscription: Subscription, body: Term) -> SubscriberAnswer:
    """Say how long it may go on. Its consumer's team may end it sooner; a notice is over."""
    agreements.grant_until(session, subscription, body.until, by=me())
    return shown(subscription)


@route("PUT", f"{_ONE}/notice", Permission.DECIDE, a_use, scope=Scope.APIS, body=NoticeGiven, answer=SubscriberAnswer)
def give_notice(session: Session, subscription: Subscription, body: NoticeGiven) -> SubscriberAnswer:
    """End it for want of calls, unless a call comes before. Its team gets a mail."""
    agreements.give_notice(session, subscription, by=me(), ends_at=body.ends_at)
    return shown(subscription)


@route("DELETE", f"{_ONE}/notice", Permission.DECIDE, a_use, scope=Scope.APIS)
def withdraw_notice(session: Session, subscription: Subscription) -> None:
    """Let it go on as before the notice. Nothing changes when there is none."""
    agreements.withdraw_notice(session, subscription, by=me())


@route("DELETE", _ONE, Permission.DECIDE, a_use, scope=Scope.APIS)
def end(session: Session, subscription: Subscription) -> None:
    """End it at once. Its consumer can subscribe again."""
    agreements.end(session, subscription, by=me())


@route("GET", "/unused-subscriptions", Permission.SIGNED_IN, scope=Scope.READ, query=Unused, answer=Subscribers)
def unused(session: Session, query: Unused) -> Subscribers:
    """Subscriptions to APIs about whose use you decide that are older than so many days and made no call in them."""
    rows = inbox.unused(session, me(), days=query.days, q=query.q, now=utcnow())
    found, following = lists.by_number(session, rows, Subscription.id, query)
    return Subscribers(items=[shown(each) for each in found], next=following)


_WITH = (
    selectinload(Subscription.plan),
    selectinload(Subscription.approvals),
    selectinload(Subscription.api).selectinload(Api.team),
    selectinload(Subscription.consumer).selectinload(Consumer.team),
)
