"""What was asked for twice happens once, also when both come at one moment."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.accounts import replays, tokens
from portal.accounts.replays import Replay, UsedDifferently
from portal.accounts.tokens import Scope
from portal.db import utcnow
from tests.registry.conftest import engine, postgres_engine, postgres_schema

__all__ = ["engine", "postgres_engine", "postgres_schema"]

ASKED, OTHER = b"a" * 32, b"b" * 32


@pytest.fixture
def token_id(session, cast) -> int:
    now = utcnow()
    row, _ = tokens.make(session, cast.owner, label="x", scopes=[Scope.READ], expires_at=now + tokens.LASTS, now=now)
    session.commit()
    return row.id


def first(session, token_id, now=None):
    assert replays.claim(session, token_id, "key", ASKED, now=now or utcnow()) is None
    replays.keep(session, token_id, "key", 201, {"Location": "/x"}, b"{}")
    session.commit()


def test_the_second_gets_what_the_first_was_answered(session, token_id):
    first(session, token_id)
    kept = replays.claim(session, token_id, "key", ASKED, now=utcnow())

    assert (kept.status, kept.headers, bytes(kept.body)) == (201, {"Location": "/x"}, b"{}")


def test_another_request_with_the_same_key_is_refused(session, token_id):
    first(session, token_id)
    with pytest.raises(UsedDifferently):
        replays.claim(session, token_id, "key", OTHER, now=utcnow())


def test_what_failed_is_not_remembered(session, token_id):
    assert replays.claim(session, token_id, "key", ASKED, now=utcnow()) is None
    session.rollback()

    assert replays.claim(session, token_id, "key", ASKED, now=utcnow()) is None


def test_after_a_day_it_is_forgotten_and_swept(session, token_id):
    first(session, token_id, now=utcnow() - timedelta(hours=25))
    assert replays.claim(session, token_id, "key", OTHER, now=utcnow()) is None
    session.commit()

    assert replays.sweep(session, now=utcnow()) == 0
    assert replays.sweep(session, now=utcnow() + timedelta(hours=25)) == 1
    session.commit()
    assert session.scalars(select(Replay)).all() == []


def test_of_two_at_once_the_later_gets_the_answer_of_the_first(engine, session, token_id):
    """On PostgreSQL it waits for the constraint, on SQLite for its turn to write."""
    begun, told = threading.Event(), []

    def writing(own: Session) -> Session:
        own.rollback()
        own.connection(execution_options={"sqlite_begin": "IMMEDIATE"})
        return own

    def later() -> None:
        with Session(engine) as own:
            begun.wait()
            try:
                kept = replays.claim(writing(own), token_id, "key", ASKED, now=utcnow())
            except IntegrityError:
                own.rollback()
                kept = replays.claim(own, token_id, "key", ASKED, now=utcnow())
            told.append(kept and kept.status)

    thread = threading.Thread(target=later)
    thread.start()
    assert replays.claim(writing(session), token_id, "key", ASKED, now=utcnow()) is None
    begun.set()
    replays.keep(session, token_id, "key", 201, {}, b"{}")
    session.commit()
    thread.join(timeout=30)
    assert told == [201]
