"""User names and passwords: keys of another kind."""

import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import select

from portal import registry
from portal.accounts.audit import AuditEntry
from portal.bearer import Token
from portal.db import utcnow
from portal.errors import Invalid
from portal.registry import installation as room
from portal.registry import leaks
from portal.registry.keys import FORM, new_token
from portal.registry.models import Key, KeyKind
from tests import factories
from tests.registry.installation import made
from tests.registry.test_leaks import reported


@pytest.fixture
def issued(session) -> tuple[Key, Token]:
    consumer = factories.consumer(session, name="Shop", slug="shop", team=factories.team(session, slug="cast"))
    factories.key(session, consumer)
    return factories.key(session, consumer, kind=KeyKind.BASIC, label="laptop")


def test_user_name_and_password_have_the_form_that_scanners_look_for(issued):
    key, token = issued

    assert FORM.fullmatch(token.value)
    assert token.is_well_formed
    assert token.value == f"{token.user}:{token.password}"
    assert (token.user, len(token.password)) == (f"pcb_{key.public_id}", 33)
    assert not Token(token.value.replace(":", "_")).is_well_formed
    assert token.password not in f"{token} {token!r}"


def test_what_is_stored_is_the_hash_of_both_with_the_colon(issued):
    key, token = issued

    assert key.kind is KeyKind.BASIC
    assert key.sha256 == hashlib.sha256(f"{token.user}:{token.password}".encode()).digest()
    assert not any(token.password in str(value) for value in vars(key).values())


def test_keys_and_sentences_call_it_by_its_user_name(session, issued):
    key, token = issued

    assert (key.beginning, key.shown) == (token.user, f"{token.user}:…")
    assert registry.keys.named(key) == f"{token.user}:… “laptop”"
    assert session.scalars(select(AuditEntry.label).where(AuditEntry.kind == "key")).all()[-1] == token.user


def test_its_successor_is_of_the_same_kind(session, issued):
    key, _ = issued

    successor, token = registry.rotate(
        session, key, by=None, stays_until=utcnow() + timedelta(hours=1), expires_at=None
    )

    assert successor.kind is KeyKind.BASIC
    assert token.value.startswith(f"pcb_{successor.public_id}:")


def test_a_report_of_the_whole_revokes_it(session, issued):
    key, token = issued

    payload = reported(session, token.value, f"https://{token.value}@x.example")
    assert token.password not in payload["found_at"]
    assert leaks.look_up(session, payload)

    assert (key.state_at(utcnow()), key.leaked) == ("revoked", True)


@pytest.mark.parametrize("cut", [slice(0, 16), slice(17, None), slice(0, -1)])
def test_a_report_of_a_part_is_refused(session, issued, cut):
    with pytest.raises(Invalid, match="the whole of it"):
        leaks.report(session, issued[1].value[cut], found_at="")


def test_an_installation_carries_it(session, issued):
    key, token = issued
    public_id = key.public_id
    session.commit()
    text = room.as_text(made.stored(session))
    assert text.count("kind: basic") == 1
    assert token.password not in text
    registry.delete_consumer(session, key.consumer)
    session.flush()

    made.apply(session, made.read(text))

    again = session.scalars(select(Key).where(Key.public_id == public_id)).one()
    assert (again.kind, again.sha256) == (KeyKind.BASIC, token.sha256)
    assert made.steps(session, made.read(text), prune=True) == []


def test_two_tokens_never_share_a_form():
    key, pair = new_token("a" * 12), new_token("a" * 12, KeyKind.BASIC)

    assert key.sha256 != pair.sha256
    assert key.value[:4] != pair.value[:4]
