"""The page that deletes a team with all that it owns, and what others are told."""

import re

import pytest
from sqlalchemy import select

from portal import accounts, registry
from portal.accounts import Role, Team
from portal.db import utcnow
from portal.notify.models import Channel
from portal.registry.models import Api, Consumer, Key
from tests import factories
from tests.conftest import sign_in
from tests.letters import delivered
from tests.web import logged

URL = "/settings/teams/cast/delete"


@pytest.fixture
def estate(session, cast, engine, tmp_path):
    """The cast owns one of everything; a neighbour's consumer uses its API. Calls were made."""
    plan = factories.plan(session, team=cast.team, slug="gold")
    orders = factories.api(session, team=cast.team, live=True, slug="orders", name="Orders", plans=[plan])
    factories.api(session, team=cast.team, slug="bills", name="Bills")
    app = factories.consumer(session, team=cast.team, slug="app", name="App")
    key, _ = factories.key(session, app)
    revoked, _ = factories.key(session, app)
    registry.revoke(session, revoked)
    factories.subscription(session, app, orders)
    factories.upstream_secret(session, team=cast.team, name="token")
    for name in ("on-call", "room"):
        factories.channel(session, team=cast.team, name=name)
    factories.channel(session, team=factories.team(session), name="elsewhere")
    neighbour = factories.person(session, email="neighbour@portico.example", confirmed_at=utcnow())
    factories.subscription(session, factories.consumer(session, team=neighbour.teams[0], name="Depot"), orders)
    session.commit()
    logged.store(engine, tmp_path, logged.line(orders, app, key), logged.line(orders, app, key), logged.line(orders))
    session.rollback()  # those were stored by another connection, and what is read from here on is written over
    return orders


@pytest.fixture
def owner(client, cast):
    return sign_in(client, cast.owner)


def seen(client) -> str:
    return re.search(r'name="seen" value="(\w+)"', client.get(URL).text)[1]


def words(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_says_beforehand_what_goes_with_numbers_and_links(owner, estate):
    page = owner.get(URL).text

    said = words(page)
    assert "2 APIs, of which 1 answers now" in said
    assert "1 consumer with 1 key that works now" in said
    assert "1 subscription of other teams" in said
    assert "Depot" in said
    assert "1 plan" in said
    assert "1 upstream secret" in said
    assert "2 notification channels : on-call, room." in said
    assert "elsewhere" not in said
    assert re.search(r"Orders v1 published 3 Bills v1 draft 0", said)
    assert re.search(r"App 1 2", said)
    assert "cannot be brought back" in said
    for link in ("/apis/cast/orders/v1", "/consumers/cast/app", "/apis/cast/orders/v1/subscribers"):
        assert f'href="{link}"' in page


def test_goes_with_everything_when_its_name_is_typed(owner, session, estate, cast):
    answer = owner.post(URL, data={"confirm": "cast", "seen": seen(owner)})

    assert (answer.status_code, answer.location) == (303, "/settings/teams")
    assert "The Cast is deleted." in owner.get("/settings/teams").text
    session.rollback()
    assert session.scalars(select(Team).where(Team.slug == "cast")).all() == []
    assert session.scalars(select(Api)).all() == []
    assert session.scalars(select(Consumer.name)).all() == ["Depot"]
    assert session.scalars(select(Key)).all() == []
    assert session.scalars(select(Channel.name)).all() == ["elsewhere"]
    assert owner.get("/settings/teams/cast").status_code == 404


def test_a_wrong_name_deletes_nothing(owner, session, estate):
    answer = owner.post(URL, data={"confirm": "Cast", "seen": seen(owner)})

    assert answer.status_code == 422
    assert "This is not cast." in answer.text
    assert len(session.scalars(select(Api)).all()) == 2


@pytest.mark.parametrize("mark", ["looked at before", "", "forged"])
def test_what_was_not_looked_at_does_not_go(owner, session, estate, cast, mark):
    mark = seen(owner) if mark == "looked at before" else mark
    factories.consumer(session, team=cast.team, name="Newcomer")
    session.commit()
    answer = owner.post(URL, data={"confirm": "cast", "seen": mark})

    assert answer.status_code == 409
    assert "has changed since you opened this page" in answer.text
    assert "Newcomer" in answer.text
    session.rollback()
    assert len(session.scalars(select(Api)).all()) == 2
    assert owner.post(URL, data={"confirm": "cast", "seen": seen(owner)}).status_code == 303


def test_owners_of_other_teams_are_told_what_they_lose(app, owner, session, estate, cast):
    team = factories.team(session, slug="others")
    for role, email in ((Role.OWNER, "unconfirmed"), (Role.OWNER, "away"), (Role.DEVELOPER, "developer")):
        person = factories.person(session, email=f"{email}@portico.example", active=email != "away")
        accounts.add_member(session, team, email=person.email, role=role)
    accounts.add_member(session, team, email=cast.owner.email, role=Role.OWNER)
    factories.subscription(session, factories.consumer(session, team=team, name="Mill"), estate)
    session.commit()
    owner.post(URL, data={"confirm": "cast", "seen": seen(owner)})

    mails = {mail["To"]: mail.get_content() for mail in delivered(app)}
    assert {"neighbour@portico.example", "unconfirmed@portico.example"} <= mails.keys()
    assert not mails.keys() & {"away@portico.example", "developer@portico.example", cast.owner.email}
    assert "- Orders v1, used by your consumer Depot" in mails["neighbour@portico.example"]
    assert "Mill" not in mails["neighbour@portico.example"]
    # Nobody knows whose this address is, so it gets no words that others have typed.
    assert "Orders" not in mails["unconfirmed@portico.example"]
    assert "/notices" in mails["unconfirmed@portico.example"]


def test_an_api_that_is_deleted_alone_is_told_too(app, owner, estate):
    owner.post("/apis/cast/orders/v1/delete", data={"confirm": "orders"})

    (mail,) = delivered(app)
    assert (mail["To"], mail["Subject"]) == ("neighbour@portico.example", "APIs that you use were deleted")


def test_nobody_is_told_when_it_was_not_deleted(app, owner, estate):
    owner.post(URL, data={"confirm": "cast", "seen": "other"})

    assert delivered(app) == []


def test_a_team_without_anything_says_so(client, session):
    person = factories.person(session)
    factories.team(session, owner=person, slug="cast", name="Idle")
    session.commit()
    page = sign_in(client, person).get(URL).text

    assert "Idle owns nothing." in page
    assert client.post(URL, data={"confirm": "cast", "seen": seen(client)}).status_code == 303


def test_a_long_estate_shows_what_is_called_most_and_how_many_there_are(owner, session, cast, engine, tmp_path):
    for n in range(25):
        factories.consumer(session, team=cast.team, slug=f"c-{n}", name=f"Consumer {n:02}")
    api = factories.api(session, live=True)
    session.commit()
    busy = session.scalars(select(Consumer).where(Consumer.slug == "c-24")).one()
    logged.store(engine, tmp_path, logged.line(api, busy))
    page = owner.get(URL).text

    assert "Consumer 24" in page
    assert "Consumer 22" not in page
    assert 'href="/consumers?team=cast">All 25 consumers' in page


def test_a_personal_team_has_no_such_page(client, session):
    person = factories.person(session)
    session.commit()

    answer = sign_in(client, person).get(f"/settings/teams/{person.teams[0].slug}/delete")
    assert answer.status_code == 409
    assert "is a personal team" in answer.text


def test_who_comes_second_finds_it_gone(app, owner, session, estate, cast):
    mark = seen(owner)
    second = sign_in(app.test_client(), cast.administrator)
    assert owner.post(URL, data={"confirm": "cast", "seen": mark}).status_code == 303

    assert second.post(URL, data={"confirm": "cast", "seen": mark}).status_code == 404


def test_lists_channels_of_a_team_that_owns_nothing_else(owner, session, cast):
    factories.channel(session, team=cast.team, name="room")
    session.commit()

    said = words(owner.get(URL).text)

    assert "1 notification channel : room." in said
    assert "owns nothing" not in said
