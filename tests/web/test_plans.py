"""The pages of plans."""

import re

import pytest
from sqlalchemy import select

from portal import registry
from portal.db import utcnow
from portal.registry import revision
from portal.registry.models import Plan, QuotaUse
from portal.web.forms.plans import in_words
from tests import factories
from tests.conftest import sign_in

FORM = {"name": "Gold", "team": "cast", "slug": "", "description": "", "per_second": "50", "per_minute": ""}


@pytest.fixture(autouse=True)
def noise(session, cast):
    plan = factories.plan(session, slug="gold", name="Noise")
    factories.subscription(session, factories.consumer(session, name="Noisy"), factories.api(session, live=True), None)
    session.commit()
    return plan


@pytest.fixture
def publisher(client, cast):
    return sign_in(client, cast.publisher)


@pytest.fixture
def gold(session, cast) -> Plan:
    plan = factories.plan(session, team=cast.team, slug="gold", name="Gold", per_second=50, per_minute=None)
    session.commit()
    return plan


class TestList:
    def test_holds_only_plans_of_own_teams(self, publisher, gold):
        page = publisher.get("/plans").text

        assert "Gold" in page
        assert "50 calls per second" in page
        assert "Noise" not in page

    def test_is_searched(self, publisher, gold):
        assert "1 plan<" in publisher.get("/plans?q=GOL").text
        assert "No plan fits" in publisher.get("/plans?q=silver").text


class TestNew:
    def test_makes_one_with_the_limits_that_were_given(self, publisher, session):
        answer = publisher.post("/plans/new", data=FORM | {"per_second_burst": "70"})

        assert (answer.status_code, answer.location) == (303, "/plans/cast/gold")
        session.rollback()
        plan = session.scalars(select(Plan).where(Plan.name == "Gold")).one()
        assert (plan.per_second, plan.per_second_burst, plan.per_minute) == (50, 70, None)

    @pytest.mark.parametrize(
        ("sent", "sentence"),
        [
            ({"name": ""}, "Give it a name."),
            ({"per_second": "0"}, "Give a number from 1 to"),
            ({"per_second": "a lot"}, "Give a number, such as 30."),
            ({"per_second": "1.5"}, "Give a whole number."),
            ({"per_second": "", "per_second_burst": "5"}, "A burst needs the limit"),
            ({"slug": "Gold!"}, "Use small letters"),
        ],
    )
    def test_says_what_is_wrong_and_keeps_what_was_typed(self, publisher, session, sent, sentence):
        answer = publisher.post("/plans/new", data=FORM | {"description": "Kept."} | sent)

        assert answer.status_code == 422
        assert sentence in answer.text
        assert "Kept." in answer.text
        session.rollback()
        assert session.scalar(select(Plan).where(Plan.description == "Kept.")) is None

    def test_page_says_what_a_new_plan_does_to_others(self, publisher):
        assert "refill the counters of every subscription" in publisher.get("/plans/new").text

    def test_a_slug_in_use_is_409(self, publisher, gold):
        assert publisher.post("/plans/new", data=FORM).status_code == 409


class TestChange:
    def test_new_limits_reach_the_gateway_and_a_new_name_does_not(self, publisher, session, gold):
        before = revision.current(session)
        same = {"name": "Golden", "description": "", "per_second": "50"}
        assert publisher.post("/plans/cast/gold", data=same).status_code == 303
        session.rollback()
        assert (gold.name, revision.current(session)) == ("Golden", before)

        publisher.post("/plans/cast/gold", data=same | {"per_second": "60"})
        session.rollback()
        assert (gold.per_second, revision.current(session)) == (60, before + 1)

    def test_page_says_what_a_change_does_and_who_uses_it(self, publisher, session, cast, gold):
        api = factories.api(session, team=cast.team, live=True, plans=[gold], name="Orders")
        factories.subscription(session, factories.consumer(session, name="Web shop"), api)
        session.commit()

        page = publisher.get("/plans/cast/gold").text

        assert "refill the counters of every subscription of the gateway once, those under other plans too" in page
        assert "on every gateway node" in page
        assert "Web shop" in page
        assert "Used by 1 consumer" in page
        assert "Noisy" not in page

    def test_developers_read_it(self, client, cast, gold):
        page = sign_in(client, cast.developer).get("/plans/cast/gold").text

        assert "50 calls per second" in page
        assert "Save plan" not in page


class TestDelete:
    def test_page_says_what_it_does_to_others_where_it_does(self, client, session, cast, gold):
        free = factories.plan(session, team=cast.team, slug="free", per_second=None, per_minute=None)
        session.commit()
        sign_in(client, cast.owner)

        assert "refill the counters" in client.get("/plans/cast/gold/delete").text
        assert "refill the counters" not in client.get(f"/plans/cast/{free.slug}/delete").text

    def test_needs_the_name_typed(self, client, session, cast, gold):
        sign_in(client, cast.owner)
        assert client.post("/plans/cast/gold/delete", data={"confirm": "silver"}).status_code == 422
        assert client.post("/plans/cast/gold/delete", data={"confirm": "gold"}).status_code == 303
        session.rollback()
        assert session.scalars(select(Plan.name).where(Plan.slug == "gold")).all() == ["Noise"]

    def test_a_plan_in_use_stays(self, client, session, cast, gold):
        factories.subscription(
            session, factories.consumer(session), factories.api(session, team=cast.team, live=True, plans=[gold])
        )
        session.commit()
        answer = sign_in(client, cast.owner).post("/plans/cast/gold/delete", data={"confirm": "gold"})

        assert answer.status_code == 409
        assert "1 subscription has or had the plan Gold" in answer.text


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"per_second": 1, "per_minute": None}, "1 call per second"),
        ({"per_second": 2000, "per_minute": 60_000}, "2,000 calls per second, 60,000 calls per minute"),
        ({"per_second": 2, "per_second_burst": 5, "per_minute": None}, "2 calls per second (burst 5)"),
        ({"per_second": 2, "per_second_burst": 2, "per_minute": None}, "2 calls per second"),
        ({"per_second": None, "per_minute": None}, "no limits"),
    ],
)
def test_limits_in_words(session, limits, words):
    assert in_words(factories.plan(session, **limits)) == words


class TestQuotasAndTerms:
    SENT = FORM | {
        "quota_day": "1000",
        "quota_month": "20000",
        "price": "10 EUR",
        "terms": "# Be *kind*",
        "approval": "y",
    }

    def test_are_made_and_shown(self, publisher, session):
        assert publisher.post("/plans/new", data=self.SENT).status_code == 303
        session.rollback()
        plan = session.scalars(select(Plan).where(Plan.name == "Gold")).one()
        assert (plan.quota_day, plan.quota_month, plan.price, plan.approval) == (1000, 20_000, "10 EUR", True)

        page = publisher.get("/plans/cast/gold").text
        assert "1,000 calls per day, 20,000 calls per month" in page
        assert "time zone UTC" in page

    @pytest.mark.parametrize(
        ("sent", "sentence"),
        [
            ({"quota_day": "0"}, "Give a number from 1 to"),
            ({"quota_day": "30000"}, "would never be reached"),
            ({"audience": "chosen", "others": "nobody-here"}, "There is no team nobody-here"),
            ({"price": "x" * 121}, "At most 120 characters"),
        ],
    )
    def test_what_makes_no_sense_is_said_and_what_was_typed_stays(self, publisher, sent, sentence):
        answer = publisher.post("/plans/new", data=self.SENT | sent)

        assert answer.status_code == 422
        assert sentence in answer.text
        assert "# Be *kind*" in answer.text

    def test_developers_read_terms_as_written_text(self, client, session, cast, gold):
        gold.terms, gold.quota_month = "Be *kind*.", 5
        session.commit()

        page = sign_in(client, cast.developer).get("/plans/cast/gold").text

        assert "Be <em>kind</em>." in page
        assert "counted over all gateway nodes together" in page


class TestChosenTeams:
    def test_others_neither_see_nor_choose_it(self, client, session, cast, gold):
        api = factories.api(session, team=cast.team, live=True, plans=[gold], name="Orders")
        free = factories.plan(session, team=cast.team, name="Freebie")
        registry.offer_plans(session, api, [gold, free])
        consumer = factories.consumer(session, team=cast.stranger.teams[0], slug="app")
        own = consumer.team.slug
        session.commit()
        sign_in(client, cast.publisher)
        same = FORM | {"audience": "chosen", "others": ""}
        assert client.post("/plans/cast/gold", data=same).status_code == 303
        sign_in(client, cast.stranger)

        docs = client.get(f"/catalogue/cast/{api.slug}/v1").text
        assert "Freebie" in docs
        assert "Gold" not in docs
        page = client.get(f"/catalogue/cast/{api.slug}/v1/subscribe").text
        assert "Freebie" in page
        assert "Gold" not in page
        sent = {"consumer": f"{own}/app", "plan": "gold"}
        assert client.post(f"/catalogue/cast/{api.slug}/v1/subscribe", data=sent).status_code == 422
        session.rollback()
        assert consumer.subscriptions == []

    def test_a_chosen_team_sees_and_chooses_it(self, client, session, cast, gold):
        api = factories.api(session, team=cast.team, live=True, plans=[gold], name="Orders")
        team = factories.team(session, owner=cast.stranger, slug="guests", name="Guests")
        consumer = factories.consumer(session, team=team, slug="app")
        session.commit()
        sign_in(client, cast.publisher)
        client.post("/plans/cast/gold", data=FORM | {"audience": "chosen", "others": "guests"})
        sign_in(client, cast.stranger)

        assert "Gold" in client.get(f"/catalogue/cast/{api.slug}/v1").text
        sent = {"consumer": "guests/app", "plan": "gold"}
        assert client.post(f"/catalogue/cast/{api.slug}/v1/subscribe", data=sent).status_code == 303
        session.rollback()
        assert [each.plan.slug for each in consumer.subscriptions] == ["gold"]


class TestWhatIf:
    @pytest.fixture
    def busy(self, session, cast, gold):
        api = factories.api(session, team=cast.team, live=True, plans=[gold], name="Orders")
        found = factories.subscription(session, factories.consumer(session, name="Busy shop"), api)
        session.add(QuotaUse(subscription_id=found.id, day=utcnow().date(), calls=500))
        session.commit()
        return found

    def test_a_stricter_plan_is_saved_when_its_victims_were_named(self, publisher, session, gold, busy):
        wish = FORM | {"quota_day": "100"}
        asked = publisher.post("/plans/cast/gold", data=wish)

        assert asked.status_code == 409
        assert "Nothing is saved yet: 1 of 1 subscription would have been refused calls" in asked.text
        assert "Busy shop" in asked.text
        assert "Blocked at once, until" in asked.text
        session.rollback()
        assert (gold.quota_day, busy.blocked_until) == (None, None)

        agreed = re.search(r'name="agreed" value="(\w+)"', asked.text)[1]
        assert publisher.post("/plans/cast/gold", data=wish | {"quota_day": "99", "agreed": agreed}).status_code == 409
        assert publisher.post("/plans/cast/gold", data=wish | {"agreed": agreed}).status_code == 303
        session.rollback()
        assert gold.quota_day == 100
        assert busy.blocked_until > utcnow()

    def test_what_nobody_would_have_met_is_saved_at_once(self, publisher, session, gold, busy):
        assert publisher.post("/plans/cast/gold", data=FORM | {"quota_day": "1000"}).status_code == 303

    def test_it_can_be_tried_without_saving(self, publisher, session, gold, busy):
        answer = publisher.post("/plans/cast/gold", data=FORM | {"quota_day": "1000", "what_if": "1"})

        assert answer.status_code == 200
        assert "none of 1 subscription would have been refused a call" in answer.text
        assert 'name="agreed"' not in answer.text
        session.rollback()
        assert gold.quota_day is None

    def test_quotas_stand_on_the_plan_and_the_consumer(self, client, publisher, session, cast, gold, busy):
        gold.quota_day = 1000
        session.commit()

        assert "500 of 1 k" in publisher.get("/plans/cast/gold").text.replace("\u202f", " ")
        sign_in(client, cast.administrator)
        page = client.get(f"/consumers/{busy.consumer.team.slug}/{busy.consumer.slug}").text.replace("\u202f", " ")
        assert "500 of 1 k" in page
        assert "50 %" in page


class TestDefault:
    def test_stands_first_and_leaves_with_its_plan(self, publisher, session, cast, gold):
        api = factories.api(session, team=cast.team, live=True, plans=[gold], name="Orders")
        factories.plan(session, team=cast.team, slug="ace", name="Ace")
        session.commit()
        path = f"/apis/cast/{api.slug}/v1/plans"

        publisher.post(path, data={"plan": ["ace", "gold"], "default": "gold"})
        session.rollback()
        assert [plan.slug for plan in registry.offered(api, cast.team)] == ["gold", "ace"]

        publisher.post(path, data={"plan": ["ace"], "default": "gold"})
        session.rollback()
        assert api.default_plan is None
