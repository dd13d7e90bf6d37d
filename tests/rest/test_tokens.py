"""Tokens in the REST API: subjects of subscriptions, the keys that tokens are verified with."""

import pytest

from portal.db import utcnow
from portal.registry import token_keys
from portal.registry.jwks import read_jwks
from tests import factories, tokens
from tests.registry.test_tokens import JWT, URL

SHOP = "/teams/shop/consumers/app/subscriptions"
ORDERS = "/teams/cast/apis/orders/v1"


@pytest.fixture(autouse=True)
def orders(session, cast):
    plan = factories.plan(session, team=cast.team, slug="free")
    api = factories.api(
        session, team=cast.team, slug="orders", live=True, plans=[plan], authentication={"key": True, "jwt": JWT}
    )
    team = factories.team(session, owner=cast.stranger, slug="shop")
    factories.consumer(session, team=team, slug="app")
    session.commit()
    return api


def test_a_subject_is_said_with_the_subscription_and_changed(program, cast):
    shop = program(cast.stranger)
    made = shop.post(SHOP, {"api": "cast/orders/v1", "plan": "free", "subject": "alice"})
    assert (made.status_code, made.json["subject"]) == (201, "alice")
    one = f"{SHOP}/{made.json['id']}"

    assert shop.put(f"{one}/subject", {"subject": "bob"}).json["subject"] == "bob"
    assert shop.put(f"{one}/subject", {"subject": None}).json["subject"] is None
    assert shop.put(f"{one}/subject", {"subject": "a\nb"}).status_code == 422


def test_the_apis_team_sees_it_and_clears_it(program, cast):
    shop, owners = program(cast.stranger), program(cast.publisher)
    made = shop.post(SHOP, {"api": "cast/orders/v1", "plan": "free", "subject": "alice"}).json["id"]
    one = f"{ORDERS}/subscribers/{made}"
    assert owners.get(one).json["subject"] == "alice"

    assert owners.delete(f"{one}/subject").status_code == 204
    assert owners.get(one).json["subject"] is None


def test_one_that_somebody_has_is_refused(program, session, cast, orders):
    other = factories.subscription(session, factories.consumer(session), orders)
    other.subject = "alice"
    session.commit()

    refused = program(cast.stranger).post(SHOP, {"api": "cast/orders/v1", "plan": "free", "subject": "alice"})

    assert refused.status_code == 422
    assert "subject" in str(refused.json)


def test_keys_are_told_and_fetched(program, session, cast, orders):
    token_keys.settle(session)
    token_keys.keep(session, URL, read_jwks(tokens.jwks(tokens.ec_signer())), now=utcnow())
    token_keys.keep(session, URL, "It does not answer.", now=utcnow())
    session.commit()
    owners = program(cast.publisher)

    told = owners.get(f"{ORDERS}/token-keys").json

    assert told["keys"] == [{"kid": "ec-1", "algorithm": "ES256"}]
    assert (told["url"], told["problem"], told["claim"]) == (URL, "It does not answer.", "sub")
    assert owners.post(f"{ORDERS}/token-keys/fetch").status_code == 204
    assert owners.get(f"{ORDERS}/token-keys").json["tried_at"] is None


def test_an_api_without_tokens_has_none(program, session, cast):
    factories.api(session, team=cast.team, slug="plain", live=True)
    session.commit()

    assert program(cast.publisher).get("/teams/cast/apis/plain/v1/token-keys").status_code == 404
