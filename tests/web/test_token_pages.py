"""Tokens on pages: in the editor, the keys of an API, subjects of subscriptions, docs, why a call was refused."""

import re

import pytest

from portal import jobs, registry
from portal.db import utcnow
from portal.registry import token_keys
from portal.registry.jwks import read_jwks
from portal.registry.models import Api, Subscription
from tests import factories, tokens
from tests.conftest import sign_in
from tests.web.test_apis import FORM, beside

A = "/apis/cast/orders/v1"
URL = "https://login.example/jwks"
JWT = {"issuer": tokens.ISSUER, "audiences": [tokens.AUDIENCE], "jwks_url": URL}
KEYS = read_jwks(tokens.jwks(tokens.rsa_signer(), tokens.ec_signer()))
SENT = {
    "ways": ["key", "jwt"],
    "jwt_issuer": tokens.ISSUER,
    "jwt_audiences": f"{tokens.AUDIENCE}\r\nhttps://b.example",
    "jwks_url": URL,
    "jwt_claim": "azp",
    "jwt_forward": "y",
}


@pytest.fixture
def orders(session, cast) -> Api:
    plan = factories.plan(session, team=cast.team, slug="gold")
    api = factories.api(
        session,
        team=cast.team,
        slug="orders",
        name="Orders",
        path="/orders/v1",
        plans=[plan],
        live=True,
        authentication={"key": True, "jwt": JWT},
    )
    session.commit()
    return api


@pytest.fixture
def use(session, cast, orders) -> Subscription:
    team = factories.team(session, owner=cast.stranger, slug="shop")
    made = factories.subscription(session, factories.consumer(session, team=team, slug="app", name="Web shop"), orders)
    session.commit()
    return made


@pytest.fixture
def publisher(client, cast):
    return sign_in(client, cast.publisher)


def keep(session, got) -> None:
    token_keys.settle(session)
    token_keys.keep(session, URL, got, now=utcnow())
    session.commit()


class TestEditor:
    def save(self, client, **fields):
        number = re.search(r'name="number" value="(\d+)"', client.get(f"{A}/document").text)[1]
        return client.post(f"{A}/document", data=FORM | {"number": number, "path": "/orders/v1"} | fields)

    def test_what_was_typed_is_saved_and_shown_again(self, publisher, session, orders):
        assert self.save(publisher, **SENT).status_code == 303

        session.refresh(orders)
        assert orders.draft["authentication"] == {
            "key": True,
            "basic": False,
            "jwt": {
                "issuer": tokens.ISSUER,
                "audiences": [tokens.AUDIENCE, "https://b.example"],
                "jwks_url": URL,
                "claim": "azp",
                "forward": True,
            },
        }
        page = publisher.get(f"{A}/document").text
        for said in (URL, tokens.ISSUER, f"{tokens.AUDIENCE}\nhttps://b.example"):
            assert said in page

    @pytest.mark.parametrize(
        ("given", "field", "said"),
        [
            ({"jwks_url": ""}, "jwks_url", "one of the two"),
            ({"jwks_url": "http://login.example/"}, "jwks_url", "https://"),
            ({"jwks_url": "", "jwks": "{}"}, "jwks", "no list “keys”"),
            ({"jwt_issuer": ""}, "jwt_issuer", "Give a text"),
            ({"jwt_claim": "a.b"}, "jwt_claim", "letters, digits"),
            ({"jwt_audiences": "a\x07"}, "jwt_audiences", "Give a text"),
        ],
    )
    def test_what_is_wrong_is_told_beside_it_and_kept(self, publisher, orders, given, field, said):
        refused = self.save(publisher, **SENT | given)

        assert refused.status_code == 422
        assert said in beside(refused.text, field)
        assert "https://b.example" in refused.text or "jwt_audiences" in given

    def test_a_key_set_that_anybody_could_sign_with_is_refused(self, publisher, orders):
        shared = tokens.jwks(more=[{"kty": "oct", "k": "c2VjcmV0"}])

        refused = self.save(publisher, **SENT | {"jwks_url": "", "jwks": shared})

        assert "symmetric key" in beside(refused.text, "jwks")

    def test_without_the_way_its_fields_say_nothing(self, publisher, session, orders):
        assert self.save(publisher, **SENT | {"ways": ["key"]}).status_code == 303

        session.refresh(orders)
        assert "authentication" not in orders.draft


class TestKeysOfAnAPI:
    def test_they_are_listed_with_their_algorithms(self, publisher, session, orders):
        keep(session, KEYS)

        page = publisher.get(f"{A}/token-keys").text
        for said in ("rsa-1", "RS256", "ec-1", "ES256", URL, tokens.ISSUER):
            assert said in page
        assert "data-poll-done" in page
        assert "2 keys" in publisher.get(A).text

    def test_a_failure_is_told_there_and_on_the_api(self, publisher, session, orders):
        keep(session, KEYS)
        keep(session, "https://login.example/jwks does not answer.")

        assert "does not answer" in publisher.get(A).text
        page = publisher.get(f"{A}/token-keys").text
        assert "does not answer" in page
        assert "The keys below stay" in page
        assert "rsa-1" in page

    def test_fetching_is_asked_of_the_worker(self, publisher, session, orders):
        keep(session, KEYS)
        jobs.repeat(session, token_keys.KIND, token_keys.EVERY, now=utcnow())
        session.commit()

        answer = publisher.post(f"{A}/token-keys", follow_redirects=True)

        assert "The worker fetches the keys now" in answer.text
        assert "hx-get" in answer.text
        assert token_keys.due(session, now=utcnow()) == [URL]

    def test_without_a_worker_that_is_said(self, publisher, orders):
        assert "flask worker run" in publisher.post(f"{A}/token-keys", follow_redirects=True).text

    def test_any_audience_is_warned_of(self, publisher, session, orders):
        draft = orders.draft | {"authentication": {"key": True, "jwt": JWT | {"audiences": []}}}
        document = registry.read_document(draft)
        registry.save_draft(session, orders, document, by=None, expected=orders.draft_number)
        registry.publish(session, orders, by=None, expected=orders.draft_number)
        session.commit()

        assert "No audience is asked for" in publisher.get(f"{A}/token-keys").text

    def test_an_api_without_tokens_has_no_such_page(self, publisher, session, cast):
        factories.api(session, team=cast.team, slug="plain")
        session.commit()

        assert publisher.get("/apis/cast/plain/v1/token-keys").status_code == 404


class TestSubject:
    def address(self, use: Subscription) -> str:
        return f"/consumers/shop/app/subscriptions/{use.id}/subject"

    def test_the_consumers_team_says_it(self, client, session, cast, use):
        client = sign_in(client, cast.stranger)
        assert "Set subject" in client.get("/consumers/shop/app").text
        assert tokens.ISSUER in client.get(self.address(use)).text

        assert client.post(self.address(use), data={"subject": "alice"}).status_code == 303

        session.rollback()  # it has read before, and looks at that instant
        session.refresh(use)
        assert use.subject == "alice"
        assert "Change subject" in client.get("/consumers/shop/app").text

    def test_one_that_somebody_has_is_refused_and_kept_typed(self, client, session, cast, orders, use):
        other = factories.subscription(session, factories.consumer(session), orders)
        registry.set_subject(session, other, "alice")
        session.commit()

        refused = sign_in(client, cast.stranger).post(self.address(use), data={"subject": "alice"})

        assert refused.status_code == 422
        assert "has this subject already" in beside(refused.text, "subject")
        assert 'value="alice"' in refused.text

    def test_the_apis_team_sees_and_clears_it(self, publisher, session, orders, use):
        registry.set_subject(session, use, "alice")
        session.commit()
        page = f"{A}/subscribers/{use.id}"
        assert "alice" in publisher.get(f"{A}/subscribers").text
        assert "alice" in publisher.get(page).text

        assert publisher.post(page, data={"act": "clear subject"}).status_code == 303

        session.rollback()  # it has read before, and looks at that instant
        session.refresh(use)
        assert use.subject is None
        assert "alice" not in publisher.get(page).text

    def test_it_can_be_said_while_subscribing(self, client, session, cast, orders):
        client = sign_in(client, cast.stranger)
        address = "/catalogue/cast/orders/v1/subscribe"
        assert tokens.ISSUER in client.get(address).text
        form = {"consumer": "new", "name": "New", "team": cast.stranger.teams[0].slug, "plan": "gold"}

        assert client.post(address, data=form | {"subject": "alice"}).status_code == 303

        session.rollback()
        made = session.query(Subscription).filter_by(subject="alice").one()
        assert made.consumer.name == "New"

    def test_an_api_without_tokens_does_not_ask_for_it(self, client, session, cast):
        plan = factories.plan(session, team=cast.team)
        factories.api(session, team=cast.team, slug="plain", live=True, plans=[plan])
        session.commit()

        assert "subject" not in sign_in(client, cast.stranger).get("/catalogue/cast/plain/v1/subscribe").text.lower()


class TestDocs:
    def test_both_ways_are_told(self, publisher, orders):
        page = publisher.get("/catalogue/cast/orders/v1").text

        for said in ("token_expired", "key_missing", "Authorization: Bearer $TOKEN", tokens.ISSUER, tokens.AUDIENCE):
            assert said in page
        schemes = publisher.get("/catalogue/cast/orders/v1/openapi.json").json
        assert schemes["components"]["securitySchemes"]["token"]["bearerFormat"] == "JWT"
        assert [list(each) for each in schemes["security"]] == [["gatewayKey"], ["token"]]

    def test_where_only_tokens_will_do_no_key_is_spoken_of(self, publisher, session, cast):
        factories.api(session, team=cast.team, slug="only", live=True, authentication={"key": False, "jwt": JWT})
        session.commit()

        page = publisher.get("/catalogue/cast/only/v1").text

        assert "$TOKEN" in page
        assert "PORTICO_KEY" not in page
        assert "key_missing" not in page
        assert "gatewayKey" not in publisher.get("/catalogue/cast/only/v1/openapi.json").text
