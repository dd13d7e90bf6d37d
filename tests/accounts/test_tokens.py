"""Access tokens: what opens, and what no longer does."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from portal import accounts, bearer, registry
from portal.accounts import tokens
from portal.accounts.tokens import AccessToken, Scope, TokenUse
from portal.db import utcnow
from portal.errors import Conflict, Invalid
from tests.registry.conftest import engine, postgres_engine, postgres_schema

__all__ = ["engine", "postgres_engine", "postgres_schema"]


def make(session, person, **more):
    now = utcnow()
    values = {"label": "script", "scopes": [Scope.READ], "expires_at": now + tokens.LASTS, "now": now} | more
    return tokens.make(session, person, **values)


@pytest.fixture
def own(session, cast):
    made, secret = make(session, cast.owner)
    session.commit()
    return made, secret.value


class TestMake:
    def test_keeps_a_hash_only(self, session, own):
        row, text = own

        assert text.startswith("ppt_")
        assert text.encode() not in bytes(row.sha256)
        assert text[17:] not in str([getattr(row, column.name) for column in AccessToken.__table__.columns])

    @pytest.mark.parametrize(
        ("wrong", "field"),
        [
            ({"label": " "}, "label"),
            ({"scopes": []}, "scopes"),
            ({"expires_at": utcnow() - timedelta(seconds=1)}, "expires_at"),
            ({"expires_at": utcnow() + timedelta(days=400)}, "expires_at"),
        ],
        ids=["no label", "no scopes", "past", "too far"],
    )
    def test_says_what_is_wrong(self, session, cast, wrong, field):
        with pytest.raises(Invalid) as said:
            make(session, cast.owner, **wrong)

        assert said.value.fields.keys() == {field}

    def test_there_is_an_end_to_how_many(self, session, cast):
        for _ in range(tokens.MOST):
            make(session, cast.owner)
        with pytest.raises(Conflict, match="50 access tokens"):
            make(session, cast.owner)

        make(session, cast.publisher)

    def test_a_form_sent_twice_makes_one(self, session, cast):
        make(session, cast.owner, public_id="0123456789AB")
        with pytest.raises(Conflict, match="sent before"):
            make(session, cast.owner, public_id="0123456789AB")


class TestFind:
    def test_opens(self, session, own, cast):
        assert tokens.find(session, own[1], now=utcnow()).person == cast.owner

    def test_a_changed_character_opens_nothing(self, session, own):
        text = own[1]
        for place in (0, 4, 15, 20, 45, 49):
            other = "b" if text[place] == "a" else "a"
            assert tokens.find(session, text[:place] + other + text[place + 1 :], now=utcnow()) is None

    def test_a_right_form_with_another_secret_opens_nothing(self, session, own):
        forged = bearer.new_token("ppt_", own[0].public_id)
        assert forged.is_well_formed
        assert tokens.find(session, forged.value, now=utcnow()) is None

    @pytest.mark.parametrize("text", ["", "ppt_", "pco_" + "0" * 46, "ü" * 50, "ppt_" + "ß" * 46])
    def test_what_is_none_opens_nothing(self, session, own, text):
        assert tokens.find(session, text, now=utcnow()) is None

    def test_is_dead_when_expired(self, session, own):
        assert tokens.find(session, own[1], now=utcnow() + tokens.LASTS) is None

    def test_is_dead_when_revoked(self, session, own):
        tokens.revoke(own[0], now=utcnow())
        session.commit()

        assert tokens.find(session, own[1], now=utcnow()) is None

    def test_sleeps_while_a_password_is_to_be_changed(self, session, own, cast):
        cast.owner.must_change_password = True
        session.commit()
        assert tokens.find(session, own[1], now=utcnow()) is None

        cast.owner.must_change_password = False
        session.commit()
        assert tokens.find(session, own[1], now=utcnow()) is not None

    def test_dies_for_good_when_its_person_is_deactivated(self, session, own, cast):
        accounts.deactivate(session, cast.owner)
        accounts.activate(cast.owner)
        session.commit()

        assert tokens.find(session, own[1], now=utcnow()) is None

    def test_dies_for_good_when_a_password_is_made_for_its_person(self, session, own, cast):
        accounts.set_password(cast.owner, "another", must_change_password=True)
        cast.owner.must_change_password = False
        session.commit()

        assert tokens.find(session, own[1], now=utcnow()) is None

    def test_survives_a_password_of_ones_own(self, session, own, cast):
        accounts.set_password(cast.owner, "another")
        session.commit()

        assert tokens.find(session, own[1], now=utcnow()) is not None

    def test_goes_with_its_person(self, session, cast):
        _, secret = make(session, cast.stranger)
        tokens.count_use(session, session.scalars(select(AccessToken.id)).one(), now=utcnow())
        session.commit()
        registry.delete_person(session, cast.stranger)
        session.commit()

        assert tokens.find(session, secret.value, now=utcnow()) is None
        assert session.scalars(select(AccessToken)).all() == []
        assert session.scalars(select(TokenUse)).all() == []


class TestCountUse:
    def test_counts_by_minutes_of_the_clock(self, session, own):
        now = utcnow().replace(second=10)
        times = [now, now + timedelta(seconds=1), now + timedelta(seconds=49), now + timedelta(seconds=50)]

        assert [tokens.count_use(session, own[0].id, now=each) for each in times] == [1, 2, 3, 1]
        ((_, used_at),) = tokens.of_person(session, own[0].person)
        assert used_at == times[-1]

    def test_a_token_that_was_not_used_says_so(self, session, own):
        assert tokens.of_person(session, own[0].person) == [(own[0], None)]


def test_dead_ones_are_swept_after_a_month(session, cast):
    dead, _ = make(session, cast.owner, label="dead")
    make(session, cast.owner, label="alive", expires_at=utcnow() + timedelta(days=300))
    session.flush()
    tokens.revoke(dead, now=utcnow())
    session.commit()

    assert tokens.sweep(session, now=utcnow() + timedelta(days=29)) == 0
    assert tokens.sweep(session, now=utcnow() + timedelta(days=31)) == 1
    session.commit()
    assert session.scalars(select(AccessToken.label)).all() == ["alive"]


def test_those_of_others_are_not_found(session, own, cast):
    assert tokens.find_own(session, cast.stranger, own[0].public_id) is None
    assert tokens.find_own(session, cast.owner, own[0].public_id) == own[0]
