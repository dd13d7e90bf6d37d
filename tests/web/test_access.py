"""The pages that say who may call an API from where: the form, what a publish changes, the docs, the explanation."""

import html
import re
import uuid

import pytest
from sqlalchemy import select

from portal import registry
from portal.registry.access import Addresses, Cors
from portal.registry.models import Api
from portal.traffic.models import Call
from portal.traffic.reasons import REFUSED_BY_API
from tests import factories
from tests.conftest import sign_in
from tests.web import logged
from tests.web.test_apis import FORM, A, beside, stored

APP = "https://app.example.com"
ACCESS = {
    "cors_origins": f"{APP}\nhttps://*.example.org",
    "cors_methods": "get, post",
    "cors_headers": "X-Trace",
    "cors_exposed_headers": "ETag",
    "cors_credentials": "y",
    "cors_max_age": "60",
    "addresses_allow": "10.0.0.0/8\n127.0.0.1",
    "addresses_deny": "10.9.0.0/16",
}
OUT = "Your own address, 127.0.0.1 as the portal sees it,"


@pytest.fixture
def publisher(client, cast):
    return sign_in(client, cast.publisher)


@pytest.fixture
def orders(session, cast) -> Api:
    api = factories.api(session, team=cast.team, slug="orders", name="Orders", path="/orders/v1")
    session.commit()
    return api


def typed(api: Api, **fields: str) -> dict[str, str]:
    return FORM | {"number": str(api.draft_number), "path": "/orders/v1", "cors_max_age": "600"} | fields


def text_of(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


class TestForm:
    def test_what_is_typed_is_stored_and_shown_again(self, publisher, session, orders):
        assert publisher.post(f"{A}/document", data=typed(orders, **ACCESS)).status_code == 303

        document = registry.read_document(stored(session).draft)
        assert document.cors == Cors(
            origins=(APP, "https://*.example.org"),
            methods=("GET", "POST"),
            headers=("X-Trace",),
            exposed_headers=("ETag",),
            credentials=True,
            max_age_s=60,
        )
        assert document.addresses == Addresses(allow=("10.0.0.0/8", "127.0.0.1/32"), deny=("10.9.0.0/16",))
        page = publisher.get(f"{A}/document").text
        for words in (f"{APP}\nhttps://*.example.org", "GET, POST", "X-Trace", "ETag", "10.0.0.0/8\n127.0.0.1<"):
            assert words in page.replace("\r\n", "\n"), words
        assert re.search(r'<details class="more-fields" open', page)

    def test_left_empty_it_says_nothing(self, publisher, session, orders):
        before = dict(orders.draft)

        publisher.post(f"{A}/document", data=typed(orders, description="", name=orders.name))

        document = registry.read_document(stored(session).draft)
        assert (document.cors, document.addresses) == (None, None)
        assert not {"cors", "addresses"} & stored(session).draft.keys()
        assert before.keys() == stored(session).draft.keys()

    @pytest.mark.parametrize(
        ("fields", "where", "said"),
        [
            ({"cors_origins": f"{APP}\napp.example.com"}, "cors_origins", "app.example.com is no origin."),
            ({"cors_origins": f"{APP}/path"}, "cors_origins", f"Write {APP}."),
            ({"cors_origins": "*", "cors_credentials": "y"}, "cors_credentials", "Name the origins, or leave"),
            ({"cors_methods": "GET"}, "cors_origins", "At least one is needed."),
            ({"cors_origins": "*", "cors_methods": "GET;\x7f"}, "cors_methods", "is no method."),
            ({"cors_origins": "*", "cors_headers": "X-A X(B)"}, "cors_headers", "X(B) is no name of a header."),
            ({"cors_origins": "*", "cors_exposed_headers": "*"}, "cors_exposed_headers", "* is no name of a header."),
            ({"cors_origins": "*", "cors_max_age": "90000"}, "cors_max_age", "The greatest value is 86,400."),
            ({"cors_origins": "*", "cors_max_age": "soon"}, "cors_max_age", "Give a number, such as 30."),
            ({"addresses_allow": "10.1.2.3/8"}, "addresses_allow", "Write 10.0.0.0/8 for all of it"),
            ({"addresses_deny": "home"}, "addresses_deny", "home is no address and no network."),
            (
                {"addresses_allow": "10.0.0.0/9", "addresses_deny": "10.0.0.0/8"},
                "addresses_deny",
                "nobody could call",
            ),
        ],
    )
    def test_mistakes_are_told_beside_their_field_and_what_was_typed_stays(
        self, publisher, session, orders, fields, where, said
    ):
        answer = publisher.post(f"{A}/document", data=typed(orders, **fields))

        assert answer.status_code == 422
        assert said in html.unescape(beside(answer.text, where))
        for each in fields.values():
            assert html.escape(each.split("\n")[0].rstrip("\x7f")) in answer.text
        assert stored(session).draft_number == orders.draft_number

    def test_two_wrong_origins_are_told_together(self, publisher, orders):
        answer = publisher.post(f"{A}/document", data=typed(orders, cors_origins="a.example\nb.example"))

        assert "a.example is no origin." in beside(answer.text, "cors_origins")
        assert "b.example is no origin." in beside(answer.text, "cors_origins")

    def test_a_new_api_has_the_same_fields(self, publisher, session, cast):
        publisher.post("/apis/new", data=FORM | {"cors_origins": APP, "cors_max_age": "60"})

        found = registry.read_document(stored(session).draft).cors
        assert (found.origins, found.max_age_s) == ((APP,), 60)

    def test_a_target_that_is_added_keeps_them(self, publisher, orders):
        page = publisher.post(f"{A}/document", data=typed(orders, cors_origins=APP, targets="add")).text

        assert APP in page


class TestOwnAddress:
    @pytest.mark.parametrize(
        ("lists", "warns"),
        [
            ({"addresses_allow": "10.0.0.0/8"}, f"{OUT} is not in the networks that may call."),
            ({"addresses_deny": "127.0.0.0/8"}, f"{OUT} is denied."),
            ({"addresses_allow": "127.0.0.1"}, None),
            ({"addresses_deny": "10.0.0.0/8"}, None),
            ({}, None),
        ],
    )
    def test_who_would_be_shut_out_is_warned(self, publisher, orders, lists, warns):
        answer = publisher.post(f"{A}/document", data=typed(orders, **lists), follow_redirects=True)

        for page in (answer.text, publisher.get(f"{A}/document").text, publisher.get(f"{A}/publish").text):
            assert (OUT in page) is (warns is not None)
            assert warns is None or warns in page

    def test_before_it_is_saved_too(self, publisher, orders):
        """Where something else is wrong, or a target is added."""
        for more in ({"name": ""}, {"targets": "add"}):
            page = publisher.post(f"{A}/document", data=typed(orders, addresses_allow="10.0.0.0/8") | more).text
            assert OUT in page


class TestPublish:
    def test_what_changes_is_told_in_words(self, publisher, session, cast):
        api = factories.api(session, team=cast.team, live=True, slug="orders", name="Orders", path="/orders/v1")
        document = factories.document(
            name="Orders",
            path="/orders/v1",
            cors={"origins": [APP], "credentials": True},
            addresses={"allow": ["10.0.0.0/8"], "deny": ["10.9.0.1"]},
        )
        registry.save_draft(session, api, document, by=None, expected=api.draft_number)
        session.commit()

        page = text_of(publisher.get(f"{A}/publish").text)

        assert f"Pages of {APP} may call from browsers." in page
        assert "Calls are taken from 10.0.0.0/8 only; all others get 403 address_not_allowed." in page
        assert f"Browsers may call from nothing {APP} with credentials remembered for 600 s" in page
        assert "Never from these networks nothing 10.9.0.1" in page
        assert "Gateways would not serve it" not in page


class TestOverview:
    def test_says_that_there_are_rules(self, client, session, cast):
        lists = {"allow": ["10.0.0.0/8"], "deny": ["10.9.0.1", "10.9.0.2"]}
        factories.api(session, team=cast.team, slug="orders", cors={"origins": ["*"]}, addresses=lists)
        session.commit()

        page = text_of(sign_in(client, cast.developer).get(A).text)

        assert "Origins every page" in page
        assert "Networks 1 allowed, 2 denied See which" in page


class TestDocs:
    @pytest.fixture
    def closed(self, session, cast) -> Api:
        api = factories.api(
            session,
            team=cast.team,
            live=True,
            slug="orders",
            cors={"origins": [APP], "credentials": True},
            addresses={"allow": ["10.0.0.0/8"], "deny": ["10.9.0.0/16"]},
        )
        session.commit()
        return api

    def test_readers_learn_whose_pages_may_call_and_not_from_where(self, client, cast, closed):
        page = sign_in(client, cast.stranger).get("/catalogue/cast/orders/v1").text

        assert f"Browsers may call it from this origin, with cookies: {APP}" in text_of(page)
        assert "It takes calls from some addresses only" in page
        assert "10.0.0.0" not in page
        assert "10.9.0.0" not in page

    def test_the_team_sees_its_lists(self, client, cast, closed):
        page = text_of(sign_in(client, cast.developer).get("/catalogue/cast/orders/v1").text)

        assert "Calls are taken only from these networks: 10.0.0.0/8" in page
        assert "Calls are refused from these networks: 10.9.0.0/16" in page

    def test_an_api_that_says_nothing_says_nothing(self, client, session, cast):
        factories.api(session, team=cast.team, live=True, slug="orders")
        session.commit()

        page = sign_in(client, cast.developer).get("/catalogue/cast/orders/v1").text

        assert 'id="browsers"' not in page
        assert 'id="addresses"' not in page

    def test_every_page(self, client, session, cast):
        factories.api(session, team=cast.team, live=True, slug="orders", cors={"origins": ["*"]})
        session.commit()

        page = sign_in(client, cast.stranger).get("/catalogue/cast/orders/v1").text

        assert "Scripts of every web page may call it." in page


class TestWhy:
    @pytest.fixture
    def house(self, session, cast):
        """An API of another team with lists, which a consumer of the cast calls."""
        team = factories.team(session, slug="payments", name="Payments")
        api = factories.api(
            session,
            team=team,
            live=True,
            slug="orders",
            name="Orders",
            cors={"origins": [APP]},
            addresses={"allow": ["10.0.0.0/8"], "deny": ["10.9.0.0/16"]},
        )
        consumer = factories.consumer(session, team=cast.team, slug="shop", name="Web shop")
        key, _ = factories.key(session, consumer, label="laptop")
        session.commit()
        return api, consumer, key

    def why(self, client, engine, tmp_path, house, who, **fields) -> str:
        line = logged.line(*house, **{"up": None, "us": None} | fields)
        logged.store(engine, tmp_path, line)
        return text_of(sign_in(client, who).get(f"/why?id={logged.id_of(line)}").text)

    def test_the_callers_learn_that_it_is_the_api_and_whom_to_ask(self, client, cast, engine, tmp_path, house):
        page = self.why(client, engine, tmp_path, house, cast.developer, st=403, d=REFUSED_BY_API, ip="198.51.100.9")

        assert "It is the API that refused it. The call came from 198.51.100.9." in page
        assert "Ask Payments whether this address may call." in page
        assert "10.0.0.0" not in page

    def test_the_apis_team_learns_by_which_list_and_not_the_address(self, client, engine, tmp_path, house):
        owner = house[0].team.memberships[0].person

        page = self.why(client, engine, tmp_path, house, owner, st=403, d=REFUSED_BY_API, ip="198.51.100.9")

        assert "It took calls from 10.0.0.0/8 only. It denied 10.9.0.0/16." in page
        assert "198.51.100.9" not in page

    def test_a_preflight_is_explained(self, client, session, engine, tmp_path, house):
        owner = house[0].team.memberships[0].person

        sent = logged.line(house[0], st=200, d="cors_response", m="OPTIONS", up=None, us=None, c=None, k=None)
        logged.store(engine, tmp_path, sent)
        session.rollback()
        # Its id is the portal's own, since the gateway gave it none.
        request_id = uuid.UUID(bytes=session.scalars(select(Call.request_id)).one())
        assert str(request_id) in sign_in(client, owner).get("/calls").text
        page = text_of(client.get(f"/why?id={request_id}").text)

        assert "A browser asked whether a page of another site may call. It is no call itself." in page
        assert f"Orders v1 may be called by pages of {APP}." in page
