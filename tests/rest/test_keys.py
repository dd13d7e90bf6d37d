"""Keys by programs: what they may do, rotation, use, and those that nobody uses."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from portal.db import utcnow
from portal.registry.models import Key
from tests import factories
from tests.web import logged

KEYS = "/teams/cast/consumers/shop/keys"


@pytest.fixture
def house(session, cast):
    api = factories.api(session, team=cast.team, live=True, slug="orders", openapi=factories.openapi_document(session))
    consumer = factories.consumer(session, team=cast.team, slug="shop")
    use = factories.subscription(session, consumer, api)
    session.commit()
    return api, consumer, use


def test_restrictions_are_sent_told_and_changed(program, session, cast, house):
    _, _, use = house
    asking = program(cast.developer)
    less = {
        "read_only": True,
        "addresses": ["10.0.0.0/8", "192.0.2.1"],
        "subscriptions": [use.id],
        "operations": [{"api": "cast/orders/v1", "method": "GET", "path": "/pets/{id}"}],
    }

    made = asking.post(KEYS, less).json
    told = asking.get(f"{KEYS}/{made['id']}").json
    changed = asking.patch(f"{KEYS}/{made['id']}", {"read_only": False, "operations": []}).json

    kept = less | {"addresses": ["10.0.0.0/8", "192.0.2.1/32"]}
    assert {name: told[name] for name in less} == kept
    assert told["may"].startswith("May only read Orders")
    assert {name: changed[name] for name in less} == kept | {"read_only": False, "operations": []}
    assert asking.get(KEYS).json["items"] == [changed | {"last_used_at": None}]


@pytest.mark.parametrize(
    ("less", "field"),
    [
        ({"addresses": ["10.1.2.3/8"]}, "addresses"),
        ({"subscriptions": [404]}, "subscriptions"),
        ({"operations": [{"api": "cast/none/v1", "method": "GET", "path": "/"}]}, "operations.0.api"),
        ({"operations": [{"api": "cast/orders/v1", "method": "GET", "path": "/none"}]}, "operations"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(program, session, cast, house, less, field):
    asking = program(cast.developer)
    made = asking.post(KEYS, {}).json

    for answer in (asking.post(KEYS, less), asking.patch(f"{KEYS}/{made['id']}", less)):
        assert (answer.status_code, [each["field"] for each in answer.json["errors"]]) == (422, [field])
    assert len(session.scalars(select(Key)).all()) == 1


def test_a_rotation_and_its_undoing(program, session, cast, house):
    asking = program(cast.developer)
    old = asking.post(KEYS, {"label": "ci", "read_only": True}).json
    path = f"{KEYS}/{old['id']}"

    new = asking.post(f"{path}/rotate", {"stays_until": "2090-01-01T00:00:00Z"}).json
    told = asking.get(path).json

    assert (new["predecessor"], new["label"], new["read_only"], new["expires_at"]) == (old["id"], "ci", True, None)
    assert (told["successor"], told["expires_at"], told["state"]) == (new["id"], "2090-01-01T00:00:00Z", "active")
    again = asking.post(f"{path}/rotate", {"leaked": True})
    assert (again.status_code, new["id"] in again.json["detail"]) == (409, True)
    assert asking.get(f"{path}/usage").json["safe_to_revoke"] == old["id"]
    assert asking.delete(f"{KEYS}/{new['id']}").status_code == 204
    assert asking.get(path).json["expires_at"] is None


@pytest.mark.parametrize("body", [{}, {"leaked": True, "stays_until": "2090-01-01T00:00:00Z"}])
def test_a_rotation_says_what_becomes_of_the_old_key(program, cast, house, body):
    asking = program(cast.developer)
    made = asking.post(KEYS, {}).json

    assert asking.post(f"{KEYS}/{made['id']}/rotate", body).status_code == 422


def test_use_is_told_with_address_and_by_day(program, session, cast, engine, tmp_path, house):
    api, consumer, _ = house
    key, _ = factories.key(session, consumer)
    session.commit()
    line = logged.line(api, consumer, key, ip="192.0.2.7", ua="cron/1")
    logged.store(engine, tmp_path, line, logged.line(api, consumer, key, ago=timedelta(days=3)))

    found = program(cast.developer).get(f"{KEYS}/{key.public_id}/usage").json

    assert found["last_use"] | {"at": ""} == {
        "at": "",
        "address": "192.0.2.7",
        "user_agent": "cron/1",
        "call": logged.id_of(line),
    }
    assert (found["calls_in_30_days"], len(found["days"])) == (2, 30)
    assert sum(each["calls"] for each in found["days"]) == 2
    assert found["generations"][0]["calls_in_24_hours"] == 1


def test_unused_keys_of_a_team_are_listed_and_revoked_together(program, session, cast, house):
    consumer = house[1]
    old, young = (factories.key(session, consumer)[0] for _ in range(2))
    foreign, _ = factories.key(session, factories.consumer(session))
    old.created_at = foreign.created_at = utcnow() - timedelta(days=100)
    session.commit()
    asking = program(cast.developer)

    found = asking.get("/teams/cast/unused-keys?days=30").json["items"]
    assert [(each["id"], each["consumer"]) for each in found] == [(old.public_id, "shop")]

    refused = asking.post("/teams/cast/keys/revoke", {"keys": [old.public_id, foreign.public_id]})
    assert refused.status_code == 422
    assert f"has no key pco_{foreign.public_id}_…. Nothing was revoked." in refused.json["detail"]
    session.rollback()
    assert old.revoked_at is None
    done = asking.post("/teams/cast/keys/revoke", {"keys": [old.public_id]})
    assert done.json == {"revoked": [old.public_id]}
    session.rollback()
    assert (old.revoked_at is None, young.revoked_at) == (False, None)


def test_one_call_says_why(program, session, cast, engine, tmp_path, house):
    api, consumer, _ = house
    key, _ = factories.key(session, consumer, label="laptop")
    key.expires_at = utcnow() - timedelta(days=1)
    session.commit()
    line = logged.line(api, consumer, key, st=401, rs="key_expired", **logged.REFUSED)
    logged.store(engine, tmp_path, line)

    found = program(cast.developer).get(f"/calls/{logged.id_of(line)}").json

    assert "“laptop”" in found["why"]
