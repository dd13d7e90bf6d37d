"""The second factor, as somebody with a telephone uses it: codes are computed from the secret that the page shows."""

import base64
import hashlib
import hmac
import html
import logging
import re
import struct
import time
from dataclasses import dataclass
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from flask.testing import FlaskClient
from flask_security import hash_password
from sqlalchemy import select, text, update

from portal.accounts import Person
from portal.accounts.audit import AuditEntry
from portal.accounts.throttle import Throttle
from portal.config import Config
from portal.db import utcnow
from portal.jobs import Job
from portal.vault import Vault
from portal.web import second_factor
from tests import factories
from tests.conftest import sign_in
from tests.letters import delivered

PASSWORD = "correct horse battery"
HOME = "/settings/second-factor"
SET_UP, CODES, OFF = f"{HOME}/set-up", f"{HOME}/recovery-codes", f"{HOME}/turn-off"


def code_of(key: str) -> str:
    """What the app shows now: RFC 6238 with its defaults (SHA-1, 30 seconds, 6 digits)."""
    secret = base64.b32decode(key.replace("-", "").replace(" ", "").upper() + "=" * (-len(key.replace("-", "")) % 8))
    digest = hmac.digest(secret, struct.pack(">Q", int(time.time()) // 30), hashlib.sha1)
    (number,) = struct.unpack(">I", digest[(at := digest[-1] & 15) : at + 4])
    return f"{(number & 0x7FFFFFFF) % 1_000_000:06}"


def test_codes_are_those_of_the_rfc(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1_111_111_109)  # RFC 6238, appendix B

    assert code_of(base64.b32encode(b"12345678901234567890").decode()) == "081804"


@dataclass
class Mika:
    person: Person
    client: FlaskClient
    key: str
    recovery_codes: list[str]


@pytest.fixture
def person(app, session) -> Person:
    with app.app_context():
        password = hash_password(PASSWORD)
    made = factories.person(session, email="mika@portico.example", name="Mika", password=password)
    session.commit()
    return made


@pytest.fixture
def new_browser(app, client):
    def make() -> FlaskClient:
        made = app.test_client()
        made.environ_base["HTTP_ACCEPT"] = "text/html"
        return made

    return make


def give_password(client, **more):
    return client.post("/sign-in", data={"email": "mika@portico.example", "password": PASSWORD} | more)


def sign_out(client):
    client.post("/sign-out")
    return client


def key_on(page: str) -> str:
    return re.search(r'<div class="secret-value field"><code>([A-Z2-7 -]+)</code>', page)[1]


def codes_on(page: str) -> list[str]:
    return re.findall(r"\b[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}\b", page.split("<code>")[1].split("</code>")[0])


def some_time_later(session) -> None:
    """The codes that were used so far are long over."""
    session.rollback()
    session.execute(update(Person).where(Person.tf_last_step.is_not(None)).values(tf_last_step=1))
    session.commit()


@pytest.fixture
def mika(session, person, new_browser) -> Mika:
    """Has set a second factor up through the pages, a while ago; `client` is signed in."""
    client = new_browser()
    give_password(client)
    key = key_on(client.get(SET_UP).text)
    answer = client.post(SET_UP, data={"code": code_of(key)})
    assert answer.status_code == 201, answer.text
    some_time_later(session)
    return Mika(person, client, key, codes_on(answer.text))


def is_in(client) -> bool:
    return client.get("/consumers").status_code == 200


def acts(session) -> list[str]:
    session.rollback()
    return list(session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))


class TestSetUp:
    def test_shows_a_picture_and_a_key_and_then_ten_recovery_codes(self, session, person, new_browser):
        client = new_browser()
        give_password(client)
        page = client.get(SET_UP)

        assert 'src="data:image/svg+xml;base64,' in page.text
        assert "img-src 'self' data:" in page.headers["Content-Security-Policy"]
        answer = client.post(SET_UP, data={"code": code_of(key_on(page.text))})
        assert answer.status_code == 201
        assert len(set(codes_on(answer.text))) == 10
        session.rollback()
        assert person.has_second_factor
        assert "On: sign-in asks for a code" in client.get("/settings").text

    def test_a_wrong_code_keeps_the_same_picture(self, session, person, new_browser):
        client = new_browser()
        give_password(client)
        key = key_on(client.get(SET_UP).text)
        wrong = f"{(int(code_of(key)) + 500_000) % 1_000_000:06}"

        answer = client.post(SET_UP, data={"code": wrong})

        assert answer.status_code == 422
        assert "This code is wrong" in answer.text
        assert key_on(answer.text) == key
        session.rollback()
        assert not person.has_second_factor
        assert client.post(SET_UP, data={"code": code_of(key)}).status_code == 201

    def test_a_secret_that_was_shown_to_somebody_else_is_not_taken(self, session, person, cast, client):
        sign_in(client, cast.owner)
        with client.session_transaction() as cookie:
            cookie["fs_paa"] = time.time()
        key = key_on(client.get(SET_UP).text)
        give_password(sign_out(client))

        answer = client.post(SET_UP, data={"code": code_of(key)})

        assert answer.status_code == 200
        assert key_on(answer.text) != key
        session.rollback()
        assert not person.has_second_factor

    def test_needs_a_password_that_was_given_just_now(self, person, client):
        sign_in(client, person)

        asked = client.get(SET_UP)
        assert asked.location == f"/verify?next={SET_UP}"
        assert client.post(asked.location, data={"password": "wrong password"}).status_code == 422
        assert client.get(SET_UP).status_code == 303
        assert client.post(asked.location, data={"password": PASSWORD}).location.endswith(SET_UP)
        assert client.get(SET_UP).status_code == 200


class TestSignIn:
    def test_asks_for_the_code_and_then_leads_to_where_one_was_going(self, mika, new_browser):
        client = new_browser()
        asked = give_password(client, next="/consumers?q=shop")

        assert asked.status_code == 302
        assert not is_in(client)
        assert "Type the code" in client.get(asked.location).text
        answer = client.post(asked.location, data={"code": code_of(mika.key)})
        assert (answer.status_code, answer.location) == (302, "/consumers?q=shop")
        assert is_in(client)

    def test_staying_signed_in_is_kept_in_mind_and_still_takes_a_code(self, mika, new_browser):
        client = new_browser()
        asked = give_password(client, remember="y")
        assert client.get_cookie("portico_remember") is None
        client.post(asked.location, data={"code": code_of(mika.key)})
        assert client.get_cookie("portico_remember") is not None

        client.post("/sign-out")
        assert "/sign-in/code" in give_password(client).location

    def test_a_code_is_taken_once(self, mika, new_browser):
        first, second = new_browser(), new_browser()
        code = code_of(mika.key)
        for client in (first, second):
            give_password(client)

        assert first.post("/sign-in/code", data={"code": code}).status_code == 302
        again = second.post("/sign-in/code", data={"code": code})
        assert again.status_code == 422
        assert "was used before" in again.text
        assert (is_in(first), is_in(second)) == (True, False)

    def test_the_code_that_set_it_up_is_used_up(self, session, person, new_browser):
        client, other = new_browser(), new_browser()
        give_password(client)
        code = code_of(key_on(client.get(SET_UP).text))
        client.post(SET_UP, data={"code": code})

        give_password(other)
        assert other.post("/sign-in/code", data={"code": code}).status_code == 422

    @pytest.mark.parametrize("code", ["", "000", "abcdef", "0000000", "１２３４５６", "'; --"])
    def test_what_is_no_code_is_refused(self, mika, new_browser, code):
        client = new_browser()
        give_password(client)

        assert client.post("/sign-in/code", data={"code": code}).status_code == 422
        assert not is_in(client)

    @pytest.mark.parametrize("url", ["/sign-in/code", "/sign-in/recovery-code"])
    def test_nobody_comes_here_without_the_password(self, mika, new_browser, url):
        client = new_browser()

        assert client.get(url).location == "/sign-in"
        assert client.post(url, data={"code": code_of(mika.key)}).location == "/sign-in"
        assert not is_in(client)

    def test_half_of_it_opens_nothing(self, mika, new_browser):
        client = new_browser()
        give_password(client)

        for url in ("/", "/settings", HOME, SET_UP, "/verify"):
            assert client.get(url).location.startswith("/sign-in?next=")
        for url in ("/tf-setup", "/mf-recovery-codes", "/tf-rescue", "/tf-select"):
            assert client.get(url).location == HOME

    def test_a_new_password_ends_what_is_half_done(self, session, mika, new_browser):
        client = new_browser()
        give_password(client)
        session.rollback()
        mika.person.fs_uniquifier = "f" * 32
        session.commit()

        client.post("/sign-in/code", data={"code": code_of(mika.key)})
        assert not is_in(client)

    def test_who_is_signed_in_stays_so(self, mika):
        assert mika.client.get("/sign-in/code").location == "/"
        assert is_in(mika.client)


class TestHalfway:
    """The password is given, the code is not yet."""

    def give_it(self, client, minutes_ago: float, **more):
        asked = give_password(client, **more)
        with client.session_transaction() as cookie:
            assert abs(cookie["halfway_since"] - time.time()) < 60
            cookie["halfway_since"] -= minutes_ago * 60
        return asked

    @pytest.mark.parametrize("url", ["/sign-in/code", "/sign-in/recovery-code"])
    def test_is_over_after_ten_minutes_and_says_so(self, mika, new_browser, url):
        client = new_browser()
        self.give_it(client, 10)

        answer = client.get(f"{url}?next=/consumers")
        assert (answer.status_code, answer.location) == (303, "/sign-in?next=/consumers")
        assert "more than ten minutes ago" in client.get(answer.location).text
        assert client.get(url).location == "/sign-in"  # now it is as if no password had been given

    def test_a_right_code_is_too_late_then(self, session, mika, new_browser):
        client = new_browser()
        self.give_it(client, 10)

        assert client.post("/sign-in/code", data={"code": code_of(mika.key)}).location == "/sign-in"
        assert not is_in(client)
        assert "gave a wrong code" not in acts(session)

    def test_a_recovery_code_that_comes_too_late_is_not_used_up(self, mika, new_browser):
        client, other = new_browser(), new_browser()
        self.give_it(client, 10)
        client.post("/sign-in/recovery-code", data={"code": mika.recovery_codes[0]})
        assert not is_in(client)

        give_password(other)
        assert other.post("/sign-in/recovery-code", data={"code": mika.recovery_codes[0]}).status_code == 302

    def test_programs_are_told_as_json(self, mika, new_browser):
        client = new_browser()
        self.give_it(client, 10)
        client.environ_base["HTTP_ACCEPT"] = "application/json"

        answer = client.post("/sign-in/code", data={"code": code_of(mika.key)})
        assert answer.status_code == 401
        assert "more than ten minutes ago" in answer.json["message"]

    def test_goes_on_for_nine(self, mika, new_browser):
        client = new_browser()
        self.give_it(client, 9)

        assert client.post("/sign-in/code", data={"code": code_of(mika.key)}).status_code == 302
        assert is_in(client)

    def test_wrong_codes_do_not_make_it_longer(self, mika, new_browser):
        client = new_browser()
        self.give_it(client, 9)
        assert client.post("/sign-in/code", data={"code": "zz"}).status_code == 422

        with client.session_transaction() as cookie:
            assert time.time() - cookie["halfway_since"] > 9 * 60

    def test_one_that_does_not_say_since_when_is_over(self, mika, new_browser):
        client = new_browser()
        give_password(client)
        with client.session_transaction() as cookie:
            del cookie["halfway_since"]

        assert client.post("/sign-in/code", data={"code": code_of(mika.key)}).location == "/sign-in"
        assert not is_in(client)

    @pytest.mark.parametrize("password", [PASSWORD, "wrong password"])
    def test_ends_with_the_next_password(self, mika, new_browser, password):
        client = new_browser()
        self.give_it(client, 9)
        give_password(client, password=password)

        with client.session_transaction() as cookie:
            assert ("tf_user_id" in cookie) == (password == PASSWORD)
            assert time.time() - cookie.get("halfway_since", time.time()) < 60


class TestLetters:
    @pytest.fixture
    def subjects(self, app, mika):
        delivered(app)  # what was sent while Mika set it up
        return lambda: [(mail["To"], mail["Subject"], mail.get_content()) for mail in delivered(app)]

    def test_tell_that_one_is_set_up(self, app, mika):
        (letter,) = delivered(app)

        assert (letter["To"], letter["Subject"]) == (mika.person.email, "A second factor was set up for Portico")
        assert mika.key not in letter.get_content()

    def test_tell_that_it_is_off(self, mika, subjects):
        mika.client.post(OFF)
        assert [letter[:2] for letter in subjects()] == [
            (mika.person.email, "Your second factor for Portico was taken off")
        ]

    @pytest.mark.parametrize("way", ["page", "command"])
    def test_tell_what_administrators_do(self, app, mika, client, cast, subjects, way):
        if way == "page":
            sign_in(client, cast.administrator).post(f"/settings/people/{mika.person.id}/second-factor")
        else:
            app.test_cli_runner().invoke(args=["user", "reset", mika.person.email, "--second-factor"])

        told = [letter[:2] for letter in subjects()]
        assert (mika.person.email, "Your second factor for Portico was taken off") in told

    def test_tell_of_new_recovery_codes_but_do_not_name_them(self, mika, subjects):
        codes = codes_on(mika.client.post(CODES).text)

        ((to, subject, text),) = subjects()
        assert (to, subject) == (mika.person.email, "New recovery codes for Portico")
        assert not any(code in text for code in codes)

    def test_tell_that_a_recovery_code_let_somebody_in_and_how_many_are_left(self, mika, new_browser, subjects):
        client = new_browser()
        give_password(client)
        client.post("/sign-in/recovery-code", data={"code": "no such"})
        assert subjects() == []
        client.post("/sign-in/recovery-code", data={"code": mika.recovery_codes[0]})

        ((to, subject, text),) = subjects()
        assert (to, subject) == (mika.person.email, "A recovery code for Portico was used")
        assert "9 are left." in text
        assert mika.recovery_codes[0] not in text


class TestRecovery:
    def test_each_code_lets_in_once(self, session, mika, new_browser):
        first, second, third = (new_browser() for _ in range(3))
        for client in (first, second, third):
            give_password(client)
        typed = mika.recovery_codes[3].upper().replace("-", " ")

        assert first.post("/sign-in/recovery-code", data={"code": typed}).status_code == 302
        assert second.post("/sign-in/recovery-code", data={"code": mika.recovery_codes[3]}).status_code == 422
        assert third.post("/sign-in/recovery-code", data={"code": mika.recovery_codes[4]}).status_code == 302
        assert [is_in(client) for client in (first, second, third)] == [True, False, True]
        assert "8 left" in first.get(HOME).text
        assert acts(session).count("used a recovery code") == 2
        assert acts(session).count("gave a wrong recovery code") == 1

    def test_new_ones_replace_the_old(self, mika, new_browser):
        answer = mika.client.post(CODES)
        assert answer.status_code == 201
        assert set(codes_on(answer.text)).isdisjoint(mika.recovery_codes)

        client = new_browser()
        give_password(client)
        assert client.post("/sign-in/recovery-code", data={"code": mika.recovery_codes[0]}).status_code == 422
        assert client.post("/sign-in/recovery-code", data={"code": codes_on(answer.text)[0]}).status_code == 302

    def test_they_need_a_fresh_password_and_a_second_factor(self, mika, person, client):
        sign_in(client, person)
        assert client.post(CODES).location.startswith("/verify")

        mika.client.post(OFF)
        assert mika.client.post(CODES).status_code == 409


class TestThrottle:
    @pytest.mark.parametrize("url", ["/sign-in/code", "/sign-in/recovery-code"])
    def test_guesses_are_slowed_down_wherever_the_password_is_given_again(self, session, mika, new_browser, url):
        statuses = []
        for _ in range(5):
            client = new_browser()
            give_password(client)
            statuses.append(client.post(url, data={"code": "zz"}).status_code)
        session.rollback()
        for row in session.scalars(select(Throttle).where(Throttle.free_at > Throttle.at)):
            row.free_at = utcnow() + timedelta(minutes=1)
        session.commit()

        client = new_browser()
        give_password(client)
        answer = client.post(url, data={"code": code_of(mika.key)})

        assert statuses == [422] * 5
        assert answer.status_code == 429
        assert 0 < int(answer.headers["Retry-After"]) <= 60
        assert "Too many attempts" in answer.text
        assert not is_in(client)

    def test_success_is_not_counted_by_password_nor_by_code(self, session, mika, new_browser):
        for _ in range(7):
            client = new_browser()
            asked = give_password(client)
            assert asked.status_code == 302
            assert client.post(asked.location, data={"code": code_of(mika.key)}).status_code == 302
            some_time_later(session)


class TestTurningOff:
    def test_needs_a_fresh_password_and_then_the_password_alone_signs_in(self, session, mika, person, client):
        sign_in(client, person)
        assert client.post(OFF).location.startswith("/verify")

        assert "Your password alone" in mika.client.get(OFF).text
        assert mika.client.post(OFF).status_code == 303
        session.rollback()
        assert (person.has_second_factor, person.tf_totp_secret, person.mf_recovery_codes) == (False, None, None)
        sign_in(client, None)
        assert give_password(client).location == "/"

    def test_another_app_replaces_the_first(self, session, mika, new_browser):
        key = key_on(mika.client.get(SET_UP).text)
        assert mika.client.post(SET_UP, data={"code": code_of(key)}).status_code == 201
        some_time_later(session)

        client = new_browser()
        give_password(client)
        assert client.post("/sign-in/code", data={"code": code_of(mika.key)}).status_code == 422
        assert client.post("/sign-in/code", data={"code": code_of(key)}).status_code == 302


class TestAdministrators:
    def test_see_who_has_one_and_take_it_off(self, session, mika, client, cast):
        sign_in(client, cast.administrator)
        people = client.get("/settings/people?q=mika").text
        assert re.search(r'data-label="Second factor"><span class="state state-good">active|>On<', people)
        url = f"/settings/people/{mika.person.id}/second-factor"

        assert "Their password alone" in client.get(url).text
        assert client.post(url).status_code == 303
        session.rollback()
        assert not mika.person.has_second_factor
        assert client.post(url).status_code == 409
        entry = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1)).one()
        assert (entry.person_id, entry.thing_id, entry.changes["tf_primary_method"]) == (
            cast.administrator.id,
            mika.person.id,
            ["authenticator", None],
        )

    def test_from_the_command_line_too(self, app, session, mika):
        runner = app.test_cli_runner()
        kept = runner.invoke(args=["user", "reset", "mika@portico.example"])
        session.rollback()
        assert mika.person.has_second_factor
        assert "--second-factor takes it off" in kept.output

        assert runner.invoke(args=["user", "reset", "mika@portico.example", "--second-factor"]).exit_code == 0
        session.rollback()
        assert not mika.person.has_second_factor


class TestRequired:
    @pytest.fixture
    def config(self, tmp_path):
        return Config(data_dir=tmp_path / "var", upstream_loopback=True, require_mfa="administrators")

    def test_an_administrator_without_one_sees_only_how_to_set_it_up(self, client, session, person, cast):
        give_password(client)
        assert is_in(client)
        session.rollback()
        person.is_administrator = True
        session.commit()

        assert client.get("/consumers").location == HOME
        assert client.post("/settings", data={"name": "New"}).status_code == 403
        assert "requires one of you" in client.get(HOME).text
        key = key_on(client.get(SET_UP).text)
        assert client.post(SET_UP, data={"code": code_of(key)}).status_code == 201
        assert is_in(client)
        assert client.post(OFF).status_code == 409

    def test_nobody_else_is_asked(self, client, cast):
        assert is_in(sign_in(client, cast.owner))


class TestRotation:
    @pytest.fixture
    def app(self, own_app):
        return own_app  # with the encryption keys of this data folder

    def test_neither_codes_nor_waiting_mail_need_an_older_key_afterwards(self, app, session, config, mika, client):
        client.post("/sign-in/forgot", data={"email": mika.person.email})
        session.rollback()
        assert "account_link" in session.scalars(select(Job.kind)).all()

        rotated = app.test_cli_runner().invoke(args=["secrets", "rotate"])

        assert rotated.exit_code == 0, rotated.output
        kept = config.data_dir / "encryption_keys"
        kept.write_text(kept.read_text().split()[0])
        session.rollback()
        said = second_factor.settings(config)
        person = session.get(Person, mika.person.id)
        codes = second_factor.Codes(said["SECURITY_TOTP_SECRETS"], "Portico")
        assert codes.step_of(code_of(mika.key), person.tf_totp_secret) is not None
        newest = Fernet(said["SECURITY_MULTI_FACTOR_RECOVERY_CODES_KEYS"][0])
        opened = [newest.decrypt(sealed.encode()).decode() for sealed in person.mf_recovery_codes]
        assert sorted(opened) == sorted(mika.recovery_codes)
        for job in session.scalars(select(Job)):
            if "sealed" in job.payload:
                Vault.of(config).open(job.payload["sealed"].encode())


class TestSecrecy:
    def test_the_secret_is_nowhere_after_set_up(self, app, session, mika, new_browser, client, cast, caplog):
        """Neither in the database, the trail, the log, the pages nor the cookies; recovery codes neither."""
        bare = mika.key.replace("-", "").replace(" ", "")
        secrets = [mika.key, bare, base64.b32decode(bare + "=" * (-len(bare) % 8)).hex(), *mika.recovery_codes]
        with caplog.at_level(logging.DEBUG):
            browser = new_browser()
            give_password(browser)
            browser.post("/sign-in/code", data={"code": "1"})
            browser.post("/sign-in/code", data={"code": code_of(mika.key)})
            sign_in(client, cast.administrator)
            pages = [mika.client.get(url) for url in (HOME, SET_UP, "/settings", "/settings/sessions")]
            pages += [client.get(url) for url in ("/settings/people", f"/settings/people/{mika.person.id}")]
            pages.append(browser.get(f"{CODES}?show_codes=1"))
            json = browser.get("/mf-recovery-codes?show_codes=1", headers={"Accept": "application/json"})
        session.rollback()
        tables = session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'table'")).all()
        stored = [str(row) for table in tables for row in session.execute(text(f'SELECT * FROM "{table}"'))]
        with mika.client.session_transaction() as cookie:
            kept = str(dict(cookie))
        said = "\n".join([*stored, caplog.text, kept, json.text, *(html.unescape(page.text) for page in pages)])

        assert "authenticator" in said
        assert [secret for secret in secrets if secret.lower() in said.lower()] == []

    def test_a_key_that_is_gone_is_told_and_opens_nothing(self, app, session, mika, new_browser):
        """The installation's encryption keys were replaced, not added to."""
        session.rollback()
        mika.person.tf_totp_secret = mika.person.tf_totp_secret.replace('"t":"', '"t":"x')
        session.commit()
        client = new_browser()
        give_password(client)

        answer = client.post("/sign-in/code", data={"code": code_of(mika.key)})

        assert answer.status_code == 503
        assert "PORTAL_ENCRYPTION_KEYS" in answer.text
        assert not is_in(client)
