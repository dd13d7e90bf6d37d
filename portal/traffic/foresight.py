"""What a plan's new limits and quotas would have refused of what its subscriptions did: asked before they are live.

Only calls that were let through are judged, each rule by the finest that is still known:

| rule                     | judged by                                                      |
| ------------------------ | -------------------------------------------------------------- |
| per second, per minute   | minutes of the last 48 hours, before that hours, seven days back |
| quota of a day           | days of the last week, as quotas count them                    |
| quota of a month         | this month so far; of what is beyond it, the calls of this week  |

How calls were spread within a minute or an hour is not known, so of limits there are two numbers. Spread evenly, a
bucket lets as many through as it holds and gets in that time: more would have been refused for certain (`least`). All
at one instant, it lets through only what it holds (`most`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from sqlalchemy import Select, case, func, select
from sqlalchemy.orm import Session, joinedload

from portal.registry.models import Consumer, Plan, Subscription, SubscriptionState
from portal.registry.operation_limits import OperationLimit
from portal.registry.periods import Period, begins_anew, day_of
from portal.registry.plans import PlanValues
from portal.traffic.allowances import used_by_day
from portal.traffic.models import HOUR, MINUTE, ByConsumer
from portal.traffic.retention import KEPT
from portal.traffic.window import aligned

BACK = timedelta(days=7)
REACHED = ("ok", "upstream_status", "upstream_timeout", "upstream_not_http", "upstream_reset", "client_closed")
"""Reasons of calls that the gateway let through."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A limit as the gateway enforces it: so many tokens at most, and so many new ones in each interval."""

    rule: str
    """`per_second` or `per_minute`."""
    tokens: int
    rate: int
    interval: int
    """Seconds."""

    def most_in(self, seconds: int) -> int:
        """What gets through of calls that come evenly."""
        return self.tokens + self.rate * seconds // self.interval


@dataclass(slots=True)
class Hit:
    """A rule that a subscription would have met."""

    rule: str
    """`per_second`, `per_minute`, `quota_day` or `quota_month`."""
    times: int
    """Steps in which calls would have been refused for certain: minutes and hours, days, or the month."""
    highest: int
    """Calls of the busiest step."""
    step: str
    """What that is: `minute`, `hour`, `day` or `month`."""
    least: int
    """Calls that would have been refused for certain."""
    most: int


@dataclass(slots=True)
class Affected:
    """A subscription of whose calls some would have been refused, for certain or perhaps."""

    subscription: Subscription
    calls: int = 0
    """Let through in these seven days."""
    hits: list[Hit] = field(default_factory=list)
    blocked_until: datetime | None = None
    """It has used up a new quota already: with the change it is blocked until then."""

    @property
    def least(self) -> int:
        """Two rules may refuse the same calls, so the one that refuses most is what is certain."""
        by_rule = Counter[str]()
        for hit in self.hits:
            by_rule[hit.rule] += hit.least
        return max(by_rule.values(), default=0)

    @property
    def most(self) -> int:
        return max(self.least, min(self.calls, sum(hit.most for hit in self.hits)))


@dataclass(frozen=True, slots=True)
class Foresight:
    values: PlanValues
    """What the plan would say."""
    since: datetime
    minutes_since: datetime
    """From here on limits are judged by minutes, before by hours."""
    until: datetime
    subscriptions: int
    """Current ones under the plan."""
    refused: list[Affected]
    """For certain, the most first."""
    perhaps: list[Affected]
    """Only if their calls came in bursts."""


def foresee(session: Session, plan: Plan, values: PlanValues, *, now: datetime, zone: tzinfo) -> Foresight:
    """A few statements, however many subscriptions; those on minutes read 48 hours of roll-ups."""
    minutes_since = aligned(now - KEPT[MINUTE] + timedelta(hours=1), HOUR)
    since = aligned(now - BACK, HOUR)
    subscriptions = list(
        session.scalars(
            select(Subscription)
            .where(Subscription.plan_id == plan.id, _CURRENT)
            .options(joinedload(Subscription.consumer).joinedload(Consumer.team), joinedload(Subscription.api))
        )
    )
    found = {(each.consumer_id, each.api_id): Affected(each) for each in subscriptions}
    parts = ((HOUR, "hour", since, minutes_since), (MINUTE, "minute", minutes_since, now))
    buckets = buckets_of(values)
    for level, step, start, end in parts:
        for consumer, api, calls, highest, *rest in session.execute(_calls(plan, level, start, end, buckets)):
            affected = found.get((consumer, api))
            if affected is None:
                continue
            affected.calls += int(calls)
            if affected.subscription.consumer.everyone:
                continue  # its limits hold for each address, of which roll-ups know nothing
            for bucket, (times, least, most) in zip(buckets, _triples(rest), strict=True):
                if most:
                    affected.hits.append(Hit(bucket.rule, int(times), int(highest), step, int(least), int(most)))
    _meet_quotas(session, list(found.values()), values, now, zone)
    refused = [each for each in found.values() if each.least or each.blocked_until]
    perhaps = [each for each in found.values() if each.most and not each.least and not each.blocked_until]
    return Foresight(values, since, minutes_since, now, len(subscriptions), _sorted(refused), _sorted(perhaps))


def buckets_of(values: PlanValues | OperationLimit) -> list[Bucket]:
    found = []
    for rule, rate, burst, interval in (
        ("per_second", values.per_second, values.per_second_burst, 1),
        ("per_minute", values.per_minute, values.per_minute_burst, 60),
    ):
        if rate is not None:
            found.append(Bucket(rule, rate if burst is None else burst, rate, interval))
    return found


_CURRENT = Subscription.state.not_in((SubscriptionState.ENDED, SubscriptionState.REJECTED))


def _calls(plan: Plan, level: int, start: datetime, end: datetime, buckets: Sequence[Bucket]) -> Select[Any]:
    """Consumer, API, calls, those of the busiest step; for each bucket: steps with too many, least and most refused."""
    own = (Subscription.plan_id == plan.id, _CURRENT)
    # Not a join: SQLite would read these hours once for each subscription.
    steps = (
        select(ByConsumer.consumer_id, ByConsumer.api_id, func.sum(ByConsumer.calls).label("n"))
        .where(
            ByConsumer.level == level,
            ByConsumer.at >= int(start.timestamp()),
            ByConsumer.at < int(end.timestamp()),
            ByConsumer.reason.in_(REACHED),
            ByConsumer.consumer_id.in_(select(Subscription.consumer_id).where(*own)),
            ByConsumer.api_id.in_(select(Subscription.api_id).where(*own)),
        )
        .group_by(ByConsumer.at, ByConsumer.consumer_id, ByConsumer.api_id)
        .subquery()
    )
    columns = [steps.c.consumer_id, steps.c.api_id, func.sum(steps.c.n), func.max(steps.c.n)]
    for bucket in buckets:
        even, once = bucket.most_in(level), bucket.tokens
        columns += [
            func.sum(case((steps.c.n > even, 1), else_=0)),
            func.sum(case((steps.c.n > even, steps.c.n - even), else_=0)),
            func.sum(case((steps.c.n > once, steps.c.n - once), else_=0)),
        ]
    return select(*columns).group_by(steps.c.consumer_id, steps.c.api_id)


def _triples(values: Sequence[int]) -> list[tuple[int, int, int]]:
    return [(values[n], values[n + 1], values[n + 2]) for n in range(0, len(values), 3)]


def _meet_quotas(session: Session, all_: Sequence[Affected], values: PlanValues, now: datetime, zone: tzinfo) -> None:
    today = day_of(now, zone)
    week, month = today - BACK + timedelta(days=1), Period.MONTH.first(today)
    used = used_by_day(session, [each.subscription.id for each in all_], min(week, month), today)
    for affected in all_:
        days = used.get(affected.subscription.id, {})
        of_week = [calls for day, calls in days.items() if day >= week]
        of_month = sum(calls for day, calls in days.items() if day >= month)
        affected.calls = max(affected.calls, sum(of_week))
        if values.quota_day is not None:
            over = [calls - values.quota_day for calls in of_week if calls > values.quota_day]
            if over:
                affected.hits.append(Hit("quota_day", len(over), max(of_week), "day", sum(over), sum(over)))
        if values.quota_month is not None and of_month > values.quota_month:
            lately = sum(calls for day, calls in days.items() if day >= max(week, month))
            beyond = min(lately, of_month - values.quota_month)
            affected.hits.append(Hit("quota_month", 1, of_month, "month", beyond, beyond))
        affected.blocked_until = _blocked_until(days.get(today, 0), of_month, values, today, zone)


def _blocked_until(of_today: int, of_month: int, values: PlanValues, today: date, zone: tzinfo) -> datetime | None:
    spent = (
        (Period.DAY, values.quota_day is not None and of_today >= values.quota_day),
        (Period.MONTH, values.quota_month is not None and of_month >= values.quota_month),
    )
    return max((begins_anew(period, today, zone) for period, is_spent in spent if is_spent), default=None)


def _sorted(some: Sequence[Affected]) -> list[Affected]:
    return sorted(
        some, key=lambda it: (it.blocked_until is None, -it.least, -it.most, it.subscription.consumer.name.lower())
    )
