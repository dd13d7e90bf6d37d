"""Subscriptions as the API's team has them: what that team decides about them. Their list is in `apis.py`."""

from typing import Annotated

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import agreements
from portal.accounts import Permission
from portal.accounts.tokens import Scope
from portal.db import utcnow
from portal.errors import Invalid
from portal.registry.models import APPLICATION, Api, Consumer, Subscription
from portal.registry.subscriptions import LONGEST_WORDS
from portal.rest import lists
from portal.rest.apis import ADDRESS
from portal.rest.route import Answer, tagged
from portal.rest.shapes import Asked, Moment, Number, Search, Slug
from portal.rest.subscriptions import SubscriptionAnswer, Subscriptions, offered, shown
from portal.web import inbox
from portal.web.guards import a_use, an_api, me

route = tagged("Subscribers")

_ONE = f"{ADDRESS}/subscribers/<int:subscription>"


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


@route(
    "POST",
    f"{ADDRESS}/subscribers",
    Permission.DECIDE,
    an_api,
    scope=Scope.APIS,
    body=Admission,
    answer=SubscriptionAnswer,
    creates=True,
)
def admit(session: Session, api: Api, body: Admission) -> Answer:
    """Subscribe a consumer yourself. Nothing is asked, also where the plan wants approval."""
    consumer = session.scalar(select(Consumer).where(Consumer.public_id == body.consumer, APPLICATION))
    if consumer is None:
        raise Invalid({"consumer": "No consumer has this id. Ask its team for it."})
    made = agreements.admit(session, consumer, api, offered(api, None, body.plan), by=me(), until=body.until)
    return Answer(shown(made), location=f"/teams/{api.team.slug}/apis/{api.slug}/{api.version}/subscribers/{made.id}")


@route("GET", _ONE, Permission.SEE_APIS, a_use, scope=Scope.READ, answer=SubscriptionAnswer)
def show(session: Session, subscription: Subscription) -> SubscriptionAnswer:
    """One subscription to an API."""
    return shown(subscription)


@route(
    "POST", f"{_ONE}/suspend", Permission.DECIDE, a_use, scope=Scope.APIS, body=Suspension, answer=SubscriptionAnswer
)
def suspend(session: Session, subscription: Subscription, body: Suspension) -> SubscriptionAnswer:
    """Refuse its calls with `subscription_suspended`, within a second, until it is resumed."""
    agreements.suspend(session, subscription, by=me(), words=body.reason)
    return shown(subscription)


@route("POST", f"{_ONE}/resume", Permission.DECIDE, a_use, scope=Scope.APIS, answer=SubscriptionAnswer)
def resume(session: Session, subscription: Subscription) -> SubscriptionAnswer:
    """Let its calls through again."""
    agreements.resume(session, subscription, by=me())
    return shown(subscription)


@route("PUT", f"{_ONE}/plan", Permission.DECIDE, a_use, scope=Scope.APIS, body=PlanGiven, answer=SubscriptionAnswer)
def assign_plan(session: Session, subscription: Subscription, body: PlanGiven) -> SubscriptionAnswer:
    """Give it another plan that the API offers, at once."""
    agreements.assign_plan(session, subscription, offered(subscription.api, None, body.plan), by=me())
    return shown(subscription)


@route("PUT", f"{_ONE}/term", Permission.DECIDE, a_use, scope=Scope.APIS, body=Term, answer=SubscriptionAnswer)
def grant_until(session: Session, subscription: Subscription, body: Term) -> SubscriptionAnswer:
    """Say how long it may go on. Its consumer's team may end it sooner; a notice is over."""
    agreements.grant_until(session, subscription, body.until, by=me())
    return shown(subscription)


@route("PUT", f"{_ONE}/notice", Permission.DECIDE, a_use, scope=Scope.APIS, body=NoticeGiven, answer=SubscriptionAnswer)
def give_notice(session: Session, subscription: Subscription, body: NoticeGiven) -> SubscriptionAnswer:
    """End it for want of calls, unless a call comes before. Its team gets a mail."""
    agreements.give_notice(session, subscription, by=me(), ends_at=body.ends_at)
    return shown(subscription)


@route("DELETE", f"{_ONE}/notice", Permission.DECIDE, a_use, scope=Scope.APIS)
def withdraw_notice(session: Session, subscription: Subscription) -> None:
    """Let it go on as before the notice. Nothing changes when there is none."""
    agreements.withdraw_notice(session, subscription, by=me())


@route("DELETE", f"{_ONE}/subject", Permission.DECIDE, a_use, scope=Scope.APIS)
def clear_subject(session: Session, subscription: Subscription) -> None:
    """Let no token lead to it any more, so that others may have its subject. Nothing changes when it has none."""
    agreements.clear_subject(session, subscription, by=me())


@route("DELETE", _ONE, Permission.DECIDE, a_use, scope=Scope.APIS)
def end(session: Session, subscription: Subscription) -> None:
    """End it at once. Its consumer can subscribe again."""
    agreements.end(session, subscription, by=me())


@route("GET", "/unused-subscriptions", Permission.SIGNED_IN, scope=Scope.READ, query=Unused, answer=Subscriptions)
def unused(session: Session, query: Unused) -> Subscriptions:
    """Subscriptions to APIs about whose use you decide that are older than so many days and made no call in them."""
    rows = inbox.unused(session, me(), days=query.days, q=query.q, now=utcnow())
    found, following = lists.by_number(session, rows, Subscription.id, query)
    return Subscriptions(items=[shown(each) for each in found], next=following)
