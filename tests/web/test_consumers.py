"""The pages of consumers, their subscriptions and keys."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select

from portal import registry
from portal.db import utcnow
from portal.registry.models import Api, Consumer, Subscription, Visibility
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
        developer.post(f"{C}/edit", data={"name": "Shop 2", "description": "New."})

        session.rollback()
        assert (shop.name, shop.description, shop.public_id, shop.slug) == ("Shop 2", "New.", before, "shop")

    def test_delete_needs_the_name_typed_and_an_owner(self, client, session, cast, shop):
        assert sign_in(client, cast.developer).post(f"{C}/delete", data={"confirm": "shop"}).status_code == 403
        sign_in(client, cast.owner)
        assert client.post(f"{C}/delete", data={"confirm": "Shop"}).status_code == 422
        assert client.post(f"{C}/delete", data={"confirm": "shop"}).status_code == 303
        session.rollback()
        assert session.scalars(select(Consumer.name).where(Consumer.slug == "shop")).all() == ["Noise"]


class TestSubscribe:
    def test_goes_from_api_to_plan_to_confirmation(self, developer, session, shop, orders):
        def follow(page: str, word: str) -> str:
            link = next(each for each in re.findall(r'row-link" href="([^"]+)"', page) if word in each)
            return developer.get(link.replace("&amp;", "&")).text

        apis = developer.get(f"{C}/subscriptions/new?q=ord").text
        page = follow(follow(apis, "payments/orders"), "gold")
        sent = dict(re.findall(r'name="(api|plan)" value="([^"]+)"', page))
        answer = developer.post(f"{C}/subscriptions/new", data=sent)

        assert sent == {"api": "payments/orders/v1", "plan": "gold"}
        assert answer.status_code == 303
        session.rollback()
        made = session.scalars(select(Subscription).where(Subscription.consumer_id == shop.id)).one()
        assert (made.api.slug, made.plan.slug) == ("orders", "gold")
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

    def test_a_second_time_is_refused(self, developer, session, shop, orders):
        sent = {"api": "payments/orders/v1", "plan": "free"}
        developer.post(f"{C}/subscriptions/new", data=sent)
        answer = developer.post(f"{C}/subscriptions/new", data=sent | {"plan": "gold"})

        assert answer.status_code == 409
        assert "already uses Orders under the plan Free" in answer.text

    def test_what_is_no_longer_offered_is_refused(self, developer, session, shop, orders):
        registry.offer_plans(session, orders, [orders.plans[0]])
        session.commit()

        answer = developer.post(f"{C}/subscriptions/new", data={"api": "payments/orders/v1", "plan": "gold"})
        assert answer.status_code == 409

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
