"""How much of its quotas each subscription has used, and when they run out. What is not known is None, never 0."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.registry.models import QuotaUse, Subscription
from portal.registry.periods import Period, begins_anew, day_of, start_of
from portal.traffic.models import DAY, InAll

_WEEK = 7
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Forecast:
    """When a quota runs out if calls go on as they did."""

    runs_out_on: date | None
    """None: not before it begins anew."""
    days: int
    """So many whole days it is judged by: with 7 each weekday by the last one, with fewer by their mean."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """A quota of one subscription in the period that runs."""

    period: Period
    quota: int
    used: int | None
    since: date | None
    """The day from which on it is counted, where that is later than the period began: more may have been used."""
    begins_anew: datetime
    forecast: Forecast | None
    """None for a quota of a day, for one that is used up, and where no whole day has been counted yet."""

    @property
    def percent(self) -> int | None:
        """Rounded down: 100 is never shown before all is used."""
        return None if self.used is None else self.used * 100 // self.quota

    @property
    def left(self) -> int | None:
        return None if self.used is None else max(0, self.quota - self.used)


def allowances(
    session: Session, subscriptions: Collection[Subscription], *, now: datetime, zone: tzinfo
) -> dict[int, list[Allowance]]:
    """Of those subscriptions whose plans have quotas: that of the day, then that of the month."""
    limited = [each for each in subscriptions if each.plan.quota_day is not None or each.plan.quota_month is not None]
    if not limited:
        return {}
    today = day_of(now, zone)
    since = min(Period.MONTH.first(today), today - timedelta(days=_WEEK))
    used = used_by_day(session, [each.id for each in limited], since, today)
    counted = _counted_from(session, zone)
    return {each.id: _of_one(each, used.get(each.id, {}), counted, now, zone) for each in limited}


def used_by_day(session: Session, numbers: Collection[int], first: date, last: date) -> dict[int, dict[date, int]]:
    """Subscription -> day -> calls that reached the upstream. Days without one are not in it."""
    found: dict[int, dict[date, int]] = {}
    ordered = sorted(numbers)
    for start in range(0, len(ordered), _AT_ONCE):
        rows = session.execute(
            select(QuotaUse.subscription_id, QuotaUse.day, QuotaUse.calls).where(
                QuotaUse.subscription_id.in_(ordered[start : start + _AT_ONCE]), QuotaUse.day.between(first, last)
            )
        )
        for number, day, calls in rows:
            found.setdefault(number, {})[day] = calls
    return found


def forecast(
    quota: int, used: int, days: Mapping[date, int], *, today: date, last: date, known_from: date
) -> Forecast | None:
    """`days` are the calls of whole days before today, known from `known_from` on; `last` is the period's last day."""
    week = [today - timedelta(days=back) for back in range(1, _WEEK + 1)]
    known = [day for day in week if day >= known_from]
    if not known or used >= quota:
        return None
    mean = sum(days.get(day, 0) for day in known) / len(known)
    by_weekday = {day.weekday(): days.get(day, 0) for day in known} if len(known) == _WEEK else {}
    total, day = float(used), today
    while day <= last:
        expected = by_weekday.get(day.weekday(), mean)
        # Of today, what it has brought already is no longer to come.
        total += max(0.0, expected - days.get(day, 0)) if day == today else expected
        if total >= quota:
            return Forecast(day, len(known))
        day += timedelta(days=1)
    return Forecast(None, len(known))


def _of_one(
    subscription: Subscription, days: dict[date, int], counted: "_Counted", now: datetime, zone: tzinfo
) -> list[Allowance]:
    today, plan, found = day_of(now, zone), subscription.plan, []
    began = day_of(subscription.starts_at, zone)
    for period, quota in ((Period.DAY, plan.quota_day), (Period.MONTH, plan.quota_month)):
        if quota is None:
            continue
        first, last = period.first(today), period.last(today)
        used: int | None = sum(calls for day, calls in days.items() if first <= day <= today)
        known_from = max(began, counted.since) if counted.since is not None else began
        since = None
        if not counted.always and (counted.since is None or counted.since > max(first, began)):
            since, used = counted.since, used or None
        ahead = None
        if period is Period.MONTH and used is not None:
            # The day on which it began is no whole one.
            whole = known_from + timedelta(days=1) if known_from >= today - timedelta(days=_WEEK) else known_from
            ahead = forecast(quota, used, days, today=today, last=last, known_from=whole)
        found.append(Allowance(period, quota, used, since, begins_anew(period, today, zone), ahead))
    return found


@dataclass(frozen=True, slots=True)
class _Counted:
    since: date | None
    """The first day of which anything is counted."""
    always: bool
    """Whether no call is known from before."""


def _counted_from(session: Session, zone: tzinfo) -> _Counted:
    """An installation that was upgraded has calls of which no quota was counted."""
    since = session.scalar(select(func.min(QuotaUse.day)))
    first_call = session.scalar(select(func.min(InAll.at)).where(InAll.level == DAY))
    if first_call is None:
        return _Counted(since, always=True)
    # The roll-up's day is one of UTC: the call itself may have come up to a day later.
    until = None if since is None else int(start_of(since, zone).timestamp()) - DAY
    return _Counted(since, always=until is not None and first_call >= until)
