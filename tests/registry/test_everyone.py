"""Callers without a key: the consumer and the subscription that publishing keeps for them."""

import pytest
from sqlalchemy import func, select

from portal import registry
from portal.accounts.audit import AuditEntry
from portal.errors import Conflict
from portal.registry import catalogue, everyone
from portal.registry import installation as room
from portal.registry.consumers import guests
from portal.registry.models import Api, Consumer, Revision, Subscription, SubscriptionState
from tests import factories
from tests.registry.installation import made

PUBLIC = {"key": False, "basic": False, "public": {"plan": "visitors"}}


@pytest.fixture
def team(session):
    team = factories.team(session, slug="payments")
    factories.plan(session, team=team, slug="visitors", name="Visitors")
    factories.plan(session, team=team, slug="more", name="More")
    factories.plan(session, slug="theirs")
    return team


@pytest.fixture
def orders(session, team) -> Api:
    api = factories.api(session, team=team, slug="orders", live=True, path="/orders", authentication=PUBLIC)
    session.commit()
    return api


def publish(session, api: Api, **fields: object) -> None:
    document = registry.read_document(api.draft | fields)
    registry.save_draft(session, api, document, by=None, expected=api.draft_number)
    registry.publish(session, api, by=None, expected=api.draft_number)
    session.commit()


def uses(session, api: Api) -> list[tuple[str, str]]:
    rows = select(Subscription).where(Subscription.api_id == api.id).order_by(Subscription.id)
    return [(each.plan.slug, each.state.value) for each in session.scalars(rows)]


class TestPublishing:
    def test_makes_one_consumer_and_one_subscription(self, session, team, orders):
        use = everyone.subscription_of_everyone(session, orders)

        assert use is not None
        assert (use.plan.slug, use.state) == ("visitors", SubscriptionState.APPROVED)
        assert (use.consumer.team, use.consumer.name, use.consumer.everyone) == (team, "Everyone (no key)", True)
        assert use.consumer.public_id.startswith("con_")
        assert use.consumer.keys == []

    def test_public_apis_of_a_team_share_the_consumer(self, session, team, orders):
        other = factories.api(session, team=team, live=True, path="/other", authentication=PUBLIC)
        strangers = factories.team(session)
        factories.plan(session, team=strangers, slug="visitors")
        third = factories.api(session, team=strangers, live=True, path="/third", authentication=PUBLIC)
        found = [everyone.subscription_of_everyone(session, api).consumer_id for api in (orders, other, third)]

        assert found[0] == found[1] != found[2]

    def test_again_changes_nothing_of_it(self, session, orders):
        before = everyone.subscription_of_everyone(session, orders).id
        publish(session, orders, description="More words.")

        assert everyone.subscription_of_everyone(session, orders).id == before

    def test_another_plan_takes_its_place_and_nodes_hear_of_it(self, session, orders):
        before = session.scalar(select(Revision.n))
        publish(session, orders, authentication={"public": {"plan": "more"}})

        assert uses(session, orders) == [("visitors", "ended"), ("more", "approved")]
        assert session.scalar(select(Revision.n)) > before

    def test_asking_for_a_key_ends_it_and_a_copy_of_the_old_release_begins_it_anew(self, session, orders):
        publish(session, orders, authentication={"key": True})
        assert everyone.subscription_of_everyone(session, orders) is None
        assert not orders.is_public

        old = next(each for each in orders.releases if each.number == 1)
        registry.republish(session, orders, old, by=None, expected=orders.draft_number)
        session.commit()

        assert everyone.subscription_of_everyone(session, orders).plan.slug == "visitors"
        assert orders.is_public

    def test_unpublishing_ends_it(self, session, orders):
        registry.unpublish(session, orders)

        assert everyone.subscription_of_everyone(session, orders) is None

    @pytest.mark.parametrize("plan", ["nowhere", "theirs"])
    def test_a_plan_that_the_team_does_not_have_is_refused(self, session, team, plan):
        api = factories.api(session, team=team, path="/x", authentication={"public": {"plan": plan}})
        said = f"under the plan {plan}, which {team.name} does not have"

        assert [said in str(each) for each in registry.obstacles(session, api, api.draft, by=None)] == [True]
        with pytest.raises(Conflict, match=said):
            registry.publish(session, api, by=None, expected=api.draft_number)

    def test_the_trail_has_it(self, session, orders):
        actions = select(AuditEntry.action).where(AuditEntry.kind.in_(["consumer", "subscription"]))

        assert session.scalars(actions.order_by(AuditEntry.id)).all() == ["created", "subscribed"]


class TestByHand:
    def test_nobody_subscribes_to_a_public_api(self, session, team, orders):
        consumer = factories.consumer(session)
        visitors = everyone.subscription_of_everyone(session, orders).plan
        registry.offer_plans(session, orders, [visitors])

        for subscribe in (registry.subscribe, registry.admit):
            with pytest.raises(Conflict, match="nothing to subscribe to"):
                subscribe(session, consumer, orders, visitors, by=None)

    def test_what_was_agreed_before_stays(self, session, team):
        api = factories.api(session, team=team, live=True, path="/x")
        use = factories.subscription(session, factories.consumer(session), api)
        publish(session, api, authentication=PUBLIC)

        assert use.state is SubscriptionState.APPROVED
        assert [each.id for each in registry.subscribers(session, api)] == [use.id]

    def test_it_is_no_application(self, session, team, orders):
        use = everyone.subscription_of_everyone(session, orders)
        newer = factories.api(session, team=team, live=True, path="/newer")

        assert registry.subscribers(session, orders) == []
        assert guests(session, [orders]) == []
        assert registry.portable(session, orders, newer) == []
        assert registry.teams_using(session, orders) == []
        assert "consumer" not in registry.belongings(session, team)
        assert use.consumer.slug == everyone.SLUG

    def test_the_plan_cannot_be_deleted_meanwhile(self, session, orders):
        with pytest.raises(Conflict, match="Visitors"):
            registry.delete_plan(session, everyone.subscription_of_everyone(session, orders).plan)

    def test_the_catalogue_counts_it_as_nobody_and_says_that_no_key_is_needed(self, session, orders):
        keyed = factories.api(session, live=True, path="/keyed")
        factories.subscription(session, factories.consumer(session), keyed)
        session.commit()

        seen = catalogue.look(session, factories.person(session), catalogue.Wish())

        assert {card.head.api.id: (card.consumers, card.is_public) for card in seen.cards} == {
            orders.id: (0, True),
            keyed.id: (1, False),
        }

    def test_it_goes_with_its_team(self, session, team, orders):
        registry.delete_team(session, team)
        session.flush()

        assert session.scalar(select(func.count()).select_from(Consumer).where(Consumer.everyone)) == 0


class TestFiles:
    def test_an_installation_is_the_same_elsewhere(self, session, team, orders):
        found = made.stored(session)

        assert [each.slug for each in found.consumers] == []
        text = room.as_text(found)
        assert "plan: visitors" in text
        assert made.steps(session, made.read(text), prune=True) == []

    def test_applying_makes_everyone_again(self, session, team, orders):
        text = room.as_text(made.stored(session))
        registry.delete_team(session, team)
        session.flush()

        made.apply(session, made.read(text))
        session.expire_all()

        api = session.scalars(select(Api).where(Api.slug == "orders")).one()
        assert everyone.subscription_of_everyone(session, api).plan.slug == "visitors"
