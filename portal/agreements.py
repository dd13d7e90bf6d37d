"""Who may use an API, as people and programs decide it: the registry's verbs, and word of it to those whom it concerns.

Needs an application context; what is told goes out when the caller's transaction has committed. It names teams and
things, never the person who acted: pages and the trail do.
"""

from collections.abc import Sequence
from datetime import datetime

from flask import current_app
from sqlalchemy import exists, select
from sqlalchemy.orm import Session, joinedload

from portal import config_of, letters, notify, registry
from portal.accounts import Person, Team
from portal.db import utcnow
from portal.errors import PortalError
from portal.registry.models import CURRENT, Api, Approval, ApprovalState, Consumer, Plan, Subscription
from portal.registry.models import SubscriptionState as State
from portal.traffic.models import Call, microseconds

_MOST_NAMED = 20
"""APIs that one notice names."""


def subscribe(
    session: Session,
    consumer: Consumer,
    api: Api,
    plan: Plan,
    *,
    by: Person,
    purpose: str = "",
    expected_calls: int | None = None,
    ends_at: datetime | None = None,
) -> Subscription:
    """Raises what `registry.subscribe` raises."""
    subscription = registry.subscribe(
        session, consumer, api, plan, by=by, purpose=purpose, expected_calls=expected_calls, ends_at=ends_at
    )
    session.flush()  # whoever decides is told of it by its number
    if subscription.state is State.PENDING:
        _asked(session, subscription.approvals[0], by)
    return subscription


def admit(
    session: Session, consumer: Consumer, api: Api, plan: Plan, *, by: Person, until: datetime | None
) -> Subscription:
    """Raises what `registry.admit` raises."""
    subscription = registry.admit(session, consumer, api, plan, by=by, until=until)
    session.flush()
    text = f"{api.team.name} has subscribed your consumer {consumer.name} to {_name(api)}, plan {plan.name}"
    _to_consumer(
        session, subscription, "subscription.approved", f"{_name(api)}: subscribed", f"{text}{_until(until)}.", by
    )
    return subscription


def switch_plan(
    session: Session,
    subscription: Subscription,
    plan: Plan,
    *,
    by: Person,
    purpose: str = "",
    expected_calls: int | None = None,
) -> Approval | None:
    """Raises what `registry.switch_plan` raises."""
    approval = registry.switch_plan(session, subscription, plan, by=by, purpose=purpose, expected_calls=expected_calls)
    session.flush()
    if approval is not None:
        _asked(session, approval, by)
    else:
        _settle(session, subscription)
    return approval


def assign_plan(session: Session, subscription: Subscription, plan: Plan, *, by: Person) -> None:
    """Raises what `registry.assign_plan` raises."""
    before = subscription.plan
    registry.assign_plan(session, subscription, plan)
    if plan is not before:
        _settle(session, subscription)
        text = (
            f"{_api_team(subscription)} has changed the plan of {_use(subscription)} from {before.name} to {plan.name}."
        )
        _to_consumer(session, subscription, "subscription.changed", "A plan was changed", text, by)


def clear_subject(session: Session, subscription: Subscription, *, by: Person) -> None:
    """By the API's team: no token leads to the consumer any more, and others may have the subject. Raises what
    `registry.set_subject` raises."""
    had = subscription.subject
    registry.set_subject(session, subscription, None)
    if had is not None:
        text = (
            f"{_api_team(subscription)} has cleared the subject of {_use(subscription)}: calls with a token are "
            "refused with token_unknown. Keys go on. The consumer's page lets you give another subject."
        )
        _to_consumer(session, subscription, "subscription.changed", "The subject of tokens was cleared", text, by)


def grant_until(session: Session, subscription: Subscription, until: datetime | None, *, by: Person) -> None:
    """Raises what `registry.grant_until` raises."""
    before = subscription.ends_at
    registry.grant_until(session, subscription, until)
    if subscription.ends_at != before:
        end = f"ends at {_when(subscription.ends_at)} now" if subscription.ends_at else "has no end any more"
        text = f"{_api_team(subscription)} has decided that {_use(subscription)} {end}."
        _to_consumer(session, subscription, "subscription.changed", "The end of a subscription was changed", text, by)


def approve(
    session: Session, approval: Approval, *, by: Person, until: datetime | None = None, words: str = ""
) -> None:
    """Raises what `registry.approve` raises."""
    registry.approve(session, approval, by=by, until=until, words=words)
    subscription = approval.subscription
    _settle(session, subscription)
    text = f"{_api_team(subscription)} has approved {_use(subscription)}, plan {approval.plan.name}{_until(until)}."
    if subscription.consumer.suspended_at is not None:
        text += f" {subscription.consumer.name} is suspended: it calls when its team has resumed it."
    subject = f"{_name(subscription.api)}: approved for {subscription.consumer.name}"
    _decided(session, approval, "subscription.approved", subject, text, by)


def reject(session: Session, approval: Approval, *, by: Person, words: str) -> None:
    """Raises what `registry.reject` raises."""
    registry.reject(session, approval, by=by, words=words)
    subscription = approval.subscription
    text = f"{_api_team(subscription)} has rejected {_use(subscription)}, plan {approval.plan.name}."
    if subscription.state is not State.REJECTED:
        text += f" What was agreed before goes on, under the plan {subscription.plan.name}."
    subject = f"{_name(subscription.api)}: rejected for {subscription.consumer.name}"
    _decided(session, approval, "subscription.rejected", subject, text, by)


def decide_many(
    session: Session, approvals: Sequence[Approval], *, by: Person, agreed: bool, words: str
) -> list[tuple[Approval, PortalError]]:
    """Approves, or rejects, each for itself; those that could not be, and why. Raises Invalid for wrong words."""
    refused = []
    for approval in approvals:
        try:
            with session.begin_nested():
                if agreed:
                    approve(session, approval, by=by, words=words)
                else:
                    reject(session, approval, by=by, words=words)
        except PortalError as error:
            if error.status == 422:
                raise
            refused.append((approval, error))
    return refused


def suspend(session: Session, subscription: Subscription, *, by: Person, words: str) -> None:
    """By the API's team. Raises what `registry.suspend_subscription` raises."""
    registry.suspend_subscription(session, subscription, words=words)
    text = (
        f"{_api_team(subscription)} has suspended {_use(subscription)}. Its calls are refused until that team resumes "
        f"it.\n\nThe reason:\n\n{subscription.suspended_because}"
    )
    _to_consumer(session, subscription, "subscription.suspended", f"{_name(subscription.api)}: suspended", text, by)


def resume(session: Session, subscription: Subscription, *, by: Person) -> None:
    """By the API's team. Raises what `registry.resume_subscription` raises."""
    was = subscription.state
    registry.resume_subscription(session, subscription)
    if was is State.SUSPENDED:
        text = f"{_api_team(subscription)} has resumed {_use(subscription)}. Its calls go through again."
        _to_consumer(session, subscription, "subscription.resumed", f"{_name(subscription.api)}: resumed", text, by)


def end(session: Session, subscription: Subscription, *, by: Person) -> None:
    """By the API's team."""
    was_over = subscription.state.is_over
    registry.end_subscription(session, subscription)
    if not was_over:
        text = f"{_api_team(subscription)} has ended {_use(subscription)}. Its calls are refused from now on."
        _to_consumer(session, subscription, "subscription.ended", f"{_name(subscription.api)}: ended", text, by)


def give_notice(session: Session, subscription: Subscription, *, by: Person, ends_at: datetime) -> None:
    """Raises what `registry.give_notice` raises."""
    registry.give_notice(session, subscription, ends_at=ends_at)
    text = (
        f"{subscription.consumer.name} has not called {_name(subscription.api)} for long, so {_api_team(subscription)} "
        f"ends its subscription at {_when(ends_at)}.\n\nA call before then keeps it. If nobody needs it any more, "
        "there is nothing to do."
    )
    subject = f"{_name(subscription.api)}: ends for want of calls"
    _to_consumer(session, subscription, "subscription.ending", subject, text, by)


def withdraw_notice(session: Session, subscription: Subscription, *, by: Person) -> bool:
    """Whether there was one."""
    withdrawn = registry.withdraw_notice(session, subscription)
    if withdrawn:
        text = f"{_api_team(subscription)} has withdrawn the notice: {_use(subscription)} goes on."
        _to_consumer(session, subscription, "subscription.resumed", f"{_name(subscription.api)}: goes on", text, by)
    return withdrawn


def lift_notices(session: Session) -> int:
    """Withdraw the notices of those that have called since; how many. The worker's part."""
    count = 0
    under_notice = select(Subscription).where(Subscription.noticed_at.is_not(None), CURRENT).order_by(Subscription.id)
    for subscription in session.scalars(under_notice).all():
        since = subscription.noticed_at
        if since and _has_called(session, subscription, since) and registry.withdraw_notice(session, subscription):
            count += 1
            text = f"A call has come, so the notice is withdrawn: {_use(subscription)} goes on."
            subject = f"{_name(subscription.api)}: goes on"
            teams = [subscription.consumer.team, subscription.api.team]
            _tell(session, subscription, "subscription.resumed", teams, subject, text, None)
    return count


def _has_called(session: Session, subscription: Subscription, since: datetime) -> bool:
    # One look into the index of the consumer's calls, which begins at the notice.
    calls = exists().where(
        Call.consumer_id == subscription.consumer_id,
        Call.api_id == subscription.api_id,
        Call.at > microseconds(since),
    )
    return bool(session.scalar(select(calls)))


def end_due(session: Session, *, now: datetime) -> int:
    """End those whose time has come; how many. The worker's part."""
    ended = registry.end_due(session, now=now)
    for subscription in ended:
        text = (
            f"{_capital(_use(subscription))} came to its end at {_when(subscription.ends_at)}. Its calls are refused."
        )
        subject = f"{_name(subscription.api)}: ended"
        _tell(session, subscription, "subscription.ended", [subscription.consumer.team], subject, text, None)
    return len(ended)


def suspend_consumer(session: Session, consumer: Consumer, *, by: Person) -> None:
    was = consumer.suspended_at
    registry.suspend_consumer(session, consumer)
    if was is None:
        who = f"somebody of {consumer.team.name}"
        text = f"{consumer.name} is suspended: all of its calls are refused until {who} resumes it."
        _about(session, consumer, "consumer.suspended", [consumer.team], f"{consumer.name} is suspended", text, by)


def resume_consumer(session: Session, consumer: Consumer, *, by: Person) -> None:
    was = consumer.suspended_at
    registry.resume_consumer(session, consumer)
    if was is not None:
        text = f"{consumer.name} goes on: its keys work again as far as its subscriptions go."
        _about(session, consumer, "consumer.resumed", [consumer.team], f"{consumer.name} goes on", text, by)


def move_consumer(session: Session, consumer: Consumer, team: Team, *, by: Person, slug: str = "") -> None:
    """Raises what `registry.move_consumer` raises."""
    before = consumer.team
    registry.move_consumer(session, consumer, team, slug=slug)
    session.flush()
    text = (
        f"{consumer.name} has moved from {before.name} to {team.name}, with its keys, its subscriptions and what it "
        f"has asked for. It calls as before; {before.name} does not see it any more."
    )
    subject = f"{consumer.name} belongs to {team.name} now"
    _about(session, consumer, "consumer.moved", [before, team], subject, text, by)
    _tell_whose_apis_it_uses(session, consumer, before, team, by)


def _tell_whose_apis_it_uses(session: Session, consumer: Consumer, before: Team, team: Team, by: Person) -> None:
    """They have agreed with one team and have to do with another from now on: a notice for each, of all its APIs."""
    rows = (
        select(Subscription)
        .join(Subscription.api)
        .where(Subscription.consumer_id == consumer.id, CURRENT, Api.team_id.not_in([before.id, team.id]))
        .options(joinedload(Subscription.api).joinedload(Api.team))
        .order_by(Api.name, Api.version, Subscription.id)
    )
    theirs: dict[Team, list[Api]] = {}
    for each in session.scalars(rows):
        theirs.setdefault(each.api.team, []).append(each.api)
    for owner, apis in theirs.items():
        more = f" and {len(apis) - _MOST_NAMED} more" if len(apis) > _MOST_NAMED else ""
        uses = f"{', '.join(_name(api) for api in apis[:_MOST_NAMED])}{more}"
        text = f"{consumer.name} has moved from {before.name} to {team.name}. It goes on using {uses} as it was agreed."
        subject = f"{consumer.name}, which uses {_name(apis[0])}, belongs to {team.name} now"
        link = _path("apis.subscribers", team=owner.slug, slug=apis[0].slug, version=apis[0].version)
        data = {"consumer": consumer.public_id, "team": team.slug, "apis": [api.label for api in apis[:_MOST_NAMED]]}
        notify.tell(
            session, "subscriber.moved", teams=[owner], subject=subject, text=text, link=link, data=data, but=by
        )


def _settle(session: Session, subscription: Subscription) -> None:
    """It may have another plan now: a quota that is used up blocks it at once, one that is not lets it go on."""
    session.flush()  # what is used up is asked of the database
    zone = config_of(current_app).quota_zone
    registry.settle_quotas(session, Subscription.id == subscription.id, now=utcnow(), zone=zone)
    session.expire(subscription, ["blocked_until"])


def _asked(session: Session, approval: Approval, by: Person) -> None:
    subscription = approval.subscription
    api, consumer = subscription.api, subscription.consumer
    what = "to use" if subscription.state is State.PENDING else f"to go on using (now {subscription.plan.name})"
    text = (
        f"{consumer.team.name} asks {what} {_name(api)} with {consumer.name}, plan {approval.plan.name}.\n\n"
        f"What for:\n\n{approval.purpose}\n\n"
        + (f"Expected: {approval.expected_calls:,} calls a day.\n\n" if approval.expected_calls else "")
        + "The link leads to the page on which you decide. Opening it decides nothing."
    )
    notify.tell(
        session,
        "subscription.requested",
        teams=[api.team],
        subject=f"{consumer.name} asks for {_name(api)}",
        text=text,
        link=letters.approval_link(approval),
        data=_facts(subscription) | {"plan": approval.plan.slug, "approval": approval.id},
        but=by,
    )


def _decided(session: Session, approval: Approval, event: str, subject: str, text: str, by: Person) -> None:
    if approval.words:
        text += f"\n\n{'The reason' if approval.state is ApprovalState.REJECTED else 'They say'}:\n\n{approval.words}"
    team = approval.subscription.consumer.team
    # Who asked may have left the team since, and then has nothing more to do with it.
    asked = [each.person for each in team.memberships if each.person_id == approval.asked_by_id]
    notify.tell(
        session,
        event,
        teams=[team],
        persons=asked,
        subject=subject,
        text=text,
        link=letters.approval_link(approval),
        data=_facts(approval.subscription) | {"plan": approval.plan.slug, "approval": approval.id},
        but=by,
    )


def _to_consumer(
    session: Session, subscription: Subscription, event: str, subject: str, text: str, by: Person | None
) -> None:
    _tell(session, subscription, event, [subscription.consumer.team], subject, text, by)


def _tell(
    session: Session,
    subscription: Subscription,
    event: str,
    teams: Sequence[Team],
    subject: str,
    text: str,
    by: Person | None,
) -> None:
    session.flush()  # a team's number, and what a verb has left to be written
    link = _consumer_path(subscription.consumer)
    notify.tell(session, event, teams=teams, subject=subject, text=text, link=link, data=_facts(subscription), but=by)


def _about(
    session: Session, consumer: Consumer, event: str, teams: Sequence[Team], subject: str, text: str, by: Person
) -> None:
    data = {"consumer": consumer.public_id}
    link = _consumer_path(consumer)
    notify.tell(session, event, teams=teams, subject=subject, text=text, link=link, data=data, but=by)


def _consumer_path(consumer: Consumer) -> str:
    return _path("consumers.show", team=consumer.team.slug, consumer=consumer.slug)


def _path(endpoint: str, **values: str) -> str:
    return current_app.url_map.bind("portal").build(endpoint, values)


def _facts(subscription: Subscription) -> dict[str, object]:
    return {
        "subscription": subscription.id,
        "consumer": subscription.consumer.public_id,
        "api": subscription.api.label,
        "plan": subscription.plan.slug,
        "state": subscription.state.value,
        "ends_at": subscription.ends_at.isoformat() if subscription.ends_at else None,
    }


def _name(api: Api) -> str:
    return f"{api.name} {api.version}"


def _use(subscription: Subscription) -> str:
    return f"the subscription of {subscription.consumer.name} to {_name(subscription.api)}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _api_team(subscription: Subscription) -> str:
    return subscription.api.team.name


def _when(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "no time"


def _until(until: datetime | None) -> str:
    return f", until {_when(until)}" if until else ""
