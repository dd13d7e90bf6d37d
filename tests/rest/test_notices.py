"""Channels with their log, one's own notices, and what one chooses, as programs use them."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select

from portal import config_of, notify
from portal.accounts.audit import AuditEntry
from portal.accounts.tokens import Scope
from portal.config import Config
from portal.db import db
from portal.gateway import rules_of
from portal.notify import sending
from tests.letters import delivered
from tests.notify.receiver import Receiver, receiver

PATH = "/teams/cast/channels"


@pytest.fixture
def config(config: Config) -> Config:
    object.__setattr__(config, "upstream_loopback", True)
    return config


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


def new(hook: Receiver, **fields):
    return {"name": "on-call", "kind": "webhook", "url": hook.url, "events": ["key.expiring"]} | fields


def send(app) -> None:
    with app.app_context():
        while sending.turn(config_of(app), rules_of(config_of(app)), "test"):
            pass
        db.session.remove()


class TestChannels:
    def test_the_secret_is_told_once_also_to_who_asks_again(self, program, cast, hook, session):
        asking = program(cast.owner)

        made = asking.post(PATH, new(hook), Idempotency_Key="one")
        again = asking.post(PATH, new(hook), Idempotency_Key="one")

        assert (made.status_code, made.headers["Location"]) == (201, f"/api/v1{PATH}/on-call")
        assert made.json["secret"].startswith("whsec_")
        assert again.json == made.json | {"secret": None}
        shown = asking.get(f"{PATH}/on-call")
        assert "secret" not in shown.json
        assert "T0123456789" not in shown.text
        assert asking.get(PATH).json["items"] == [shown.json]
        actions = session.scalars(select(AuditEntry.action).where(AuditEntry.kind == "channel")).all()
        assert actions == ["created", "shown"]

    def test_what_is_wrong_is_told_by_field(self, program, cast, hook):
        asking = program(cast.owner)

        refused = asking.post(PATH, new(hook, url="http://169.254.169.254/"))
        assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "url")
        refused = asking.post(PATH, new(hook, events=["key.eaten"]))
        assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "events")
        assert asking.post(PATH, new(hook)).status_code == 201
        assert asking.post(PATH, new(hook)).status_code == 409

    def test_it_is_tried_looked_into_and_sent_again(self, app, program, cast, hook):
        asking = program(cast.owner)
        asking.post(PATH, new(hook))
        hook.status, hook.answer = 200, b"thanks"

        tested = asking.post(f"{PATH}/on-call/test")
        assert (tested.status_code, tested.json["state"]) == (201, "waiting")
        send(app)

        address = tested.headers["Location"].removeprefix("/api/v1")
        found = asking.get(address).json
        assert (found["state"], found["attempts"][0]["status"], found["attempts"][0]["answer"]) == (
            "delivered",
            200,
            "thanks",
        )
        assert asking.post(f"{address}/replay").json["state"] == "waiting"
        assert asking.post(f"{address}/replay").status_code == 409
        assert [each["id"] for each in asking.get(f"{PATH}/on-call/deliveries?state=waiting").json["items"]] == [
            found["id"]
        ]
        assert asking.get(f"{PATH}/on-call/deliveries?state=delivered").json["items"] == []

    def test_it_is_paused_changed_rotated_and_deleted(self, program, cast, hook):
        asking = program(cast.owner)
        first = asking.post(PATH, new(hook)).json["secret"]

        changed = asking.patch(f"{PATH}/on-call", {"is_paused": True, "events": ["api.retired"]}).json
        assert (changed["is_paused"], changed["events"]) == (True, ["api.retired"])
        assert asking.post(f"{PATH}/on-call/test").status_code == 409
        assert asking.patch(f"{PATH}/on-call", {"is_paused": False}).json["is_paused"] is False
        rotated = asking.post(f"{PATH}/on-call/secret", {"former_valid_for": "week"})
        assert rotated.json["secret"] not in {None, first}
        assert asking.delete(f"{PATH}/on-call").status_code == 204
        assert asking.get(f"{PATH}/on-call").status_code == 404

    def test_a_chat_has_no_secret_to_change(self, program, cast, hook):
        asking = program(cast.owner)

        assert asking.post(PATH, new(hook, kind="chat")).json["secret"] is None
        assert asking.post(f"{PATH}/on-call/secret", {}).status_code == 409


class TestNotices:
    @pytest.fixture(autouse=True)
    def told(self, app, session, cast):
        for number in range(3):
            notify.tell(session, "key.expiring", teams=[cast.team], subject=f"Key {number}", text="Soon.", link="/x")
        session.commit()
        delivered(app)

    def test_the_newest_come_first_and_are_marked_as_read(self, program, cast):
        asking = program(cast.developer)

        first = asking.get("/me/notices?limit=2").json
        assert ([each["subject"] for each in first["items"]], first["unread"]) == (["Key 2", "Key 1"], 3)
        rest = asking.get(f"/me/notices?limit=2&cursor={first['next']}").json
        assert [each["team"] for each in rest["items"]] == ["cast"]
        assert asking.post("/me/notices/read", {"id": first["items"][1]["id"]}).status_code == 204
        assert [each["subject"] for each in asking.get("/me/notices?unread=true").json["items"]] == ["Key 2"]
        assert asking.get("/me/notices").json["unread"] == 1

    def test_choices_are_ones_own_and_what_concerns_security_stays(self, program, cast):
        asking = program(cast.developer)

        saved = asking.patch("/me/notice-choices", {"items": [{"event": "key.expiring", "mail": False}]}).json
        assert [each["mail"] for each in saved["items"] if each["event"] == "key.expiring"] == [False]
        theirs = program(cast.publisher).get("/me/notice-choices").json["items"]
        assert [each["mail"] for each in theirs if each["event"] == "key.expiring"] == [True]
        refused = asking.patch("/me/notice-choices", {"items": [{"event": "key.leaked", "mail": False}]})
        assert refused.status_code == 409
        unknown = asking.patch("/me/notice-choices", {"items": [{"event": "key.eaten"}]})
        assert (unknown.status_code, unknown.json["errors"][0]["field"]) == (422, "items.0.event")

    def test_reading_marks_nothing_with_a_token_that_only_reads(self, program, cast):
        asking = program(cast.developer, [Scope.READ])

        assert asking.get("/me/notices").status_code == 200
        assert asking.post("/me/notices/read", {"id": 1}).status_code == 403
