"""Approvals: what consumers' teams have asked for, and how it is decided. Each is decided once."""

from datetime import datetime

from sqlalchemy.orm import Session

from portal.accounts.models import Person
from portal.db import utcnow
from portal.errors import Conflict, Invalid
from portal.registry import lifecycle, revision
from portal.registry.models import Approval, ApprovalState, SubscriptionState
from portal.registry.subscriptions import agree, hold_subscription, said


def approve(
    session: Session, approval: Approval, *, by: Person | None, until: datetime | None = None, words: str = ""
) -> None:
    """What was asked for holds within a second, until a time or without an end. A consumer that is suspended calls only
    when it is resumed; an API that is closed to new subscriptions takes this one, since its own team decides.

    Raises Conflict when it is decided or withdrawn already, and for an API that is not published or retired; Invalid.
    """
    words = _words(words)
    _hold(session, approval)
    subscription, now = approval.subscription, utcnow()
    if refusal := lifecycle.dead(subscription.api):
        raise Conflict(f"{refusal} Reject the request, or let the API answer again first.")
    if until is not None and until <= now:
        raise Invalid({"until": "This time has passed. Choose a later one, or none."})
    _decide(approval, ApprovalState.APPROVED, by, words, now)
    if subscription.state is SubscriptionState.PENDING:
        subscription.state = SubscriptionState.APPROVED
        subscription.starts_at = now
    subscription.plan = approval.plan
    agree(subscription, until)
    revision.touch(session)


def reject(session: Session, approval: Approval, *, by: Person | None, words: str) -> None:
    """What was agreed before goes on; a first request is over, and the consumer may ask again.

    Raises Conflict when it is decided or withdrawn already, Invalid without a reason.
    """
    words = said("words", words, "Say why: whoever asked reads it.")
    _hold(session, approval)
    _decide(approval, ApprovalState.REJECTED, by, words, utcnow())
    if approval.subscription.state is SubscriptionState.PENDING:
        approval.subscription.state = SubscriptionState.REJECTED
        revision.touch(session)


def withdraw_request(session: Session, approval: Approval) -> None:
    """By who asked. What was agreed before goes on; a first request is over. Raises Conflict when it is decided."""
    _hold(session, approval)
    approval.state = ApprovalState.WITHDRAWN
    subscription = approval.subscription
    if subscription.state is SubscriptionState.PENDING:
        subscription.state = SubscriptionState.ENDED
        subscription.ends_at = utcnow()
        revision.touch(session)


def _hold(session: Session, approval: Approval) -> None:
    """Whoever decides holds the subscription: the second of two waits here, and then reads what the first has done."""
    hold_subscription(session, approval.subscription, approval.plan)
    session.refresh(approval)
    match approval.state:
        case ApprovalState.WAITING:
            return
        case ApprovalState.WITHDRAWN:
            raise Conflict("This request was withdrawn, so there is nothing to decide any more.")
    who = approval.decided_by.name if approval.decided_by else "Somebody"
    raise Conflict(
        f"{who} has {approval.state.value} this request already, at {approval.decided_at:%Y-%m-%d %H:%M} UTC."
    )


def _decide(approval: Approval, state: ApprovalState, by: Person | None, words: str, now: datetime) -> None:
    approval.state = state
    approval.decided_by = by
    approval.decided_at = now
    approval.words = words


def _words(words: str) -> str:
    return said("words", words, "") if words.strip() else ""
