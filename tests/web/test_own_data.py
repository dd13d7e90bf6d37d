"""The file with one's own data."""

import json

import pytest

from portal import accounts, registry
from portal.accounts import Role, audit
from portal.accounts.audit import Actor
from tests import factories
from tests.conftest import sign_in


@pytest.fixture
def mine(client, session, cast) -> tuple[dict, str]:
    """What the stranger of the cast downloads, beside things of others."""
    me = cast.stranger
    consumer = factories.consumer(session, team=me.teams[0], slug="own")
    factories.subscription(session, consumer, factories.api(session, live=True, slug="orders"))
    own, token = factories.key(session, consumer, label="laptop")
    accounts.add_member(session, cast.team, email=me.email, role=Role.DEVELOPER)
    shop = factories.consumer(session, team=cast.team, slug="shop")
    factories.key(session, shop, label="not mine")
    registry.issue(session, shop, by=me, label="for the team")
    session.commit()
    audit.act_as(session, Actor(cast.administrator.id, "page", "192.0.2.99"))
    accounts.appoint(me)
    session.commit()
    audit.act_as(session, Actor(me.id, "page", "192.0.2.7"))
    audit.record(session, "signed in", me)
    audit.act_as(session, Actor(None, "page", "192.0.2.8"))
    audit.record(session, "failed to sign in", me)
    audit.record(session, "failed to sign in", cast.owner)
    session.commit()
    answer = sign_in(client, me).get("/settings/data")
    assert answer.mimetype == "application/json"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="portico-my-data-')
    assert own.sha256.hex() not in answer.text
    assert token.value not in answer.text
    return json.loads(answer.text), answer.text


def test_holds_account_teams_consumers_and_keys(mine, cast):
    found, _ = mine

    assert found["account"]["email"] == cast.stranger.email
    assert sorted(each["role"] for each in found["memberships"]) == ["developer", "owner"]
    (consumer,) = found["consumers"]
    assert (consumer["slug"], [key["label"] for key in consumer["keys"]]) == ("own", ["laptop"])
    assert [each["state"] for each in consumer["subscriptions"]] == ["approved"]
    assert [key["label"] for key in found["keys_issued_for_other_teams"]] == ["for the team"]


def test_holds_the_trail_by_and_about_oneself_with_the_sign_ins(mine):
    found, _ = mine
    told = [(each["action"], each["by"], each.get("address")) for each in found["trail"]]

    assert ("signed in", "you", "192.0.2.7") in told
    assert ("failed to sign in", "page", "192.0.2.8") in told
    assert len([each for each in told if each[0] == "failed to sign in"]) == 1
    assert ("made administrator", "somebody else", None) in told
    assert ("added", "membership") in [(each["action"], each["kind"]) for each in found["trail"]]


def test_holds_nothing_of_others(mine, cast):
    _, text = mine

    for stranger in (cast.owner, cast.administrator, cast.publisher):
        assert stranger.email not in text
        assert stranger.name not in text
    assert "192.0.2.99" not in text
    assert "not mine" not in text


def test_a_new_account_has_one_too(client, session):
    person = factories.person(session)
    session.commit()

    assert json.loads(sign_in(client, person).get("/settings/data").text)["consumers"] == []
