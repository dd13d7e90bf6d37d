"""Signing up, in and out."""

import re
import sqlite3
from contextlib import closing, suppress
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from flask_security import hash_password
from sqlalchemy import event, select

from portal.accounts import Person
from portal.accounts.throttle import Throttle
from portal.config import Config
from portal.db import db, utcnow
from tests import factories
from tests.conftest import sign_in

PASSWORD = "correct horse battery"
WRONG = "E-mail address or password is wrong."


@pytest.fixture
def mika(app, session) -> Person:
    with app.app_context():
        password = hash_password(PASSWORD)
    person = factories.person(session, email="mika@portico.example", name="Mika", password=password)
    session.commit()
    return person


def attempt(client, email="mika@portico.example", password=PASSWORD, **more):
    return client.post("/sign-in", data={"email": email, "password": password} | more)


class TestSignIn:
    def test_leads_to_where_one_was_going(self, client, mika):
        asked = client.get("/consumers?q=shop")
        assert asked.status_code == 303

        page = client.get(asked.location)
        wanted = re.search(r'name="next"[^>]*value="([^"]*)"', page.text)
        answer = attempt(client, next=wanted[1])

        assert answer.status_code == 302
        assert answer.location == "/consumers?q=shop"
        assert client.get("/consumers").status_code == 200

    @pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "/\\evil.example"])
    def test_never_leads_out_of_the_portal(self, client, mika, elsewhere):
        answer = attempt(client, next=elsewhere)

        assert answer.status_code in {302, 422}
        target = urlsplit(answer.headers.get("Location", "/"))
        assert (target.scheme, target.netloc, target.path[:2] == "//") == ("", "", False)

    def test_wrong_address_and_wrong_password_look_the_same(self, client, mika):
        pages = [
            re.sub(r'(nonce|value|content)="[^"]*"', "", answer.text)
            for answer in (attempt(client, email="who@portico.example"), attempt(client, password="wrong password"))
        ]

        assert WRONG in pages[0]
        assert re.sub(r"hx-headers:\S+ \S+", "", pages[0]) == re.sub(r"hx-headers:\S+ \S+", "", pages[1])

    def test_a_refused_form_is_422_and_keeps_the_address(self, client, mika):
        answer = attempt(client, password="wrong password")

        assert answer.status_code == 422
        assert 'value="mika@portico.example"' in answer.text
        assert "wrong password" not in answer.text

    def test_somebody_deactivated_is_told_only_with_the_right_password(self, client, session, mika):
        mika.active = False
        session.commit()

        assert WRONG in attempt(client, password="wrong password").text
        assert "deactivated" in attempt(client).text

    def test_signing_out_ends_it(self, client, mika):
        attempt(client)

        assert client.post("/sign-out").status_code == 302
        assert client.get("/consumers").status_code == 303


def make_wait(session) -> None:
    """As if the wait that the last attempt has brought were a minute long: what is tested needs no fast machine."""
    session.rollback()
    counted = session.scalars(select(Throttle).where(Throttle.free_at > Throttle.at)).all()
    assert counted, "nobody has to wait"
    for row in counted:
        row.free_at = utcnow() + timedelta(minutes=1)
    session.commit()


class TestThrottle:
    def test_delays_and_says_how_long_and_keeps_the_address(self, client, session, mika):
        statuses = [attempt(client, password=f"wrong {n}").status_code for n in range(5)]
        make_wait(session)
        answer = attempt(client)

        assert statuses == [422] * 5
        assert answer.status_code == 429
        seconds = int(answer.headers["Retry-After"])
        assert 0 < seconds <= 60
        assert f"Wait {seconds} second" in answer.text
        assert 'value="mika@portico.example"' in answer.text
        assert PASSWORD not in answer.text

    def test_programs_are_told_as_json(self, client, session, mika):
        for n in range(5):
            attempt(client, password=f"wrong {n}")
        make_wait(session)
        client.environ_base["HTTP_ACCEPT"] = "application/json"
        answer = attempt(client)

        assert (answer.status_code, answer.json["status"]) == (429, 429)
        assert int(answer.headers["Retry-After"]) > 0

    def test_success_is_not_counted(self, client, mika):
        for _ in range(8):
            assert attempt(client).status_code == 302
            sign_in(client, None)

    def test_nobody_else_waits(self, app, client, session, mika):
        for n in range(5):
            attempt(client, password=f"wrong {n}")
        make_wait(session)

        elsewhere = app.test_client()
        elsewhere.environ_base["REMOTE_ADDR"] = "192.0.2.9"
        assert attempt(elsewhere).status_code == 302

    @pytest.mark.parametrize("url", ["/verify", "/settings/password"])
    def test_holds_for_the_password_that_somebody_signed_in_gives_again(self, client, session, mika, url):
        new = {"new_password": "another good one", "new_password_confirm": "another good one"}
        attempt(client)
        assert {client.post(url, data={"password": f"wrong {n}"} | new).status_code for n in range(5)} == {422}
        make_wait(session)

        assert client.post(url, data={"password": PASSWORD} | new).status_code == 429

    def test_a_password_given_again_rightly_is_not_counted(self, client, mika):
        attempt(client)
        assert {client.post("/verify", data={"password": PASSWORD}).status_code for _ in range(8)} == {302}

    def test_holds_for_sign_up(self, client, session):
        assert {client.post("/sign-up", data={"email": "x"}).status_code for _ in range(10)} == {422}
        make_wait(session)
        assert client.post("/sign-up", data={"email": "x"}).status_code == 429


class TestSignUp:
    FORM = {"name": "  Jun\n Li ", "email": "jun@portico.example", "password": PASSWORD}

    def test_makes_a_person_with_a_team_and_signs_in(self, client, session):
        answer = client.post("/sign-up", data=self.FORM)

        assert answer.status_code == 302
        person = session.scalars(select(Person)).one()
        assert (person.name, [team.slug for team in person.teams]) == ("Jun Li", ["jun"])
        assert not person.is_administrator
        assert client.get("/consumers").status_code == 200

    @pytest.mark.parametrize(
        ("field", "value", "sentence"),
        [
            ("name", " ", "Give the name that others will see."),
            ("email", "jun", "This is not an e-mail address."),
            ("email", "mika@portico.example", "has an account already"),
            ("password", "short", "A password has 10 characters or more."),
            ("password", "Password123", "among the first that somebody would guess"),
            ("password", "jun@portico.example", "among the first that somebody would guess"),
        ],
    )
    def test_says_what_is_wrong_and_keeps_the_rest(self, client, session, mika, field, value, sentence):
        answer = client.post("/sign-up", data=self.FORM | {field: value})

        assert answer.status_code == 422
        assert sentence in answer.text
        assert "short" not in answer.text
        assert session.scalar(select(Person).where(Person.email == "jun@portico.example")) is None


class TestClosedSignUp:
    @pytest.fixture
    def config(self, tmp_path):
        return Config(data_dir=tmp_path / "var", sign_up=False)

    def test_has_no_page_and_says_whom_to_ask(self, client):
        assert "Ask an administrator for one" in client.get("/sign-in").text
        assert client.get("/sign-up").status_code == 404


class TestChangePassword:
    def test_needs_the_old_one_and_ends_other_sessions(self, app, client, mika):
        elsewhere = app.test_client()
        elsewhere.environ_base["HTTP_ACCEPT"] = "text/html"
        for browser in (client, elsewhere):
            attempt(browser)
        new = {"new_password": "another good one", "new_password_confirm": "another good one"}

        assert client.post("/settings/password", data={"password": "wrong password"} | new).status_code == 422
        assert client.post("/settings/password", data={"password": PASSWORD} | new).status_code == 302

        assert client.get("/settings").status_code == 200
        assert elsewhere.get("/settings").status_code == 303

    @pytest.mark.parametrize("common", ["qwertyuiop", "mika@portico.example"])
    def test_takes_none_that_is_guessed_first(self, client, mika, common):
        attempt(client)
        new = {"new_password": common, "new_password_confirm": common}

        answer = client.post("/settings/password", data={"password": PASSWORD} | new)
        assert answer.status_code == 422
        assert "among the first that somebody would guess" in answer.text


class TestBesideOtherWriters:
    """Flask-Security reads, hashes for a while, and writes then. Node and worker write to the same file meanwhile."""

    @pytest.fixture
    def intruder(self, app, config):
        """Tries to write just before the first change of a request does; says how that went."""
        told = []

        def write(_connection, _cursor, statement, *_rest):
            if told or not statement.startswith(("UPDATE person", "INSERT INTO person")):
                return
            told.append("tried")
            with closing(sqlite3.connect(config.data_dir / "portico.sqlite3", timeout=0)) as other, other:
                other.execute("UPDATE revision SET n = n + 1")
            told.append("written")

        def guarded(*args):
            with suppress(sqlite3.OperationalError):
                write(*args)

        with app.app_context():
            event.listen(db.engine, "before_cursor_execute", guarded)
        return told

    def test_signing_up_waits_for_its_turn_and_keeps_it(self, client, session, intruder):
        answer = client.post("/sign-up", data=TestSignUp.FORM)

        assert (answer.status_code, intruder) == (302, ["tried"])

    def test_so_does_changing_the_password(self, client, mika, intruder):
        attempt(client)
        new = {"new_password": "another good one", "new_password_confirm": "another good one"}
        answer = client.post("/settings/password", data={"password": PASSWORD} | new)

        assert (answer.status_code, intruder) == (302, ["tried"])
        assert client.get("/settings").status_code == 200
