"""How callers authenticate, in the editor of an API's document."""

import re

import pytest

from portal.registry.models import Api
from tests import factories
from tests.conftest import sign_in
from tests.web.test_apis import FORM, beside

A = "/apis/cast/orders/v1"


@pytest.fixture
def orders(session, cast) -> Api:
    api = factories.api(session, team=cast.team, slug="orders", name="Orders", path="/orders/v1", plans=[])
    session.commit()
    return api


@pytest.fixture
def publisher(client, cast):
    return sign_in(client, cast.publisher)


def save(client, **fields):
    number = re.search(r'name="number" value="(\d+)"', client.get(f"{A}/document").text)[1]
    return client.post(f"{A}/document", data=FORM | {"number": number, "path": "/orders/v1"} | fields)


def authentication(session, api) -> dict | None:
    session.rollback()
    session.refresh(api)
    return api.draft.get("authentication")


def checked(page: str) -> set[tuple[str, str]]:
    """Name and value of each box and button that is chosen."""
    inputs = re.findall(r'<input checked [^>]*name="(\w+)"[^>]*value="([^"]*)"', page)
    return {(name, value) for name, value in inputs if name in {"access", "ways"}}


def test_a_key_is_what_is_chosen_before_anybody_chooses(publisher, orders):
    for page in (publisher.get(f"{A}/document").text, publisher.get("/apis/new").text):
        assert checked(page) == {("access", "asked"), ("ways", "key")}


def test_ways_are_saved_and_shown_again(publisher, session, orders):
    assert save(publisher, ways=["key", "basic"]).status_code == 303

    assert authentication(session, orders) == {"key": True, "basic": True}
    assert checked(publisher.get(f"{A}/document").text) == {("access", "asked"), ("ways", "key"), ("ways", "basic")}

    assert save(publisher, ways="key").status_code == 303
    assert authentication(session, orders) is None


def test_none_at_all_is_refused_beside_the_ways(publisher, session, orders):
    refused = save(publisher, ways=[])

    assert refused.status_code == 422
    assert "at least one way" in beside(refused.text, "ways")
    assert authentication(session, orders) is None


def test_a_public_api_names_a_plan_of_its_team(publisher, session, cast, orders):
    factories.plan(session, team=cast.team, slug="visitors", name="Visitors")
    factories.plan(session, slug="theirs", name="Theirs")
    session.commit()
    page = publisher.get(f"{A}/document").text
    assert "Visitors" in page
    assert "Theirs" not in page

    without = save(publisher, access="public")
    assert without.status_code == 422
    assert "Choose the plan" in beside(without.text, "public_plan")

    assert save(publisher, access="public", public_plan="visitors").status_code == 303
    assert authentication(session, orders) == {"key": False, "basic": False, "public": {"plan": "visitors"}}
    page = publisher.get(f"{A}/document").text
    assert checked(page) == {("access", "public"), ("ways", "key")}
    assert re.search(r'<option selected value="visitors">', page)


def test_without_a_plan_the_page_leads_to_making_one(publisher, orders):
    assert "/plans/new?team=cast" in publisher.get(f"{A}/document").text


def test_a_plan_that_is_gone_is_still_shown(publisher, session, cast, orders):
    orders.draft = orders.draft | {"authentication": {"key": False, "basic": False, "public": {"plan": "gone"}}}
    session.commit()

    assert "gone (gone)" in publisher.get(f"{A}/document").text


def test_a_new_api_takes_a_plan_of_its_own_team_only(client, session, cast):
    other = factories.team(session, owner=cast.owner, slug="second")
    factories.plan(session, team=other, slug="visitors")
    factories.plan(session, team=cast.team, slug="visitors")
    session.commit()
    client = sign_in(client, cast.owner)
    public = FORM | {"access": "public"}

    refused = client.post("/apis/new", data=public | {"public_plan": "second/visitors"})
    assert refused.status_code == 422
    assert "another team" in beside(refused.text, "public_plan")

    assert client.post("/apis/new", data=public | {"public_plan": "cast/visitors"}).status_code == 303
