"""Ways to authenticate, by programs."""

import pytest
from sqlalchemy import select

from portal.registry import everyone
from portal.registry.models import Key, KeyKind
from tests import factories

KEYS = "/teams/cast/consumers/shop/keys"


@pytest.fixture
def public(session, cast):
    plan = factories.plan(session, team=cast.team, slug="visitors")
    public = {"public": {"plan": "visitors"}}
    api = factories.api(
        session, team=cast.team, live=True, plans=[plan], slug="open", path="/open", authentication=public
    )
    factories.consumer(session, team=cast.team, slug="shop")
    session.commit()
    return api


def test_a_user_name_and_password_are_told_once(program, session, cast, public):
    asking = program(cast.developer)

    made = asking.post(KEYS, {"kind": "basic", "label": "ci"}).json

    key = session.scalars(select(Key)).one()
    assert (made["kind"], key.kind) == ("basic", KeyKind.BASIC)
    assert made["key"].startswith(f"pcb_{made['id']}:")
    assert asking.get(f"{KEYS}/{made['id']}").json["kind"] == "basic"
    assert "key" not in asking.get(f"{KEYS}/{made['id']}").json
    assert asking.post(KEYS, {}).json["kind"] == "key"


def test_another_kind_is_refused(program, cast, public):
    answer = program(cast.developer).post(KEYS, {"kind": "oauth"})

    assert answer.status_code == 422
    assert "kind" in answer.text


def test_everyone_is_in_no_list_and_cannot_be_touched(program, session, cast, public):
    asking = program(cast.owner)
    use = everyone.subscription_of_everyone(session, public)
    number, consumer = use.id, use.consumer.public_id
    other = factories.api(session, team=cast.team, live=True, slug="other", path="/other")
    plan = factories.plan(session, team=cast.team)
    other.plans = [plan]
    session.commit()
    admission = {"consumer": consumer, "plan": plan.slug}
    session.rollback()

    assert [each["slug"] for each in asking.get("/consumers?team=cast").json["items"]] == ["shop"]
    assert asking.get("/teams/cast/consumers/*").status_code == 404
    assert asking.post("/teams/cast/consumers/*/keys", {}).status_code == 404
    assert asking.get("/teams/cast/apis/open/v1/subscribers").json["items"] == []
    assert asking.get(f"/teams/cast/apis/open/v1/subscribers/{number}").status_code == 404
    assert asking.post("/teams/cast/apis/other/v1/subscribers", admission).status_code == 422


def test_the_catalogue_says_what_is_asked_for(program, session, cast, public):
    factories.api(session, team=cast.team, live=True, slug="either", path="/either", authentication={"basic": True})
    session.commit()
    asking = program(cast.developer)

    assert asking.get("/catalogue/cast/open/v1").json["authentication"] == []
    assert asking.get("/catalogue/cast/either/v1").json["authentication"] == ["key", "basic"]


def test_nobody_subscribes_to_a_public_api(program, cast, public):
    asking = program(cast.developer)

    answer = asking.post("/teams/cast/consumers/shop/subscriptions", {"api": "cast/open/v1", "plan": "visitors"})

    assert answer.status_code == 409
    assert "nothing to subscribe to" in answer.text
