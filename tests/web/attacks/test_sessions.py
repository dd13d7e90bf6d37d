"""Cookies, what planting or stealing one brings, guessing passwords and accounts."""

import re
import shutil
from datetime import timedelta

import pytest
from flask_security import hash_password
from sqlalchemy import select

from portal import create_app
from portal.accounts.sessions import SignIn
from portal.accounts.throttle import Throttle
from portal.config import Config
from portal.db import utcnow
from tests import factories

PASSWORD = "correct horse battery"
TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


@pytest.fixture
def mika(app, session):
    with app.app_context():
        person = factories.person(session, email="mika@portico.example", name="Mika", password=hash_password(PASSWORD))
    session.commit()
    return person


def sign_in(client, password=PASSWORD, email="mika@portico.example", **more):
    return client.post("/sign-in", data={"email": email, "password": password} | more)


class TestCookies:
    @pytest.mark.parametrize(("url", "is_secure"), [("http://localhost:8000", False), ("https://localhost", True)])
    def test_are_for_servers_only_and_secure_exactly_when_the_portal_is(self, tmp_path, empty_database, url, is_secure):
        config = Config(data_dir=tmp_path / "var", url=url)
        config.data_dir.mkdir(mode=0o700)
        shutil.copy(empty_database, config.data_dir / "portico.sqlite3")
        app = create_app(config, overrides={"TESTING": True, "WTF_CSRF_ENABLED": False})
        answer = app.test_client().post(
            "/sign-up",
            data={"name": "Jun", "email": "jun@portico.example", "password": PASSWORD, "remember": "y"},
        )
        client = app.test_client()
        again = sign_in(client, email="jun@portico.example", remember="y")
        assert client.get("/settings", base_url=url).status_code == 200

        cookies = answer.headers.getlist("Set-Cookie") + again.headers.getlist("Set-Cookie")
        prefix = "__Host-" if is_secure else ""
        assert {cookie.partition("=")[0] for cookie in cookies} == {
            f"{prefix}portico_session",
            f"{prefix}portico_remember",
        }
        for cookie in cookies:
            flags = {flag.strip() for flag in cookie.split(";")[1:]}
            assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= flags
            assert ("Secure" in flags) == is_secure
            assert not any(flag.startswith("Domain") for flag in flags)

    @pytest.mark.parametrize("url", ["https://localhost", "http://localhost:8000"])
    def test_browsers_are_told_to_stay_with_https_exactly_then(self, tmp_path, empty_database, url):
        config = Config(data_dir=tmp_path / "var", url=url)
        config.data_dir.mkdir(mode=0o700)
        shutil.copy(empty_database, config.data_dir / "portico.sqlite3")
        client = create_app(config, overrides={"TESTING": True}).test_client()

        for page in ("/sign-in", "/healthz", "/none-such", "/static/tokens.css", "/apis"):
            with client.get(page) as answer:
                said = answer.headers.get("Strict-Transport-Security", "")
            assert bool(re.match(r"max-age=(\d+)", said) and int(said[8:]) >= 31_536_000) == url.startswith("https")

    def test_one_that_was_changed_is_nobody(self, client, mika):
        sign_in(client)
        cookie = client.get_cookie("portico_session").value
        assert client.get("/settings").status_code == 200

        for forged in (cookie[:-1], cookie[1:], cookie.replace(".", "..", 1), "", cookie.partition(".")[0]):
            client.set_cookie("portico_session", forged)
            assert client.get("/settings").status_code == 303


class TestPlantedSession:
    """Somebody puts a session of their own into another's browser and waits until that other has signed in."""

    def test_is_another_one_after_signing_in(self, client, mika):
        client.get("/sign-in")
        planted = client.get_cookie("portico_session").value
        sign_in(client)

        assert client.get_cookie("portico_session").value != planted
        client.set_cookie("portico_session", planted)
        assert client.get("/settings").status_code == 303

    def test_leaves_no_form_token_that_its_planter_knows(self, app, client, mika):
        app.config["WTF_CSRF_ENABLED"] = True
        known = TOKEN.search(client.get("/sign-in").text)[1]
        assert sign_in(client, csrf_token=known).status_code == 302

        assert client.post("/settings", data={"name": "Changed", "csrf_token": known}).status_code == 400
        fresh = TOKEN.search(client.get("/settings").text)[1]
        assert client.post("/settings", data={"name": "Changed", "csrf_token": fresh}).status_code == 303


class TestPasswordGivenAgain:
    """Whoever has a copy of the cookies from before has nothing."""

    def test_makes_another_session_of_the_same_age(self, client, session, mika):
        sign_in(client)
        copy = client.get_cookie("portico_session").value
        before = session.scalars(select(SignIn)).one()
        hashed, at = before.token_hash, before.created_at
        assert client.post("/verify", data={"password": "wrong password"}).status_code == 422
        session.rollback()
        assert session.scalars(select(SignIn.token_hash)).one() == hashed

        assert client.post("/verify", data={"password": PASSWORD}).status_code == 302

        session.rollback()
        (after,) = session.scalars(select(SignIn)).all()
        assert (after.token_hash != hashed, after.created_at) == (True, at)
        assert client.get("/settings").status_code == 200
        client.set_cookie("portico_session", copy)
        assert client.get("/settings").status_code == 303

    def test_holds_for_one_that_is_remembered(self, client, mika):
        sign_in(client, remember="y")
        copy = client.get_cookie("portico_remember").value
        client.post("/verify", data={"password": PASSWORD})
        fresh = client.get_cookie("portico_remember").value

        for cookie, status in ((copy, 303), (fresh, 200)):
            client.delete_cookie("portico_session")
            client.set_cookie("portico_remember", cookie)
            assert client.get("/settings").status_code == status

    def test_a_session_that_is_not_remembered_stays_so(self, client, mika):
        sign_in(client)
        client.post("/verify", data={"password": PASSWORD})

        assert client.get_cookie("portico_remember") is None

    def test_forms_that_are_open_can_still_be_sent(self, app, client, mika):
        sign_in(client)
        app.config["WTF_CSRF_ENABLED"] = True
        known = TOKEN.search(client.get("/settings").text)[1]
        assert client.post("/verify", data={"password": PASSWORD, "csrf_token": known}).status_code == 302

        assert client.post("/settings", data={"name": "Changed", "csrf_token": known}).status_code == 303


class TestEndOfSessions:
    def test_everywhere_when_somebody_is_deactivated(self, client, session, mika):
        sign_in(client, remember="y")
        assert client.get("/settings").status_code == 200
        mika.active = False
        session.commit()

        assert client.get("/settings").status_code == 303

    def test_rights_that_are_taken_count_at_once(self, client, session, mika):
        mika.is_administrator = True
        session.commit()
        sign_in(client)
        assert client.get("/settings/people").status_code == 200

        mika.is_administrator = False
        session.commit()
        assert client.get("/settings/people").status_code == 403


class TestWhoHasAnAccount:
    @pytest.mark.parametrize("accept", ["text/html", "application/json", "*/*"])
    def test_is_not_told_by_signing_in(self, app, mika, accept):
        app.config["WTF_CSRF_ENABLED"] = False
        answers = []
        for email in ("mika@portico.example", "nobody@portico.example"):
            client = app.test_client()
            client.environ_base["HTTP_ACCEPT"] = accept
            answer = sign_in(client, "wrong password", email)
            told = re.sub(r'nonce="[^"]*"|hx-headers:inherited=\'[^\']*\'', "", answer.text)
            told = TOKEN.sub("", told).replace(email, "")
            headers = {name for name, _ in answer.headers}
            answers.append((answer.status_code, told, headers))

        assert answers[0] == answers[1]
        assert "is wrong" in answers[0][1]

    def test_nor_by_the_end_of_a_wait(self, app, client, session, mika):
        answers = []
        for email in ("mika@portico.example", "nobody@portico.example"):
            answers.append([sign_in(client, "wrong password", email).status_code for _ in range(5)])

        assert answers[0] == answers[1]


def make_wait(session) -> None:
    """As if the wait that the last attempt has brought were a minute long."""
    session.rollback()
    counted = session.scalars(select(Throttle).where(Throttle.free_at > Throttle.at)).all()
    assert counted, "nobody has to wait"
    for row in counted:
        row.free_at = utcnow() + timedelta(minutes=1)
    session.commit()


class TestGuessing:
    def test_from_a_hundred_addresses_does_not_lock_the_owner_out(self, app, client, session, mika):
        for n in range(100):
            elsewhere = app.test_client()
            elsewhere.environ_base["REMOTE_ADDR"] = f"198.51.100.{n}"
            assert sign_in(elsewhere, "wrong password").status_code == 422

        assert sign_in(client).status_code == 302

    def test_is_not_made_faster_by_saying_that_one_is_elsewhere(self, client, session, mika):
        for _ in range(5):
            sign_in(client, "wrong password")
        make_wait(session)

        for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "Client-IP", "True-Client-IP", "CF-Connecting-IP"):
            answer = client.post(
                "/sign-in",
                data={"email": mika.email, "password": PASSWORD},
                headers={header: "for=198.51.100.9" if header == "Forwarded" else "198.51.100.9"},
            )
            assert answer.status_code == 429, header

    @pytest.mark.parametrize("spelt", ["MIKA@portico.example", " mika@portico.example ", "mika@PORTICO.example"])
    def test_is_not_made_faster_by_another_spelling(self, client, session, mika, spelt):
        for _ in range(5):
            sign_in(client, "wrong password")
        make_wait(session)

        assert sign_in(client, email=spelt).status_code == 429

    def test_of_many_accounts_from_one_address_is_slowed(self, client, session, mika):
        assert {sign_in(client, "password", f"{n}@portico.example").status_code for n in range(20)} == {422}
        make_wait(session)

        assert sign_in(client, email="other@portico.example").status_code == 429


class TestGuessingBehindAProxy:
    @pytest.fixture
    def config(self, tmp_path):
        return Config(data_dir=tmp_path / "var", trusted_hops=1)

    def test_counts_the_address_that_the_proxy_saw(self, client, session, mika):
        def attempt(seen: str, claimed: str):
            headers = {"X-Forwarded-For": f"{claimed}, {seen}"}
            return client.post(
                "/sign-in", data={"email": mika.email, "password": "wrong password"}, headers=headers
            ).status_code

        assert {attempt("198.51.100.1", f"203.0.113.{n}") for n in range(5)} == {422}
        make_wait(session)
        assert attempt("198.51.100.1", "203.0.113.99") == 429
        assert attempt("198.51.100.2", "203.0.113.1") == 422


class TestPasswords:
    @pytest.mark.parametrize(
        "password", ["lowercase only", "8305172964", "Ünïcødé 漢字 Pass", "x" * 99 + "Y", '<b>"&amp;\\n%00 + ']
    )
    def test_are_made_of_anything_and_checked_as_they_were_typed(self, client, password):
        form = {"name": "Jun", "email": "jun@portico.example", "password": password}
        assert client.post("/sign-up", data=form).status_code == 302
        client.post("/sign-out")

        for other in (password[:-1], password.swapcase(), password[:72]):
            if other != password:
                assert sign_in(client, other, "jun@portico.example").status_code in {422, 429}
        client.environ_base["REMOTE_ADDR"] = "198.51.100.7"
        assert sign_in(client, password, "jun@portico.example").status_code == 302
