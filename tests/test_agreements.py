"""What the worker does about subscriptions that come to their end, and what people are told."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from portal import agreements, registry, worker
from portal.db import db, utcnow
from portal.notify.models import Notice
from portal.registry.models import Subscription
from tests import factories
from tests.web import logged


@pytest.fixture
def use(session, cast) -> Subscription:
    api = factories.api(session, team=cast.team, live=True, plans=[factories.plan(session, team=cast.team)])
    factories.subscription(session, factories.consumer(session), api)  # goes on
    return factories.subscription(session, factories.consumer(session, name="Shop"), api)


def turn(app) -> str:
    with app.app_context():
        said = worker.end_subscriptions(app.extensions["portico"], {})
        db.session.remove()
    return said


class TestWorker:
    def test_ends_what_has_come_to_its_end_and_tells_its_team_once(self, app, session, use):
        use.ends_at = utcnow() - timedelta(minutes=1)
        session.commit()

        assert turn(app) == "1 subscriptions ended."
        assert turn(app) == ""

        session.rollback()
        assert use.state == "ended"
        (told,) = session.scalars(select(Notice))
        assert (told.event, told.team) == ("subscription.ended", use.consumer.team)

    def test_a_call_withdraws_a_notice_also_when_the_end_has_come(self, app, session, engine, tmp_path, use):
        key, _ = factories.key(session, use.consumer)
        registry.give_notice(session, use, ends_at=utcnow() + timedelta(days=1))
        use.noticed_at = utcnow() - timedelta(days=2)
        use.ends_at = utcnow() - timedelta(seconds=1)
        session.commit()
        logged.store(engine, tmp_path, logged.line(use.api, use.consumer, key, ago=timedelta(hours=3)))

        assert turn(app) == "1 notices were withdrawn."

        session.rollback()
        assert (use.state, use.noticed_at, use.ends_at) == ("approved", None, None)
        told = session.scalars(select(Notice)).all()
        assert {each.team for each in told} == {use.consumer.team, use.api.team}

    def test_calls_of_before_the_notice_or_of_others_keep_nothing(self, app, session, engine, tmp_path, use):
        key, _ = factories.key(session, use.consumer)
        other = next(each for each in session.scalars(select(Subscription)) if each is not use)
        foreign, _ = factories.key(session, other.consumer)
        registry.give_notice(session, use, ends_at=utcnow() + timedelta(days=1))
        use.noticed_at = utcnow() - timedelta(hours=2)
        use.ends_at = utcnow() - timedelta(seconds=1)
        session.commit()
        logged.store(engine, tmp_path, logged.line(use.api, use.consumer, key, ago=timedelta(hours=3)))
        logged.store(engine, tmp_path, logged.line(use.api, other.consumer, foreign, ago=timedelta(hours=1)))

        assert turn(app) == "1 subscriptions ended."


class TestTold:
    @pytest.mark.parametrize(
        ("act", "events"),
        [
            (lambda s, use, by: agreements.suspend(s, use, by=by, words="No."), ["subscription.suspended"]),
            (lambda s, use, by: agreements.resume(s, use, by=by), []),
            (lambda s, use, by: agreements.end(s, use, by=by), ["subscription.ended"]),
            (
                lambda s, use, by: agreements.grant_until(s, use, utcnow() + timedelta(days=9), by=by),
                ["subscription.changed"],
            ),
            (lambda s, use, by: agreements.grant_until(s, use, None, by=by), []),
            (lambda s, use, by: agreements.assign_plan(s, use, use.plan, by=by), []),
            (lambda s, use, by: agreements.suspend_consumer(s, use.consumer, by=by), ["consumer.suspended"]),
            (lambda s, use, by: agreements.resume_consumer(s, use.consumer, by=by), []),
        ],
    )
    def test_only_what_changes_something(self, app, session, cast, use, act, events):
        session.commit()
        with app.app_context():
            with db.begin() as own:
                mine = own.get_one(Subscription, use.id)
                act(own, mine, own.merge(cast.publisher, load=True))
            db.session.remove()

        session.rollback()
        told = session.scalars(select(Notice)).all()
        assert [each.event for each in told] == events
        assert all(cast.publisher.name not in each.text + each.subject for each in told)

    def test_both_teams_of_a_move(self, app, session, cast, use):
        before, consumer_id = use.consumer.team_id, use.consumer_id
        session.commit()
        with app.app_context():
            with db.begin() as own:
                consumer = own.get_one(registry.models.Consumer, consumer_id)
                agreements.move_consumer(own, consumer, own.merge(cast.team), by=own.merge(cast.owner))
            db.session.remove()

        session.rollback()
        assert {each.team_id for each in session.scalars(select(Notice))} == {before, cast.team.id}
        assert {each.event for each in session.scalars(select(Notice))} == {"consumer.moved"}

    def test_whose_apis_a_moved_consumer_uses(self, app, session, cast, use):
        """One notice for each of those teams, of all its APIs; none for what is over, or for the two teams twice."""
        consumer = use.consumer
        more = factories.api(session, team=cast.team, live=True, name="Zebras", slug="zebras")
        factories.subscription(session, consumer, more)
        over = factories.api(session, live=True, name="Over")
        registry.end_subscription(session, factories.subscription(session, consumer, over))
        factories.subscription(session, consumer, factories.api(session, team=consumer.team, live=True, name="Its own"))
        target = factories.team(session, slug="target", name="Target")
        session.commit()
        with app.app_context():
            with db.begin() as own:
                mine = own.get_one(registry.models.Consumer, consumer.id)
                before = mine.team.name
                agreements.move_consumer(own, mine, own.merge(target), by=own.merge(cast.owner))
            db.session.remove()

        session.rollback()
        (told,) = session.scalars(select(Notice).where(Notice.event == "subscriber.moved"))
        assert told.team == cast.team
        assert f"Shop has moved from {before} to Target." in told.text
        assert f"{use.api.name} v1, Zebras v1" in told.text
        assert "Over" not in told.text
        assert told.link == f"/apis/cast/{use.api.slug}/v1/subscribers"
        assert told.data["apis"] == [use.api.label, "cast/zebras/v1"]
