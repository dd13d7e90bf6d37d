"""Pages of APIs that take a user name and password, or nothing at all, and of keys of that kind."""

import re

import pytest
from sqlalchemy import select

from portal import registry
from portal.registry import everyone
from portal.registry.models import Api, Consumer, Key, KeyKind
from tests import factories
from tests.conftest import sign_in

A = "/apis/cast/orders/v1"
DOCS = "/catalogue/cast/orders/v1"
BASIC = {"key": False, "basic": True}


@pytest.fixture
def publish(session, cast):
    def publish(authentication) -> Api:
        plan = factories.plan(session, team=cast.team, slug="visitors", name="Visitors", per_second=7, per_minute=None)
        api = factories.api(
            session,
            team=cast.team,
            live=True,
            plans=[plan],
            slug="orders",
            name="Orders",
            path="/orders/v1",
            openapi=factories.openapi_document(session),
            authentication=authentication,
        )
        session.commit()
        return api

    return publish


@pytest.fixture
def public(publish) -> Api:
    return publish({"public": {"plan": "visitors"}})


@pytest.fixture
def developer(client, cast):
    return sign_in(client, cast.developer)


class TestPublic:
    def test_docs_say_that_nothing_is_asked_for_and_how_calls_are_limited(self, client, cast, public):
        page = sign_in(client, cast.stranger).get(DOCS).text

        assert "Calls need no key" in page
        assert "Get a key" not in page
        assert "PORTICO_KEY" not in page
        assert "curl " in page
        assert "limits for each client address" in page
        assert "Visitors" in page
        assert "key_missing" not in page
        assert "rate_limited" in page

    def test_examples_of_operations_carry_no_key(self, client, cast, public):
        page = sign_in(client, cast.stranger).get(f"{DOCS}/operations/show").text

        assert "curl" in page
        assert "PORTICO_KEY" not in page
        assert "os.environ" not in page

    def test_its_openapi_document_asks_for_nothing(self, client, cast, public):
        made = sign_in(client, cast.stranger).get(f"{DOCS}/openapi.json").json

        assert "security" not in made
        assert "securitySchemes" not in made.get("components", {})

    def test_the_catalogue_offers_no_subscription(self, developer, public):
        page = developer.get("/catalogue").text

        assert "Public, needs no key" in page
        assert f"{DOCS}/subscribe" not in page

    def test_whoever_wants_to_subscribe_reads_why_not(self, developer, session, cast, public):
        factories.consumer(session, team=cast.team, slug="shop")
        session.commit()

        page = developer.get(f"{DOCS}/subscribe").text
        assert "Nothing to subscribe to" in page
        assert "everybody calls it without a key" in page

        sent = developer.post(f"{DOCS}/subscribe", data={"consumer": "cast/shop", "plan": "visitors"})
        assert sent.status_code >= 400
        assert len(session.scalars(select(Consumer).where(Consumer.everyone.is_(False))).one().subscriptions) == 0

    def test_the_publisher_sees_under_which_plan_and_finds_the_calls(self, client, cast, public):
        page = sign_in(client, cast.publisher).get(f"{A}/subscribers").text

        assert "everybody may call it without a key" in page
        assert "/plans/cast/visitors" in page
        assert "consumer=cast/*" in page.replace("%2F", "/").replace("%2A", "*")
        assert "Subscribe a consumer" not in page
        assert sign_in(client, cast.publisher).get("/calls?consumer=cast/*").status_code == 200

    def test_the_overview_and_the_list_of_facts_say_it(self, client, cast, public):
        shown = sign_in(client, cast.publisher).get(A).text
        read = sign_in(client, cast.developer).get(f"{A}/document").text

        assert "everybody may call, under the plan visitors" in shown
        assert "everybody may call, under the plan visitors" in read

    def test_everyone_is_no_page_and_in_no_list(self, client, session, cast, public):
        use = everyone.subscription_of_everyone(session, public)
        client = sign_in(client, cast.administrator)

        assert "Everyone" not in client.get("/consumers").text
        for path in ("", "/keys", "/keys/new", "/edit", "/delete", "/move", "/traffic", f"/subscriptions/{use.id}/end"):
            assert client.get(f"/consumers/cast/*{path}").status_code == 404, path
        assert client.post("/consumers/cast/*/keys/new", data={"label": "x"}).status_code == 404
        assert client.get(f"{A}/subscribers/{use.id}").status_code == 404
        assert client.get("/settings/audit").status_code == 200

    def test_publishing_says_what_callers_will_notice(self, client, session, cast, publish):
        api = publish({"key": True})
        document = registry.read_document(api.draft | {"authentication": {"public": {"plan": "visitors"}}})
        registry.save_draft(session, api, document, by=None, expected=api.draft_number)
        session.commit()

        page = sign_in(client, cast.publisher).get(f"{A}/publish").text

        assert "Everybody may call without a key, under the plan visitors." in page

    def test_a_plan_that_is_missing_stops_publishing_with_a_sentence(self, client, session, cast, publish):
        api = publish({"key": True})
        document = registry.read_document(api.draft | {"authentication": {"public": {"plan": "gone"}}})
        registry.save_draft(session, api, document, by=None, expected=api.draft_number)
        session.commit()
        client = sign_in(client, cast.publisher)
        page = client.get(f"{A}/publish").text
        assert "plan gone, which" in page

        fields = dict(re.findall(r'<input[^>]*name="(\w+)"[^>]*value="([^"]*)"', page))
        answer = client.post(f"{A}/publish", data=fields | {"number": str(api.draft_number)})

        assert answer.status_code == 409
        assert "plan gone, which" in answer.text


class TestBasic:
    def test_docs_and_examples_show_user_name_and_password(self, client, cast, publish):
        publish(BASIC)
        reader = sign_in(client, cast.stranger)

        overview, operation = reader.get(DOCS).text, reader.get(f"{DOCS}/operations/show").text

        assert "a user name and its password in the header" in overview
        assert "Get a user name" in overview
        assert "--user" in overview
        assert "--user" in operation
        assert "X-API-Key" not in overview

    def test_where_either_will_do_both_are_named(self, client, cast, publish):
        publish({"basic": True})
        page = sign_in(client, cast.stranger).get(DOCS).text

        assert "X-API-Key" in page
        assert "or a user name and its password in" in page

    def test_its_openapi_document_has_the_scheme(self, client, cast, publish):
        publish(BASIC)
        made = sign_in(client, cast.stranger).get(f"{DOCS}/openapi.json").json

        (scheme,) = made["components"]["securitySchemes"].values()
        assert scheme["scheme"] == "basic"


class TestIssuing:
    @pytest.fixture
    def shop(self, session, cast) -> Consumer:
        consumer = factories.consumer(session, team=cast.team, slug="shop", name="Shop")
        session.commit()
        return consumer

    @pytest.fixture
    def subscribed(self, session, shop, publish):
        def subscribed(authentication):
            factories.subscription(session, shop, publish(authentication))
            session.commit()

        return subscribed

    def issue(self, client, **fields):
        page = client.get("/consumers/cast/shop/keys/new").text
        sent = dict(re.findall(r'<input[^>]*type="hidden"[^>]*name="(\w+)"[^>]*value="([^"]*)"', page))
        return client.post("/consumers/cast/shop/keys/new", data={"expires": "never"} | sent | fields)

    def test_the_choice_is_there_where_an_api_takes_it(self, developer, subscribed, session):
        subscribed({"basic": True})
        page = developer.get("/consumers/cast/shop/keys/new").text

        assert re.search(r'<input checked [^>]*name="kind"[^>]*value="key"', page)
        assert "A user name and a password" in page

    def test_it_is_chosen_where_nothing_else_would_work(self, developer, subscribed, session):
        subscribed(BASIC)

        assert re.search(
            r'<input checked [^>]*name="kind"[^>]*value="basic"', developer.get("/consumers/cast/shop/keys/new").text
        )

    def test_nobody_is_asked_where_no_api_takes_it(self, developer, subscribed):
        subscribed({"key": True})

        assert "A user name and a password" not in developer.get("/consumers/cast/shop/keys/new").text

    def test_user_name_and_password_are_shown_once(self, developer, session, subscribed):
        subscribed({"basic": True})

        born = self.issue(developer, kind="basic")

        assert (born.status_code, born.headers["Cache-Control"]) == (201, "no-store")
        key = session.scalars(select(Key)).one()
        assert key.kind is KeyKind.BASIC
        password = re.search(r"<code>([0-9A-Za-z]{33})</code>", born.text)[1]
        assert f"{key.beginning}:{password}" in born.text, "the command has both"
        assert "-u" in born.text
        for page in ("", f"/{key.public_id}", f"/{key.public_id}/edit", f"/{key.public_id}/rotate"):
            shown = developer.get(f"/consumers/cast/shop/keys{page}").text
            assert password not in shown
            assert key.beginning in shown

    def test_a_kind_that_there_is_not_is_refused(self, developer, session, subscribed):
        subscribed({"basic": True})

        assert self.issue(developer, kind="other").status_code == 422
        assert session.scalars(select(Key)).all() == []

    def test_a_key_for_apis_that_take_none_is_told_so(self, developer, subscribed):
        subscribed(BASIC)

        born = self.issue(developer, kind="key")

        assert born.status_code == 201
        assert "None of the APIs that Shop is subscribed to takes a key" in born.text
