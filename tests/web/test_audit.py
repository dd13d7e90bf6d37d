"""What the pages and commands leave in the trail beside their changes."""

import re
from datetime import timedelta

import pytest
from flask_security import hash_password
from sqlalchemy import select

from portal.accounts import Person
from portal.accounts.audit import AuditEntry
from portal.accounts.throttle import Throttle
from portal.db import db
from portal.registry.models import Key
from portal.web import audit
from tests import factories
from tests.conftest import sign_in

PASSWORD = "a long enough password"


@pytest.fixture
def somebody(app, session) -> Person:
    with app.app_context():
        hashed = hash_password(PASSWORD)
    person = factories.person(session, email="somebody@portico.example", password=hashed)
    session.commit()
    return person


def told(session, *actions: str) -> list[AuditEntry]:
    session.rollback()
    return list(session.scalars(select(AuditEntry).where(AuditEntry.action.in_(actions)).order_by(AuditEntry.id)))


def try_to_sign_in(client, email: str, password: str):
    return client.post("/sign-in", data={"email": email, "password": password})


def issue_key(client, consumer: str) -> str:
    page = client.get(f"{consumer}/keys/new").text
    birth = re.search(r'name="birth"[^>]*value="([^"]+)"', page)[1]
    shown = client.post(f"{consumer}/keys/new", data={"birth": birth, "label": "", "expires": "never"}).text
    return re.search(r"pco_[0-9A-Za-z]{12}_[0-9A-Za-z]{33}", shown)[0]


class TestSigningIn:
    def test_coming_and_going_are_entries_of_the_person(self, client, session, somebody):
        assert try_to_sign_in(client, somebody.email, PASSWORD).status_code == 302
        client.post("/sign-out")

        found = told(session, "signed in", "signed out", "failed to sign in")
        assert [each.action for each in found] == ["signed in", "signed out"]
        assert {(each.person_id, each.thing_id, each.by, each.address) for each in found} == {
            (somebody.id, somebody.id, "page", "127.0.0.1")
        }

    def test_signing_out_without_having_signed_in_is_none(self, client, session, somebody):
        client.post("/sign-out")

        assert told(session, "signed out") == []

    def test_a_wrong_password_is_an_entry_about_the_account_by_nobody(self, client, session, somebody):
        try_to_sign_in(client, somebody.email.upper(), "wrong password")

        (found,) = told(session, "failed to sign in")
        assert (found.thing_id, found.person_id, found.address) == (somebody.id, None, "127.0.0.1")

    def test_an_unknown_address_is_an_entry_that_does_not_repeat_it(self, client, session, somebody):
        try_to_sign_in(client, "secret-typed-here@portico.example", "wrong password")

        (found,) = told(session, "failed to sign in")
        assert (found.thing_id, found.kind, found.label, found.changes) == (None, "person", "", {})

    def test_a_flood_from_everywhere_leaves_some_hundred(self, client, session, app):
        """Each from an address of its own to an account of its own, so that no other throttle slows it."""
        with app.test_request_context("/sign-in", method="POST"):
            for n in range(260):
                with app.test_request_context(
                    "/sign-in",
                    method="POST",
                    data={"email": f"n{n}@portico.example"},
                    environ_base={"REMOTE_ADDR": f"198.51.{n // 200}.{n % 200}"},
                ):
                    audit._tell_failure()
                    db.session.remove()

        # Beyond 200 the waits double, so that even a slow machine lets only a few more in.
        assert 200 <= len(told(session, "failed to sign in")) < 220
        row = session.scalars(select(Throttle).where(Throttle.attempts >= 200)).one()
        assert row.free_at - row.at > timedelta()

    def test_one_account_is_told_again_after_others_were_flooded(self, client, session, somebody):
        for _ in range(3):
            try_to_sign_in(client, somebody.email, "wrong password")

        assert len(told(session, "failed to sign in")) == 3

    def test_signing_up_is_an_entry_and_signs_in(self, client, session):
        client.post("/sign-up", data={"name": "Nell", "email": "nell@portico.example", "password": PASSWORD})

        made, came = told(session, "created", "signed in")[0], told(session, "signed in")[0]
        assert (made.kind, made.by) == ("person", "page")
        assert came.thing_id == came.person_id == made.thing_id

    def test_changing_the_own_password_is_an_entry(self, client, session, somebody):
        try_to_sign_in(client, somebody.email, PASSWORD)
        new = {"password": PASSWORD, "new_password": PASSWORD + "!", "new_password_confirm": PASSWORD + "!"}
        assert client.post("/settings/password", data=new).status_code == 302

        (found,) = told(session, "changed password")
        assert (found.person_id, found.thing_id) == (somebody.id, somebody.id)


class TestSecrets:
    def test_that_a_key_or_a_password_was_shown_is_an_entry(self, client, session, cast):
        consumer = factories.consumer(session, team=cast.team, slug="shop")
        session.commit()
        sign_in(client, cast.owner)
        issue_key(client, "/consumers/cast/shop")
        session.rollback()
        key = session.scalars(select(Key).where(Key.consumer_id == consumer.id)).one()
        sign_in(client, cast.administrator)
        client.post(f"/settings/people/{cast.stranger.id}/password")

        assert [(each.label, each.person_id) for each in told(session, "shown")] == [
            (f"pco_{key.public_id}", cast.owner.id)
        ]
        assert [each.thing_id for each in told(session, "shown password")] == [cast.stranger.id]

    def test_none_is_in_the_trail_of_a_whole_scenario(self, client, app, session, cast, somebody):
        secrets = {PASSWORD, somebody.password, somebody.fs_uniquifier, somebody.email, "typed by mistake"}
        try_to_sign_in(client, "typed by mistake", PASSWORD)
        try_to_sign_in(client, somebody.email, PASSWORD)
        client.post("/settings", data={"name": "Some Body"})
        client.post("/consumers/new", data={"name": "Mine", "team": "somebody", "slug": "mine", "description": ""})
        secrets.add(issue_key(client, "/consumers/somebody/mine")[16:])
        sign_in(client, cast.administrator)
        shown = client.post(f"/settings/people/{somebody.id}/password")
        secrets.add(re.search(r"<code>([A-Za-z0-9]{16})</code>", shown.text)[1])
        client.post(f"/settings/people/{somebody.id}/active", data={"active": "0"})
        done = app.test_cli_runner().invoke(args=["user", "create", "cli@portico.example"])
        secrets.add(done.output.rsplit(maxsplit=1)[1])
        session.rollback()
        secrets |= {each.password for each in session.scalars(select(Person))} - {"!"}
        secrets |= {each.sha256.hex() for each in session.scalars(select(Key))}
        secrets |= {each.fs_uniquifier for each in session.scalars(select(Person))}

        trail = [f"{each.label} {each.changes} {each.action}" for each in session.scalars(select(AuditEntry))]
        assert len(trail) > 20
        assert len(secrets) > 10
        assert [(secret, line) for secret in secrets for line in trail if secret in line] == []


class TestActors:
    def test_commands_sign_as_the_command_line(self, app, session):
        app.test_cli_runner().invoke(args=["user", "create", "cli@portico.example"])

        assert {(each.by, each.person_id) for each in told(session, "created", "shown password")} == {
            ("command line", None)
        }
