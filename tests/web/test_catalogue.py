"""The catalogue page: what whom is shown, in which order, and that what one may not see leaves no trace."""

import html
import re
from dataclasses import replace

import orjson
import pytest
from sqlalchemy import delete, select

from portal import openapi, registry
from portal.accounts import Role
from portal.db import utcnow
from portal.registry import descriptions, indexing
from portal.registry.models import CatalogueEntry, Category, Consumer, Visibility
from tests import factories
from tests.conftest import sign_in

FRAGMENT = {"HX-Request": "true"}


def names(page: str) -> list[str]:
    return [html.unescape(name) for name in re.findall(r'<h2 id="api-\d+"><a [^>]*>([^<]*)</a>', page)]


def document(session, **operations):
    """The hash of an OpenAPI document: operation id -> summary."""
    paths = {
        f"/{name}": {"get": {"operationId": name, "summary": summary, "responses": {}}}
        for name, summary in operations.items()
    }
    data = orjson.dumps({"openapi": "3.0.3", "info": {"title": "T", "version": "1"}, "paths": paths})
    return descriptions.keep(session, data, openapi.read(data)).sha256


@pytest.fixture
def publish(session, cast):
    """A published API of the cast."""

    def make(name="Orders", **fields):
        state = {key: fields.pop(key) for key in ("visibility", "retired_at", "category", "closed") if key in fields}
        state |= {key: fields.pop(key) for key in ("deprecated_at", "sunset_at") if key in fields}
        api = factories.api(session, **{"team": cast.team, "live": True, "name": name} | fields)
        for key, value in state.items():
            setattr(api, key, value)
        session.commit()
        return api

    return make


@pytest.fixture
def as_stranger(client, cast):
    """A person who belongs to another team."""
    return sign_in(client, cast.stranger)


class TestTheList:
    def test_published_apis_by_name_with_what_they_are_for(self, as_stranger, publish):
        publish("Beta", description="# B\n\nSays **hello**. And more.")
        publish("Alpha", tags=["one", "two"])
        publish("Draft", live=False)

        page = as_stranger.get("/catalogue").text

        assert names(page) == ["Alpha", "Beta"]
        assert "Says hello." in page
        assert "And more" not in page
        assert "2 APIs" in page
        assert "Draft" not in page

    def test_versions_of_one_api_are_one_card(self, as_stranger, publish):
        publish("Orders", slug="orders", version="v1", deprecated_at=utcnow())
        publish("Orders anew", slug="orders", version="v2")

        page = as_stranger.get("/catalogue").text

        assert names(page) == ["Orders anew"]
        assert 'href="/catalogue/cast/orders/v1">v1</a> (deprecated)' in page
        assert "1 API<" in page

    def test_retired_ones_stand_there_only_when_asked_for(self, as_stranger, publish):
        publish("Old", retired_at=utcnow())
        publish("New")

        assert names(as_stranger.get("/catalogue").text) == ["New"]
        assert names(as_stranger.get("/catalogue?retired=1").text) == ["New", "Old"]

    def test_where_all_are_retired_the_page_says_so(self, as_stranger, publish):
        publish("Old", retired_at=utcnow())

        page = as_stranger.get("/catalogue").text

        assert "All APIs that you may see are retired." in page
        assert 'href="/catalogue?retired=1"' in page

    def test_a_deprecated_one_says_when_it_ends(self, as_stranger, publish):
        ends = utcnow().replace(year=2031, month=3, day=9)
        publish(deprecated_at=utcnow(), sunset_at=ends)

        assert "deprecated, ends 9 Mar 2031" in as_stranger.get("/catalogue").text

    def test_how_many_use_it_and_that_one_does_oneself(self, client, cast, session, publish):
        api = publish()
        own = factories.consumer(session, team=cast.stranger.teams[0])
        for consumer in (own, factories.consumer(session)):
            factories.subscription(session, consumer, api)
        session.commit()

        page = sign_in(client, cast.stranger).get("/catalogue").text
        assert "2 consumers" in page
        assert "You use this" in page
        assert "You use this" not in sign_in(client, cast.owner).get("/catalogue").text

    def test_sorted_by_use_or_by_age(self, client, cast, session, publish):
        publish("A")
        used = publish("B")
        publish("C")
        factories.subscription(session, factories.consumer(session), used)
        session.commit()
        client = sign_in(client, cast.stranger)

        assert names(client.get("/catalogue?sort=used").text) == ["B", "A", "C"]
        assert names(client.get("/catalogue?sort=newest").text) == ["C", "B", "A"]
        assert names(client.get("/catalogue?sort=nonsense").text) == ["A", "B", "C"]

    def test_as_a_list(self, as_stranger, publish):
        publish("Orders", description="Places orders.")

        page = as_stranger.get("/catalogue?view=list").text

        assert "<caption" in page
        assert "Places orders." in page

    def test_pages(self, as_stranger, session, publish):
        for n in range(25):
            publish(f"API {n:02}")

        first, second = as_stranger.get("/catalogue").text, as_stranger.get("/catalogue?page=2").text

        assert names(first) == [f"API {n:02}" for n in range(24)]
        assert names(second) == ["API 24"]
        assert names(as_stranger.get("/catalogue?page=999999999999").text) == ["API 24"]
        assert "Page 1 of 2" in first

    def test_nothing_published_says_what_would_be_here(self, client, cast):
        assert "Nothing is published yet" in sign_in(client, cast.stranger).get("/catalogue").text
        assert "Register API" in sign_in(client, cast.publisher).get("/catalogue").text


class TestBehind:
    """After an upgrade or a restore the worker makes the index; until then the page is honest."""

    @pytest.fixture
    def without_index(self, session):
        def without_index(*apis):
            gone = delete(CatalogueEntry)
            session.execute(gone.where(CatalogueEntry.api_id.in_([api.id for api in apis])) if apis else gone)
            session.commit()

        return without_index

    def test_of_an_index_that_is_not_there(self, client, cast, as_stranger, publish, without_index):
        publish("Orders")
        without_index()

        for asked in ("", "?q=orders", "?view=list"):
            page = as_stranger.get(f"/catalogue{asked}").text
            assert "The catalogue is being prepared" in page
            assert "No API fits" not in page
            assert "Nothing is published yet" not in page
            assert 'hx-trigger="every 3s"' in page
        assert "reindex" not in page
        assert "flask search reindex" in sign_in(client, cast.administrator).get("/catalogue").text

    def test_of_an_index_that_is_not_whole(self, as_stranger, publish, without_index):
        publish("Orders")
        without_index(publish("Bills"))

        page = as_stranger.get("/catalogue").text

        assert names(page) == ["Orders"]
        assert "not all APIs are listed yet" in page

    def test_until_it_is_made(self, as_stranger, session, publish, without_index):
        publish("Orders")
        without_index()
        indexing.mend(session)
        session.commit()

        page = as_stranger.get("/catalogue").text

        assert names(page) == ["Orders"]
        assert "being prepared" not in page

    def test_what_one_may_not_see_is_not_waited_for(self, as_stranger, publish, without_index):
        publish("Orders")
        without_index(publish("Hidden", visibility=Visibility.TEAM))

        assert "being prepared" not in as_stranger.get("/catalogue").text


class TestSearch:
    def test_the_best_first_and_the_operations_that_fit_under_it(self, as_stranger, session, publish):
        publish("Payments", openapi=document(session, refundPayment="Refund a payment", listAll="List all"))
        publish("Refunds")
        publish("Other")

        page = as_stranger.get("/catalogue?q=refund").text

        assert names(page) == ["Refunds", "Payments"]
        assert re.search(r'href="/catalogue/cast/[^"]*/operations/refundPayment"', page)
        assert "/refundPayment" in page
        assert "/listAll" not in page

    def test_typing_gets_the_part_that_changes_and_the_address_to_keep(self, as_stranger, publish):
        publish("Orders")

        answer = as_stranger.get("/catalogue?q=ord&sort=&retired=", headers=FRAGMENT)

        assert names(answer.text) == ["Orders"]
        assert "<html" not in answer.text
        assert answer.headers["HX-Replace-Url"] == "/catalogue?q=ord"

    def test_page_and_part_show_the_same(self, as_stranger, publish):
        publish("Orders", tags=["money"])

        part = as_stranger.get("/catalogue?q=ord", headers=FRAGMENT).text

        assert part.strip() in as_stranger.get("/catalogue?q=ord").text

    def test_nothing_found_says_what_was_looked_for_and_how_to_widen(self, as_stranger, publish):
        publish("Orders")

        page = as_stranger.get("/catalogue?q=zebra&tag=money&team=cast").text

        assert "No API fits" in page
        assert "has “zebra” in its name, description, tags or operations, and fits all filters above" in page
        for wider in ("tag=money&amp;team=cast", "q=zebra&amp;team=cast", "q=zebra&amp;tag=money"):
            assert f'href="/catalogue?{wider}"' in page

    @pytest.mark.parametrize("q", ["%27%22%3C%3E%26%28%29%2A", "a" * 10_000, "%F0%9F%92%A5", "AND+OR+NOT", "%FF"])
    def test_no_search_is_an_error(self, as_stranger, publish, q):
        publish("Orders")

        assert as_stranger.get(f"/catalogue?q={q}").status_code == 200

    def test_other_parts_of_the_address_may_be_anything(self, as_stranger, publish):
        publish("Orders")
        nonsense = "page=-1&page=x&sort=%01&view=%27&team=%01&category=%FF&retired=2" + "&tag=%01x" * 50

        assert as_stranger.get(f"/catalogue?{nonsense}").status_code == 200


class TestFilters:
    def test_by_category_team_and_tags(self, as_stranger, session, publish):
        money = Category(slug="money", name="Money")
        session.add(money)
        publish("Bills", category=money, tags=["Finance", "paper"])
        publish("Coins", category=money, tags=["finance"])
        publish("Cats", team=factories.team(session, slug="zoo", name="Zoo"), tags=["paper"])

        assert names(as_stranger.get("/catalogue?category=money").text) == ["Bills", "Coins"]
        assert names(as_stranger.get("/catalogue?tag=FINANCE").text) == ["Bills", "Coins"]
        assert names(as_stranger.get("/catalogue?tag=finance&tag=paper").text) == ["Bills"]
        assert names(as_stranger.get("/catalogue?team=zoo").text) == ["Cats"]
        assert names(as_stranger.get("/catalogue?team=nobody").text) == []

    def test_each_can_be_taken_off(self, as_stranger, session, publish):
        publish("Bills", tags=["a", "b"])

        page = as_stranger.get("/catalogue?q=bill&tag=a&tag=b&retired=1").text

        assert 'href="/catalogue?q=bill&amp;tag=b&amp;retired=1" aria-label="Remove filter Tag: a"' in page
        assert 'href="/catalogue?q=bill&amp;tag=a&amp;tag=b" aria-label="Remove filter Also: retired"' in page

    def test_categories_count_what_fits_otherwise(self, as_stranger, session, publish):
        money, cats = Category(slug="money", name="Money"), Category(slug="cats", name="Cats")
        session.add_all([money, cats])
        publish("Bills", category=money, tags=["x"])
        publish("Coins", category=money)
        publish("Tom", category=cats, tags=["x"])

        page = as_stranger.get("/catalogue?tag=x&category=cats").text

        shelves = re.search(r'<nav class="shelves".*?</nav>', page, re.DOTALL)
        assert shelves is not None
        assert re.findall(r">([A-Z]\w+) <span[^>]*>(\d+)<", shelves[0]) == [("Cats", "1"), ("Money", "1")]


class TestWhatOneMayNotSee:
    """A private API does not exist for a stranger: the pages with and without it are the same."""

    @pytest.mark.parametrize("visibility", [Visibility.TEAM, Visibility.CHOSEN])
    def test_the_page_is_the_same_as_if_it_were_not_there(self, client, cast, session, publish, visibility):
        shelf = Category(slug="money", name="Money")
        session.add(shelf)
        publish("Orders", category=shelf, tags=["x"])
        publish("Orders two", category=shelf)
        addresses = [
            f"/catalogue{query}" for query in ("", "?q=orders", "?q=secret", "?tag=x", "?tag=hush", "?team=spies")
        ]
        addresses += [
            "/catalogue?category=money",
            "/catalogue?category=hidden",
            "/catalogue?sort=used",
            "/catalogue?retired=1",
        ]

        def seen(person):
            client_ = sign_in(client, person)
            return [without_tokens(client_.get(address).text) for address in addresses]

        before = seen(cast.stranger)
        hidden = Category(slug="hidden", name="Hidden")
        session.add(hidden)
        spies = factories.team(session, slug="spies", name="Spies")
        for fields in ({"category": hidden}, {"category": shelf, "tags": ["x", "hush"]}):
            api = publish("Orders secret", team=spies, visibility=visibility, **fields)
            factories.subscription(session, factories.consumer(session, team=spies), api)
        publish("Orders", slug="orders", team=cast.team, version="v9", visibility=visibility)
        session.commit()

        assert seen(cast.stranger) == before
        member = factories.member(session, spies, Role.DEVELOPER)
        session.commit()
        assert "Orders secret" in seen(member)[0]

    def test_chosen_teams_see_it(self, client, cast, session, publish):
        api = publish("Orders", visibility=Visibility.CHOSEN)
        assert names(sign_in(client, cast.stranger).get("/catalogue?q=ord").text) == []
        api.viewers = [cast.stranger.teams[0]]
        session.commit()

        assert names(sign_in(client, cast.stranger).get("/catalogue?q=ord").text) == ["Orders"]

    def test_who_has_not_signed_in_sees_what_is_public_where_that_is_allowed(self, client, publish):
        publish("For all", visibility=Visibility.PUBLIC)
        publish("For members")
        assert client.get("/catalogue").status_code == 303
        extensions = client.application.extensions
        extensions["portico"] = replace(extensions["portico"], public_catalogue=True)

        page = client.get("/catalogue").text

        assert names(page) == ["For all"]
        assert "Subscribe" not in page
        assert ">Catalogue</span>" in page


class TestCategoryOfAnApi:
    def test_a_publisher_chooses_it_and_it_holds_at_once(self, client, cast, session, publish):
        money = Category(slug="money", name="Money")
        session.add(money)
        api = publish("Orders", slug="orders")
        address = "/apis/cast/orders/v1/category"
        publisher = sign_in(client, cast.publisher)
        assert 'value="money"' in publisher.get(address).text

        assert publisher.post(address, data={"category": "money"}).status_code == 303

        session.rollback()
        assert api.category is money
        assert names(publisher.get("/catalogue?category=money").text) == ["Orders"]
        assert names(publisher.get("/catalogue?q=mon").text) == ["Orders"]
        assert "Money" in publisher.get("/apis/cast/orders/v1").text
        assert publisher.post(address, data={"category": ""}).status_code == 303
        session.rollback()
        assert api.category is None

    def test_one_that_does_not_exist_is_refused(self, client, cast, session, publish):
        session.add(Category(slug="money", name="Money"))
        publish("Orders", slug="orders")

        answer = sign_in(client, cast.publisher).post("/apis/cast/orders/v1/category", data={"category": "zoo"})

        assert answer.status_code == 422

    def test_without_categories_the_page_says_who_makes_them(self, client, cast, publish):
        publish("Orders", slug="orders")

        assert "No categories yet" in sign_in(client, cast.publisher).get("/apis/cast/orders/v1/category").text


class TestSubscribe:
    def address(self, api):
        return f"/catalogue/{api.team.slug}/{api.slug}/{api.version}/subscribe"

    @pytest.fixture
    def api(self, session, cast, publish):
        return publish("Orders", plans=[factories.plan(session, team=cast.team)])

    def test_the_only_consumer_and_the_only_plan_are_chosen_already(self, as_stranger, session, cast, api):
        consumer = factories.consumer(session, team=cast.stranger.teams[0])
        session.commit()

        page = as_stranger.get(self.address(api)).text

        assert f'<option selected value="{consumer.team.slug}/{consumer.slug}">' in page
        assert re.search(rf'value="{api.plans[0].slug}"[^>]* checked', page)

    def test_the_default_plan_comes_first_and_is_chosen(self, as_stranger, session, cast, api):
        other = factories.plan(session, team=cast.team, name="Zzz", slug="zzz")
        registry.offer_plans(session, api, [*api.plans, other])
        api.default_plan = other
        session.commit()

        page = as_stranger.get(self.address(api)).text

        assert re.search(r'value="zzz"[^>]* checked', page)

    def test_several_are_to_choose_from_with_those_that_use_it(self, as_stranger, session, cast, api):
        team = cast.stranger.teams[0]
        first, second = (factories.consumer(session, team=team, name=name) for name in ("First", "Second"))
        factories.subscription(session, first, api)
        session.commit()

        page = as_stranger.get(self.address(api)).text

        assert re.search(r"First, [^(]*\(subscribed: ", page)
        assert f'<option selected value="{team.slug}/{second.slug}">' in page
        refused = as_stranger.post(
            self.address(api), data={"consumer": f"{team.slug}/{first.slug}", "plan": api.plans[0].slug}
        )
        assert refused.status_code == 409
        assert "First already uses" in refused.text

    def test_without_one_it_is_made_with_the_subscription(self, as_stranger, session, cast, api):
        team = cast.stranger.teams[0].slug
        assert 'name="consumer" value="new"' in as_stranger.get(self.address(api)).text
        form = {"consumer": "new", "team": team, "name": "Größte Shop", "plan": api.plans[0].slug}

        answer = as_stranger.post(self.address(api), data=form)

        assert (answer.status_code, answer.location) == (303, f"/consumers/{team}/grote-shop")
        session.rollback()
        made = session.scalars(select(Consumer).where(Consumer.slug == "grote-shop")).one()
        assert [(use.api, use.state) for use in made.subscriptions] == [(api, "approved")]
        # The same form once more makes no second one.
        again = as_stranger.post(self.address(api), data=form)
        assert (again.status_code, "has a consumer Größte Shop already" in again.text) == (422, True)

    def test_what_is_refused_makes_no_consumer_and_keeps_what_was_typed(self, as_stranger, session, cast, api):
        api.plans[0].approval = True
        session.commit()
        form = {"consumer": "new", "team": cast.stranger.teams[0].slug, "name": "Shop", "plan": api.plans[0].slug}

        answer = as_stranger.post(self.address(api), data=form | {"purpose": " ", "expected_calls": "777"})

        assert answer.status_code == 422
        assert "Say what it is for" in answer.text
        assert 'value="777"' in answer.text
        assert 'value="Shop"' in answer.text
        session.rollback()
        assert session.scalars(select(Consumer)).all() == []

    def test_a_plan_that_wants_approval_is_requested(self, as_stranger, session, cast, api):
        api.plans[0].approval = True
        session.commit()
        form = {"consumer": "new", "name": "Shop", "plan": api.plans[0].slug, "purpose": "A shop."}

        answer = as_stranger.post(self.address(api), data=form)

        page = as_stranger.get(answer.location).text
        assert "is asked for" in page
        assert "pending" in page

    @pytest.mark.parametrize(
        ("form", "sentence"),
        [
            ({}, "Choose the application that will call."),
            ({"consumer": "cast/none"}, "Choose the application that will call."),
            ({"consumer": "new"}, "Give the new consumer a name."),
            ({"consumer": "new", "name": "x" * 81}, "At most 80 characters"),
            ({"plan": ""}, "Choose a plan."),
            ({"plan": "none"}, "does not offer this plan any more"),
            ({"expected_calls": "many"}, "Give a number"),
        ],
    )
    def test_what_is_missing_is_said(self, as_stranger, session, api, form, sentence):
        plan = api.plans[0].slug
        answer = as_stranger.post(self.address(api), data={"plan": plan} | form)

        assert answer.status_code == 422
        assert sentence in answer.text
        session.rollback()
        assert session.scalars(select(Consumer)).all() == []

    def test_a_plan_for_chosen_teams_is_not_shown_to_others(self, as_stranger, session, cast, api):
        hidden = factories.plan(session, team=cast.team, name="Secret plan", slug="hidden")
        hidden.public = False
        registry.offer_plans(session, api, [*api.plans, hidden])
        session.commit()

        assert "Secret plan" not in as_stranger.get(self.address(api)).text
        answer = as_stranger.post(self.address(api), data={"consumer": "new", "name": "Shop", "plan": "hidden"})
        assert answer.status_code == 422

    def test_of_very_many_consumers_some_are_listed_and_the_others_found(self, as_stranger, session, cast, api):
        team = cast.stranger.teams[0]
        session.add_all(
            Consumer(public_id=f"con_{n}", team=team, slug=f"app-{n}", name=f"App {n:04}") for n in range(230)
        )
        session.commit()

        page = as_stranger.get(self.address(api)).text
        assert page.count("<option value=") < 210
        assert "Search your consumers" in page
        assert "App 0229" not in page
        assert "App 0229" in as_stranger.get(f"{self.address(api)}?q=0229").text
        assert "App 0229" in as_stranger.get(f"{self.address(api)}?consumer={team.slug}/app-229").text

    def test_closed_without_plan_or_not_to_be_seen(self, as_stranger, session, publish, api):
        api.closed = True
        session.commit()
        assert "closed to new subscriptions" in as_stranger.get(self.address(api)).text

        assert "offers no plan" in as_stranger.get(self.address(publish("Planless"))).text
        assert as_stranger.get(self.address(publish("Own", visibility=Visibility.TEAM))).status_code == 404


def without_tokens(page: str) -> str:
    return re.sub(r'(csrf_token"? value="|nonce="|X-CSRFToken": ")[^"]*', "", page)
