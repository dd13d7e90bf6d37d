from datetime import timedelta

import pytest

from portal import accounts
from portal.db import utcnow
from portal.errors import Conflict, NameTaken
from tests import factories


@pytest.fixture(autouse=True)
def noise(session):
    """Somebody who must stay as they are."""
    return factories.person(session, name="Nobody Else")


class TestCreatePerson:
    def test_has_a_personal_team_and_no_rights(self, session):
        person = accounts.create_person(session, email="mika@portico.example", name=" Mika\n A. ", password_hash="h")

        assert person.name == "Mika A."
        assert [team.slug for team in person.teams] == ["mika"]
        assert not person.is_administrator

    def test_an_address_is_taken_whatever_its_case(self, session):
        factories.person(session, email="mika@portico.example")

        with pytest.raises(NameTaken, match=r"Mika@portico\.example has an account"):
            accounts.create_person(session, email="Mika@portico.example", name="M", password_hash="h")

    def test_one_time_passwords_differ_and_are_long(self):
        passwords = {accounts.new_password() for _ in range(50)}

        assert len(passwords) == 50
        assert {len(each) for each in passwords} == {16}


class TestSessions:
    def test_end_with_a_new_password_and_with_deactivation(self, session, noise):
        person, before = factories.person(session), noise.fs_uniquifier
        seen = {person.fs_uniquifier}

        accounts.set_password(person, "new hash")
        seen.add(person.fs_uniquifier)
        accounts.deactivate(session, person)
        seen.add(person.fs_uniquifier)

        assert len(seen) == 3
        assert (person.password, person.active) == ("new hash", False)
        assert noise.fs_uniquifier == before

    def test_an_activated_person_is_active(self, session):
        person = factories.person(session, active=False)

        accounts.activate(person)

        assert person.active


class TestAddress:
    def test_changing_it_ends_sessions_and_counts_as_confirmed(self, session):
        person = factories.person(session)
        before = person.fs_uniquifier

        accounts.change_email(session, person, "new@portico.example")

        assert person.email == "new@portico.example"
        assert person.fs_uniquifier != before
        assert person.confirmed_at is not None

    def test_one_that_somebody_else_has_is_refused(self, session):
        person = factories.person(session, email="mika@portico.example")
        factories.person(session, email="taken@portico.example")

        with pytest.raises(NameTaken, match=r"Taken@portico\.example has an account already"):
            accounts.change_email(session, person, "Taken@portico.example")
        accounts.change_email(session, person, "Mika@portico.example")

        assert person.email == "Mika@portico.example"

    def test_it_is_confirmed_once(self, session):
        person, now = factories.person(session), utcnow()
        accounts.confirm(person, now=now)

        accounts.confirm(person, now=now + timedelta(days=1))

        assert person.confirmed_at == now


class TestAdministrators:
    def test_the_last_one_stays(self, session):
        last = factories.person(session, name="Ada", is_administrator=True)
        factories.person(session, is_administrator=True, active=False)

        with pytest.raises(Conflict, match="Ada is the only administrator"):
            accounts.dismiss(session, last)
        with pytest.raises(Conflict, match="Ada is the only administrator"):
            accounts.deactivate(session, last)

        assert last.is_administrator
        assert last.active

    def test_one_of_two_may_go(self, session):
        first, second = (factories.person(session, is_administrator=True) for _ in range(2))

        accounts.dismiss(session, first)

        assert (first.is_administrator, second.is_administrator) == (False, True)

    def test_nobody_who_is_deactivated_becomes_one(self, session):
        with pytest.raises(Conflict, match="deactivated"):
            accounts.appoint(factories.person(session, active=False))
