"""Quotas: how many calls a subscription may make on a day and in a month, counted over the whole installation.

Ingest counts (`traffic/store.py`), in the transaction that stores the calls, and then has `settle` block what has used
up its quota; nodes pass on until when. That it begins anew takes nobody's writing: gateways compare with their clocks.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, func, insert, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from portal.registry.models import Plan, QuotaNotice, QuotaUse, Subscription, SubscriptionState
from portal.registry.periods import Period, begins_anew, day_of

SHARES = (80, 100)
"""Percent of a quota of whose use people are told."""
KEPT = timedelta(days=100)
"""How long the days are kept that were counted: this month and those before it, for pages and what-if."""
_AT_ONCE = 500
_CURRENT = Subscription.state.not_in((SubscriptionState.ENDED, SubscriptionState.REJECTED))
_USE: Any = QuotaUse.__table__
_NOTICE: Any = QuotaNotice.__table__


class _Standing(NamedTuple):
    subscription_id: int
    plan_id: int
    blocked_until: datetime | None
    quota_day: int | None
    quota_month: int | None
    today: int
    this_month: int

    def reached(self) -> Iterable[tuple[Period, int]]:
        """Each quota with the percent of it that is used, rounded down."""
        for period, quota, used in (
            (Period.DAY, self.quota_day, self.today),
            (Period.MONTH, self.quota_month, self.this_month),
        ):
            if quota is not None:
                yield period, used * 100 // quota

    def until(self, today: date, zone: tzinfo) -> datetime | None:
        """Since when it may call again, if a quota is used up. That of the month outlasts that of the day."""
        return max((begins_anew(period, today, zone) for period, used in self.reached() if used >= 100), default=None)


def settle(
    db: Session | Connection, which: ColumnElement[bool], *, now: datetime, zone: tzinfo, counting: bool = False
) -> bool:
    """Block the current subscriptions of `which` that have used up a quota of their plan until it begins anew, and let
    go on those that have not; whether nodes must know of it, which the caller says to them.

    What is used up by 80 and by 100 percent is noted for the worker, which tells people. What was told is told again
    only after a change by which less than that is used: when calls were counted alone (`counting`), none is looked for.
    """
    today = day_of(now, zone)
    found = _standings(db, which, today, now)
    _note(db, found, today, counting=counting)
    if not (changes := _changes(found, today, now, zone)):
        return False
    # Whoever changes a plan or which plan a subscription has holds it: what is written here agrees with what they say.
    plans = sorted({each.plan_id for each in found if each.subscription_id in changes})
    for some in _slices(plans):
        db.execute(select(Plan.id).where(Plan.id.in_(some)).order_by(Plan.id).with_for_update(read=True))
    settled = False
    for some in _slices(sorted(changes)):
        these = Subscription.id.in_(some)
        db.execute(select(Subscription.id).where(these).order_by(Subscription.id).with_for_update())
        certain = _changes(_standings(db, these, today, now), today, now, zone)
        if certain:
            db.execute(_BLOCK, [{"this": number, "until": until} for number, until in certain.items()])
            settled = True
    return settled


def are_asked_for(db: Session | Connection) -> bool:
    """Whether any plan has a quota: without, what has been counted need not be looked at."""
    has_one = or_(Plan.quota_day.is_not(None), Plan.quota_month.is_not(None))
    return db.execute(select(Plan.id).where(has_one).limit(1)).first() is not None


def go_on(session: Session, subscription: Subscription) -> None:
    """A consumer that subscribes to an API again has used what it has used before: else ending a subscription and
    making another one would be a way around its quota."""
    before = session.scalar(
        select(func.max(Subscription.id)).where(
            Subscription.consumer_id == subscription.consumer_id,
            Subscription.api_id == subscription.api_id,
            Subscription.id < subscription.id,
        )
    )
    if before is None:
        return
    used = select(literal(subscription.id), QuotaUse.day, QuotaUse.calls).where(QuotaUse.subscription_id == before)
    session.execute(insert(_USE).from_select(["subscription_id", "day", "calls"], used))
    last = session.execute(select(Subscription.plan_id, Subscription.blocked_until).where(Subscription.id == before))
    plan_id, blocked_until = last.one()
    if plan_id == subscription.plan_id:
        subscription.blocked_until = blocked_until


class Reached(NamedTuple):
    """A share of a quota that a subscription has used, and of which nobody was told yet."""

    subscription: Subscription
    period: Period
    first: date
    percent: int
    """One of SHARES."""
    used: int
    quota: int
    begins_anew: datetime


def take_untold(session: Session, *, now: datetime, zone: tzinfo, limit: int = 100) -> tuple[list[Reached], int]:
    """What people are to be told now, which from here on counts as told, and how many notices that settles.

    Of both shares of one quota only the larger is told, and nothing of days and months that are over.
    """
    today = day_of(now, zone)
    notices = list(
        session.scalars(
            select(QuotaNotice)
            .where(QuotaNotice.told_at.is_(None))
            .order_by(QuotaNotice.starts_on, QuotaNotice.subscription_id, QuotaNotice.period, QuotaNotice.percent)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
    )
    numbers = {each.subscription_id for each in notices}
    standing = {
        (each.subscription_id, period): (used, quota)
        for each in _standings(session, Subscription.id.in_(numbers), today, now)
        for period, used, quota in (
            (Period.DAY, each.today, each.quota_day),
            (Period.MONTH, each.this_month, each.quota_month),
        )
    }
    rows = {each.id: each for each in session.scalars(select(Subscription).where(Subscription.id.in_(numbers)))}
    found: dict[tuple[int, Period], Reached] = {}
    for notice in notices:
        notice.told_at = now
        period = Period(notice.period)
        used, quota = standing.get((notice.subscription_id, period), (0, None))
        if quota is None or notice.starts_on != period.first(today) or used * 100 < quota * notice.percent:
            continue
        which = rows[notice.subscription_id]
        anew = begins_anew(period, today, zone)
        found[which.id, period] = Reached(which, period, notice.starts_on, notice.percent, used, quota, anew)
    return list(found.values()), len(notices)


def sweep(session: Session, *, today: date) -> None:
    """Forget days and notices of long ago."""
    for table, column in ((_USE, _USE.c.day), (_NOTICE, _NOTICE.c.starts_on)):
        session.execute(delete(table).where(column < today - KEPT))


def _standings(db: Session | Connection, which: ColumnElement[bool], today: date, now: datetime) -> list[_Standing]:
    own = QuotaUse.subscription_id == Subscription.id
    month = and_(own, QuotaUse.day >= Period.MONTH.first(today), QuotaUse.day <= today)
    rows = db.execute(
        select(
            Subscription.id,
            Subscription.plan_id,
            Subscription.blocked_until,
            Plan.quota_day,
            Plan.quota_month,
            func.coalesce(select(QuotaUse.calls).where(own, QuotaUse.day == today).scalar_subquery(), 0),
            func.coalesce(select(func.sum(QuotaUse.calls)).where(month).scalar_subquery(), 0),
        )
        .join(Plan, Plan.id == Subscription.plan_id)
        .where(
            which,
            _CURRENT,
            or_(Plan.quota_day.is_not(None), Plan.quota_month.is_not(None), Subscription.blocked_until > now),
        )
        .order_by(Subscription.id)
    )
    return [_Standing._make((*row[:5], int(row[5]), int(row[6]))) for row in rows]


def _changes(found: Iterable[_Standing], today: date, now: datetime, zone: tzinfo) -> dict[int, datetime | None]:
    """Subscription -> until when it is blocked now. What has passed is left standing."""
    wanted = {each.subscription_id: each.until(today, zone) for each in found}
    stands = {
        each.subscription_id: each.blocked_until if each.blocked_until and each.blocked_until > now else None
        for each in found
    }
    return {number: until for number, until in wanted.items() if until != stands[number]}


def _note(db: Session | Connection, found: Iterable[_Standing], today: date, *, counting: bool) -> None:
    reached: list[dict[str, Any]] = []
    missed: list[dict[str, Any]] = []
    for each in found:
        for period, used in each.reached():
            for percent in SHARES:
                row = {"of": each.subscription_id, "period": period.value, "first": period.first(today)}
                (reached if used >= percent else missed).append(row | {"percent": percent})
    dialect = db.get_bind().dialect if isinstance(db, Session) else db.dialect
    added = sqlite.insert(_NOTICE) if dialect.name == "sqlite" else postgresql.insert(_NOTICE)
    if reached:
        db.execute(added.values(_KEY_VALUES).on_conflict_do_nothing(), reached)
    if missed and not counting:
        db.execute(_UNTELL, missed)


_KEY_VALUES: dict[str, Any] = {
    "subscription_id": bindparam("of"),
    "period": bindparam("period"),
    "starts_on": bindparam("first"),
    "percent": bindparam("percent"),
}
_UNTELL = delete(_NOTICE).where(*(_NOTICE.c[name] == value for name, value in _KEY_VALUES.items()))
_SUBSCRIPTION: Any = Subscription.__table__
# Past the audit trail, which tells what people decide: a quota, not that it is used up.
_BLOCK = update(_SUBSCRIPTION).where(_SUBSCRIPTION.c.id == bindparam("this")).values(blocked_until=bindparam("until"))


def _slices(numbers: list[int]) -> Iterable[list[int]]:
    return (numbers[first : first + _AT_ONCE] for first in range(0, len(numbers), _AT_ONCE))
