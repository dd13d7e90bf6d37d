"""What comes before anything else: a password of one's own, then a second factor where one is required."""

import re

import pytest
from flask_security import hash_password
from sqlalchemy import select

from portal.accounts import Person
from portal.accounts.audit import AuditEntry
from portal.config import Config
from tests import factories
from tests.conftest import sign_in

CHANGE = "/settings/password"
OWN = "one that nobody else has seen"


def made_on(page: str) -> str:
    """The password that a page shows once."""
    return re.search(r"<code[^>]*>([^<]{16})</code>", page)[1]


def enter(client, email, password):
    return client.post("/sign-in", data={"email": email, "password": password})


def change(client, old, new=OWN):
    return client.post(CHANGE, data={"password": old, "new_password": new, "new_password_confirm": new})


@pytest.fixture
def browser(app, client):
    """Makes new ones. `client` has switched the tokens of forms off."""

    def make():
        made = app.test_client()
        made.environ_base["HTTP_ACCEPT"] = "text/html"
        return made

    return make


class TestMadePassword:
    @pytest.fixture(params=["added", "reset"])
    def made(self, request, app, client, session, cast):
        """Address and password of somebody to whom an administrator has handed one."""
        lea = "lea@portico.example"
        if request.param == "reset":
            factories.person(session, email=lea, name="Lea")
            session.commit()
        sign_in(client, cast.administrator)
        if request.param == "added":
            answer = client.post("/settings/people/new", data={"email": lea, "name": "Lea"})
        else:
            lea_id = session.scalars(select(Person.id).where(Person.email == lea)).one()
            session.rollback()
            answer = client.post(f"/settings/people/{lea_id}/password")
        assert answer.status_code == 201
        return lea, made_on(answer.text)

    def test_opens_nothing_but_the_page_that_changes_it(self, session, browser, made):
        visitor = browser()
        assert enter(visitor, *made).status_code == 302

        for page in ("/", "/consumers", "/settings", "/settings/data", "/settings/second-factor", "/settings/address"):
            assert visitor.get(page).location == CHANGE
        assert visitor.get("/calls", headers={"HX-Request": "true"}).status_code == 403
        assert visitor.post("/settings", data={"name": "New"}).status_code == 403
        assert "was made for you" in visitor.get(CHANGE).text
        assert visitor.get("/healthz").status_code == 200
        assert visitor.post("/sign-out").status_code == 302

    def test_is_over_once_another_one_is_chosen(self, session, browser, made):
        visitor = browser()
        enter(visitor, *made)
        assert change(visitor, made[1], made[1]).status_code == 422
        assert visitor.get("/consumers").location == CHANGE

        assert change(visitor, made[1]).status_code == 302
        assert visitor.get("/consumers").status_code == 200
        assert enter(browser(), *made).status_code == 422
        again = browser()
        enter(again, made[0], OWN)
        assert again.get("/consumers").status_code == 200

    def test_the_trail_says_what_it_said_before(self, session, browser, made):
        visitor = browser()
        enter(visitor, *made)
        change(visitor, made[1])

        session.rollback()
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "changed password")).all()[-1]
        assert set(entry.changes) <= {"password", "confirmed_at"}


class TestOwnPassword:
    def test_is_not_asked_for_again(self, app, session, browser):
        with app.app_context():
            own = hash_password(OWN)
        person = factories.person(session, email="mika@portico.example", password=own)
        session.commit()
        visitor = browser()
        enter(visitor, person.email, OWN)

        assert visitor.get("/consumers").status_code == 200
        assert "was made for you" not in visitor.get(CHANGE).text


class TestBoth:
    @pytest.fixture
    def config(self, tmp_path):
        return Config(data_dir=tmp_path / "var", require_mfa="everybody")

    def test_the_password_comes_first_and_then_the_second_factor(self, app, session, browser):
        made = "the one handed over"
        with app.app_context():
            hashed = hash_password(made)
        person = factories.person(session, password=hashed, must_change_password=True)
        session.commit()
        visitor = browser()
        enter(visitor, person.email, made)

        assert visitor.get("/").location == CHANGE
        assert visitor.get("/settings/second-factor").location == CHANGE
        change(visitor, made)
        assert visitor.get("/").location == "/settings/second-factor"
        assert visitor.get("/settings/second-factor").status_code == 200
