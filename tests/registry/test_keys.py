from datetime import timedelta

import pytest
from sqlalchemy import select

from portal import bearer, registry
from portal.bearer import Token
from portal.db import utcnow
from portal.errors import Conflict, Invalid
from portal.registry.keys import FORM, TOMBSTONE, bury, new_token
from portal.registry.models import Key
from tests import factories


class TestToken:
    def test_has_the_form_that_scanners_look_for(self):
        for _ in range(200):
            token = new_token()
            assert FORM.fullmatch(token.value)
            assert token.is_well_formed

    def test_a_changed_character_is_noticed(self):
        token = new_token().value
        for place in range(4, len(token)):
            other = "b" if token[place] == "a" else "a"
            assert not Token(token[:place] + other + token[place + 1 :]).is_well_formed

    def test_never_shows_itself(self):
        token = new_token()

        assert token.value[17:] not in f"{token} {token!r} {[token]}"
        assert token.public_id in repr(token)

    def test_checksum_is_big_endian_base62_with_leading_zeros(self):
        # CRC-32 of this body is 5 448 641, which has four digits in base 62.
        body = "pco_000000000000_000000000000000000000000OZ1"
        assert len(bearer.checksum(body)) == 6


class TestIssue:
    def test_only_the_hash_is_stored(self, session):
        key, token = factories.key(session, factories.consumer(session), label="  ci \n run ")

        assert key.sha256 == token.sha256
        assert key.label == "ci run"
        stored = [str(value) for value in vars(key).values()]
        assert not any(token.value[17:] in value for value in stored)

    def test_an_expiry_that_has_passed_is_refused(self, session):
        with pytest.raises(Invalid) as refused:
            factories.key(session, factories.consumer(session), expires_at=utcnow() - timedelta(seconds=1))

        assert list(refused.value.fields) == ["expires_at"]

    def test_state_follows_the_clock(self, session):
        now = utcnow()
        key, _ = factories.key(session, factories.consumer(session), expires_at=now + timedelta(hours=1))

        assert key.state_at(now) == "active"
        assert key.state_at(now + timedelta(hours=1)) == "expired"
        registry.revoke(session, key)
        assert key.state_at(now) == "revoked"


class TestRevoke:
    def test_keeps_the_first_time(self, session):
        key, _ = factories.key(session, factories.consumer(session))
        registry.revoke(session, key)
        first = key.revoked_at

        registry.revoke(session, key)

        assert key.revoked_at == first


class TestBury:
    def test_the_long_dead_go_and_the_living_stay(self, session):
        consumer = factories.consumer(session)
        now = utcnow()
        living, _ = factories.key(session, consumer)
        for fields in ({"revoked_at": now}, {"revoked_at": now - TOMBSTONE - timedelta(seconds=1)}):
            key, _ = factories.key(session, consumer)
            key.revoked_at = fields["revoked_at"]
        expired, _ = factories.key(session, consumer)
        expired.expires_at = now - TOMBSTONE - timedelta(days=1)
        session.flush()

        assert bury(session, now=now) == 2

        left = session.scalars(select(Key)).all()
        assert living in left
        assert len(left) == 2


class TestChosenId:
    def test_makes_one_key_however_often_it_is_sent(self, session):
        consumer = factories.consumer(session)
        chosen = registry.new_public_id()
        first, _ = factories.key(session, consumer, public_id=chosen)

        with pytest.raises(Conflict, match=f"pco_{chosen}_… was made then"):
            factories.key(session, consumer, public_id=chosen)

        assert session.scalars(select(Key).where(Key.consumer_id == consumer.id)).all() == [first]

    def test_is_part_of_the_token(self, session):
        chosen = registry.new_public_id()
        _, token = factories.key(session, factories.consumer(session), public_id=chosen)

        assert token.public_id == chosen
        assert token.is_well_formed
