import re

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from portal import registry
from portal.errors import Conflict, Invalid, NameTaken
from portal.registry.models import Key, Subscription, SubscriptionState
from tests import factories


@pytest.fixture
def api(session):
    owner = factories.team(session)
    return factories.api(
        session, team=owner, live=True, name="Orders", plans=[factories.plan(session, team=owner, name="Gold")]
    )


@pytest.fixture
def consumer(session, api):
    factories.subscription(session, factories.consumer(session), api)  # noise
    return factories.consumer(session, name="Shop")


class TestConsumer:
    def test_upstreams_see_an_id_that_says_nothing(self, consumer):
        assert re.fullmatch(r"con_[a-z2-7]{16}", consumer.public_id)

    def test_slug_is_taken_once_in_a_team(self, session, consumer):
        with pytest.raises(NameTaken):
            factories.consumer(session, team=consumer.team, slug=consumer.slug)

    def test_needs_a_name(self, session):
        with pytest.raises(Invalid, match="Give it a name"):
            factories.consumer(session, name="  ")

    def test_deleting_takes_its_keys_and_subscriptions(self, session, consumer, api):
        factories.subscription(session, consumer, api)
        factories.key(session, consumer)
        gone = consumer.id

        registry.delete_consumer(session, consumer)
        session.commit()

        assert session.scalars(select(Key).where(Key.consumer_id == gone)).all() == []
        assert session.scalars(select(Subscription).where(Subscription.consumer_id == gone)).all() == []
        assert session.scalars(select(Subscription)).all() != []


class TestSubscribe:
    def test_is_approved_at_once(self, session, consumer, api):
        subscription = registry.subscribe(session, consumer, api, api.plans[0], by=None)

        session.flush()
        assert (subscription.state, subscription.ends_at) == (SubscriptionState.APPROVED, None)

    def test_needs_a_published_api(self, session, consumer):
        draft = factories.api(session, name="Drafty")
        plan = factories.plan(session, team=draft.team)
        registry.offer_plans(session, draft, [plan])

        with pytest.raises(Conflict, match="Drafty is not published"):
            registry.subscribe(session, consumer, draft, plan, by=None)

    def test_needs_a_plan_that_is_offered(self, session, consumer, api):
        with pytest.raises(Conflict, match="does not offer the plan Silver"):
            registry.subscribe(session, consumer, api, factories.plan(session, team=api.team, name="Silver"), by=None)

    def test_once_at_a_time(self, session, consumer, api):
        factories.subscription(session, consumer, api)

        with pytest.raises(Conflict, match="Shop already uses Orders under the plan Gold"):
            registry.subscribe(session, consumer, api, api.plans[0], by=None)

    def test_again_after_the_end(self, session, consumer, api):
        registry.end_subscription(session, factories.subscription(session, consumer, api))

        assert factories.subscription(session, consumer, api).state is SubscriptionState.APPROVED

    def test_the_database_would_refuse_a_second_one_too(self, session, consumer, api):
        factories.subscription(session, consumer, api)
        session.add(Subscription(consumer=consumer, api=api, plan=api.plans[0]))

        with pytest.raises(IntegrityError):
            session.flush()


class TestEnd:
    def test_says_when_and_keeps_the_first_time(self, session, consumer, api):
        subscription = factories.subscription(session, consumer, api)
        registry.end_subscription(session, subscription)
        ended = subscription.ends_at

        registry.end_subscription(session, subscription)

        assert ended is not None
        assert subscription.ends_at == ended
