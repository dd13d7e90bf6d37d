"""Invitations: who can be invited, and that of two who answer one at once one is let in."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from portal import accounts
from portal.accounts import Invitation, Person
from portal.errors import LinkDead, NameTaken
from tests import factories
from tests.postgres import own_schema

NOW = datetime(2026, 5, 17, 12, tzinfo=UTC)


@pytest.fixture
def administrator(session) -> Person:
    return factories.person(session, is_administrator=True)


class TestInvite:
    def test_an_address_is_invited_once(self, session, administrator):
        accounts.invite(session, email="ira@portico.example", by=administrator, now=NOW)

        with pytest.raises(NameTaken, match=r"IRA@portico\.example is invited already"):
            accounts.invite(session, email="IRA@portico.example", by=administrator, now=NOW)

    def test_who_has_an_account_needs_none(self, session, administrator):
        factories.person(session, email="ira@portico.example")

        with pytest.raises(NameTaken, match="has an account already"):
            accounts.invite(session, email="Ira@portico.example", by=administrator, now=NOW)


class TestFind:
    def test_only_by_the_nonce_of_the_last_sending(self, session, administrator):
        invited = accounts.invite(session, email="ira@portico.example", by=administrator, now=NOW)
        first = invited.nonce
        accounts.send_anew(invited, now=NOW)

        with pytest.raises(LinkDead):
            accounts.find_invitation(session, invited.id, first, now=NOW)
        assert accounts.find_invitation(session, invited.id, invited.nonce, now=NOW) is invited

    def test_until_it_is_too_old(self, session, administrator):
        invited = accounts.invite(session, email="ira@portico.example", by=administrator, now=NOW)
        last = NOW + accounts.INVITATION_LASTS

        assert accounts.find_invitation(session, invited.id, invited.nonce, now=last) is invited
        with pytest.raises(LinkDead):
            accounts.find_invitation(session, invited.id, invited.nonce, now=last + timedelta(seconds=1))


@pytest.mark.postgres
class TestAtOnce:
    def test_of_two_who_answer_one_invitation_one_is_let_in(self, postgres_server):
        """SQLite lets one writer in at a time; PostgreSQL makes the second wait for the row."""
        with own_schema(postgres_server) as engine:
            with Session(engine) as session:
                by = factories.person(session, is_administrator=True)
                invited = accounts.invite(session, email="ira@portico.example", by=by, now=NOW)
                id, nonce = invited.id, invited.nonce
                session.commit()
            said: list[str] = []

            def second() -> None:
                with Session(engine) as session:
                    try:
                        accounts.find_invitation(session, id, nonce, now=NOW)
                    except LinkDead:
                        said.append("dead")

            with Session(engine) as session:
                first = accounts.find_invitation(session, id, nonce, now=NOW)
                other = threading.Thread(target=second)
                other.start()
                with Session(engine) as watcher:
                    while not watcher.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                        assert other.is_alive()
                accounts.accept(session, first, name="Ira", password_hash="!")
                session.commit()
            other.join()

            with Session(engine) as session:
                assert said == ["dead"]
                assert session.scalars(select(Invitation)).all() == []
                assert len(session.scalars(select(Person).where(Person.email == "ira@portico.example")).all()) == 1
