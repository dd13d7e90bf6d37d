"""The pages of consumers, their subscriptions and keys."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select

from portal import registry
from portal.db import utcnow
from portal.registry.models import Api, Consumer, Plan, Subscription, Visibility
from tests import factories
from tests.conftest import sign_in

C = "/consumers/cast/shop"


@pytest.fixture(autouse=True)
def noise(session, cast):
    """Another team's consumer of the same slug, with a key that has been used."""
    consumer = factories.consumer(session, slug="shop", name="Noise")
    factories.key(session, consumer)
    factories.subscription(session, consumer, factories.api(session, live=True, name="Noise API"))
    session.commit()
    return consumer


@pytest.fixture
def developer(client, cast):
    return sign_in(client, cast.developer)


@pytest.fixture
def shop(session, cast) -> Consumer:
    consumer = factories.consumer(session, team=cast.team, slug="shop", name="Web shop")
    session.commit()
    return consumer


@pytest.fixture
def orders(session) -> Api:
    team = factories.team(session, slug="payments", name="Payments")
    plans = [factories.plan(session, team=team, slug=slug, name=slug.capitalize()) for slug in ("free", "gold")]
    api = factories.api(session, team=team, live=True, plans=plans, slug="orders", name="Orders", path="/orders/v1")
    session.commit()
    return api


class TestSubscriptions:
    def test_lead_to_the_docs_and_say_how_the_api_fares(self, developer, session, shop, orders):
        factories.subscription(session, shop, orders)
        registry.deprecate(session, orders, at=utcnow(), sunset_at=None, successor=None, message="")
        session.commit()

        page = developer.get(C).text

        assert 'href="/catalogue/payments/orders/v1"' in page
        assert "API deprecated" in page

    def test_lead_nowhere_when_the_team_may_not_see_the_api_any_more(self, developer, session, shop, orders):
        factories.subscription(session, shop, orders)
        registry.set_visibility(session, orders, Visibility.TEAM)
        session.commit()

        page = developer.get(C).text

        assert "Orders" in page
        assert "/catalogue/payments" not in page


class TestList:
    def test_holds_only_consumers_of_own_teams(self, developer, shop, noise):
        page = developer.get("/consumers").text

        assert "Web shop" in page
        assert "Noise" not in page
        assert developer.get(f"/consumers?q={shop.public_id}").text.count("row-link") == 1
        assert "No consumer fits" in developer.get(f"/consumers?q={noise.public_id}").text

    def test_counts_only_keys_that_work(self, developer, session, shop):
        factories.key(session, shop)
        registry.revoke(session, factories.key(session, shop)[0])
        expired, _ = factories.key(session, shop, expires_at=utcnow() + timedelta(days=1))
        expired.expires_at = utcnow() - timedelta(days=1)
        session.commit()

        assert 'data-label="Active keys">1<' in developer.get("/consumers").text


class TestNewAndEdit:
    FORM = {"name": "Mobile app", "team": "cast", "slug": "", "description": "On phones."}

    def test_makes_one_with_a_public_id(self, developer, session):
        answer = developer.post("/consumers/new", data=self.FORM)

        assert (answer.status_code, answer.location) == (303, "/consumers/cast/mobile-app")
        session.rollback()
        made = session.scalars(select(Consumer).where(Consumer.slug == "mobile-app")).one()
        assert made.public_id.startswith("con_")
        assert made.public_id in developer.get(answer.location).text

    def test_personal_teams_have_consumers_too(self, client, session, cast):
        personal = cast.stranger.teams[0].slug
        answer = sign_in(client, cast.stranger).post("/consumers/new", data=self.FORM | {"team": personal})

        assert answer.location == f"/consumers/{personal}/mobile-app"

    @pytest.mark.parametrize(
        ("sent", "status", "sentence"),
        [
            ({"name": ""}, 422, "Give it a name."),
            ({"slug": "A b"}, 422, "Use small letters"),
            ({"name": "モバイル"}, 422, "No slug can be made"),
            ({"slug": "shop"}, 409, "already has a consumer shop"),
            ({"team": "payments"}, 422, "Not a valid choice"),
        ],
    )
    def test_says_what_is_wrong_and_keeps_what_was_typed(self, developer, shop, orders, sent, status, sentence):
        answer = developer.post("/consumers/new", data=self.FORM | sent)

        assert answer.status_code == status
        assert sentence in answer.text
        assert "On phones." in answer.text

    def test_edit_changes_the_words_and_not_the_id(self, developer, session, shop):
        before = shop.public_id
        form = {
            "name": "Shop 2",
            "description": "New.",
            "contacts": "shop@portico.example\n#shop",
            "metadata": "squad = checkout",
        }
        developer.post(f"{C}/edit", data=form)

        session.rollback()
        assert (shop.contacts, shop.attributes) == (["shop@portico.example", "#shop"], {"squad": "checkout"})
        assert "squad = checkout" in developer.get(f"{C}/edit").text
        assert "#shop" in developer.get(C).text
        assert (shop.name, shop.description, shop.public_id, shop.slug) == ("Shop 2", "New.", before, "shop")

    @pytest.mark.parametrize(
        ("metadata", "sentence"),
        [
            ("no equals", "Write no equals as key = value."),
            ("a = 1\na = 2", "a stands here twice"),
            ("a b = 1", "a b is no key"),
            ("a =", "Give a a value"),
        ],
    )
    def test_metadata_that_is_none_is_said_and_kept(self, developer, session, shop, metadata, sentence):
        answer = developer.post(f"{C}/edit", data={"name": "Shop 2", "metadata": metadata})

        assert answer.status_code == 422
        assert sentence in answer.text
        assert metadata.splitlines()[0] in answer.text
        session.rollback()
        assert shop.name == "Web shop"

    def test_delete_needs_the_name_typed_and_an_owner(self, client, session, cast, shop):
        assert sign_in(client, cast.developer).post(f"{C}/delete", data={"confirm": "shop"}).status_code == 403
        sign_in(client, cast.owner)
        assert client.post(f"{C}/delete", data={"confirm": "Shop"}).status_code == 422
        assert client.post(f"{C}/delete", data={"confirm": "shop"}).status_code == 303
        session.rollback()
        assert session.scalars(select(Consumer.name).where(Consumer.slug == "shop")).all() == ["Noise"]


class TestSuspendAndMove:
    def test_suspends_and_resumes(self, developer, session, shop):
        assert "consumer_suspended" in developer.get(f"{C}/suspend").text
        session.rollback()
        assert shop.suspended_at is None

        assert developer.post(f"{C}/suspend").status_code == 303
        page = developer.get(C).text
        assert "Resume consumer" in page
        assert 'state-warn">suspended' in developer.get("/consumers").text
        assert developer.post(f"{C}/resume").status_code == 303
        assert "Resume consumer" not in developer.get(C).text

    def test_an_owner_moves_it_to_another_team_of_theirs(self, client, session, cast, shop):
        key, _ = factories.key(session, shop)
        other = factories.team(session, owner=cast.owner, slug="mobile", name="Mobile")
        session.commit()
        sign_in(client, cast.owner)

        assert "Mobile" in client.get(f"{C}/move").text
        answer = client.post(f"{C}/move", data={"team": "mobile"})

        assert (answer.status_code, answer.location) == (303, "/consumers/mobile/shop")
        session.rollback()
        assert (shop.team, key.consumer) == (other, shop)
        assert client.get(C).status_code == 404

    def test_neither_a_developer_nor_into_a_strangers_team(self, client, session, cast, shop, noise):
        assert sign_in(client, cast.developer).post(f"{C}/move", data={"team": "mobile"}).status_code == 403
        sign_in(client, cast.owner)
        answer = client.post(f"{C}/move", data={"team": noise.team.slug})
        assert answer.status_code == 422
        assert "Choose one of your teams" in answer.text
        session.rollback()
        assert shop.team == cast.team

    def test_a_slug_in_use_there_is_said_and_another_taken(self, client, session, cast, shop):
        other = factories.team(session, owner=cast.owner, slug="mobile")
        factories.consumer(session, team=other, slug="shop")
        session.commit()
        sign_in(client, cast.owner)

        refused = client.post(f"{C}/move", data={"team": "mobile"})
        assert (refused.status_code, "Give it another slug there" in refused.text) == (409, True)
        assert client.post(f"{C}/move", data={"team": "mobile", "slug": "a b"}).status_code == 422
        assert client.post(f"{C}/move", data={"team": "mobile", "slug": "shop-2"}).status_code == 303


class TestSubscribe:
    def test_leads_from_the_api_to_the_page_that_asks_the_rest(self, developer, session, shop, orders):
        apis = developer.get(f"{C}/subscriptions/new?q=ord").text
        link = next(each for each in re.findall(r'row-link" href="([^"]+)"', apis) if "payments/orders" in each)
        page = developer.get(link.replace("&amp;", "&")).text
        answer = developer.post(
            "/catalogue/payments/orders/v1/subscribe", data={"consumer": "cast/shop", "plan": "gold"}
        )

        assert re.search(r'<option selected value="cast/shop">', page)
        assert (answer.status_code, answer.location) == (303, C)
        session.rollback()
        made = session.scalars(select(Subscription).where(Subscription.consumer_id == shop.id)).one()
        assert (made.api.slug, made.plan.slug, made.state) == ("orders", "gold", "approved")
        assert "Orders" in developer.get(C).text

    def test_only_published_apis_with_a_plan_are_found(self, developer, session, shop, orders):
        factories.api(session, name="Draft only", plans=[], path="/d")
        factories.api(session, name="Without plan", live=True)
        session.commit()
        page = developer.get(f"{C}/subscriptions/new").text

        assert "Orders" in page
        assert "Draft only" not in page
        assert "Without plan" not in page
        assert developer.get(f"{C}/subscriptions/new?api=payments/none/v1").status_code == 404


class TestSubscription:
    @pytest.fixture
    def gold(self, session, orders) -> Plan:
        plan = next(plan for plan in orders.plans if plan.slug == "gold")
        plan.approval = True
        session.commit()
        return plan

    @pytest.fixture
    def use(self, session, shop, orders) -> Subscription:
        plan = next(plan for plan in orders.plans if plan.slug == "free")
        use = factories.subscription(session, shop, orders, plan)
        session.commit()
        return use

    def switch(self, developer, use, **form):
        return developer.post(f"{C}/subscriptions/{use.id}/plan", data=form)

    def test_another_plan_holds_at_once_where_nothing_is_asked(self, developer, session, use):
        assert self.switch(developer, use, plan="gold").status_code == 303
        session.rollback()
        assert use.plan.slug == "gold"

    def test_a_plan_that_wants_approval_is_asked_for_and_the_present_one_goes_on(self, developer, session, use, gold):
        answer = self.switch(developer, use, plan="gold", purpose="Black Friday.", expected_calls="90000")

        assert answer.status_code == 303
        page = developer.get(C).text
        assert "Gold is asked for" in page
        session.rollback()
        (asked,) = use.approvals
        assert (use.plan.slug, use.state, asked.plan) == ("free", "approved", gold)
        assert (asked.purpose, asked.expected_calls) == ("Black Friday.", 90_000)

        assert developer.post(f"{C}/subscriptions/{use.id}/withdraw").status_code == 303
        assert "Gold is asked for" not in developer.get(C).text
        assert developer.post(f"{C}/subscriptions/{use.id}/withdraw").status_code == 409

    def test_without_a_purpose_what_was_typed_is_kept(self, developer, use, gold):
        answer = self.switch(developer, use, plan="gold", purpose=" ", expected_calls="123456")

        assert answer.status_code == 422
        assert "Say what it is for" in answer.text
        assert 'value="123456"' in answer.text
        assert re.search(r'value="gold"[^>]* checked', answer.text)

    def test_a_plan_that_is_not_offered_is_refused(self, developer, use):
        assert self.switch(developer, use, plan="none").status_code == 422
        assert self.switch(developer, use).status_code == 422
        assert self.switch(developer, use, plan="free").status_code == 409

    def test_ending_asks_first(self, developer, session, shop, orders):
        subscription = factories.subscription(session, shop, orders)
        session.commit()
        url = f"{C}/subscriptions/{subscription.id}/end"

        assert "not_subscribed" in developer.get(url).text
        session.rollback()
        assert subscription.state == "approved"
        assert developer.post(url).status_code == 303
        session.rollback()
        assert subscription.state == "ended"
