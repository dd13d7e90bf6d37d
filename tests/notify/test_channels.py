"""Channels as their owners make and change them."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from portal.accounts.audit import AuditEntry
from portal.db import utcnow
from portal.errors import Conflict, Invalid, NameTaken
from portal.notify import channels
from portal.notify.models import Channel, ChannelKind, Delivery
from portal.outbound.addresses import AddressRules
from portal.outbound.guarded import NotReached
from portal.vault import Vault
from tests import factories

VAULT = Vault(["k" * 40])
URL = "https://203.0.113.7/hooks/T0SECRET"


def create(session, cast, **fields):
    values = {"name": "on-call", "kind": ChannelKind.WEBHOOK, "url": URL, "shown": "https://203.0.113.7"}
    values |= {"events": ["key.expiring", "key.leaked"]}
    return channels.create_channel(session, cast.team, vault=VAULT, by=cast.owner, **values | fields)


class TestCreate:
    def test_address_and_secret_are_sealed_and_in_no_trail(self, session, cast):
        channel, secret = create(session, cast)
        session.commit()

        assert secret is not None
        assert json.loads(VAULT.open(channel.sealed)) == {"url": URL, "secret": secret.value, "before": ""}
        assert "whsec_…" in repr(secret)
        entry = session.scalars(select(AuditEntry).where(AuditEntry.kind == "channel")).one()
        assert (entry.action, entry.label, entry.team_id) == ("created", "cast/on-call", cast.team.id)
        assert "T0SECRET" not in json.dumps(entry.changes)
        assert secret.value not in json.dumps(entry.changes)

    def test_a_chat_has_no_secret(self, session, cast):
        assert create(session, cast, kind=ChannelKind.CHAT)[1] is None

    @pytest.mark.parametrize(
        ("fields", "wrong"),
        [
            ({"name": "On Call"}, "name"),
            ({"events": []}, "events"),
            ({"events": ["key.eaten"]}, "events"),
            ({"name": "", "events": []}, "name"),
        ],
    )
    def test_what_cannot_be_used_is_told(self, session, cast, fields, wrong):
        with pytest.raises(Invalid) as refused:
            create(session, cast, **fields)
        assert wrong in refused.value.fields

    def test_names_are_unique_in_a_team(self, session, cast):
        create(session, cast)
        session.flush()

        with pytest.raises(NameTaken, match="already has a channel on-call"):
            create(session, cast)

    def test_a_team_has_not_too_many(self, session, cast):
        for _ in range(channels.MOST):
            factories.channel(session, team=cast.team)

        with pytest.raises(Conflict, match="20 channels already"):
            create(session, cast)


class TestCheck:
    @pytest.mark.parametrize(
        ("url", "sentence"),
        [
            ("http://127.0.0.1:1/x", "this machine itself"),
            ("http://169.254.169.254/", "never allowed"),
            ("http://[::1]/", "this machine itself"),
            ("ftp://a.example/", "does not begin with"),
            ("https://", "not a whole address"),
            ("https://me:hush" + "@a.example/", "Leave user name and password out"),
            ("https://203.0.113.7/#x", "begins with #"),
            ("https://203.0.113.7/" + "x" * 2_000, "At most 2,000"),
        ],
    )
    def test_where_nothing_may_be_sent_is_told(self, url, sentence):
        with pytest.raises(NotReached, match=sentence):
            channels.check(AddressRules())(url)

    def test_scheme_and_host_may_be_shown(self):
        assert (
            channels.check(AddressRules())("https://203.0.113.7:8443/hooks/T0SECRET?k=x") == "https://203.0.113.7:8443"
        )


class TestRotate:
    def test_the_one_before_stays_for_as_long_as_was_said(self, session, cast):
        channel, first = create(session, cast)
        session.flush()
        now = utcnow()

        second = channels.rotate_secret(session, channel, both_for=timedelta(days=1), vault=VAULT, now=now)
        kept = json.loads(VAULT.open(channel.sealed))

        assert first is not None
        assert (kept["secret"], kept["before"]) == (second.value, first.value)
        assert channel.before_until == now + timedelta(days=1)

    def test_a_leaked_one_ends_at_once(self, session, cast):
        channel, _ = create(session, cast)
        session.flush()

        channels.rotate_secret(session, channel, both_for=timedelta(0), vault=VAULT, now=utcnow())

        assert json.loads(VAULT.open(channel.sealed))["before"] == ""

    def test_a_form_that_is_sent_twice_changes_it_once(self, session, cast):
        channel, _ = create(session, cast)
        session.flush()
        seen = channels.edition(channel)
        rules = {"both_for": timedelta(hours=1), "vault": VAULT, "now": utcnow(), "expected": seen}
        channels.rotate_secret(session, channel, **rules)
        session.flush()
        sealed = channel.sealed

        with pytest.raises(Conflict, match="changed since you opened this page"):
            channels.rotate_secret(session, channel, **rules)
        assert channel.sealed == sealed

    def test_a_chat_has_none_to_change(self, session, cast):
        channel, _ = create(session, cast, kind=ChannelKind.CHAT)

        with pytest.raises(Conflict, match="not signed"):
            channels.rotate_secret(session, channel, both_for=timedelta(0), vault=VAULT, now=utcnow())


class TestChange:
    def test_an_empty_address_stays_and_a_new_one_keeps_the_secret(self, session, cast):
        channel, secret = create(session, cast)
        channels.change_channel(channel, events=["key.leaked"], url="", shown=channel.shown, vault=VAULT)
        assert json.loads(VAULT.open(channel.sealed))["url"] == URL
        assert channel.events == ["key.leaked"]

        channels.change_channel(channel, events=["key.leaked"], url=URL + "2", shown="https://203.0.113.7", vault=VAULT)
        kept = json.loads(VAULT.open(channel.sealed))
        assert secret is not None
        assert (kept["url"], kept["secret"]) == (URL + "2", secret.value)

    def test_no_test_is_sent_while_it_is_paused(self, session, cast):
        channel, _ = create(session, cast)
        session.flush()
        channels.pause(channel, now=utcnow())

        with pytest.raises(Conflict, match="is paused"):
            channels.test(session, channel, by=cast.owner)

    def test_what_waits_is_not_sent_anew(self, session, cast):
        channel, _ = create(session, cast)
        session.flush()
        delivery = channels.test(session, channel, by=cast.owner)
        session.flush()

        with pytest.raises(Conflict, match="waits to be sent already"):
            channels.replay(session, delivery, now=utcnow())

    def test_deleting_it_takes_its_log_along(self, session, cast):
        channel, _ = create(session, cast)
        session.flush()
        channels.test(session, channel, by=cast.owner)
        session.flush()

        channels.delete_channel(session, channel)
        session.commit()

        assert session.scalars(select(Channel)).all() == []
        assert session.scalars(select(Delivery)).all() == []
