"""Settings → Access tokens."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select

from portal.accounts import tokens
from portal.accounts.audit import AuditEntry
from portal.accounts.tokens import AccessToken, Scope
from portal.db import utcnow
from tests.conftest import sign_in

FORM = {"label": "Nightly export", "scopes": ["read", "apis:write"], "expires": "30"}


def birth(client) -> dict[str, str]:
    page = client.get("/settings/tokens/new").text
    return {"birth": re.search(r'name="birth"[^>]*value="([^"]+)"', page)[1]}


class TestNew:
    def test_shows_it_once_and_stores_a_hash(self, client, session, cast):
        answer = sign_in(client, cast.developer).post("/settings/tokens/new", data=FORM | birth(client))

        assert answer.status_code == 201
        assert answer.headers["Cache-Control"] == "no-store"
        secret = re.search(r"ppt_[0-9A-Za-z]{12}_[0-9A-Za-z]{33}", answer.text)[0]
        assert secret not in client.get("/settings/tokens").text
        found = tokens.find(session, secret, now=utcnow())
        assert (found.person_id, found.scopes) == (cast.developer.id, "read apis:write")
        assert timedelta(days=29) < found.expires_at - utcnow() <= timedelta(days=30)
        told = [entry.action for entry in session.scalars(select(AuditEntry).where(AuditEntry.kind == "access_token"))]
        assert told == ["issued", "shown"]

    def test_a_form_sent_twice_makes_one(self, client, session, cast):
        form = FORM | birth(sign_in(client, cast.developer))

        assert client.post("/settings/tokens/new", data=form).status_code == 201
        again = client.post("/settings/tokens/new", data=form)

        assert again.status_code == 409
        assert "sent before" in again.text
        assert len(session.scalars(select(AccessToken)).all()) == 1

    @pytest.mark.parametrize(
        ("typed", "sentence"),
        [
            ({"label": ""}, "Say what it is for."),
            ({"scopes": []}, "Choose what it may be used for."),
            ({"expires": "date"}, "Choose the last day"),
            ({"expires": "date", "until": "soon"}, "Give a day"),
            ({"expires": "date", "until": "2001-01-01"}, "yet to come"),
            ({"expires": "date", "until": "9999-12-31"}, "earlier day"),
            ({"expires": "date", "until": "2999-01-01"}, "a year from now"),
        ],
        ids=["no label", "no scopes", "no day", "no date", "past", "end of time", "too far"],
    )
    def test_what_is_wrong_stands_beside_the_field(self, client, session, cast, typed, sentence):
        form = FORM | typed | birth(sign_in(client, cast.developer))
        answer = client.post("/settings/tokens/new", data=form)

        assert answer.status_code == 422
        assert sentence in answer.text
        assert session.scalars(select(AccessToken)).all() == []

    def test_only_administrators_are_offered_their_rights(self, client, session, cast):
        assert 'value="admin"' in sign_in(client, cast.administrator).get("/settings/tokens/new").text
        sign_in(client, cast.owner)
        assert 'value="admin"' not in client.get("/settings/tokens/new").text

        answer = client.post("/settings/tokens/new", data=FORM | {"scopes": ["admin"]} | birth(client))
        assert answer.status_code == 422
        assert session.scalars(select(AccessToken)).all() == []

    def test_the_mark_of_somebody_else_is_refused(self, client, cast):
        mark = birth(sign_in(client, cast.owner))

        assert sign_in(client, cast.developer).post("/settings/tokens/new", data=FORM | mark).status_code == 400


class TestList:
    def test_explains_itself_when_it_is_empty(self, client, cast):
        page = sign_in(client, cast.stranger).get("/settings/tokens").text

        assert "No access tokens yet" in page
        assert 'href="/settings/tokens/new"' in page

    def test_shows_state_and_last_use(self, client, session, cast):
        now = utcnow()
        row, _ = tokens.make(
            session, cast.owner, label="Export", scopes=[Scope.READ], expires_at=now + tokens.LASTS, now=now
        )
        session.commit()
        page = sign_in(client, cast.owner).get("/settings/tokens").text
        assert all(text in page for text in ("Export", f"ppt_{row.public_id}_…", "active", "never"))

        tokens.count_use(session, row.id, now=now)
        session.commit()
        assert "never" not in client.get("/settings/tokens").text

    def test_nobody_sees_those_of_others(self, client, session, cast):
        now = utcnow()
        tokens.make(session, cast.owner, label="Export", scopes=[Scope.READ], expires_at=now + tokens.LASTS, now=now)
        session.commit()

        assert "Export" not in sign_in(client, cast.administrator).get("/settings/tokens").text


class TestRevoke:
    def test_ends_it_and_leaves_a_trace(self, client, session, cast):
        now = utcnow()
        row, secret = tokens.make(
            session, cast.owner, label="Export", scopes=[Scope.READ], expires_at=now + tokens.LASTS, now=now
        )
        session.commit()
        address = f"/settings/tokens/{row.public_id}/revoke"
        assert "cannot be undone" in sign_in(client, cast.owner).get(address).text

        assert client.post(address).status_code == 303
        session.rollback()
        assert tokens.find(session, secret.value, now=utcnow()) is None
        assert "revoked" in client.get("/settings/tokens").text
        assert session.scalars(select(AuditEntry.action).where(AuditEntry.action == "revoked")).all() == ["revoked"]
