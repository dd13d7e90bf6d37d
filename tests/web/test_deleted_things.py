"""Pages about the past, with calls of which everything was deleted since: they say so, and to those whose it was."""

import pytest
from sqlalchemy import select

from portal import accounts, registry
from portal.accounts import Person, Role
from portal.registry.models import Api, Plan
from tests import factories
from tests.conftest import sign_in
from tests.web import logged


@pytest.fixture
def gone(session, cast, engine, tmp_path) -> dict[str, int | str]:
    """Numbers of what was deleted after calls; the cast and a neighbour's team are still there."""
    neighbour = factories.team(
        session, slug="neighbours", owner=factories.person(session, email="next@portico.example")
    )
    plan = factories.plan(session, team=cast.team, slug="gold")
    kept = factories.api(session, team=cast.team, live=True, slug="kept", name="Kept", plans=[plan])
    orders = factories.api(session, team=cast.team, live=True, slug="orders", name="Orders", plans=[plan])
    shop = factories.consumer(session, team=cast.team, slug="shop", name="Shop")
    depot = factories.consumer(session, team=neighbour, slug="depot", name="Depot")
    leaver = factories.person(session, name="Lea Leaver")
    lost = factories.team(session, slug="lost")
    accounts.add_member(session, cast.team, email=leaver.email, role=Role.PUBLISHER)
    bills = factories.api(session, team=lost, live=True, slug="bills", name="Bills")
    keys = {}
    for consumer in (shop, depot):
        keys[consumer] = factories.key(session, consumer)[0]
        for api in (kept, orders, bills):
            factories.subscription(session, consumer, api)
    session.commit()
    calls = [
        logged.line(api, consumer, keys[consumer], pl=str(plan.id))
        for api in (kept, orders, bills)
        for consumer in (shop, depot)
    ]
    logged.store(engine, tmp_path, *calls)
    session.rollback()
    ids = {"orders": orders.id, "bills": bills.id, "shop": shop.id, "kept": kept.id, "leaver": leaver.id}
    registry.delete_api(session, orders)
    registry.delete_consumer(session, shop)
    registry.delete_team(session, lost)
    registry.delete_person(session, leaver)
    session.commit()
    registry.delete_api(session, kept)
    session.flush()
    registry.delete_plan(session, plan)
    session.commit()
    assert session.scalars(select(Api)).all() == session.scalars(select(Plan).where(Plan.slug == "gold")).all() == []
    session.rollback()
    return ids | {f"call {n}": logged.id_of(call) for n, call in enumerate(calls)}


def pages(app, gone) -> list[str]:
    filters = [f"api={gone[name]}" for name in ("orders", "bills")] + [f"consumer={gone['shop']}"]
    lists = ["/", "/apis", "/consumers", "/plans", "/catalogue", "/gateway", "/settings/teams", "/settings/people"]
    lists += [
        "/calls",
        "/traffic",
        "/approvals",
        "/settings/audit",
        "/settings/audit.csv",
        "/settings/teams/cast/audit",
    ]
    lists += [f"{page}?{asked}" for page in ("/calls", "/traffic") for asked in filters]
    lists += [f"/traffic?window={window}" for window in ("1h", "24h", "7d", "30d", "90d")]
    lists += [f"/settings/audit?person={gone['leaver']}", "/settings/data"]
    lists += [f"/calls/{gone[f'call {n}']}" for n in range(6)]
    back_office = (
        str(rule) for rule in app.url_map.iter_rules() if rule.endpoint.startswith("admin") and not rule.arguments
    )
    return lists + sorted(back_office)


@pytest.mark.parametrize("who", ["administrator", "owner", "publisher", "developer", "stranger"])
def test_no_page_breaks(app, client, cast, gone, who):
    sign_in(client, getattr(cast, who))
    answers = {}
    for page in pages(app, gone):
        answer = client.get(page)
        answer.get_data()  # a file is made while it is read
        answers[page] = answer.status_code

    assert {page: status for page, status in answers.items() if status >= 500} == {}
    assert {answers[page] for page in ("/", "/calls", "/traffic", "/consumers", "/settings/data")} == {200}


def test_an_administrator_sees_them_as_deleted(client, cast, gone):
    sign_in(client, cast.administrator)

    for page in ("/calls", "/traffic", f"/calls/{gone['call 2']}"):
        text = client.get(page).text
        assert f"Deleted API {gone['orders']}" in text, page
        assert f"Deleted consumer {gone['shop']}" in text, page
    assert client.get(f"/calls/{gone['call 2']}").text.count("deleted since") == 2  # the key and the plan
    assert f"Deleted API {gone['bills']}" in client.get(f"/calls?api={gone['bills']}").text
    assert f"deleted person {gone['leaver']}" in client.get("/settings/audit").text


def test_whose_they_were_still_see_their_calls(client, session, cast, gone):
    """As the page of the deletion has promised."""
    sign_in(client, cast.publisher)
    assert f"Deleted API {gone['orders']}" in client.get("/calls").text
    assert client.get(f"/calls/{gone['call 3']}").status_code == 200
    assert f"Deleted API {gone['orders']}" in client.get("/traffic").text

    sign_in(client, cast.developer)
    assert client.get(f"/calls/{gone['call 2']}").status_code == 200  # of the consumer
    assert client.get(f"/calls/{gone['call 3']}").status_code == 404  # of another team's, to the API

    neighbour = session.scalars(select(Person).where(Person.email == "next@portico.example")).one()
    sign_in(client, neighbour)
    assert client.get(f"/calls/{gone['call 3']}").status_code == 200
    assert client.get(f"/calls/{gone['call 2']}").status_code == 404
    assert f"Deleted consumer {gone['shop']}" not in client.get("/calls").text

    sign_in(client, cast.stranger)
    assert client.get(f"/calls/{gone['call 2']}").status_code == 404
