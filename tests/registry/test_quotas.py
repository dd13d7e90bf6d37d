"""Quotas that are used up, and what plans and people change about it."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from portal import registry
from portal.registry import quotas, revision
from portal.registry.models import QuotaNotice, QuotaUse, Subscription
from portal.registry.plans import PlanValues
from tests import factories

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TODAY = NOW.date()
TOMORROW, NEXT_MONTH = datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
def plan(session):
    return factories.plan(session, per_second=None, per_minute=None, quota_day=100, quota_month=1000)


@pytest.fixture
def subscription(session, plan) -> Subscription:
    api = factories.api(session, team=plan.team, live=True, plans=[plan])
    other = factories.subscription(session, factories.consumer(session), api)
    use(session, other, 99)
    found = factories.subscription(session, factories.consumer(session), api)
    session.commit()
    return found


def use(session, subscription: Subscription, calls: int, day: date = TODAY) -> None:
    session.merge(QuotaUse(subscription_id=subscription.id, day=day, calls=calls))
    session.flush()


def settle(session, now: datetime = NOW, zone=UTC) -> bool:
    return quotas.settle(session, Subscription.id > 0, now=now, zone=zone)


def blocked(session) -> list[datetime | None]:
    session.expire_all()
    return list(session.scalars(select(Subscription.blocked_until).order_by(Subscription.id)))


def change(session, plan, now: datetime = NOW, **values) -> None:
    registry.change_plan(session, plan, zone=UTC, now=now, **PlanValues.of(plan).as_dict() | values)


class TestSettle:
    def test_the_last_call_of_a_quota_blocks_until_it_begins_anew(self, session, subscription):
        use(session, subscription, 99)
        assert not settle(session)
        assert blocked(session) == [None, None]

        use(session, subscription, 100)
        assert settle(session)
        assert blocked(session) == [None, TOMORROW]
        assert not settle(session)

    def test_the_month_outlasts_the_day(self, session, subscription):
        for day in range(1, 11):
            use(session, subscription, 100, date(2026, 11, day))

        settle(session)

        assert blocked(session) == [None, NEXT_MONTH]

    def test_calls_of_other_months_and_days_do_not_count(self, session, subscription):
        use(session, subscription, 5000, date(2026, 10, 31))
        use(session, subscription, 200, date(2026, 11, 19))
        use(session, subscription, 200, date(2026, 11, 21))

        assert not settle(session)

    def test_days_are_those_of_the_zone(self, session, subscription):
        use(session, subscription, 100, date(2026, 11, 21))
        late = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)

        assert not settle(session, late)
        assert settle(session, late, ZoneInfo("Europe/Berlin"))
        assert blocked(session)[1] == datetime(2026, 11, 21, 23, tzinfo=UTC)

    def test_what_has_begun_anew_is_left_standing_and_blocks_again(self, session, subscription):
        use(session, subscription, 100)
        settle(session)
        later = NOW + timedelta(days=1)

        assert not settle(session, later)
        assert blocked(session)[1] == TOMORROW
        use(session, subscription, 100, later.date())
        assert settle(session, later)
        assert blocked(session)[1] == TOMORROW + timedelta(days=1)

    def test_what_has_ended_is_left_alone(self, session, subscription):
        use(session, subscription, 100)
        registry.end_subscription(session, subscription)

        assert not settle(session)

    def test_nothing_of_it_is_in_the_trail(self, session, subscription):
        from portal.accounts.audit import AuditEntry

        before = session.scalars(select(AuditEntry.id)).all()
        use(session, subscription, 100)
        settle(session)
        session.commit()

        assert session.scalars(select(AuditEntry.id)).all() == before


class TestNotices:
    def noted(self, session) -> list[tuple[str, date, int]]:
        rows = session.execute(
            select(QuotaNotice.period, QuotaNotice.starts_on, QuotaNotice.percent).order_by(
                QuotaNotice.period, QuotaNotice.percent
            )
        )
        return [tuple(row) for row in rows]

    def test_each_share_is_noted_once_a_period(self, session, subscription, plan):
        change(session, plan, quota_day=None, quota_month=100)
        use(session, session.scalars(select(Subscription)).first(), 0)
        month = date(2026, 11, 1)
        for calls, wanted in ((79, []), (80, [80]), (99, [80]), (100, [80, 100]), (101, [80, 100])):
            use(session, subscription, calls)
            settle(session)
            assert self.noted(session) == [("month", month, percent) for percent in wanted]

        use(session, subscription, 80, date(2026, 12, 3))
        settle(session, datetime(2026, 12, 3, tzinfo=UTC))
        assert self.noted(session) == [
            ("month", month, 80),
            ("month", date(2026, 12, 1), 80),
            ("month", month, 100),
        ]

    def test_a_raised_quota_is_told_of_anew_when_it_is_reached(self, session, subscription, plan):
        use(session, session.scalars(select(Subscription)).first(), 0)
        use(session, subscription, 100)
        settle(session)
        assert [each[2] for each in self.noted(session)] == [80, 100]

        change(session, plan, quota_day=200)
        assert self.noted(session) == []
        use(session, subscription, 160)
        settle(session)
        assert [each[2] for each in self.noted(session)] == [80]


class TestPlan:
    def test_a_raised_quota_lets_go_on_at_once_and_a_lowered_one_blocks(self, session, subscription, plan):
        use(session, subscription, 150)
        settle(session)
        session.commit()
        before = revision.current(session)

        change(session, plan, quota_day=200)
        session.commit()
        assert (blocked(session), revision.current(session)) == ([None, None], before + 1)

        change(session, plan, quota_day=90)
        session.commit()
        assert (blocked(session), revision.current(session)) == ([TOMORROW, TOMORROW], before + 2)

        change(session, plan, quota_day=None)
        session.commit()
        assert (blocked(session), revision.current(session)) == ([None, None], before + 3)

    def test_a_change_that_blocks_nobody_tells_no_node(self, session, subscription, plan):
        before = revision.current(session)

        change(session, plan, quota_month=2000, terms="Be kind.", approval=True)
        session.commit()

        assert revision.current(session) == before

    def test_another_plan_of_a_subscription_lets_go_on_at_once(self, session, subscription, plan):
        use(session, subscription, 100)
        settle(session)
        subscription.plan = factories.plan(session, team=plan.team, quota_day=500)
        session.flush()

        assert quotas.settle(session, Subscription.id == subscription.id, now=NOW, zone=UTC)
        assert blocked(session)[1] is None


class TestSubscribingAgain:
    def test_is_no_way_around_a_quota(self, session, subscription, plan):
        use(session, subscription, 100)
        use(session, subscription, 300, date(2026, 11, 2))
        settle(session)
        session.expire_all()
        for _ in range(2):
            registry.end_subscription(session, subscription)
            session.flush()
            subscription = registry.subscribe(session, subscription.consumer, subscription.api, plan, by=None)
            session.commit()

        assert subscription.blocked_until == TOMORROW
        used = select(QuotaUse.day, QuotaUse.calls).where(QuotaUse.subscription_id == subscription.id)
        assert sorted(tuple(row) for row in session.execute(used)) == [(date(2026, 11, 2), 300), (TODAY, 100)]

    def test_under_a_larger_plan_goes_on(self, session, subscription, plan):
        use(session, subscription, 100)
        settle(session)
        session.expire_all()
        larger = factories.plan(session, team=plan.team, quota_day=500)
        registry.offer_plans(session, subscription.api, [plan, larger])
        registry.end_subscription(session, subscription)
        session.flush()

        again = registry.subscribe(session, subscription.consumer, subscription.api, larger, by=None)

        assert again.blocked_until is None


def test_days_of_long_ago_are_forgotten(session, subscription):
    use(session, subscription, 5, TODAY - timedelta(days=101))
    use(session, subscription, 7, TODAY - timedelta(days=100))

    quotas.sweep(session, today=TODAY)

    mine = select(QuotaUse.calls).where(QuotaUse.subscription_id == subscription.id)
    assert session.scalars(mine).all() == [7]
