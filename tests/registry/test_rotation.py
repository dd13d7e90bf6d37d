from datetime import timedelta

import pytest
from sqlalchemy import select

from portal import registry
from portal.accounts.audit import AuditEntry
from portal.db import utcnow
from portal.errors import Conflict, Invalid
from portal.notify.models import Notice
from portal.registry import rotation
from portal.registry.keys import TOMBSTONE, Restrictions
from portal.registry.models import Key, KeyLineage, Revision
from tests import factories


@pytest.fixture
def key(session) -> Key:
    consumer = factories.consumer(session, name="Shop")
    api = factories.api(session, live=True, openapi=factories.openapi_document(session))
    use = factories.subscription(session, consumer, api)
    key, _ = factories.key(
        session,
        consumer,
        label="laptop",
        expires_at=utcnow() + timedelta(days=90),
        restrictions=Restrictions(
            True, ("10.0.0.0/8",), frozenset({use.id}), frozenset({(api.id, "GET", "/pets/{id}")})
        ),
    )
    factories.key(session, consumer)  # another one, which has nothing to do with it
    session.commit()
    return key


def rotate(session, key, *, stays=timedelta(hours=24), **more) -> Key:
    until = None if stays is None else utcnow() + stays
    made, token = rotation.rotate(session, key, by=None, stays_until=until, **{"expires_at": None} | more)
    session.flush()
    assert made.sha256 == token.sha256
    return made


class TestRotate:
    def test_makes_a_successor_with_the_same_rights(self, session, key):
        made = rotate(session, key)

        assert Restrictions.of(made) == Restrictions.of(key)
        assert (made.label, made.consumer, made.predecessor_id) == ("laptop", key.consumer, key.id)
        assert made.sha256 != key.sha256
        assert made.expires_at is None

    def test_rights_are_taken_over_that_could_not_be_chosen_any_more(self, session, key):
        (use,) = key.consumer.subscriptions
        registry.end_subscription(session, use)

        assert Restrictions.of(rotate(session, key)).subscriptions == {use.id}

    def test_the_old_key_works_for_the_chosen_time_and_no_longer_than_before(self, session, key):
        before = key.expires_at
        now = utcnow()
        rotate(session, key, stays=timedelta(hours=1))

        assert now + timedelta(minutes=59) < key.expires_at < now + timedelta(minutes=61)
        assert key.unrotated_expires_at == before
        assert key.state_at(utcnow()) == "active"

        other, _ = factories.key(session, key.consumer, expires_at=now + timedelta(hours=2))
        rotate(session, other, stays=timedelta(days=7))
        assert other.expires_at == now + timedelta(hours=2)

    def test_a_leaked_key_is_revoked_at_once(self, session, key):
        rotate(session, key, stays=None)

        assert key.state_at(utcnow()) == "revoked"
        assert key.leaked

    def test_nodes_and_the_team_hear_of_it(self, session, key):
        before = session.scalar(select(Revision.n))
        made = rotate(session, key)
        session.commit()

        assert session.scalar(select(Revision.n)) == before + 1
        (notice,) = session.scalars(select(Notice).where(Notice.event == "key.rotated"))
        assert notice.team_id == key.consumer.team_id
        assert (notice.data["key"], notice.data["successor"]) == (key.public_id, made.public_id)
        assert "issued" in session.scalars(select(AuditEntry.action).where(AuditEntry.thing_id == made.id)).all()

    def test_an_instant_that_has_passed_is_refused(self, session, key):
        with pytest.raises(Invalid) as refused:
            rotate(session, key, stays=-timedelta(seconds=1))
        assert list(refused.value.fields) == ["stays_until"]
        with pytest.raises(Invalid) as refused:
            rotate(session, key, expires_at=utcnow() - timedelta(seconds=1))
        assert list(refused.value.fields) == ["expires_at"]

    def test_a_revoked_key_has_nothing_to_rotate(self, session, key):
        registry.revoke(session, key)

        with pytest.raises(Conflict, match=r"was revoked on .* Issue another one"):
            rotate(session, key)

    def test_an_expired_key_may_have_a_successor_and_stays_expired(self, session, key):
        key.expires_at = utcnow() - timedelta(hours=1)
        session.flush()

        made = rotate(session, key)

        assert key.state_at(utcnow()) == "expired"
        assert made.state_at(utcnow()) == "active"


class TestDuringARotation:
    def test_a_second_one_of_the_same_key_is_refused_and_names_the_successor(self, session, key):
        made = rotate(session, key)

        with pytest.raises(Conflict) as refused:
            rotate(session, key)

        assert f"its successor is pco_{made.public_id}_…" in str(refused.value)

    def test_the_successor_may_be_rotated_on_and_the_first_key_keeps_its_end(self, session, key):
        second = rotate(session, key)
        end = key.expires_at
        third = rotate(session, second, stays=None)

        assert (key.expires_at, third.predecessor_id) == (end, second.id)
        assert key.state_at(utcnow()) == third.state_at(utcnow()) == "active"

    def test_revoking_the_old_key_ends_it_early(self, session, key):
        made = rotate(session, key)
        assert registry.revoke(session, key) is None

        assert key.state_at(utcnow()) == "revoked"
        assert made.state_at(utcnow()) == "active"

    def test_revoking_the_successor_undoes_it_and_another_one_may_follow(self, session, key):
        before = key.expires_at
        made = rotate(session, key)

        assert registry.revoke(session, made) is key

        assert key.expires_at == before
        assert rotate(session, key).predecessor_id == key.id

    def test_undoing_brings_no_revoked_and_no_expired_key_back(self, session, key):
        made = rotate(session, key, stays=None)
        assert registry.revoke(session, made) is None
        assert key.state_at(utcnow()) == "revoked"

        other, _ = factories.key(session, key.consumer)
        made = rotate(session, other)
        other.expires_at = utcnow() - timedelta(minutes=1)
        session.flush()
        assert registry.revoke(session, made) is None
        assert other.state_at(utcnow()) == "expired"

    def test_a_key_in_the_middle_brings_nothing_back(self, session, key):
        second = rotate(session, key)
        end = key.expires_at
        rotate(session, second)

        assert registry.revoke(session, second) is None
        assert key.expires_at == end

    def test_the_old_key_may_be_prolonged_and_undoing_keeps_that(self, session, key):
        made = rotate(session, key)
        later = utcnow() + timedelta(days=200)
        registry.change_key(session, key, label=key.label, expires_at=later)

        registry.revoke(session, made)

        assert key.expires_at == later


class TestLineage:
    def test_holds_every_key_of_a_chain_also_those_that_are_buried(self, session, key):
        second = rotate(session, key, stays=None)
        third = rotate(session, second, stays=None)
        alone = next(each for each in key.consumer.keys if each not in (key, second, third))
        expected = [key.id, second.id, third.id]
        key.revoked_at = utcnow() - TOMBSTONE - timedelta(days=1)
        session.flush()
        registry.bury(session, now=utcnow())
        session.flush()

        assert session.get(Key, expected[0]) is None
        assert registry.lineage(session, third) == registry.lineage(session, second) == expected
        assert registry.lineage(session, alone) == [alone.id]

    def test_goes_with_the_consumer(self, session, key):
        rotate(session, key)
        registry.delete_consumer(session, key.consumer)
        session.flush()

        assert session.scalars(select(KeyLineage)).all() == []


class TestSameLifetime:
    def test_is_that_of_the_old_key_before_its_rotation(self, session, key):
        rotate(session, key)
        now = utcnow()

        assert registry.same_lifetime(key, now) - now == pytest.approx(timedelta(days=90), abs=timedelta(minutes=1))

    def test_is_none_for_a_key_without_an_end(self, session, key):
        key, _ = factories.key(session, key.consumer)

        assert registry.same_lifetime(key, utcnow()) is None
