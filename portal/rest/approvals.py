"""Approvals: what was asked of teams for which you decide, and the decision."""

from typing import Annotated

from pydantic import Field
from sqlalchemy.orm import Session

from portal import agreements
from portal.accounts import Permission
from portal.accounts.tokens import Scope
from portal.registry.models import Approval, ApprovalState
from portal.registry.subscriptions import LONGEST_WORDS
from portal.rest import lists
from portal.rest.route import tagged
from portal.rest.shapes import Asked, Instant, Listed, Moment, Search, Told
from portal.web import inbox
from portal.web.guards import an_approval, me

route = tagged("Approvals")


class ApprovalAnswer(Told):
    id: int
    state: ApprovalState
    api: str
    """`<team>/<slug>/<version>`."""
    subscription: int
    consumer_id: str
    """`con_` and 16 characters, as upstreams see it."""
    consumer_name: str
    team: str
    """Slug of the team that asks."""
    plan: str
    """The plan that is asked for."""
    present_plan: str | None
    """What is agreed meanwhile; null for a first request."""
    purpose: str
    expected_calls: int | None
    """A day."""
    asked_at: Instant
    decided_at: Instant | None
    words: str
    """Of who decided; the reason of a rejection."""


class Approvals(Listed):
    items: list[ApprovalAnswer]


class ApprovalSearch(Search):
    state: ApprovalState | None = None
    api: Annotated[str, Field(max_length=200)] = ""
    """`<team>/<slug>/<version>`."""


class Consent(Asked):
    until: Moment | None = None
    """Null for without an end."""
    words: Annotated[str, Field(max_length=LONGEST_WORDS)] = ""


class Rejection(Asked):
    reason: Annotated[str, Field(min_length=1, max_length=LONGEST_WORDS)]
    """Whoever asked reads it."""


def shown(approval: Approval) -> ApprovalAnswer:
    subscription = approval.subscription
    is_first = subscription.approvals[-1] is approval and subscription.state in ("pending", "rejected")
    return ApprovalAnswer(
        id=approval.id,
        state=approval.state,
        api=subscription.api.label,
        subscription=subscription.id,
        consumer_id=subscription.consumer.public_id,
        consumer_name=subscription.consumer.name,
        team=subscription.consumer.team.slug,
        plan=approval.plan.slug,
        present_plan=None if is_first else subscription.plan.slug,
        purpose=approval.purpose,
        expected_calls=approval.expected_calls,
        asked_at=approval.asked_at,
        decided_at=approval.decided_at,
        words=approval.words,
    )


@route("GET", "/approvals", Permission.SIGNED_IN, scope=Scope.READ, query=ApprovalSearch, answer=Approvals)
def index(session: Session, query: ApprovalSearch) -> Approvals:
    """What was asked of teams for which you decide, the newest first."""
    states = tuple(ApprovalState) if query.state is None else (query.state,)
    rows = inbox.approvals(me(), q=query.q, api=query.api, states=states)
    found, following = lists.by_number(session, rows, Approval.id, query)
    return Approvals(items=[shown(each) for each in found], next=following)


@route("GET", "/approvals/<int:approval>", Permission.DECIDE, an_approval, scope=Scope.READ, answer=ApprovalAnswer)
def show(session: Session, approval: Approval) -> ApprovalAnswer:
    """One request."""
    return shown(approval)


@route(
    "POST",
    "/approvals/<int:approval>/approve",
    Permission.DECIDE,
    an_approval,
    scope=Scope.APIS,
    body=Consent,
    answer=ApprovalAnswer,
)
def approve(session: Session, approval: Approval, body: Consent) -> ApprovalAnswer:
    """Approve a request that waits, until a time or without an end. Each is decided once (409)."""
    agreements.approve(session, approval, by=me(), until=body.until, words=body.words)
    return shown(approval)


@route(
    "POST",
    "/approvals/<int:approval>/reject",
    Permission.DECIDE,
    an_approval,
    scope=Scope.APIS,
    body=Rejection,
    answer=ApprovalAnswer,
)
def reject(session: Session, approval: Approval, body: Rejection) -> ApprovalAnswer:
    """Reject a request that waits, with a reason. What was agreed before goes on. Each is decided once (409)."""
    agreements.reject(session, approval, by=me(), words=body.reason)
    return shown(approval)
