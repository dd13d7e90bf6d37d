"""Who is told that a quota is nearly or all used up, and how often."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from portal import config_of, letters, registry, worker
from portal.db import db, utcnow
from portal.notify.models import Notice
from portal.registry.models import QuotaNotice, QuotaUse, Subscription
from portal.registry.periods import day_of
from tests import factories
from tests.letters import delivered


@pytest.fixture(autouse=True)
def _context(app):
    with app.app_context():
        yield


@pytest.fixture
def subscription(session, cast) -> Subscription:
    plan = factories.plan(session, per_second=None, per_minute=None, quota_day=100, name="Gold")
    api = factories.api(session, team=plan.team, live=True, plans=[plan], name="Orders")
    found = factories.subscription(session, factories.consumer(session, team=cast.team, name="Shop", slug="shop"), api)
    for person in (cast.owner, cast.publisher, cast.developer):
        person.confirmed_at = utcnow()
    session.commit()
    return found


def use(app, session, subscription, calls: int) -> None:
    zone = config_of(app).quota_zone
    session.merge(QuotaUse(subscription_id=subscription.id, day=day_of(utcnow(), zone), calls=calls))
    session.flush()
    registry.settle_quotas(session, Subscription.id == subscription.id, now=utcnow(), zone=zone)
    session.commit()


def tell() -> list[str]:
    """The worker's turn, and the events that it has told."""
    before = set(db.session.scalars(select(Notice.id)))
    db.session.rollback()
    worker.KINDS["tell_quotas"](None, {})
    with db.begin() as session:
        return [each.event for each in session.scalars(select(Notice).order_by(Notice.id)) if each.id not in before]


def test_each_share_is_told_once(app, session, subscription):
    told = []
    for calls in (79, 80, 95, 100, 130):
        use(app, session, subscription, calls)
        told.append(tell())

    assert told == [[], ["quota.warned"], [], ["quota.used_up"], []]


def test_who_jumps_to_the_end_is_told_that_alone(app, session, subscription):
    use(app, session, subscription, 150)

    assert tell() == ["quota.used_up"]


def test_the_teams_members_read_what_and_until_when(app, session, subscription, cast):
    use(app, session, subscription, 100)
    tell()

    mails = delivered(app)

    assert {mail["To"] for mail in mails} == {cast.owner.email, cast.publisher.email, cast.developer.email}
    assert {mail["Subject"] for mail in mails} == {"Shop has used up its quota for Orders"}
    text = " ".join(mails[0].get_content().split())
    assert "Shop has used 100 of the 100 calls that the plan Gold of Orders v1 allows it on " in text
    assert "at 00:00 (UTC)" in text
    assert "/consumers/cast/shop" in text


def test_what_a_raised_quota_has_made_untrue_is_not_told(app, session, subscription):
    use(app, session, subscription, 100)
    plan = subscription.plan
    values = registry.PlanValues.of(plan).as_dict() | {"quota_day": 1000}
    registry.change_plan(session, plan, zone=config_of(app).quota_zone, **values)
    session.commit()

    assert tell() == []


def test_nothing_is_told_of_a_day_that_is_over(app, session, subscription):
    use(app, session, subscription, 100)

    with db.begin() as writing:
        assert letters.quotas_reached(writing, now=utcnow() + timedelta(days=1)) == 2

    assert tell() == []
    session.rollback()
    assert session.scalars(select(QuotaNotice).where(QuotaNotice.told_at.is_(None))).all() == []
