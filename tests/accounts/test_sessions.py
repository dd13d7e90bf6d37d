from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from portal import accounts
from portal.accounts import sessions
from portal.accounts.sessions import MOST, Lifetimes, SignIn
from tests import factories
from tests.registry import conftest as both

# On both databases, as the registry.
engine, postgres_engine, postgres_schema = both.engine, both.postgres_engine, both.postgres_schema

NOW = datetime(2027, 1, 1, tzinfo=UTC)
LIFETIMES = Lifetimes(idle=timedelta(hours=1), longest=timedelta(hours=24), remembered=timedelta(days=30))


@pytest.fixture(autouse=True)
def noise(session):
    """Somebody whose session must stay as it is."""
    somebody = factories.person(session)
    begin(session, somebody, "noise", now=NOW)
    return somebody


def begin(session, person, token="token", *, now=NOW, **more) -> SignIn:
    row = sessions.begin(session, person.fs_uniquifier, token, now=now, **more)
    assert row is not None
    return row


def lasts(session, token="token", *, now=NOW) -> bool:
    return sessions.find(session, token, lifetimes=LIFETIMES, now=now) is not None


class TestFind:
    def test_names_the_person_and_stores_no_token(self, session):
        person = factories.person(session)
        row = begin(session, person, "the cookie's id", address="192.0.2.1", user_agent="x" * 900)

        found = sessions.find(session, "the cookie's id", lifetimes=LIFETIMES, now=NOW)

        assert found is row
        assert found.person is person
        assert "cookie" not in row.token_hash
        assert len(row.user_agent) == 300

    def test_what_was_ended_is_gone(self, session):
        person = factories.person(session)
        row = begin(session, person)

        assert sessions.end(session, person.id, [row.id]) == 1
        assert not lasts(session)
        assert lasts(session, "noise")

    @pytest.mark.parametrize("is_remembered", [False, True])
    def test_one_that_began_before_a_clock_went_back_is_over(self, session, is_remembered):
        person = factories.person(session)
        begin(session, person, now=NOW + timedelta(days=365), is_remembered=is_remembered)
        begin(session, person, "skewed", now=NOW + timedelta(minutes=1), is_remembered=is_remembered)

        assert not lasts(session)
        assert lasts(session, "skewed")
        assert len(sessions.of_person(session, person, lifetimes=LIFETIMES, now=NOW)) == 1

    def test_a_new_password_ends_all(self, session):
        person = factories.person(session)
        begin(session, person)

        accounts.set_password(person, "new hash")

        assert not lasts(session)
        assert lasts(session, "noise")

    def test_a_deactivation_ends_all_for_good(self, session):
        person = factories.person(session)
        begin(session, person)

        accounts.deactivate(session, person)
        assert not lasts(session)
        accounts.activate(person)
        assert not lasts(session)

    def test_who_has_a_new_password_meanwhile_is_not_signed_in(self, session):
        person = factories.person(session)
        before = person.fs_uniquifier
        accounts.set_password(person, "new hash")

        assert sessions.begin(session, before, "token", now=NOW) is None


class TestLifetimes:
    def test_without_use_it_ends_after_the_idle_time(self, session):
        begin(session, factories.person(session))

        assert lasts(session, now=NOW + timedelta(minutes=59))
        assert not lasts(session, now=NOW + timedelta(minutes=60))

    def test_use_prolongs_it_but_not_for_ever(self, session):
        row = begin(session, factories.person(session))
        late = NOW + timedelta(hours=23, minutes=59)
        sessions.notice(session, row.id, address="192.0.2.7", now=late)
        session.refresh(row)

        assert lasts(session, now=late)
        assert row.address == "192.0.2.7"
        assert not lasts(session, now=NOW + timedelta(hours=24))

    def test_a_remembered_one_needs_no_use(self, session):
        begin(session, factories.person(session), is_remembered=True)

        assert lasts(session, now=NOW + timedelta(days=29))
        assert not lasts(session, now=NOW + timedelta(days=30))

    def test_a_short_idle_time_is_kept_exactly_enough(self):
        assert LIFETIMES.notice_after == timedelta(minutes=5)
        short = Lifetimes(idle=timedelta(minutes=4), longest=timedelta(hours=1), remembered=timedelta(days=1))
        assert short.notice_after == timedelta(minutes=1)


class TestList:
    def test_has_ones_own_the_last_used_first(self, session):
        person = factories.person(session)
        first, second = begin(session, person, "a"), begin(session, person, "b", now=NOW + timedelta(minutes=1))
        begin(session, person, "over", now=NOW - timedelta(hours=2))

        assert sessions.of_person(session, person, lifetimes=LIFETIMES, now=NOW) == [second, first]

    def test_the_fifty_first_ends_the_one_unused_for_longest(self, session):
        person = factories.person(session)
        for n in range(MOST + 1):
            begin(session, person, f"token {n}", now=NOW + timedelta(seconds=n))

        assert not lasts(session, "token 0")
        assert lasts(session, "token 1")
        assert lasts(session, "noise")


class TestEnd:
    def test_nobody_ends_a_session_of_somebody_else(self, session, noise):
        theirs = session.scalars(select(SignIn.id)).one()

        assert sessions.end(session, factories.person(session).id, [theirs]) == 0
        assert lasts(session, "noise")

    def test_everywhere_or_everywhere_else(self, session):
        person = factories.person(session)
        here = begin(session, person, "here")
        begin(session, person, "there")

        assert sessions.end_all(session, person.id, but=here.id) == 1
        assert (lasts(session, "here"), lasts(session, "there")) == (True, False)
        assert sessions.end_all(session, person.id) == 1
        assert not lasts(session, "here")
        assert lasts(session, "noise")


class TestSweep:
    def test_deletes_what_is_over_and_nothing_else(self, session, noise):
        person, other = factories.person(session), factories.person(session)
        kept = {
            begin(session, person, "used", now=NOW - timedelta(minutes=30)).id,
            begin(session, person, "kept", now=NOW - timedelta(days=20), is_remembered=True).id,
            session.scalars(select(SignIn.id).where(SignIn.person_id == noise.id)).one(),
        }
        begin(session, person, "idle", now=NOW - timedelta(hours=2))
        begin(session, person, "forgotten", now=NOW - timedelta(days=31), is_remembered=True)
        old = begin(session, person, "old", now=NOW - timedelta(days=2))
        old.seen_at = NOW
        begin(session, other, "shut out")
        accounts.set_password(other, "new hash")
        session.flush()

        assert sessions.sweep(session, lifetimes=LIFETIMES, now=NOW) == 4
        assert set(session.scalars(select(SignIn.id))) == kept
