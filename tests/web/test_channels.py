"""The pages of a team's channels: made, tried, changed, looked into."""

import json
import re
from collections.abc import Iterator

import pytest
from sqlalchemy import func, select

from portal import config_of
from portal.accounts.audit import AuditEntry
from portal.config import Config
from portal.db import db
from portal.gateway import rules_of
from portal.notify import channels, sending
from portal.notify.models import Channel, ChannelKind, Delivery
from portal.vault import Vault
from tests import factories
from tests.conftest import sign_in
from tests.notify.receiver import Receiver, receiver

INDEX = "/settings/teams/cast/channels"


@pytest.fixture
def config(config: Config) -> Config:
    object.__setattr__(config, "upstream_loopback", True)
    return config


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture
def owner(client, cast):
    return sign_in(client, cast.owner)


def make(owner, hook: Receiver, **fields):
    data = {"kind": "webhook", "name": "on-call", "url": hook.url, "events": ["key.expiring", "key.leaked"]}
    return owner.post(f"{INDEX}/new", data=data | fields)


def send(app) -> None:
    with app.app_context():
        while sending.turn(config_of(app), rules_of(config_of(app)), "test"):
            pass
        db.session.remove()


def only(session, kind):
    session.rollback()
    return session.scalars(select(kind)).one()


class TestMake:
    def test_the_secret_is_shown_once_and_the_address_never_again(self, app, owner, hook, session):
        page = make(owner, hook)

        assert page.status_code == 201
        (secret,) = re.findall(r"<code>(whsec_[^<]+)</code>", page.text)
        assert page.headers["Cache-Control"] == "no-store"
        pages = [owner.get(f"{INDEX}{part}").text for part in ("", "/on-call", "/on-call/edit")]
        assert not [page for page in pages if secret in page or "T0123456789" in page]
        assert f"http://127.0.0.1:{hook.port}" in pages[1]
        actions = session.scalars(select(AuditEntry.action).where(AuditEntry.kind == "channel")).all()
        assert actions == ["created", "shown"]

    def test_a_form_that_is_wrong_keeps_what_was_typed(self, owner, hook, session):
        page = make(owner, hook, name="On Call", events=["key.leaked"])

        assert page.status_code == 422
        assert "Use small letters" in page.text
        assert hook.url in page.text
        assert re.search(r'<input[^>]*checked[^>]*value="key.leaked"|value="key.leaked"[^>]*checked', page.text)
        assert not re.search(r'<input[^>]*checked[^>]*value="key.expiring"', page.text)
        assert session.scalar(select(func.count()).select_from(Channel)) == 0

    def test_an_address_that_must_not_be_reached_is_refused_beside_the_field(self, owner, hook):
        page = make(owner, hook, url="http://169.254.169.254/latest")

        assert page.status_code == 422
        assert "never allowed" in page.text

    def test_a_taken_name_is_a_conflict(self, owner, hook):
        make(owner, hook)

        page = make(owner, hook)
        assert page.status_code == 409
        assert "already has a channel on-call" in page.text

    def test_a_chat_has_no_secret_to_show(self, owner, hook):
        page = make(owner, hook, kind="chat")

        assert page.status_code == 303
        assert "Change secret" not in owner.get(page.location).text


class TestTry:
    def test_a_test_shows_what_was_answered(self, app, owner, hook, session):
        make(owner, hook)
        hook.status, hook.answer = 200, b"<b>thanks</b>"

        page = owner.post(f"{INDEX}/on-call/test")
        assert page.status_code == 303
        assert "Not tried yet" in owner.get(page.location).text
        send(app)

        text = owner.get(page.location).text
        assert "&lt;b&gt;thanks&lt;/b&gt;" in text
        assert "Delivered" in text
        assert "data-poll-done" in text
        assert json.loads(hook.got[0].body)["type"] == "channel.test"
        assert "Works" in owner.get(INDEX).text

    def test_what_failed_is_told_and_can_be_sent_again(self, app, owner, hook, session):
        make(owner, hook)
        hook.status = 500
        page = owner.post(f"{INDEX}/on-call/test")
        send(app)
        shown = owner.get(f"{INDEX}/on-call").text
        assert "It takes no messages since" in shown
        assert "500" in shown
        assert owner.post(f"{page.location}/replay").status_code == 409

        hook.status = 200
        assert owner.post(f"{INDEX}/on-call/test").status_code == 303  # asks for it at once, though it fails
        send(app)
        assert "It takes no messages" not in owner.get(f"{INDEX}/on-call").text

    def test_what_was_delivered_can_be_sent_again(self, app, owner, hook):
        make(owner, hook)
        page = owner.post(f"{INDEX}/on-call/test")
        send(app)

        assert owner.post(f"{page.location}/replay").status_code == 303
        send(app)

        assert len({got.headers["webhook-id"] for got in hook.got}) == 1
        assert len(hook.got) == 2

    def test_the_log_has_pages_and_states(self, app, owner, hook, session, cast):
        make(owner, hook)
        with app.app_context(), db.begin() as writing:
            row = writing.scalars(select(Channel)).one()
            for _ in range(120):
                channels.test(writing, row, by=row.created_by)

        address, seen = f"{INDEX}/on-call", []
        while address:
            text = owner.get(address).text
            seen += re.findall(r"/deliveries/(\d+)", text)
            found = re.search(r'rel="next" href="([^"]+)"', text)
            address = found[1].replace("&amp;", "&") if found else ""
        assert len(seen) == len(set(seen)) == 120
        assert "None of these" in owner.get(f"{INDEX}/on-call?state=given-up").text
        assert owner.get(f"{INDEX}/on-call?before=x&state=x").status_code == 200
        assert owner.get(f"{INDEX}/on-call?before={10**30}").status_code == 200


class TestChange:
    def test_events_change_and_the_address_stays(self, owner, hook, session, config):
        make(owner, hook)

        page = owner.post(f"{INDEX}/on-call/edit", data={"events": ["api.retired"], "url": ""})

        assert page.status_code == 303
        row = only(session, Channel)
        assert row.events == ["api.retired"]
        assert json.loads(Vault.of(config).open(row.sealed))["url"] == hook.url

    def test_none_chosen_is_refused(self, owner, hook):
        make(owner, hook)

        page = owner.post(f"{INDEX}/on-call/edit", data={"url": ""})

        assert page.status_code == 422
        assert "Choose one event at least" in page.text

    def test_a_new_secret_is_shown_once_and_a_form_sent_twice_changes_it_once(self, owner, hook, session):
        make(owner, hook)
        data = {"seen": "", "both_for": "86400"}

        first = owner.post(f"{INDEX}/on-call/secret", data=data)
        again = owner.post(f"{INDEX}/on-call/secret", data=data)

        assert (first.status_code, again.status_code) == (200, 409)
        assert "whsec_" in first.text
        assert "until" in first.text
        assert "<code>whsec_" not in again.text

    def test_pause_and_resume(self, owner, hook, session):
        make(owner, hook)

        owner.post(f"{INDEX}/on-call/pause")
        assert only(session, Channel).paused_at is not None
        assert owner.post(f"{INDEX}/on-call/test").status_code == 409
        owner.post(f"{INDEX}/on-call/resume")
        assert only(session, Channel).paused_at is None
        actions = session.scalars(select(AuditEntry.action).where(AuditEntry.kind == "channel")).all()
        assert actions[-2:] == ["paused", "resumed"]

    def test_deleting_wants_its_name(self, owner, hook, session):
        make(owner, hook)
        owner.post(f"{INDEX}/on-call/test")

        assert owner.post(f"{INDEX}/on-call/delete", data={"confirm": "other"}).status_code == 422
        assert owner.post(f"{INDEX}/on-call/delete", data={"confirm": "on-call"}).status_code == 303
        session.rollback()
        assert session.scalars(select(Delivery)).all() == []


def test_a_developer_sees_none_and_another_team_finds_none(client, session, cast, config):
    factories.channel(session, team=cast.team, name="on-call", kind=ChannelKind.CHAT, vault=Vault.of(config))
    session.commit()

    assert sign_in(client, cast.developer).get(f"{INDEX}/on-call").status_code == 403
    assert sign_in(client, cast.stranger).get(f"{INDEX}/on-call").status_code == 404
