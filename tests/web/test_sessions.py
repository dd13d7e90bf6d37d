"""Being signed in: who is, where, how long, and how it ends."""

import re
from datetime import timedelta

import pytest
from flask_security import hash_password
from sqlalchemy import event, select, update

from portal.accounts import Person
from portal.accounts.audit import AuditEntry
from portal.accounts.sessions import SignIn
from portal.db import db, utcnow
from portal.web.sessions import device
from tests import factories
from tests.conftest import sign_in

PASSWORD = "correct horse battery"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def mika(app, session) -> Person:
    with app.app_context():
        password = hash_password(PASSWORD)
    person = factories.person(session, email="mika@portico.example", password=password)
    factories.person(session)
    session.commit()
    return person


@pytest.fixture
def browser(app, client, mika):
    """Makes browsers with cookies of their own, signed in as Mika."""

    def make(**more):
        made = app.test_client()
        made.environ_base |= {"HTTP_ACCEPT": "text/html", "HTTP_USER_AGENT": FIREFOX}
        answer = made.post("/sign-in", data={"email": "mika@portico.example", "password": PASSWORD} | more)
        assert answer.status_code == 302, answer.text
        return made

    return make


def is_in(client) -> bool:
    return client.get("/settings").status_code == 200


def rows(session) -> list[SignIn]:
    session.rollback()
    return list(session.scalars(select(SignIn).order_by(SignIn.id)))


def trail(session) -> list[AuditEntry]:
    """What was not a change of a row."""
    session.rollback()
    events = select(AuditEntry).where(AuditEntry.action.not_in(["added", "created", "changed", "deleted"]))
    return list(session.scalars(events.order_by(AuditEntry.id)))


def acts(session) -> list[str]:
    return [entry.action for entry in trail(session)]


class TestSigningIn:
    def test_makes_a_row_and_a_cookie_that_says_nothing_of_the_person(self, browser, session, mika):
        made = browser()

        (row,) = rows(session)
        assert (row.person_id, row.user_agent, row.address, row.is_remembered) == (mika.id, FIREFOX, "127.0.0.1", False)
        with made.session_transaction() as cookie:
            assert mika.fs_uniquifier not in str(dict(cookie))
            assert cookie["_user_id"] != row.token_hash
        assert is_in(made)

    def test_is_in_the_trail_and_so_is_signing_out(self, browser, session, mika):
        made = browser()
        made.post("/sign-out")

        assert acts(session) == ["signed in", "signed out"]
        assert {(entry.person_id, entry.thing_id, entry.address) for entry in trail(session)} == {
            (mika.id, mika.id, "127.0.0.1")
        }

    def test_signing_up_signs_in(self, client, session):
        client.post("/sign-up", data={"name": "Jun", "email": "jun@portico.example", "password": PASSWORD})

        assert is_in(client)
        assert len(rows(session)) == 1

    def test_what_a_cookie_was_before_is_no_session(self, client, session, mika):
        """The person's own id, and a hash out of the table, sign in nobody."""
        sign_in(client, mika)
        (row,) = rows(session)
        for forged in (mika.fs_uniquifier, row.token_hash, str(row.id), ""):
            with client.session_transaction() as cookie:
                cookie["_user_id"] = forged
            assert not is_in(client)

    def test_tokens_of_the_library_are_not_taken(self, app, browser, session, mika):
        with app.test_request_context():
            token = session.merge(mika).get_auth_token()
        plain = app.test_client()
        plain.environ_base["HTTP_ACCEPT"] = "text/html"

        assert plain.get("/settings", headers={"Authentication-Token": token}).status_code == 303
        assert plain.get(f"/settings?auth_token={token}").status_code == 303
        assert is_in(browser())


class TestEnding:
    def test_a_deleted_row_signs_that_browser_out_at_once(self, browser, session):
        first, second = browser(), browser()
        session.delete(rows(session)[0])
        session.commit()

        assert (is_in(first), is_in(second)) == (False, True)

    def test_a_remembered_one_comes_back_without_its_session_until_its_row_goes(self, browser, session):
        made = browser(remember="y")
        made.delete_cookie("portico_session")
        assert is_in(made)

        made.delete_cookie("portico_session")
        session.delete(rows(session)[0])
        session.commit()
        assert not is_in(made)

    def test_one_that_is_not_remembered_has_no_other_cookie(self, browser):
        made = browser()
        made.delete_cookie("portico_session")

        assert not is_in(made)

    def test_signing_out_leaves_nothing_that_a_copied_cookie_could_use(self, app, browser, session):
        made = browser(remember="y")
        copy = app.test_client()
        for name in ("portico_session", "portico_remember"):
            copy.set_cookie(name, made.get_cookie(name).value)
        copy.environ_base["HTTP_ACCEPT"] = "text/html"
        assert is_in(copy)

        made.post("/sign-out")

        assert rows(session) == []
        assert not is_in(copy)

    @pytest.mark.parametrize(
        ("remember", "ago", "seen", "stays"),
        [
            ("", timedelta(hours=3), timedelta(minutes=50), True),
            ("", timedelta(hours=3), timedelta(minutes=61), False),
            ("", timedelta(hours=25), timedelta(), False),
            ("y", timedelta(days=29), timedelta(days=29), True),
            ("y", timedelta(days=31), timedelta(), False),
        ],
        ids=["used", "idle", "too long", "remembered", "remembered too long"],
    )
    def test_sessions_end_by_themselves(self, browser, session, remember, ago, seen, stays):
        made = browser(remember=remember) if remember else browser()
        session.execute(update(SignIn).values(created_at=utcnow() - ago, seen_at=utcnow() - seen))
        session.commit()

        assert is_in(made) is stays

    def test_a_changed_password_ends_all_but_this_one(self, browser):
        here, there = browser(), browser(remember="y")
        new = {"password": PASSWORD, "new_password": "another good one", "new_password_confirm": "another good one"}
        assert here.post("/settings/password", data=new).status_code == 302

        there.delete_cookie("portico_session")
        assert (is_in(here), is_in(there)) == (True, False)


class TestUse:
    def test_reading_pages_does_not_write_until_minutes_have_passed(self, app, browser, session):
        made = browser()
        before = rows(session)[0].seen_at
        is_in(made)
        assert rows(session)[0].seen_at == before

        session.execute(update(SignIn).values(seen_at=utcnow() - timedelta(minutes=6), address="192.0.2.1"))
        session.commit()
        made.get("/settings", headers={"HX-Request": "true"})
        assert rows(session)[0].address == "192.0.2.1"
        is_in(made)
        (row,) = rows(session)
        assert row.seen_at >= before
        assert row.address == "127.0.0.1"

    def test_a_use_that_lies_ahead_because_a_clock_went_back_is_written_anew(self, app, browser, session):
        made = browser()
        session.execute(update(SignIn).values(seen_at=utcnow() + timedelta(days=365)))
        session.commit()

        assert is_in(made)

        assert rows(session)[0].seen_at <= utcnow()

    def test_the_check_is_one_indexed_read(self, app, browser, session):
        made = browser()
        seen = []
        with app.app_context():
            engine = db.engine
        event.listen(engine, "before_cursor_execute", lambda _c, _cur, sql, values, *_: seen.append((sql, values)))
        is_in(made)

        looks = [(sql, values) for sql, values in seen if "sign_in" in sql]
        assert len(looks) == 1
        assert not [sql for sql, _ in seen if sql.startswith(("INSERT", "UPDATE", "DELETE", "BEGIN IMM"))]
        with engine.connect() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {looks[0][0]}", looks[0][1]).all()
        assert [line[3] for line in plan if "SCAN" in line[3]] == []


class TestList:
    def test_shows_ones_own_and_marks_this_one(self, app, browser, client, session, cast):
        sign_in(client, cast.owner)
        here = browser()
        browser(remember="y")

        page = here.get("/settings/sessions").text

        assert len(re.findall(r"Firefox on Linux</span>", page)) == 2
        assert page.count("This one") == 1
        assert page.count("stays signed in") == 1

    def test_one_is_signed_out(self, browser, session):
        here, there = browser(), browser()
        other = rows(session)[1].id

        assert here.post(f"/settings/sessions/{other}/end").status_code == 303
        assert (is_in(here), is_in(there)) == (True, False)
        assert "ended a session" in acts(session)

    def test_somebody_elses_is_left_alone(self, browser, client, session, cast):
        sign_in(client, cast.stranger)
        theirs = rows(session)[0].id

        assert browser().post(f"/settings/sessions/{theirs}/end").status_code == 303
        assert is_in(client)
        assert "ended a session" not in acts(session)

    def test_everywhere_else(self, browser):
        here, there = browser(), browser()

        assert here.post("/settings/sessions/end", data={"which": "others"}).status_code == 303
        assert (is_in(here), is_in(there)) == (True, False)

    @pytest.mark.parametrize("how", ["all", "this"])
    def test_here_too(self, browser, session, how):
        here, there = browser(remember="y"), browser()
        url = "/settings/sessions/end" if how == "all" else f"/settings/sessions/{rows(session)[0].id}/end"
        answer = here.post(url, data={"which": how})

        assert (answer.status_code, answer.location) == (303, "/sign-in")
        assert (is_in(here), is_in(there)) == (False, how == "this")


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 "
            "Safari/537.36 Edg/142.0.0.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/18.5 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
        ),
        ("curl/8.14.1", "curl"),
        ("", "Unknown browser"),
        ("<script>", "Unknown browser"),
    ],
)
def test_a_browser_is_called_by_name_and_system(user_agent, name):
    assert device(user_agent) == name
