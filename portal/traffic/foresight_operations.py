"""What new limits of operations might have refused, as far as roll-ups can say it.

Who called which operation is known by days only, and refused calls are among them; how many came in a minute or an hour
is known of all callers together. So nobody is found guilty: where more came in a minute than a limit lets through at
once, those who called the operation in that time are named.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from portal.registry.models import Consumer, Plan, Subscription, SubscriptionState
from portal.registry.operation_limits import OperationLimit
from portal.traffic.callers import callers
from portal.traffic.foresight import BACK, REACHED, buckets_of
from portal.traffic.models import HOUR, MINUTE, ByOperation
from portal.traffic.retention import KEPT
from portal.traffic.window import aligned


@dataclass(frozen=True, slots=True)
class OperationForesight:
    limit: OperationLimit
    busiest_minute: int
    """Calls that were let through, of all callers together, in the last 48 hours."""
    busiest_hour: int
    """The same in the days before, of which minutes are forgotten."""
    callers: list[tuple[Subscription, int]]
    """Subscriptions under the plan with their calls of these seven days, refused ones too; the most first."""


def foresee_operations(
    session: Session, plan: Plan, limits: Sequence[OperationLimit], *, now: datetime
) -> list[OperationForesight]:
    """Of those limits that somebody under the plan might have met in the last seven days, in their order."""
    minutes_since = aligned(now - KEPT[MINUTE] + timedelta(hours=1), HOUR)
    since = aligned(now - BACK, HOUR)
    found = []
    for limit in limits:
        minute = _busiest(session, limit, MINUTE, minutes_since, now)
        hour = _busiest(session, limit, HOUR, since, minutes_since)
        if not any(max(minute, hour) > bucket.tokens for bucket in buckets_of(limit)):
            continue
        if who := _callers(session, plan, limit, since):
            found.append(OperationForesight(limit, minute, hour, who))
    return found


def _busiest(session: Session, limit: OperationLimit, level: int, start: datetime, end: datetime) -> int:
    steps = (
        select(func.sum(ByOperation.calls).label("n"))
        .where(
            ByOperation.level == level,
            ByOperation.at >= int(start.timestamp()),
            ByOperation.at < int(end.timestamp()),
            ByOperation.api_id == limit.api.id,
            ByOperation.operation == limit.operation,
            ByOperation.reason.in_(REACHED),
        )
        .group_by(ByOperation.at)
        .subquery()
    )
    return int(session.scalar(select(func.max(steps.c.n))) or 0)


def _callers(session: Session, plan: Plan, limit: OperationLimit, since: datetime) -> list[tuple[Subscription, int]]:
    called = {each.consumer_id: each.calls for each in callers(session, limit.api.id, [limit.operation], since)}
    rows = session.scalars(
        select(Subscription)
        .where(
            Subscription.plan_id == plan.id,
            Subscription.api_id == limit.api.id,
            Subscription.state.not_in((SubscriptionState.ENDED, SubscriptionState.REJECTED)),
        )
        .options(joinedload(Subscription.consumer).joinedload(Consumer.team))
    )
    using = [(each, called[each.consumer_id]) for each in rows if each.consumer_id in called]
    return sorted(using, key=lambda pair: (-pair[1], pair[0].consumer.name.lower(), pair[0].id))
