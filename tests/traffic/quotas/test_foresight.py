"""Whom other limits and quotas would have refused."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from portal import registry
from portal.registry.models import Plan, QuotaUse, Subscription
from portal.registry.plans import PlanValues, is_stricter
from portal.traffic.foresight import Foresight, foresee
from portal.traffic.models import HOUR, MINUTE, ByConsumer
from tests import factories

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
TODAY = NOW.date()


@pytest.fixture
def plan(session: Session) -> Plan:
    return factories.plan(session, per_second=None, per_minute=None)


@pytest.fixture
def shop(session: Session, plan: Plan) -> Subscription:
    """One of two; a third of the same consumer is under another plan."""
    api = factories.api(session, team=plan.team, live=True, plans=[plan])
    factories.subscription(session, factories.consumer(session, name="Quiet"), api)
    found = factories.subscription(session, factories.consumer(session, name="Shop"), api)
    elsewhere = factories.api(session, team=plan.team, live=True, plans=[factories.plan(session, team=plan.team)])
    other = factories.subscription(session, found.consumer, elsewhere)
    called(session, other, timedelta(minutes=5), 9_999)
    session.commit()
    return found


def called(
    session: Session, subscription: Subscription, ago: timedelta, calls: int, reason: str = "ok", level: int = MINUTE
) -> None:
    at = int((NOW - ago).timestamp()) // level * level
    row = {"level": level, "at": at, "consumer_id": subscription.consumer_id, "api_id": subscription.api_id}
    counts = {"status": 200, "reason": reason, "calls": calls, "bytes_in": 0, "bytes_out": 0, "latency": b""}
    session.execute(insert(ByConsumer).values(**row | counts))
    session.commit()


def used(session: Session, subscription: Subscription, day: date, calls: int) -> None:
    session.add(QuotaUse(subscription_id=subscription.id, day=day, calls=calls))
    session.commit()


def ask(session: Session, plan: Plan, **values: int | None) -> Foresight:
    return foresee(session, plan, PlanValues(name="x", **values), now=NOW, zone=UTC)


class TestLimits:
    def test_minutes_with_too_many_calls_are_certain(self, session, plan, shop):
        for n, calls in enumerate((100, 121, 140)):
            called(session, shop, timedelta(minutes=10 + n), calls)

        found = ask(session, plan, per_minute=60)

        assert (found.subscriptions, len(found.refused), found.perhaps) == (2, 1, [])
        (it,) = found.refused
        # A full bucket of 60 and 60 new tokens let 120 through; at once, only 60.
        assert (it.subscription, it.calls, it.least, it.most) == (shop, 361, 1 + 20, 40 + 61 + 80)
        (hit,) = it.hits
        assert (hit.rule, hit.step, hit.times, hit.highest) == ("per_minute", "minute", 2, 140)

    def test_calls_that_may_have_come_in_bursts_are_told_apart(self, session, plan, shop):
        called(session, shop, timedelta(minutes=10), 100)

        found = ask(session, plan, per_second=10)

        assert found.refused == []
        assert [(it.subscription, it.least, it.most) for it in found.perhaps] == [(shop, 0, 90)]
        assert ask(session, plan, per_second=10, per_second_burst=100).perhaps == []

    def test_what_is_older_than_minutes_is_judged_by_hours(self, session, plan, shop):
        called(session, shop, timedelta(days=3), 3_661, level=HOUR)
        called(session, shop, timedelta(hours=3), 99_999, level=HOUR)  # its minutes are known, and there are none
        called(session, shop, timedelta(days=8), 99_999, level=HOUR)

        (it,) = ask(session, plan, per_minute=60).refused

        assert (it.calls, it.least, it.hits[0].step) == (3_661, 1, "hour")

    def test_hours_and_minutes_add_up_and_rules_do_not(self, session, plan, shop):
        called(session, shop, timedelta(days=3), 3_700, level=HOUR)
        called(session, shop, timedelta(minutes=3), 130)

        (it,) = ask(session, plan, per_minute=60, per_second=1).refused

        by_minute = (3_700 - 3_660) + (130 - 120)
        by_second = (3_700 - 3_601) + (130 - 61)
        assert (by_minute, it.least) == (50, by_second)

    def test_calls_that_were_refused_anyway_do_not_count(self, session, plan, shop):
        called(session, shop, timedelta(minutes=3), 500, reason="rate_limited")

        found = ask(session, plan, per_minute=60)

        assert (found.refused, found.perhaps) == ([], [])

    def test_subscriptions_that_have_ended_are_not_asked_about(self, session, plan, shop):
        called(session, shop, timedelta(minutes=3), 500)
        registry.end_subscription(session, shop)
        session.commit()

        assert ask(session, plan, per_minute=60).refused == []


class TestQuotas:
    def test_days_of_the_week_and_the_month_so_far(self, session, plan, shop):
        for day, calls in ((date(2026, 11, 2), 400), (date(2026, 11, 18), 300), (date(2026, 11, 19), 90)):
            used(session, shop, day, calls)

        (by_day,) = ask(session, plan, quota_day=100).refused
        (by_month,) = ask(session, plan, quota_month=500).refused

        assert (by_day.least, by_day.most, by_day.blocked_until) == (200, 200, None)
        assert [(hit.rule, hit.times, hit.highest) for hit in by_day.hits] == [("quota_day", 1, 300)]
        assert (by_month.least, by_month.blocked_until) == (290, datetime(2026, 12, 1, tzinfo=UTC))
        assert ask(session, plan, quota_day=300, quota_month=791).refused == []

    def test_who_would_be_blocked_at_once_stands_first(self, session, plan, shop):
        called(session, shop, timedelta(minutes=3), 5_000)
        other = factories.subscription(session, factories.consumer(session), shop.api)
        used(session, other, TODAY, 50)

        found = ask(session, plan, per_minute=60, quota_day=50)

        assert [it.subscription for it in found.refused] == [other, shop]
        assert found.refused[0].blocked_until == datetime(2026, 11, 21, tzinfo=UTC)
        assert found.refused[0].least == 0


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ({}, {"per_minute": 5}, True),
        ({"per_minute": 5}, {}, False),
        ({"per_minute": 5}, {"per_minute": 6}, False),
        ({"per_minute": 5}, {"per_minute": 6, "per_minute_burst": 4}, True),
        ({"per_minute": 5, "per_minute_burst": 9}, {"per_minute": 5}, True),
        ({"quota_day": 5}, {"quota_day": 5, "quota_month": 9}, True),
        ({"quota_month": 5}, {"quota_month": 4}, True),
        ({"quota_month": 5}, {"quota_month": 5, "terms": "New."}, False),
    ],
)
def test_only_what_could_refuse_more_is_stricter(before, after, wanted):
    assert is_stricter(PlanValues(name="x", **before), PlanValues(name="x", **after)) is wanted
