"""Subscriptions: how they begin, what they are held to, how they end. What is asked for is decided in `approvals.py`.

               ┌─ reject ──► rejected
subscribe ─► pending ─ approve ─► approved ◄─ suspend / resume ─► suspended
          └──── plan without approval ──►            └─ end, or its time comes ─► ended
"""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import instance_state

from portal.accounts.models import Person, Team
from portal.db import utcnow
from portal.errors import Conflict, Invalid, NotFound
from portal.registry import lifecycle, quotas, revision
from portal.registry.models import (
    CURRENT,
    Api,
    Approval,
    ApprovalState,
    Consumer,
    Plan,
    Subscription,
    SubscriptionState,
)
from portal.registry.offers import may_choose
from portal.registry.visibility import may_see

LONGEST_WORDS = 2_000
"""Characters of a purpose, a reason, a word about a decision."""
MOST_EXPECTED = 1_000_000_000_000
"""Calls a day."""


def current_subscription(session: Session, consumer_id: int, api_id: int) -> Subscription | None:
    """A consumer uses an API, or asks for it, once at a time."""
    return session.scalar(
        select(Subscription).where(
            Subscription.consumer_id == consumer_id,
            Subscription.api_id == api_id,
            CURRENT,
        )
    )


def subscribe(
    session: Session,
    consumer: Consumer,
    api: Api,
    plan: Plan,
    *,
    by: Person | None,
    purpose: str = "",
    expected_calls: int | None = None,
    ends_at: datetime | None = None,
) -> Subscription:
    """Under a plan that wants approval it is pending, with an approval that waits; else approved at once.

    Raises Conflict when the API is not published, retired, closed or public, does not offer the plan, or is subscribed
    to or asked for already; NotFound for an API that `by` may not know of; Invalid where approval is wanted and no
    purpose is given, and for an end that has passed.
    """
    if by is not None and not may_see(by, api):
        raise NotFound()
    if refusal := lifecycle.refusal(api):
        raise Conflict(refusal)
    _require_offer(api, plan, consumer.team)
    _require_free(session, consumer, api)
    _require_to_come("ends_at", ends_at)
    asked = _request(plan, by, purpose, expected_calls) if plan.approval else None
    subscription = Subscription(
        consumer=consumer,
        api=api,
        plan=plan,
        state=SubscriptionState.APPROVED if asked is None else SubscriptionState.PENDING,
        ends_at=ends_at,
        approvals=[] if asked is None else [asked],
        created_by_id=by.id if by else None,
    )
    return _begun(session, subscription)


def admit(
    session: Session, consumer: Consumer, api: Api, plan: Plan, *, by: Person | None, until: datetime | None = None
) -> Subscription:
    """The API's own team subscribes somebody: nothing is asked, also where the plan wants approval or the API is closed
    to others.

    Raises Conflict when the API is not published, retired or public, does not offer the plan, or is subscribed to or
    asked for already: that is decided in its own place. Invalid for an end that has passed.
    """
    if refusal := lifecycle.dead(api) or lifecycle.public(api):
        raise Conflict(refusal)
    _require_offer(api, plan)
    _require_to_come("until", until)
    _require_free(session, consumer, api)
    subscription = Subscription(
        consumer=consumer,
        api=api,
        plan=plan,
        state=SubscriptionState.APPROVED,
        ends_at=until,
        approved_until=until,
        created_by_id=by.id if by else None,
    )
    return _begun(session, subscription)


def take_over_subscription(
    session: Session,
    consumer: Consumer,
    api: Api,
    plan: Plan,
    *,
    ends_at: datetime | None,
    approved_until: datetime | None = None,
    suspended: bool = False,
) -> Subscription:
    """One that was agreed elsewhere: whether the API is published and offers the plan is not asked again.

    One that there is under another plan, or that waits, ends. Raises Conflict for a plan of another team than the
    API's.
    """
    if plan.team_id != api.team_id:
        raise Conflict(f"{plan.name} belongs to another team than {api.name}. Choose a plan of that team.")
    current = current_subscription(session, consumer.id, api.id)
    if current is not None:
        end_subscription(session, current)
        session.flush()  # a consumer uses an API once at a time
    subscription = Subscription(
        consumer=consumer,
        api=api,
        plan=plan,
        state=SubscriptionState.SUSPENDED if suspended else SubscriptionState.APPROVED,
        ends_at=ends_at,
        approved_until=approved_until,
    )
    return _begun(session, subscription)


def settle(
    session: Session,
    subscription: Subscription,
    *,
    ends_at: datetime | None,
    approved_until: datetime | None,
    suspended: bool,
) -> None:
    """As it was agreed elsewhere; a notice is over. Raises Conflict for one that is over or pending."""
    hold_subscription(session, subscription)
    _require_begun(subscription)
    subscription.ends_at, subscription.approved_until = ends_at, approved_until
    subscription.noticed_at = subscription.ends_without_notice = None
    if suspended != (subscription.state is SubscriptionState.SUSPENDED):
        subscription.state = SubscriptionState.SUSPENDED if suspended else SubscriptionState.APPROVED
        subscription.suspended_because = ""
    revision.touch(session)


def switch_plan(
    session: Session,
    subscription: Subscription,
    plan: Plan,
    *,
    by: Person | None,
    purpose: str = "",
    expected_calls: int | None = None,
) -> Approval | None:
    """Change the plan at once, or ask for it where it wants approval. What is agreed goes on until that is decided, and
    when it is rejected. The same plan may be asked for when it was approved until a date, to go on after it.

    Returns what waits now; None when the plan is changed. Something else that was asked for and waits is withdrawn by a
    change at once. Raises Conflict for a subscription that is over, pending or suspended, a plan that it has or that
    the API does not offer, and while something waits already; Invalid where approval is wanted and no purpose is given.
    """
    hold_subscription(session, subscription, plan)
    _require_going_on(subscription)
    if refusal := lifecycle.dead(subscription.api):
        raise Conflict(refusal)
    if plan is subscription.plan and (subscription.approved_until is None or not plan.approval):
        raise Conflict(f"{subscription.consumer.name} has the plan {plan.name} already.")
    _require_offer(subscription.api, plan, subscription.consumer.team)
    waiting = waiting_of(subscription)
    if plan.approval:
        if waiting is not None:
            raise Conflict(f"{waiting.plan.name} is asked for already and waits. Withdraw that, then ask anew.")
        asked = _request(plan, by, purpose, expected_calls)
        subscription.approvals.append(asked)
        return asked
    if waiting is not None:
        waiting.state = ApprovalState.WITHDRAWN
    subscription.plan = plan
    revision.touch(session)
    return None


def assign_plan(session: Session, subscription: Subscription, plan: Plan) -> None:
    """The API's own team gives it another plan: at once, also one that wants approval. Something that waits goes on
    waiting. Raises Conflict for a subscription that is over or pending, and a plan that the API does not offer."""
    hold_subscription(session, subscription, plan)
    _require_begun(subscription)
    _require_offer(subscription.api, plan)
    if subscription.plan is not plan:
        subscription.plan = plan
        revision.touch(session)


def limit_subscription(session: Session, subscription: Subscription, ends_at: datetime | None) -> None:
    """When the consumer's team wants it to stop by itself; None for not before it has to. Under notice it stays so when
    the notice is withdrawn.

    Raises Conflict for one that is over, Invalid for a time that has passed and for an end after the one that was
    approved or that stands in a notice.
    """
    hold_subscription(session, subscription)
    if subscription.state.is_over:
        raise Conflict(f"This subscription is {subscription.state.value}. Subscribe again.")
    _require_to_come("ends_at", ends_at)
    latest = subscription.ends_at if subscription.noticed_at else subscription.approved_until
    if latest is not None and ends_at is not None and ends_at > latest:
        why = "It is under notice and ends" if subscription.noticed_at else "It is approved until"
        raise Invalid({"ends_at": f"{why} {latest:%Y-%m-%d %H:%M} UTC. Choose an earlier time."})
    subscription.ends_at = ends_at or latest
    if subscription.noticed_at and ends_at is not None:
        subscription.ends_without_notice = ends_at  # a call that comes withdraws the notice, not what was chosen
    revision.touch(session)


def grant_until(session: Session, subscription: Subscription, until: datetime | None) -> None:
    """How long the API's team lets it go on; None for as long as its consumer's team wants.

    Raises Conflict for one that is over or pending, Invalid for a time that has passed.
    """
    hold_subscription(session, subscription)
    _require_begun(subscription)
    _require_to_come("until", until)
    agree(subscription, until)
    revision.touch(session)


def suspend_subscription(session: Session, subscription: Subscription, *, words: str) -> None:
    """The API's team stops it for a while: the gateway answers `subscription_suspended` within a second. Suspending one
    that is suspended changes what is said about it. Raises Conflict for one that is over or pending, Invalid."""
    words = said("words", words, "Say why: the consumer's team reads it.")
    hold_subscription(session, subscription)
    _require_begun(subscription)
    subscription.state = SubscriptionState.SUSPENDED
    subscription.suspended_because = words
    revision.touch(session)


def resume_subscription(session: Session, subscription: Subscription) -> None:
    """Raises Conflict for one that is over or pending. Resuming one that goes on changes nothing."""
    hold_subscription(session, subscription)
    _require_begun(subscription)
    if subscription.state is SubscriptionState.SUSPENDED:
        subscription.state = SubscriptionState.APPROVED
        subscription.suspended_because = ""
        revision.touch(session)


def end_subscription(session: Session, subscription: Subscription) -> None:
    """The gateway answers `not_subscribed` within a second. Subscribing again is always possible.

    What was asked for and waits is withdrawn. Ending one that is over changes nothing.
    """
    hold_subscription(session, subscription)
    if subscription.state.is_over:
        return
    subscription.state = SubscriptionState.ENDED
    subscription.ends_at = utcnow()
    _let_go(subscription)
    revision.touch(session)


def end_due(session: Session, *, now: datetime, batch: int = 200) -> list[Subscription]:
    """Those whose time has come are ended, at the instant that they were to end; at most `batch` of them.

    The gateway goes by the clock and has refused their calls since then. This lets their consumers subscribe again.
    """
    due = select(Subscription).where(Subscription.ends_at <= now, CURRENT).order_by(Subscription.id).limit(batch)
    ended = []
    for subscription in session.scalars(due.with_for_update(skip_locked=True)):
        subscription.state = SubscriptionState.ENDED
        _let_go(subscription)
        ended.append(subscription)
    if ended:
        revision.touch(session)
    return ended


def give_notice(session: Session, subscription: Subscription, *, ends_at: datetime) -> None:
    """For want of calls it ends then, unless a call comes before or somebody withdraws the notice. Giving notice again
    moves the end. Raises Conflict for one that is over or pending, Invalid for a time that has passed or that lies
    after the end which it has anyway."""
    hold_subscription(session, subscription)
    _require_begun(subscription)
    _require_to_come("ends_at", ends_at)
    own = subscription.ends_without_notice if subscription.noticed_at else subscription.ends_at
    if own is not None and own <= ends_at:
        raise Invalid({"ends_at": f"It ends at {own:%Y-%m-%d %H:%M} UTC anyway. Choose an earlier time, or leave it."})
    subscription.noticed_at = utcnow()
    subscription.ends_without_notice = own
    subscription.ends_at = ends_at
    revision.touch(session)


def withdraw_notice(session: Session, subscription: Subscription) -> bool:
    """It goes on as before the notice. False, and nothing changes, when it is under none (any more)."""
    hold_subscription(session, subscription)
    if subscription.state.is_over or subscription.noticed_at is None:
        return False
    subscription.ends_at = subscription.ends_without_notice
    subscription.noticed_at = subscription.ends_without_notice = None
    revision.touch(session)
    return True


def hold_subscription(session: Session, subscription: Subscription, *plans: Plan) -> None:
    """Nobody else changes it until the commit; it is read again. Raises NotFound when it is gone meanwhile.

    What it refers to comes first, in the order in which a deletion of any of that takes them.
    """
    state = instance_state(subscription)
    if state.identity is None:  # it was made in this very transaction
        return
    (number,) = state.identity
    refers = session.execute(
        select(Subscription.consumer_id, Subscription.api_id, Subscription.plan_id).where(Subscription.id == number)
    ).one_or_none()
    found = None
    if refers is not None:
        consumer_id, api_id, plan_id = refers
        for kind, number_of in ((Consumer, consumer_id), (Api, api_id)):
            chosen = select(kind.id).where(kind.id == number_of)
            session.execute(chosen.with_for_update(read=True, key_share=True)).all()
        # Plans as a whole: who changes their quotas waits here, and not when each holds what the other wants.
        numbers = {plan_id, *(plan.id for plan in plans)}
        session.execute(select(Plan.id).where(Plan.id.in_(numbers)).order_by(Plan.id).with_for_update(read=True)).all()
        found = session.scalar(
            select(Subscription)
            .where(Subscription.id == number)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    if found is None:
        raise NotFound("Somebody else has deleted this subscription meanwhile.")
    session.expire(subscription, ["approvals"])


def waiting_of(subscription: Subscription) -> Approval | None:
    """What is asked for it and not decided; there is at most one."""
    return next((each for each in subscription.approvals if each.state is ApprovalState.WAITING), None)


def _begun(session: Session, subscription: Subscription) -> Subscription:
    session.add(subscription)
    session.flush()  # what it has used before is counted under its number from now on
    quotas.go_on(session, subscription)
    revision.touch(session)
    return subscription


def _request(plan: Plan, by: Person | None, purpose: str, expected_calls: int | None) -> Approval:
    """Raises Invalid."""
    purpose = said("purpose", purpose, "Say what it is for: whoever decides goes by it.")
    if expected_calls is not None and not 0 < expected_calls <= MOST_EXPECTED:
        raise Invalid({"expected_calls": f"Give a number from 1 to {MOST_EXPECTED:,}, or nothing."})
    return Approval(plan=plan, state=ApprovalState.WAITING, purpose=purpose, expected_calls=expected_calls, asked_by=by)


def agree(subscription: Subscription, until: datetime | None) -> None:
    """The API's team lets it go on until then. An earlier end that its consumer's team has chosen stays; a notice is
    over."""
    own = subscription.ends_without_notice if subscription.noticed_at else subscription.ends_at
    if own is not None and own == subscription.approved_until:
        own = None
    subscription.noticed_at = subscription.ends_without_notice = None
    subscription.approved_until = until
    subscription.ends_at = min(filter(None, (own, until)), default=None)


def said(field: str, words: str, wanted: str) -> str:
    """Raises Invalid with the sentence `wanted` for words that are none, and for too many."""
    words = words.strip()
    if not words:
        raise Invalid({field: wanted})
    if len(words) > LONGEST_WORDS:
        raise Invalid({field: f"At most {LONGEST_WORDS:,} characters fit here."})
    return words


def _let_go(subscription: Subscription) -> None:
    waiting = waiting_of(subscription)
    if waiting is not None:
        waiting.state = ApprovalState.WITHDRAWN


def _require_offer(api: Api, plan: Plan, team: Team | None = None) -> None:
    """To `team`; None for the API's own, which gives any plan that is on offer."""
    if plan not in api.plans or (team is not None and not may_choose(team, plan)):
        raise Conflict(f"{api.name} does not offer the plan {plan.name}. Choose one that it offers.")


def _require_free(session: Session, consumer: Consumer, api: Api) -> None:
    current = current_subscription(session, consumer.id, api.id) if consumer.id else None
    if current is None:
        return
    if current.ends_at is not None and current.ends_at <= utcnow():  # the worker has not come by yet
        at = current.ends_at
        end_subscription(session, current)
        current.ends_at = at
        session.flush()  # a consumer uses an API once at a time
        return
    if current.state is SubscriptionState.PENDING:
        raise Conflict(
            f"{consumer.name} has asked for {api.name} under the plan {current.plan.name} already, and that waits."
        )
    raise Conflict(f"{consumer.name} already uses {api.name} under the plan {current.plan.name}.")


def _require_to_come(field: str, moment: datetime | None) -> None:
    if moment is not None and moment <= utcnow():
        raise Invalid({field: "This time has passed. Choose a later one, or none."})


def _require_begun(subscription: Subscription) -> None:
    if subscription.state.is_over:
        raise Conflict(f"This subscription is {subscription.state.value}. Its consumer can subscribe again.")
    if subscription.state is SubscriptionState.PENDING:
        raise Conflict("This subscription waits for approval. Decide that first.")


def _require_going_on(subscription: Subscription) -> None:
    match subscription.state:
        case SubscriptionState.PENDING:
            raise Conflict("This subscription waits for approval. Withdraw the request, then ask for another plan.")
        case SubscriptionState.SUSPENDED:
            raise Conflict(
                f"{subscription.api.team.name} has suspended this subscription. Ask them before you change its plan."
            )
        case SubscriptionState.REJECTED | SubscriptionState.ENDED:
            raise Conflict(f"This subscription is {subscription.state.value}. Subscribe again.")
