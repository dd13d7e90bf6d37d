from datetime import UTC

import pytest

from portal import registry
from portal.errors import InUse, Invalid, NameTaken
from portal.registry import revision
from tests import factories

SAME = {"name": "Gold", "description": "", "per_second_burst": None, "per_minute": 100, "per_minute_burst": None}


class TestCreate:
    @pytest.mark.parametrize(
        ("values", "field"),
        [
            ({"per_second": 0}, "per_second"),
            ({"per_minute": -1}, "per_minute"),
            ({"per_second": None, "per_second_burst": 5}, "per_second_burst"),
            ({"per_second_burst": 0}, "per_second_burst"),
            ({"name": " "}, "name"),
            ({"slug": "Gold!"}, "slug"),
        ],
    )
    def test_limits_that_make_no_sense_are_refused(self, session, values, field):
        with pytest.raises(Invalid) as refused:
            factories.plan(session, **values)

        assert list(refused.value.fields) == [field]

    def test_no_limit_at_all_is_possible(self, session):
        plan = factories.plan(session, per_second=None, per_minute=None)

        assert (plan.per_second, plan.per_minute) == (None, None)

    def test_slug_is_taken_once_in_a_team(self, session):
        plan = factories.plan(session)

        with pytest.raises(NameTaken):
            factories.plan(session, team=plan.team, slug=plan.slug)


class TestChange:
    def test_nodes_are_told_of_limits_only(self, session):
        plan = factories.plan(session, name="Gold", per_second=10, per_minute=100)
        session.commit()
        before = revision.current(session)

        registry.change_plan(session, plan, zone=UTC, per_second=10, **SAME | {"name": "Renamed"})
        session.commit()
        assert revision.current(session) == before

        registry.change_plan(session, plan, zone=UTC, per_second=11, **SAME)
        session.commit()
        assert revision.current(session) == before + 1


class TestDelete:
    def test_a_plan_that_was_ever_used_stays(self, session):
        api = factories.api(session, live=True)
        subscription = factories.subscription(session, factories.consumer(session), api)
        registry.end_subscription(session, subscription)

        with pytest.raises(InUse, match="1 subscription has or had"):
            registry.delete_plan(session, subscription.plan)

    def test_an_unused_one_goes_and_is_offered_no_more(self, session):
        api = factories.api(session)
        plan = factories.plan(session, team=api.team)
        registry.offer_plans(session, api, [plan])
        session.flush()

        registry.delete_plan(session, plan)
        session.commit()

        assert api.plans == []
