"""Links that are mailed to people: new passwords, confirmed addresses, other addresses."""

from datetime import timedelta

import pytest
from flask_security import hash_password, verify_password
from sqlalchemy import event, select

from portal import letters
from portal.accounts import Person
from portal.accounts.audit import AuditEntry
from portal.accounts.throttle import Throttle
from portal.config import Config
from portal.db import db, utcnow
from portal.jobs import Job
from tests import factories
from tests.conftest import sign_in
from tests.letters import delivered, link_in, only

PASSWORD = "correct horse battery"
NEW = "another good one"


@pytest.fixture
def mika(app, session) -> Person:
    with app.app_context():
        password = hash_password(PASSWORD)
    factories.person(session, email="noise@portico.example", password=password)
    person = factories.person(
        session, email="mika@portico.example", name="Mika", password=password, confirmed_at=utcnow()
    )
    session.commit()
    return person


def browser(app):
    """Another one than `client`."""
    other = app.test_client()
    other.environ_base["HTTP_ACCEPT"] = "text/html"
    return other


def enter(client, email="mika@portico.example", password=PASSWORD):
    return client.post("/sign-in", data={"email": email, "password": password})


def ask(client, email="mika@portico.example", path="/sign-in/forgot"):
    return client.post(path, data={"email": email})


def the_only(session) -> Person:
    session.rollback()
    return session.scalars(select(Person)).one()


def reset_link(app, client) -> str:
    assert ask(client).status_code == 303
    return link_in(only(app), app)


def works(app, session, person, password) -> bool:
    session.rollback()
    with app.app_context():
        return bool(verify_password(password, person.password))


class TestForgot:
    def test_a_mailed_link_leads_to_a_new_password(self, app, client, session, mika):
        link = reset_link(app, client)

        assert "Set a new password" in client.get(link).text
        answer = client.post(link, data={"password": NEW})

        assert (answer.status_code, answer.location) == (302, "/sign-in")
        assert "Your password is changed. Sign in with it." in client.get("/sign-in").text
        assert enter(browser(app), password=PASSWORD).status_code == 422
        assert enter(browser(app), password=NEW).status_code == 302

    def test_its_owner_is_told(self, app, client, mika):
        client.post(reset_link(app, client), data={"password": NEW})

        notice = only(app)
        assert (notice["To"], notice["Subject"]) == ("mika@portico.example", "Your password for Portico was changed")
        assert NEW not in notice.get_content()

    def test_ends_every_session_and_every_link_that_was_sent_before(self, app, client, session, mika):
        enter(client)
        elsewhere = browser(app)
        first, second = reset_link(app, elsewhere), reset_link(app, elsewhere)
        assert client.get("/settings").status_code == 200

        assert elsewhere.post(second, data={"password": NEW}).location == "/sign-in"

        assert client.get("/settings").status_code == 303
        for link in (first, second):
            assert elsewhere.get(link).location == "/sign-in/forgot"
            assert elsewhere.post(link, data={"password": "one more that is good"}).location == "/sign-in/forgot"
        assert "This link was used already" in elsewhere.get("/sign-in/forgot").text
        assert works(app, session, mika, NEW)

    def test_a_link_is_too_old_after_an_hour(self, app, client, session, mika):
        link = reset_link(app, client)
        app.config["SECURITY_RESET_PASSWORD_WITHIN"] = timedelta(seconds=-1)

        assert client.post(link, data={"password": NEW}).location == "/sign-in/forgot"
        assert "This link is too old" in client.get("/sign-in/forgot").text
        assert works(app, session, mika, PASSWORD)
        assert timedelta(hours=1) == letters.RESET_LASTS

    @pytest.mark.parametrize(
        ("weak", "says"),
        [
            ("short", "A password has 10 characters or more."),
            ("iloveyou12", "among the first that somebody would guess"),
        ],
    )
    def test_a_weak_password_is_refused_and_the_link_still_works(self, app, client, session, mika, weak, says):
        link = reset_link(app, client)
        answer = client.post(link, data={"password": weak})

        assert answer.status_code == 422
        assert says in answer.text
        assert client.post(link, data={"password": NEW}).location == "/sign-in"

    def test_does_not_tell_who_has_an_account(self, app, client, mika):
        ask(browser(app), "first@portico.example")  # now the throttle knows this place
        done = []
        for email in ("mika@portico.example", "who1@portico.example"):
            statements = []
            visitor = browser(app)
            with app.app_context():
                listen = (db.engine, "before_cursor_execute", lambda _c, _u, said, *_, to=statements: to.append(said))
            event.listen(*listen)
            answer = ask(visitor, email)
            event.remove(*listen)
            page = visitor.get(answer.location).text
            assert f"If {email} has an account" in page
            done.append((answer.status_code, answer.location, statements))

        assert done[0] == done[1]  # the same answer by the same work
        assert [mail["To"] for mail in delivered(app)] == ["mika@portico.example"]

    def test_nothing_is_sent_to_somebody_deactivated(self, app, client, session, mika):
        mika.active = False
        session.commit()

        assert ask(client).status_code == 303
        assert delivered(app) == []

    def test_what_waits_names_nobody(self, app, client, session, mika):
        ask(client)

        job = session.scalars(select(Job)).one()
        assert "mika" not in str(job.payload)

    def test_an_address_is_found_however_it_is_written(self, app, client, mika):
        ask(client, " Mika@Portico.example ")

        assert only(app)["To"] == "mika@portico.example"

    def test_keeps_what_was_typed_and_says_what_is_wrong(self, client):
        answer = ask(client, "mika")

        assert answer.status_code == 422
        assert 'value="mika"' in answer.text
        assert "This is not an e-mail address." in answer.text

    def test_is_slowed_down_and_keeps_what_was_typed(self, app, client, session, mika):
        for _ in range(3):
            assert ask(client).status_code == 303
        session.rollback()
        counted = session.scalars(select(Throttle).where(Throttle.free_at > Throttle.at)).all()
        for row in counted:  # as if the wait were a minute long
            row.free_at = utcnow() + timedelta(minutes=1)
        session.commit()
        answer = ask(client)

        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) > 0
        assert 'value="mika@portico.example"' in answer.text
        assert ask(client, "other@portico.example").status_code == 303
        elsewhere = browser(app)
        elsewhere.environ_base["REMOTE_ADDR"] = "192.0.2.9"
        assert ask(elsewhere).status_code == 303

    def test_the_link_does_not_follow_the_host_of_the_request(self, app, client, mika):
        client.post("/sign-in/forgot", data={"email": "mika@portico.example"}, headers={"Host": "localhost:9999"})

        text = only(app).get_content()
        assert "http://127.0.0.1:8000/sign-in/forgot/" in text
        assert "9999" not in text

    def test_that_a_link_was_sent_is_in_the_audit_trail(self, app, client, session, mika):
        reset_link(app, client)

        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "reset link sent")).one()
        assert (entry.by, entry.kind, entry.thing_id) == ("worker", "person", mika.id)

    def test_the_page_says_when_mail_reaches_nobody(self, client):
        assert "written to files that an administrator reads" in client.get("/sign-in/forgot").text


class TestNotices:
    def test_after_changing_ones_password(self, app, client, mika):
        enter(client)
        new = {"password": PASSWORD, "new_password": NEW, "new_password_confirm": NEW}
        assert client.post("/settings/password", data=new).status_code == 302

        assert only(app)["Subject"] == "Your password for Portico was changed"

    def test_after_an_administrator_has_reset_it(self, app, client, session, cast, mika):
        sign_in(client, cast.administrator).post(f"/settings/people/{mika.id}/password")

        assert only(app)["To"] == "mika@portico.example"

    def test_after_a_command_has_reset_it(self, app, mika):
        done = app.test_cli_runner().invoke(args=["user", "reset", "mika@portico.example"])

        assert done.exit_code == 0
        assert only(app)["To"] == "mika@portico.example"


class TestConfirmation:
    """With PORTAL_CONFIRM_EMAIL=1."""

    FORM = {"name": "Jun Li", "email": "jun@portico.example", "password": PASSWORD}

    @pytest.fixture
    def config(self, tmp_path):
        return Config(data_dir=tmp_path / "var", confirm_email=True)

    def test_sending_it_again_is_slowed_down_whether_or_not_somebody_waits(self, app, client, session):
        for email in ("jun@portico.example", "nobody@portico.example"):
            assert {ask(client, email, "/sign-in/confirm").status_code for _ in range(3)} == {303}
        session.rollback()
        counted = session.scalars(select(Throttle).where(Throttle.free_at > Throttle.at)).all()
        for row in counted:  # as if the wait were a minute long
            row.free_at = utcnow() + timedelta(minutes=1)
        session.commit()

        for email in ("jun@portico.example", "nobody@portico.example"):
            answer = ask(client, email, "/sign-in/confirm")
            assert answer.status_code == 429
            assert int(answer.headers["Retry-After"]) > 0

    def test_nobody_is_let_in_before(self, app, client, session):
        answer = client.post("/sign-up", data=self.FORM)

        assert (answer.status_code, answer.location) == (302, "/sign-in")
        assert "A mail is on its way to jun@portico.example." in client.get("/sign-in").text
        assert client.get("/settings").status_code == 303
        refused = enter(client, "jun@portico.example")
        assert refused.status_code == 422
        assert "Confirm your e-mail address first" in refused.text
        assert "Confirm your e-mail address first" not in enter(client, "jun@portico.example", "wrong password").text

    def test_the_link_asks_and_then_lets_in(self, app, client, session):
        client.post("/sign-up", data=self.FORM)
        mail = only(app)
        link = link_in(mail, app)

        assert "Jun" not in mail.get_content()  # a stranger could write anything to anybody
        assert "Confirm address" in client.get(link).text
        assert enter(browser(app), "jun@portico.example").status_code == 422  # looking at it confirmed nothing
        assert client.post(link).location == "/sign-in"

        assert enter(client, "jun@portico.example").status_code == 302
        person = the_only(session)
        assert person.confirmed_at is not None
        assert [team.slug for team in person.teams] == ["jun"]

    def test_the_link_can_be_sent_again_and_who_needs_none_gets_none(self, app, client, session, mika):
        client.post("/sign-up", data=self.FORM)
        delivered(app)
        answers = [
            ask(client, email, "/sign-in/confirm").status_code
            for email in ("jun@portico.example", "mika@portico.example", "who@portico.example")
        ]

        assert answers == [303, 303, 303]
        mail = only(app)
        assert mail["To"] == "jun@portico.example"
        assert client.post(link_in(mail, app)).location == "/sign-in"

    def test_a_link_that_was_tampered_with_confirms_nothing(self, app, client, session):
        client.post("/sign-up", data=self.FORM)
        link = link_in(only(app), app)

        assert client.post(link[:-9] + "x" * 9).location == "/sign-in/confirm"
        assert "was not copied whole" in client.get("/sign-in/confirm").text
        assert the_only(session).confirmed_at is None

    def test_signing_up_does_not_tell_who_has_an_account(self, app, client, session, mika):
        answers = [
            browser(app).post("/sign-up", data=self.FORM | {"email": email})
            for email in ("jun@portico.example", "mika@portico.example", "Mika@portico.example")
        ]

        assert {(answer.status_code, answer.location) for answer in answers} == {(302, "/sign-in")}
        assert enter(client).status_code == 302  # nothing about Mika has changed
        assert [(mail["To"], mail["Subject"]) for mail in delivered(app)] == [
            ("jun@portico.example", "Confirm your address for Portico"),
            ("mika@portico.example", "You have an account at Portico already"),
            ("mika@portico.example", "You have an account at Portico already"),
        ]

    def test_a_new_password_confirms_too(self, app, client, session):
        """Whoever made an account with somebody else's address is out when its owner sets a password."""
        client.post("/sign-up", data=self.FORM)
        delivered(app)
        ask(client, "jun@portico.example")
        client.post(link_in(only(app), app), data={"password": NEW})

        assert enter(browser(app), "jun@portico.example", PASSWORD).status_code == 422
        assert enter(client, "jun@portico.example", NEW).status_code == 302

    def test_an_administrator_sees_who_waits_and_can_let_them_in(self, client, session, cast):
        client.post("/sign-up", data=self.FORM)
        session.rollback()
        person = session.scalars(select(Person).where(Person.email == "jun@portico.example")).one()
        url = f"/settings/people/{person.id}"

        assert "Not confirmed" in sign_in(client, cast.administrator).get(url).text
        client.post(f"{url}/password")

        assert "Not confirmed" not in client.get(url).text
        session.rollback()
        assert person.confirmed_at is not None

    def test_somebody_deactivated_is_still_told_only_with_the_right_password(self, client, session, mika):
        mika.active = False
        session.commit()

        assert "deactivated" not in enter(client, password="wrong password").text
        assert "deactivated" in enter(client).text

    def test_is_on_where_mail_reaches_people(self):
        assert Config.read({"PORTAL_SMTP_URL": "smtp://localhost"}).confirm_email
        assert not Config.read({"PORTAL_SMTP_URL": "smtp://localhost", "PORTAL_CONFIRM_EMAIL": "0"}).confirm_email
        assert not Config.read({}).confirm_email


class TestChangeAddress:
    URL = "/settings/address"

    def wish(self, client, email="new@portico.example", password=PASSWORD):
        return client.post(self.URL, data={"email": email, "password": password})

    def test_needs_the_link_that_is_sent_to_the_new_one(self, app, client, session, mika):
        enter(client)
        assert self.wish(client).status_code == 303
        mail = only(app)
        link = link_in(mail, app)

        assert mail["To"] == "new@portico.example"
        assert "Mika" not in mail.get_content()
        assert "new@portico.example" in client.get(link).text
        session.rollback()
        assert mika.email == "mika@portico.example"
        assert client.post(link).location == "/settings"
        session.rollback()
        assert mika.email == "new@portico.example"

    def test_both_get_a_notice_and_everything_else_ends(self, app, client, session, mika):
        elsewhere = browser(app)
        for each in (client, elsewhere):
            enter(each)
        reset = reset_link(app, browser(app))
        self.wish(client)
        link = link_in(only(app), app)
        client.post(link)

        notices = delivered(app)
        assert [notice["To"] for notice in notices] == ["mika@portico.example", "new@portico.example"]
        assert {notice["Subject"] for notice in notices} == {"Your address for Portico was changed"}
        assert client.get("/settings").status_code == 200
        assert elsewhere.get("/settings").status_code == 303
        assert browser(app).get(reset).location == "/sign-in/forgot"
        assert client.get(link).status_code == 410

    def test_needs_the_password(self, app, client, mika):
        enter(client)
        answer = self.wish(client, password="wrong password")

        assert answer.status_code == 422
        assert "This is not your password." in answer.text
        assert 'value="new@portico.example"' in answer.text
        assert delivered(app) == []

    def test_does_not_tell_who_has_an_account(self, app, client, session, mika):
        enter(client)
        answers = [self.wish(client, email) for email in ("new@portico.example", "noise@portico.example")]

        assert [(each.status_code, each.location) for each in answers] == [(303, "/settings")] * 2
        link = link_in(next(mail for mail in delivered(app) if mail["To"] == "noise@portico.example"), app)
        refused = client.post(link)
        assert refused.status_code == 409
        assert "noise@portico.example has an account already." in refused.text

    def test_a_mail_that_went_astray_gives_its_reader_nothing(self, app, client, session, mika):
        enter(client)
        self.wish(client)
        link = link_in(only(app), app)

        assert browser(app).post(link).status_code == 401
        other = browser(app)
        enter(other, "noise@portico.example")
        assert other.post(link).status_code == 410
        session.rollback()
        assert mika.email == "mika@portico.example"

    @pytest.mark.parametrize("token", ["", "x", "x.y.z"])
    def test_what_was_never_sent_is_no_link(self, client, mika, token):
        enter(client)

        assert client.get(f"{self.URL}/{token}").status_code in {404, 410}
