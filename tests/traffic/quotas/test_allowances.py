"""How much of a quota is used, and when it runs out."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from portal.registry.models import QuotaUse, Subscription
from portal.registry.periods import Period
from portal.traffic.allowances import Forecast, allowances, forecast
from portal.traffic.models import DAY, InAll
from tests import factories

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TODAY, LAST = date(2026, 11, 20), date(2026, 11, 30)


def week(*calls: int) -> dict[date, int]:
    """Calls of the last days before today, the latest last."""
    return {TODAY - timedelta(days=len(calls) - n): count for n, count in enumerate(calls)}


class TestForecast:
    @pytest.mark.parametrize(
        ("used", "days", "known_from", "wanted"),
        [
            # Ten a day and 100 left: today brings ten, the tenth day the last of them.
            (900, week(*[10] * 7), TODAY - timedelta(days=30), Forecast(date(2026, 11, 29), 7)),
            (800, week(*[10] * 7), TODAY - timedelta(days=30), Forecast(None, 7)),
            # 13 November was a Friday, as today; nothing comes on 14 and 15, a weekend.
            (900, week(30, 0, 0, 30, 30, 30, 30), TODAY - timedelta(days=30), Forecast(date(2026, 11, 25), 7)),
            # Three days are known: their mean.
            (900, week(0, 0, 0, 0, 10, 20, 60), TODAY - timedelta(days=3), Forecast(date(2026, 11, 23), 3)),
            (900, {}, TODAY, None),
            (1000, week(*[10] * 7), TODAY - timedelta(days=30), None),
            (0, {}, TODAY - timedelta(days=30), Forecast(None, 7)),
            # More has come today than was to be expected.
            (995, week(*[0] * 7) | {TODAY: 900}, TODAY - timedelta(days=30), Forecast(None, 7)),
        ],
    )
    def test_says_on_which_day(self, used, days, known_from, wanted):
        assert forecast(1000, used, days, today=TODAY, last=LAST, known_from=known_from) == wanted


@pytest.fixture
def subscription(session: Session) -> Subscription:
    plan = factories.plan(session, quota_day=100, quota_month=1000)
    api = factories.api(session, team=plan.team, live=True, plans=[plan])
    found = factories.subscription(session, factories.consumer(session), api)
    found.starts_at = NOW - timedelta(days=60)
    session.commit()
    return found


def use(session: Session, subscription: Subscription, days: dict[date, int]) -> None:
    for day, calls in days.items():
        session.add(QuotaUse(subscription_id=subscription.id, day=day, calls=calls))
    session.commit()


def first_call(session: Session, at: datetime) -> None:
    start = int(at.timestamp()) // DAY * DAY
    row = {"level": DAY, "at": start, "status": 200, "reason": "ok", "calls": 1, "bytes_in": 0, "bytes_out": 0}
    session.execute(insert(InAll).values(**row, latency=b""))
    session.commit()


class TestAllowances:
    @staticmethod
    def ask(session, subscription):
        return allowances(session, [subscription], now=NOW, zone=UTC).get(subscription.id)

    def test_today_and_this_month(self, session, subscription):
        use(session, subscription, {TODAY: 40, date(2026, 11, 1): 60, date(2026, 10, 31): 900, date(2026, 11, 21): 9})

        day, month = self.ask(session, subscription)

        assert (day.period, day.used, day.percent, day.left) == (Period.DAY, 40, 40, 60)
        assert day.begins_anew == datetime(2026, 11, 21, tzinfo=UTC)
        assert (month.period, month.used, month.percent) == (Period.MONTH, 100, 10)
        assert month.begins_anew == datetime(2026, 12, 1, tzinfo=UTC)

    def test_a_plan_without_quotas_has_none(self, session, subscription):
        subscription.plan.quota_day = subscription.plan.quota_month = None

        assert self.ask(session, subscription) is None

    def test_nothing_counted_where_there_was_no_call_is_nothing_used(self, session, subscription):
        assert [each.used for each in self.ask(session, subscription)] == [0, 0]

    def test_calls_that_nobody_counted_are_unknown_and_not_none(self, session, subscription):
        first_call(session, NOW - timedelta(days=40))
        assert [(each.used, each.percent, each.since) for each in self.ask(session, subscription)] == [
            (None, None, None)
        ] * 2

        other = factories.subscription(session, factories.consumer(session), subscription.api)
        use(session, other, {date(2026, 11, 18): 1})
        day, month = self.ask(session, subscription)
        assert (day.used, day.since) == (0, None)
        assert (month.used, month.since) == (None, date(2026, 11, 18))

        use(session, subscription, {date(2026, 11, 19): 5})
        assert [(each.used, each.since) for each in self.ask(session, subscription)] == [
            (0, None),
            (5, date(2026, 11, 18)),
        ]
        # Who came later is known from the first call on.
        assert [each.used for each in self.ask(session, other)] == [0, 1]
