from datetime import UTC, datetime

import pytest

from portal import registry
from portal.errors import Conflict, Invalid, NameTaken
from portal.registry.models import Api, Category, Plan, Subscription, Visibility
from tests import factories

END = datetime(2099, 1, 1, tzinfo=UTC)


@pytest.fixture
def old(session) -> Api:
    team = factories.team(session)
    plans = [factories.plan(session, team=team, name=name) for name in ("Gold", "Silver")]
    return factories.api(
        session, team=team, slug="orders", name="Orders", path="/orders/v1", host="o.example", live=True, plans=plans
    )


def new_version(session, old: Api, *, live: bool = False) -> Api:
    made = registry.new_version(session, old, version="v2", path="/orders/v2", by=None)
    session.flush()
    if live:
        registry.publish(session, made, by=None, expected=1)
    return made


class TestNewVersion:
    def test_it_is_a_draft_beside_the_old_one(self, session, old):
        registry.set_visibility(session, old, Visibility.CHOSEN, [factories.team(session)])
        old.category = Category(slug="money", name="Money")
        session.flush()
        new = new_version(session, old)

        assert (new.label, new.state, old.state) == (f"{old.team.slug}/orders/v2", "draft", "published")
        assert new.draft == old.draft | {"path": "/orders/v2", "host": None}
        assert (new.plans, new.visibility, new.viewers) == (old.plans, old.visibility, old.viewers)
        assert new.category_id == old.category_id
        assert (registry.siblings(session, old), registry.siblings(session, new)) == ([new], [old])

    def test_both_live_side_by_side(self, session, old):
        assert (new_version(session, old, live=True).state, old.state) == ("published", "published")

    def test_a_version_that_there_is(self, session, old):
        with pytest.raises(NameTaken, match="already has an API orders v1"):
            registry.new_version(session, old, version="v1", path="/orders/v2", by=None)

    @pytest.mark.parametrize(("version", "path", "field"), [("V 2", "/v2", "version"), ("v2", "v2", "path")])
    def test_their_form_is_checked(self, session, old, version, path, field):
        with pytest.raises(Invalid) as refused:
            registry.new_version(session, old, version=version, path=path, by=None)

        assert set(refused.value.fields) == {field}


class TestCarry:
    def use(self, session, api: Api, plan: Plan) -> Subscription:
        return factories.subscription(session, factories.consumer(session), api, plan)

    def test_consumers_get_the_same_plan_and_end(self, session, old):
        gold, silver = old.plans
        uses = [self.use(session, old, gold), self.use(session, old, silver)]
        registry.limit_subscription(session, uses[0], END)
        new = new_version(session, old, live=True)

        made = registry.carry_subscriptions(session, old, new, uses, {}, by=None)
        session.flush()

        assert [(each.consumer, each.api, each.plan, each.ends_at) for each in made] == [
            (uses[0].consumer, new, gold, END),
            (uses[1].consumer, new, silver, None),
        ]
        assert [each.state for each in uses] == ["approved", "approved"]

    def test_another_plan_in_the_place_of_one_that_is_not_offered(self, session, old):
        gold, silver = old.plans
        use = self.use(session, old, gold)
        new = new_version(session, old, live=True)
        registry.offer_plans(session, new, [silver])

        with pytest.raises(Conflict, match="Orders v2 does not offer the plan Gold"):
            registry.carry_subscriptions(session, old, new, [use], {}, by=None)
        (made,) = registry.carry_subscriptions(session, old, new, [use], {gold.id: silver}, by=None)

        assert made.plan is silver

    def test_who_is_there_already_is_passed_over(self, session, old):
        use, other = self.use(session, old, old.plans[0]), self.use(session, old, old.plans[0])
        ended = self.use(session, old, old.plans[0])
        new = new_version(session, old, live=True)
        registry.subscribe(session, use.consumer, new, new.plans[0], by=None)
        registry.end_subscription(session, ended)
        session.flush()

        assert registry.portable(session, old, new) == [other]
        made = registry.carry_subscriptions(session, old, new, [use, other, ended], {}, by=None)

        assert [each.consumer for each in made] == [other.consumer]

    def test_a_draft_cannot_be_called(self, session, old):
        with pytest.raises(Conflict, match="Publish it first"):
            registry.carry_subscriptions(session, old, new_version(session, old), [], {}, by=None)


def test_teams_using(session):
    api = factories.api(session, live=True)
    shop, bank = factories.team(session, name="Shop"), factories.team(session, name="Bank")
    for team, name in ((shop, "Web"), (shop, "App"), (bank, "Web")):
        factories.subscription(session, factories.consumer(session, team=team, name=name), api)

    assert registry.teams_using(session, api) == [(bank, ["Web"]), (shop, ["App", "Web"])]
