"""The pages that delete an account, and what is left of somebody afterwards."""

import json
import re
from datetime import timedelta

import pytest
from flask import Flask
from flask_security import hash_password
from sqlalchemy import create_engine, insert, inspect, select, text
from sqlalchemy.orm import Session

from portal import accounts, create_app, letters, notify, registry, schema
from portal.accounts import Invitation, Person, Role, throttle
from portal.accounts.audit import AuditEntry
from portal.accounts.throttle import Throttle
from portal.config import Config
from portal.db import db, engine_options, engine_url, utcnow
from portal.jobs import Job
from portal.registry.models import Api, Release, Revision, SecretKind
from portal.vault import Vault
from tests import factories
from tests.conftest import sign_in
from tests.web.test_second_factor import code_of

PASSWORD = "a long enough password"


@pytest.fixture
def leaver(app, session):
    with app.app_context():
        hashed = hash_password(PASSWORD)
    person = factories.person(session, name="Lea Leaver", email="lea@portico.example", password=hashed)
    factories.key(session, factories.consumer(session, team=person.teams[0], slug="own"))
    session.commit()
    return person


class TestOwnAccount:
    def test_is_told_what_goes_and_asked_for_the_address(self, client, leaver):
        page = sign_in(client, leaver).get("/settings/delete").text

        assert "1 consumer, 0 subscriptions and 1 key in use" in page
        assert client.post("/settings/delete", data={"confirm": "lea"}).status_code == 422
        # The script compares what is typed here, and not what stands in the first field, which is the password.
        assert re.findall(r'<input [^>]*name="(\w+)" data-typed', page) == ["confirm"]
        assert client.get("/settings").status_code == 200

    def test_ends_every_session_and_the_password(self, app, client, session, leaver):
        elsewhere = sign_in(app.test_client(), leaver)
        elsewhere.environ_base["HTTP_ACCEPT"] = "text/html"
        sign_in(client, leaver)
        answer = client.post("/settings/delete", data={"confirm": "LEA@portico.example", "password": PASSWORD})

        assert (answer.status_code, answer.location) == (303, "/sign-in")
        assert "Your account is deleted." in client.get("/sign-in").text
        assert elsewhere.get("/settings").location.startswith("/sign-in")
        session.rollback()
        for email in ("lea@portico.example", leaver.email):
            for password in (PASSWORD, "!", ""):
                refused = client.post("/sign-in", data={"email": email, "password": password})
                assert refused.status_code == 422, (email, password)

    def test_is_kept_while_a_team_needs_it(self, client, session, leaver):
        team = factories.team(session, owner=leaver, name="Needed")
        factories.member(session, team, Role.DEVELOPER)
        session.commit()
        page = sign_in(client, leaver).get("/settings/delete").text

        assert "Needed has other members and no other owner." in page
        assert 'name="confirm"' not in page
        assert client.post("/settings/delete", data={"confirm": leaver.email}).status_code == 409


class TestProof:
    """The password, and a code where there is a second factor: of the person who does it."""

    def send(self, client, **more):
        return client.post("/settings/delete", data={"confirm": "lea@portico.example", "password": PASSWORD} | more)

    @pytest.mark.parametrize("password", ["", "wrong password", "!"])
    def test_the_password_is_asked_again(self, client, session, leaver, password):
        answer = self.send(sign_in(client, leaver), password=password)

        assert answer.status_code == 422
        assert "This is not your password." in answer.text
        assert 'value="lea@portico.example"' in answer.text
        assert 'name="code"' not in answer.text
        session.rollback()
        assert leaver.deleted_at is None

    def test_guesses_are_slowed_down(self, client, session, leaver):
        sign_in(client, leaver)
        for _ in range(5):
            assert self.send(client, password="wrong password").status_code == 422
        session.rollback()
        for row in session.scalars(select(Throttle)):  # as if the wait were a minute long
            row.free_at = utcnow() + timedelta(minutes=1)
        session.commit()
        answer = self.send(client)

        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) > 0
        session.rollback()
        assert leaver.deleted_at is None

    def test_a_code_is_asked_where_there_is_a_second_factor(self, app, client, session, leaver):
        key, _ = give_second_factor(app, session, leaver)
        sign_in(client, leaver)
        assert 'name="code"' in client.get("/settings/delete").text

        for code in ("", "000000", "none-of-mine"):
            answer = self.send(client, code=code)
            assert answer.status_code == 422
            assert "This code is wrong" in answer.text
        session.rollback()
        told = session.scalars(select(AuditEntry.action).where(AuditEntry.person_id == leaver.id)).all()
        assert told.count("gave a wrong code") == 3
        assert self.send(client, code=code_of(key)).status_code == 303

    def test_a_recovery_code_does_too_and_is_used_up(self, app, client, session, leaver):
        _, codes = give_second_factor(app, session, leaver)
        factories.member(session, factories.team(session, owner=leaver, slug="late"), Role.DEVELOPER)
        session.commit()
        sign_in(client, leaver)
        assert self.send(client, code=codes[0]).status_code == 409  # not even looked at
        session.rollback()
        assert len(leaver.mf_recovery_codes) == 10
        accounts.add_member(session, leaver.teams[-1], email=factories.person(session).email, role=Role.OWNER)
        session.commit()

        assert self.send(client, password="wrong", code=codes[0]).status_code == 422
        assert self.send(client, code=codes[0]).status_code == 303

    def test_an_administrator_gives_their_own(self, client, session, cast, leaver):
        url = f"/settings/people/{leaver.id}/delete"
        cast.administrator.password = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA"
        session.commit()
        sign_in(client, cast.administrator)

        assert client.post(url, data={"confirm": "lea@portico.example", "password": PASSWORD}).status_code == 422
        session.rollback()
        assert leaver.deleted_at is None


def give_second_factor(app, session, person) -> tuple[str, list[str]]:
    """The key of an app, and recovery codes."""
    with app.test_request_context():
        security = app.extensions["security"]
        sealed = security.totp_factory.generate_totp_secret()
        key = security.totp_factory.fetch_setup_values(sealed, person)["key"]
        codes = [f"{n:04}-abcd-efgh" for n in range(10)]
        person.mf_recovery_codes = [security.mf_recovery_codes_util.cryptor.encrypt(c.encode()).decode() for c in codes]
    accounts.second_factor.put_on(person, sealed, step=0)
    session.commit()
    return key, codes


class TestByAnAdministrator:
    @pytest.fixture(autouse=True)
    def password(self, session, cast, leaver):
        cast.administrator.password = leaver.password
        session.commit()

    def test_deletes_anybody(self, client, session, cast, leaver):
        url = f"/settings/people/{leaver.id}"
        sign_in(client, cast.administrator)
        assert "Delete Lea Leaver" in client.get(f"{url}/delete").text
        answer = client.post(f"{url}/delete", data={"confirm": "lea@portico.example", "password": PASSWORD})

        assert (answer.status_code, answer.location) == (303, "/settings/people")
        assert "Lea Leaver is deleted" in client.get("/settings/people").text
        assert f"Deleted person {leaver.id}" not in client.get("/settings/people").text
        for path in ("", "/delete", "/password"):
            assert client.get(url + path).status_code == 404
        assert client.post(f"{url}/active", data={"active": "1"}).status_code == 404

    def test_the_trail_no_longer_knows_the_name(self, client, session, cast, leaver):
        sign_in(client, leaver).post("/settings", data={"name": "Lea L."})
        sign_in(client, cast.administrator)
        trail = f"/settings/audit?person={leaver.id}"
        assert "Lea L." in client.get(trail).text
        client.post(f"/settings/people/{leaver.id}/delete", data={"confirm": leaver.email, "password": PASSWORD})
        client.get("/settings/people")  # shows for the last time whom the administrator has deleted

        assert "Lea" not in client.get(trail).text
        assert f"deleted person {leaver.id}" in client.get(trail).text

    def test_the_last_one_stays(self, client, cast):
        sign_in(client, cast.administrator)

        assert client.get(f"/settings/people/{cast.administrator.id}/delete").location == "/settings/delete"
        assert client.post("/settings/delete", data={"confirm": cast.administrator.email}).status_code == 409


class TestNothingIsLeft:
    """On both databases, every table is searched for the name and the address of somebody who was everywhere."""

    EMAIL = "quirin.quelle@portico.example"

    @pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
    def app(self, request, tmp_path) -> Flask:
        where = {} if request.param == "sqlite" else {"database_url": request.getfixturevalue("postgres_url")}
        config = Config(data_dir=tmp_path / "var", upstream_loopback=True, **where)
        config.data_dir.mkdir(mode=0o700)
        url = engine_url(config.database_url)
        engine = create_engine(url, **engine_options(url))
        with engine.begin() as connection:
            schema.metadata.create_all(connection)
            connection.execute(insert(Revision).values(id=1, n=0))
        engine.dispose()
        app = create_app(config, overrides={"TESTING": True})
        yield app
        with app.app_context():
            db.session.remove()
            db.engine.dispose()

    @pytest.fixture
    def session(self, app):
        with app.app_context():
            engine = db.engine
        with Session(engine) as session:
            yield session

    @pytest.fixture
    def quirin(self, app, client, session) -> Person:
        with app.app_context():
            password = hash_password(PASSWORD)
        administrator = factories.person(session, is_administrator=True)
        person = factories.person(session, name="Quirin Quelle", email=self.EMAIL, password=password)
        team = factories.team(session, slug="shop", owner=administrator)
        accounts.add_member(session, team, email=self.EMAIL, role=Role.OWNER)
        consumer = factories.consumer(session, team=person.teams[0], slug="own")
        factories.key(session, consumer)
        api = factories.api(session, team=team, slug="orders")
        registry.save_draft(session, api, factories.document(), by=person, expected=1)
        registry.publish(session, api, by=person, expected=2)
        registry.store_secret(
            session, team, name="t", kind=SecretKind.HEADER, texts={"value": "x"}, vault=Vault(["k" * 40]), by=person
        )
        registry.issue(session, factories.consumer(session, team=team), by=person)
        accounts.invite(session, email="guest@portico.example", by=person, now=utcnow())
        session.add(Invitation(email="Quirin.Quelle@portico.example", nonce="n", sent_at=utcnow()))
        session.commit()
        give_second_factor(app, session, person)
        with app.app_context(), db.begin() as writing:
            config = app.extensions["portico"]
            letters.password_changed(writing, writing.get_one(Person, person.id))
            letters.ask_for_link(writing, "reset", self.EMAIL)
            notify.mail(writing, config, to="other@portico.example", subject="S", text="T")
            for limits in (
                throttle.sign_in("127.0.0.1", self.EMAIL),
                throttle.letters("127.0.0.1", self.EMAIL),
                throttle.password_again("127.0.0.1", str(person.id)),
                throttle.second_factor("127.0.0.1", person.fs_uniquifier),
            ):
                throttle.attempt(writing, limits, now=utcnow())
        sign_in(client, person).post("/settings", data={"name": "Quirin Q."})
        client.get("/settings")
        return person

    def test_of_name_and_address(self, app, client, session, quirin):
        assert {"person", "team", "invitation"} <= self.tables_with(app, session, "quirin")
        assert self.opened(app, session).count(self.EMAIL) >= 2
        session.rollback()
        uniquifier = quirin.fs_uniquifier
        session.rollback()
        with app.app_context(), db.begin() as writing:
            letters.forget(writing, self.EMAIL)
            registry.delete_person(writing, writing.get_one(Person, quirin.id))

        for word in ("quirin", "quelle", uniquifier):
            assert self.tables_with(app, session, word) == set()
            assert word not in self.opened(app, session).lower()
        assert self.opened(app, session).count("other@portico.example") == 1
        # What is left counts places, and nobody in particular.
        counted = {limit.id for place in ("127.0.0.1",) for limit in (throttle.sign_in(place, "x")[0],)}
        counted |= {throttle.letters("127.0.0.1", "x")[0].id}
        assert set(session.scalars(select(Throttle.id))) <= counted

    def test_what_they_made_says_that_they_are_gone(self, app, client, session, quirin):
        number = quirin.id
        session.rollback()
        with app.app_context(), db.begin() as writing:
            registry.delete_person(writing, writing.get_one(Person, number))

        gone = f"Deleted person {number}"
        assert session.scalars(select(Release)).one().published_by.name == gone
        api = session.scalars(select(Api)).one()
        assert api.draft_changed_by.name == gone
        invitation = session.scalars(select(Invitation)).one()
        assert (invitation.email, invitation.invited_by.name) == ("guest@portico.example", gone)
        administrator = session.scalars(select(Person).where(Person.is_administrator)).one()
        sign_in(client, administrator)
        for page in (
            "/apis/shop/orders/v1",
            "/apis/shop/orders/v1/releases",
            "/settings/people/invitations",
            "/settings/teams/shop/secrets",
            "/settings/audit",
        ):
            answer = client.get(page)
            assert answer.status_code == 200, page
            assert gone.lower() in answer.text.lower(), page

    def tables_with(self, app, session, word) -> set[str]:
        session.rollback()
        found = set()
        for table in inspect(session.connection()).get_table_names():
            rows = session.execute(text(f'SELECT * FROM "{table}"')).all()
            if any(word in repr(tuple(row)).lower() for row in rows):
                found.add(table)
        session.rollback()
        return found

    def opened(self, app, session) -> str:
        """What waiting work has sealed."""
        vault = Vault.of(app.extensions["portico"])
        payloads = session.scalars(select(Job.payload)).all()
        session.rollback()
        return json.dumps([vault.open(each["sealed"].encode()).decode() for each in payloads if "sealed" in each])
