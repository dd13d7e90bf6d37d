from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from portal import registry
from portal.db import utcnow
from portal.notify.models import Notice
from portal.registry import expiry
from portal.registry.models import Key
from tests import factories


@pytest.fixture
def consumer(session):
    return factories.consumer(session, name="Shop", slug="shop")


def key(session, consumer, days: float, **more) -> Key:
    row, _ = factories.key(session, consumer, expires_at=utcnow() + timedelta(days=days), **more)
    return row


def told(session, now: datetime) -> list[Notice]:
    """What a turn of the worker says."""
    before = set(session.scalars(select(Notice.id)))
    registry.tell_expiring(session, now=now)
    session.commit()
    return [each for each in session.scalars(select(Notice).order_by(Notice.id)) if each.id not in before]


def test_a_key_is_told_of_at_30_7_and_1_days_once_each(session, consumer):
    row = key(session, consumer, 40, label="laptop")
    end = row.expires_at
    days = [50, 31, 29.9, 29, 8, 6.9, 6, 1.1, 0.9, 0.5, 0]

    heard = [(left, each) for left in days for each in told(session, end - timedelta(days=left))]

    assert [(left, each.data["within_days"]) for left, each in heard] == [(29.9, 30), (6.9, 7), (0.9, 1)]
    first = heard[0][1]
    assert (first.event, first.team_id) == ("key.expiring", consumer.team_id)
    assert first.subject == "A key of Shop expires within 30 days"
    assert f"pco_{row.public_id}_… “laptop”, {end:%Y-%m-%d %H:%M} UTC" in first.text
    assert first.link == f"/consumers/{consumer.team.slug}/shop/keys/{row.public_id}"


def test_a_worker_that_slept_says_only_what_is_due_now(session, consumer):
    end = key(session, consumer, 40).expires_at

    (notice,) = told(session, end - timedelta(hours=3))

    assert notice.data["within_days"] == 1
    assert told(session, end - timedelta(hours=2)) == []


def test_a_short_life_needs_no_notice_of_what_was_just_chosen(session, consumer):
    for days in (0.5, 5, 20):
        key(session, consumer, days)

    assert told(session, utcnow()) == []


def test_a_later_expiry_is_told_of_anew(session, consumer):
    row = key(session, consumer, 40)
    assert len(told(session, row.expires_at - timedelta(days=20))) == 1
    registry.change_key(session, row, label="", expires_at=utcnow() + timedelta(days=80))

    assert told(session, row.expires_at - timedelta(days=31)) == []
    assert len(told(session, row.expires_at - timedelta(days=20))) == 1


def test_the_dead_are_not_told_of(session, consumer):
    revoked, over = key(session, consumer, 40), key(session, consumer, 40)
    registry.revoke(session, revoked)

    assert told(session, over.expires_at + timedelta(seconds=1)) == []


def test_a_team_hears_of_many_keys_at_once(session, consumer):
    rows = [key(session, consumer, 40) for _ in range(52)]
    elsewhere = key(session, factories.consumer(session), 40)

    notices = told(session, elsewhere.expires_at - timedelta(days=20))

    assert sorted(each.team_id for each in notices) == sorted([consumer.team_id, elsewhere.consumer.team_id])
    many = next(each for each in notices if each.team_id == consumer.team_id)
    assert many.subject == "52 keys expire within 30 days"
    assert many.text.endswith("and 2 more")
    assert rows[0].public_id in many.text
    assert (len(many.data["keys"]), many.data["more"]) == (50, 2)


def test_a_successor_is_named(session, consumer):
    row = key(session, consumer, 400)
    registry.rotate(session, row, by=None, stays_until=utcnow() + timedelta(days=10), expires_at=None)

    (notice,) = told(session, row.expires_at - timedelta(days=3))

    assert notice.text.endswith("it has a successor")


def test_turns_go_on_until_all_are_told(session, consumer, monkeypatch):
    monkeypatch.setattr(expiry, "_AT_ONCE", 2)
    end = max(key(session, consumer, 40).expires_at for _ in range(5))
    counts = []
    while not counts or counts[-1]:
        counts.append(registry.tell_expiring(session, now=end - timedelta(days=20)))

    assert counts == [2, 2, 1, 0]
