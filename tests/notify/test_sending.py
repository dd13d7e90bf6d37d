"""Messages to channels, from the notice to a real receiver: signed, tried again, given up, logged."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from portal import config_of, notify
from portal.accounts.audit import AuditEntry
from portal.config import Config
from portal.db import db, utcnow
from portal.notify import backoff, channels, sending
from portal.notify.models import Attempt, Channel, ChannelKind, Delivery, DeliveryState, Notice
from portal.notify.models import Receiver as ReceiverRow
from portal.notify.signing import SigningSecret, headers
from portal.outbound.addresses import AddressRules
from portal.vault import Vault
from tests import factories
from tests.letters import delivered
from tests.notify.receiver import Receiver, receiver

ROOT = Path(__file__).parent.parent.parent
RULES = AddressRules(loopback=True)
TOLD = {"subject": "The key “till” expires", "text": "In 7 days.", "link": "/consumers/cast/shop"}


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture(autouse=True)
def _context(app):
    with app.app_context():
        yield


@pytest.fixture
def channel(app, session, cast, hook, config) -> Channel:
    return made(session, cast, hook, config)


def made(session, cast, hook: Receiver, config: Config, **fields) -> Channel:
    values = {"url": hook.url, "shown": f"http://127.0.0.1:{hook.port}"} | fields
    row = factories.channel(session, team=cast.team, vault=Vault.of(config), **values)
    session.commit()
    return row


def tell(app, session, cast, event="key.expiring", **values) -> None:
    notify.tell(session, event, teams=[cast.team], **TOLD | values)
    session.commit()
    delivered(app)  # the worker spreads it


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = utcnow()

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, time: timedelta) -> None:
        self.now += time


@pytest.fixture
def clock() -> Clock:
    return Clock()


def turn(app, rules: AddressRules = RULES, clock=utcnow, by: str = "test") -> bool:
    worked = sending.turn(config_of(app), rules, by, clock)
    db.session.remove()
    return worked


def row(session, kind=Delivery):
    session.rollback()
    return session.scalars(select(kind)).one()


class TestWebhook:
    def test_what_was_told_arrives_signed(self, app, session, cast, hook, channel, config):
        tell(app, session, cast, data={"key": "pco_abc", "days": 7})

        assert turn(app)

        (got,) = hook.got
        notice = row(session, Notice)
        message = json.loads(got.body)
        assert got.path == "/hooks/T0123456789"
        assert got.headers["content-type"] == "application/json"
        assert got.headers["webhook-id"] == notice.public_id
        assert message == {
            "type": "key.expiring",
            "timestamp": notice.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "data": {
                "key": "pco_abc",
                "days": 7,
                "team": "cast",
                "subject": "The key “till” expires",
                "text": "In 7 days.",
                "link": f"{config.url}/consumers/cast/shop",
            },
        }
        kept = json.loads(Vault.of(config).open(session.get(Channel, channel.id).sealed))
        expected = headers(
            [SigningSecret(kept["secret"])], notice.public_id, int(got.headers["webhook-timestamp"]), got.body
        )
        assert got.headers["webhook-signature"] == expected["webhook-signature"]
        delivery = row(session)
        assert delivery.state is DeliveryState.DELIVERED
        assert [(each.status, each.error) for each in delivery.attempts] == [(204, "")]
        assert not turn(app)

    def test_only_chosen_events_come_and_only_of_the_own_team(self, app, session, cast, hook, channel):
        tell(app, session, cast, "subscription.approved")
        notify.tell(session, "key.expiring", teams=[factories.team(session)], **TOLD)
        session.commit()
        delivered(app)

        assert not turn(app)
        assert hook.got == []

    def test_both_secrets_sign_for_a_time_after_a_rotation(self, app, session, cast, hook, channel, config, clock):
        old = SigningSecret(json.loads(Vault.of(config).open(channel.sealed))["secret"])
        new = channels.rotate_secret(
            session, channel, both_for=timedelta(hours=1), vault=Vault.of(config), now=clock.now
        )
        session.commit()

        def signed_by() -> list[SigningSecret]:
            tell(app, session, cast)
            clock.now = max(clock.now, utcnow())
            assert turn(app, clock=clock)
            got = hook.got[-1]
            stamp = int(got.headers["webhook-timestamp"])
            said = got.headers["webhook-signature"].split(" ")
            made = [headers([each], got.headers["webhook-id"], stamp, got.body) for each in (new, old)]
            return [each for each, one in zip((new, old), made, strict=True) if one["webhook-signature"] in said]

        assert signed_by() == [new, old]
        clock.pass_(timedelta(hours=1))
        assert signed_by() == [new]

    def test_a_chat_gets_a_text_in_which_no_name_can_do_harm(self, app, session, cast, hook, config):
        made(session, cast, hook, config, kind=ChannelKind.CHAT)

        tell(app, session, cast, subject="<!channel> & <http://evil.example|Portico>")
        turn(app)

        (got,) = hook.got
        message = json.loads(got.body)
        assert message["text"].splitlines() == [
            "*&lt;!channel&gt; &amp; &lt;http://evil.example|Portico&gt;*",
            "In 7 days.",
            f"<{config.url}/consumers/cast/shop|Open in Portico>",
        ]
        assert [block["text"]["text"] for block in message["blocks"]] == message["text"].splitlines()
        assert "webhook-signature" not in got.headers

    def test_a_paused_channel_gets_nothing_and_nothing_later(self, app, session, cast, hook, channel):
        channels.pause(channel, now=utcnow())
        session.commit()

        tell(app, session, cast)
        assert not turn(app)
        channels.resume(session, channel)
        session.commit()
        assert not turn(app)
        assert hook.got == []


class TestAnswers:
    def test_what_is_answered_is_kept_as_far_as_it_may_be_shown(self, app, session, cast, hook, channel, config):
        secret = json.loads(Vault.of(config).open(channel.sealed))["secret"]
        hook.status = 200
        hook.answer = f"ok {secret} token: abc123 pco_aaaaaaaaaaaa_bbb \0\x1b[1m".encode() + b"\xff" + b"x" * 5_000
        tell(app, session, cast)

        turn(app)

        answer = row(session, Attempt).answer
        assert answer.startswith("ok … token: … pco_… �")
        assert secret not in answer
        assert "abc123" not in answer
        assert len(answer) < 2_100

    @pytest.mark.parametrize(
        ("status", "sentence"),
        [(500, "It answers with status 500."), (404, "status 404"), (302, "leads elsewhere"), (429, "status 429")],
    )
    def test_other_answers_are_failures_that_are_told(self, app, session, cast, hook, channel, status, sentence):
        hook.status, hook.headers = status, {"Location": "http://169.254.169.254/"} if status == 302 else {}
        tell(app, session, cast)

        turn(app)

        delivery = row(session)
        assert delivery.state is DeliveryState.WAITING
        assert sentence in delivery.attempts[0].error
        assert len(hook.got) == 1

    def test_an_address_that_is_forbidden_by_now_is_not_reached(self, app, session, cast, hook, channel):
        tell(app, session, cast)

        turn(app, AddressRules(loopback=False))

        attempt = row(session, Attempt)
        assert "this machine itself, which is not allowed" in attempt.error
        assert "T0123456789" not in attempt.error
        assert hook.got == []

    def test_nobody_listens(self, app, session, cast, hook, config):
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            port = held.getsockname()[1]
            made(session, cast, hook, config, url=f"http://127.0.0.1:{port}/T0SECRET", shown=f"http://127.0.0.1:{port}")
            tell(app, session, cast)
            turn(app)

        attempt = row(session, Attempt)
        assert attempt.error == f"http://127.0.0.1:{port} cannot be reached: Connection refused."
        assert attempt.status is None

    def test_a_channel_whose_secret_no_key_opens_fails_like_others(self, app, session, cast, hook, channel, config):
        tell(app, session, cast)

        sending.turn(replace(config, encryption_keys=("another key of 32 characters or more",)), RULES, "test")

        assert "cannot be read" in row(session, Attempt).error
        assert hook.got == []

    def test_one_that_is_gone_is_paused_and_its_owners_are_told(self, app, session, cast, hook, channel):
        cast.owner.confirmed_at = utcnow()
        hook.status = 410
        tell(app, session, cast)

        turn(app)

        assert row(session).state is DeliveryState.GIVEN_UP
        assert session.get(Channel, channel.id).paused_at is not None
        assert {mail["To"]: mail["Subject"] for mail in delivered(app)} == {
            cast.owner.email: f"The channel {channel.name} takes no messages"
        }
        entry = session.scalars(select(AuditEntry).where(AuditEntry.kind == "channel").order_by(AuditEntry.id.desc()))
        assert (entry.first() or AuditEntry()).action == "paused"


class TestAgain:
    def test_pauses_grow_from_seconds_to_a_day(self):
        chance = random.Random(1)
        pauses = [backoff.pause(tries, chance=chance) for tries in range(1, 13)]

        assert timedelta(seconds=4) <= pauses[0] <= timedelta(seconds=6)
        assert all(timedelta(hours=19) < pause < timedelta(hours=29) for pause in pauses[9:])
        assert len(set(pauses)) == 12
        assert sum(pauses[:9], timedelta()) < backoff.GIVEN_UP_AFTER < sum(pauses, timedelta())

    def test_it_is_tried_again_with_the_same_id_until_it_is_taken(self, app, session, cast, hook, channel, clock):
        hook.status = 503
        tell(app, session, cast)
        clock.now = utcnow()
        assert turn(app, clock=clock)
        assert not turn(app, clock=clock)
        hook.status = 200
        clock.pass_(timedelta(seconds=7))

        assert turn(app, clock=clock)

        first, second = hook.got
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert first.body == second.body
        assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
        assert row(session).state is DeliveryState.DELIVERED

    @pytest.mark.parametrize("wish", ["120", "date"])
    def test_what_the_receiver_asks_for_is_kept_to(self, app, session, cast, hook, channel, clock, wish):
        tell(app, session, cast)
        clock.now = utcnow()
        at = clock.now + timedelta(seconds=121)
        hook.status, hook.headers = 429, {"Retry-After": f"{at:%a, %d %b %Y %H:%M:%S GMT}" if wish == "date" else wish}
        turn(app, clock=clock)

        clock.pass_(timedelta(seconds=115))
        assert not turn(app, clock=clock)
        clock.pass_(timedelta(seconds=10))
        assert turn(app, clock=clock)

    @pytest.mark.parametrize("text", ["soon", "-5", "", "9" * 40, "Fri, 99 Nov 2026 12:00:00 GMT"])
    def test_a_wish_that_is_none_is_none(self, text):
        assert backoff.wish(text, datetime(2026, 5, 17, tzinfo=UTC)) == timedelta()

    def test_a_wish_lasts_a_day_at_most(self):
        assert backoff.wish("99999999", datetime(2026, 5, 17, tzinfo=UTC)) == timedelta(days=1)

    def test_it_is_given_up_after_three_days_with_one_notice(self, app, session, cast, hook, channel, clock):
        cast.owner.confirmed_at = utcnow()
        hook.status = 500
        tell(app, session, cast)
        tell(app, session, cast)
        clock.now = begun = utcnow()
        while clock.now < begun + timedelta(days=4):
            turn(app, clock=clock)
            clock.pass_(timedelta(minutes=10))

        session.rollback()
        deliveries = session.scalars(select(Delivery)).all()
        assert {delivery.state for delivery in deliveries} == {DeliveryState.GIVEN_UP}
        assert 10 < len(hook.got) < 60
        told = session.scalars(select(Notice).where(Notice.event == "channel.failing")).all()
        assert [notice.data["status"] for notice in told] == [500]
        assert not turn(app, clock=clock)

    def test_it_can_be_sent_anew_with_the_same_id(self, app, session, cast, hook, channel):
        tell(app, session, cast)
        turn(app)

        channels.replay(session, row(session), now=utcnow())
        session.commit()
        assert turn(app)

        first, second = hook.got
        assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
        assert len(row(session).attempts) == 2


class TestReceivers:
    def test_a_dead_one_is_left_alone_and_others_are_served(self, app, session, cast, hook, channel, config, clock):
        with receiver() as dead:
            dead.status = 500
            made(session, cast, dead, config, name="dead")
            for _ in range(7):
                tell(app, session, cast)
            clock.now = utcnow()
            while turn(app, clock=clock):
                pass
            assert len(hook.got) == 7
            assert len(dead.got) == backoff.FAILURES_IN_A_ROW
            for _ in range(20):
                clock.pass_(timedelta(seconds=7))
                while turn(app, clock=clock):
                    pass

            # Without a pause of the whole receiver each of the seven would have been tried at once.
            assert len(dead.got) < 10
            dead_row = session.scalars(
                select(ReceiverRow).join(ReceiverRow.channel).where(Channel.name == "dead")
            ).one()
            assert dead_row.failures == len(dead.got)

    def test_one_is_not_sent_to_by_two_workers_at_once(self, app, session, cast, hook, channel):
        tell(app, session, cast)
        tell(app, session, cast)
        others: list[bool] = []

        def meanwhile() -> None:
            with app.app_context():
                others.append(sending.turn(config_of(app), RULES, "another", utcnow))
                db.session.remove()

        hook.meanwhile = meanwhile

        turn(app)

        assert others == [False, False]
        assert len(hook.got) == 2

    def test_one_whose_worker_died_is_taken_over(self, app, session, cast, hook, channel, clock):
        tell(app, session, cast)
        clock.now = utcnow()
        dead = session.get(ReceiverRow, channel.id)
        dead.claimed_by, dead.claimed_until = "dead", clock.now + timedelta(seconds=60)
        session.commit()

        assert not turn(app, clock=clock)
        clock.pass_(timedelta(seconds=60))
        assert turn(app, clock=clock)
        assert len(hook.got) == 1

    def test_what_comes_while_it_is_served_is_sent_too(self, app, session, cast, hook, channel):
        tell(app, session, cast)
        once = threading.Event()

        def meanwhile() -> None:
            if not once.is_set():
                once.set()
                with app.app_context(), db.begin() as writing:
                    notify.tell(writing, "key.expiring", teams=[cast.team.id], **TOLD)

        cast.team.id  # noqa: B018  # read before the thread does
        session.rollback()
        hook.meanwhile = meanwhile
        turn(app)
        delivered(app)
        turn(app)

        assert len(hook.got) == 2

    def test_a_channel_that_is_deleted_while_it_is_sent_to_is_no_failure(self, app, session, cast, hook, channel):
        tell(app, session, cast)
        number = channel.id
        session.rollback()

        def meanwhile() -> None:
            with app.app_context(), db.begin() as writing:
                channels.delete_channel(writing, writing.get_one(Channel, number))

        hook.meanwhile = meanwhile

        assert turn(app)
        session.rollback()
        assert session.scalars(select(Delivery)).all() == []


def test_old_deliveries_go_and_those_that_wait_stay(app, session, cast, hook, channel):
    tell(app, session, cast)
    turn(app)
    tell(app, session, cast)
    before = utcnow() + timedelta(days=1)

    assert channels.sweep(session, before=before) == 1
    session.commit()

    assert row(session).state is DeliveryState.WAITING
    assert session.scalars(select(Attempt)).all() == []


class TestProcess:
    def test_receivers_and_a_mail_server_that_never_answer_hold_up_nobody(self, app, session, cast, hook, config):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            port = silent.getsockname()[1]
            for number in range(3):
                url = f"http://127.0.0.1:{port}/"
                made(session, cast, hook, config, name=f"silent-{number}", url=url, shown=f"http://127.0.0.1:{port}")
            made(session, cast, hook, config, name="zz-last")
            notify.mail(session, config, to="ada@portico.example", subject="Hello", text="Nobody takes it.")
            notify.tell(session, "key.expiring", teams=[cast.team], **TOLD)
            session.commit()
            environment = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")} | {
                "PORTAL_DATA_DIR": str(config.data_dir),
                "PORTAL_UPSTREAM_LOOPBACK": "1",
                "PORTAL_SMTP_URL": f"smtp://localhost:{port}",
            }
            process = subprocess.Popen(
                [sys.executable, "-m", "flask", "worker", "run"],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            try:
                until = time.monotonic() + 60
                while not hook.got:
                    assert process.poll() is None
                    assert time.monotonic() < until
                    time.sleep(0.05)
            finally:
                process.send_signal(signal.SIGTERM)
                said, _ = process.communicate(timeout=30)

        assert json.loads(hook.got[0].body)["type"] == "key.expiring"
        assert "Worker stopped." in said
