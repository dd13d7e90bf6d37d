"""The file with one's own data."""

import json

import pytest
from sqlalchemy import select

from portal import accounts, letters, notify, registry, schema
from portal.accounts import Person, Role, audit
from portal.accounts.audit import Actor
from portal.accounts.tokens import Scope
from portal.db import db, utcnow
from portal.notify import choices
from portal.notify.models import Notice, NoticeCopy, Way
from portal.vault import Vault
from tests import factories
from tests.conftest import sign_in


@pytest.fixture
def mine(client, session, cast) -> tuple[dict, str]:
    """What the stranger of the cast downloads, beside things of others."""
    me = cast.stranger
    consumer = factories.consumer(session, team=me.teams[0], slug="own")
    factories.subscription(session, consumer, factories.api(session, live=True, slug="orders"))
    own, token = factories.key(session, consumer, label="laptop")
    accounts.add_member(session, cast.team, email=me.email, role=Role.DEVELOPER)
    shop = factories.consumer(session, team=cast.team, slug="shop")
    factories.key(session, shop, label="not mine")
    registry.issue(session, shop, by=me, label="for the team")
    session.commit()
    audit.act_as(session, Actor(cast.administrator.id, "page", "192.0.2.99"))
    accounts.appoint(me)
    session.commit()
    audit.act_as(session, Actor(me.id, "page", "192.0.2.7"))
    audit.record(session, "signed in", me)
    audit.act_as(session, Actor(None, "page", "192.0.2.8"))
    audit.record(session, "failed to sign in", me)
    audit.record(session, "failed to sign in", cast.owner)
    session.commit()
    answer = sign_in(client, me).get("/settings/data")
    assert answer.mimetype == "application/json"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="portico-my-data-')
    assert own.sha256.hex() not in answer.text
    assert token.value not in answer.text
    return json.loads(answer.text), answer.text


def test_holds_account_teams_consumers_and_keys(mine, cast):
    found, _ = mine

    assert found["account"]["email"] == cast.stranger.email
    assert sorted(each["role"] for each in found["memberships"]) == ["developer", "owner"]
    (consumer,) = found["consumers"]
    assert (consumer["slug"], [key["label"] for key in consumer["keys"]]) == ("own", ["laptop"])
    assert [each["state"] for each in consumer["subscriptions"]] == ["approved"]
    assert [key["label"] for key in found["keys_issued_for_other_teams"]] == ["for the team"]


def test_holds_the_trail_by_and_about_oneself_with_the_sign_ins(mine):
    found, _ = mine
    told = [(each["action"], each["by"], each.get("address")) for each in found["trail"]]

    assert ("signed in", "you", "192.0.2.7") in told
    assert ("failed to sign in", "page", "192.0.2.8") in told
    assert len([each for each in told if each[0] == "failed to sign in"]) == 1
    assert ("made administrator", "somebody else", None) in told
    assert ("added", "membership") in [(each["action"], each["kind"]) for each in found["trail"]]


def test_holds_nothing_of_others(mine, cast):
    _, text = mine

    for stranger in (cast.owner, cast.administrator, cast.publisher):
        assert stranger.email not in text
        assert stranger.name not in text
    assert "192.0.2.99" not in text
    assert "not mine" not in text


def test_a_new_account_has_one_too(client, session):
    person = factories.person(session)
    session.commit()

    assert json.loads(sign_in(client, person).get("/settings/data").text)["consumers"] == []


REFERS = {
    "access_token.person_id": "access_tokens",
    "api.draft_changed_by_id": "drafts_last_changed",
    "approval.asked_by_id": "approvals_asked_for",
    "approval.decided_by_id": "approvals_decided",
    "api_import.made_by_id": "imports_made",
    "channel.created_by_id": "channels_made",
    "invitation.invited_by_id": "invitations_sent",
    "key.created_by_id": "keys_issued_for_other_teams",
    "membership.person_id": "memberships",
    "notice.person_id": "notices",
    "notice_choice.person_id": "notices_chosen",
    "notice_copy.person_id": "notices_listed",
    "release.published_by_id": "releases_published",
    "sign_in.person_id": "sessions",
    "subscription.created_by_id": "subscriptions_made",
    "team.person_id": "consumers",
    "upstream_secret.created_by_id": "upstream_secrets_stored",
    "upstream_secret.replaced_by_id": "upstream_secrets_replaced",
}
"""Every column that refers to a person, and where the file tells what it says."""
ACCOUNT = {
    "id": "number",
    "email": "email",
    "name": "name",
    "active": "active",
    "is_administrator": "administrator",
    "confirmed_at": "address_confirmed",
    "created_at": "since",
    "must_change_password": "password_to_be_changed",
    "tf_primary_method": "second_factor",
    "mf_recovery_codes": "recovery_codes_left",
}
UNTOLD = {"password", "fs_uniquifier", "tf_totp_secret", "tf_last_step", "deleted_at"}
"""Secrets, what belongs to them, and what only nobody has."""


class TestIsComplete:
    """What a later table or column knows of people has to find its place in the file, or here."""

    @pytest.fixture
    def found(self, app, client, session, cast) -> dict:
        me = cast.stranger
        api = factories.api(session, team=cast.team, live=True)
        document = registry.read_document(api.draft | {"description": "New."})
        registry.save_draft(session, api, document, by=me, expected=1)
        registry.publish(session, api, by=me, expected=2)
        plan = factories.plan(session, team=cast.team)
        registry.offer_plans(session, api, [plan])
        factories.consumer(session, team=me.teams[0])
        theirs = factories.consumer(session, team=cast.team)
        registry.subscribe(session, theirs, api, plan, by=me)
        asks = factories.approval(session, factories.consumer(session, team=cast.team), api, by=me)
        registry.reject(session, asks, by=me, words="Not yet.")
        registry.issue(session, theirs, by=me)
        secret = factories.upstream_secret(session, team=cast.team)
        secret.created_by = me
        registry.replace_secret(session, secret, texts={"value": "other"}, vault=Vault(["k" * 40]), by=me)
        ends = utcnow() + accounts.tokens.LASTS
        accounts.tokens.make(session, me, label="script", scopes=[Scope.READ], expires_at=ends, now=utcnow())
        accounts.invite(session, email="guest@portico.example", by=me, now=utcnow())
        factories.imported(session, team=cast.team).made_by = me
        notify.tell(session, "key.leaked", persons=[me], subject="A key is public", text="It is revoked.")
        session.add(NoticeCopy(notice_id=session.scalars(select(Notice.id)).one(), person_id=me.id))
        choices.choose(session, me, "key.expiring", Way.MAIL, False)
        factories.channel(session, team=cast.team).created_by = me
        session.commit()
        number = me.id
        session.rollback()
        with app.app_context(), db.begin() as writing:
            letters.password_changed(writing, writing.get_one(Person, number))
        return json.loads(sign_in(client, me).get("/settings/data").text)

    def test_has_what_every_column_says_that_refers_to_a_person(self, found):
        person = schema.metadata.tables["person"]
        columns = {
            f"{table.name}.{key.parent.name}"
            for table in schema.metadata.tables.values()
            for key in table.foreign_keys
            if key.column.table is person
        }

        assert columns == REFERS.keys()
        assert [section for section in REFERS.values() if not found[section]] == []

    def test_has_every_column_of_the_account_but_its_secrets(self, found):
        columns = {column.name for column in Person.__table__.columns}

        assert columns == ACCOUNT.keys() | UNTOLD
        assert found["account"].keys() == set(ACCOUNT.values())

    def test_has_the_mails_that_wait_and_no_addresses_of_guests(self, found):
        assert [mail["subject"] for mail in found["mails_waiting"]] == ["Your password for Portico was changed"]
        assert "guest@portico.example" not in json.dumps(found)
