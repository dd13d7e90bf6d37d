"""The end of a person's account."""

import pytest
from sqlalchemy import select

from portal import accounts, registry
from portal.accounts import Membership, Person, Role, Team
from portal.errors import InUse
from portal.gateway.read import read_snapshot
from portal.registry import revision
from portal.registry.models import Consumer, Key
from tests import factories


@pytest.fixture
def leaver(session) -> Person:
    """With a consumer of their own that has a key, and a role in somebody else's team; beside such of another."""
    factories.key(session, factories.consumer(session, team=factories.person(session).teams[0]))
    person = factories.person(session, name="Lea Leaver", email="lea@portico.example")
    consumer = factories.consumer(session, team=person.teams[0], slug="own")
    factories.subscription(session, consumer, factories.api(session, live=True))
    factories.key(session, consumer)
    team = factories.team(session, slug="others", name="Others")
    accounts.add_member(session, team, email=person.email, role=Role.OWNER)
    session.commit()
    return person


def test_says_beforehand_what_goes(session, leaver):
    found = registry.departure(session, leaver)

    assert (found.consumers, found.keys, found.subscriptions) == (1, 1, 1)
    assert [team.slug for team in found.teams_left] == ["others"]
    assert (found.teams_deleted, found.obstacles) == ([], [])


def test_nothing_of_theirs_is_left_in_the_row(session, leaver):
    before = leaver.fs_uniquifier
    registry.delete_person(session, leaver)
    session.commit()

    assert (leaver.name, leaver.email) == (f"Deleted person {leaver.id}", f"deleted-{leaver.id}@portico.invalid")
    assert (leaver.password, leaver.active, leaver.is_administrator) == ("!", False, False)
    assert leaver.fs_uniquifier != before
    assert leaver.deleted_at is not None
    assert leaver.memberships == []
    assert session.scalar(select(Membership).where(Membership.person_id == leaver.id)) is None


def test_the_address_is_free_for_a_new_account(session, leaver):
    registry.delete_person(session, leaver)
    session.flush()

    again = accounts.create_person(session, email="lea@portico.example", name="Lea", password_hash="h")
    session.commit()
    assert [team.slug for team in again.teams] == ["lea"]


def test_their_consumers_and_keys_go_and_nodes_learn_it(session, leaver):
    before = revision.current(session)
    registry.delete_person(session, leaver)
    session.commit()

    assert revision.current(session) > before
    assert session.scalars(select(Consumer.slug).where(Consumer.slug == "own")).all() == []
    assert len(session.scalars(select(Key)).all()) == 1
    assert session.scalar(select(Team).where(Team.person_id == leaver.id)) is None
    assert len(read_snapshot(session.connection()).keys) == 1


def test_what_they_made_for_others_stays(session, leaver):
    others = session.scalars(select(Team).where(Team.slug == "others")).one()
    consumer = factories.consumer(session, team=others)
    key, _ = registry.issue(session, consumer, by=leaver)
    session.commit()
    registry.delete_person(session, leaver)
    session.commit()

    assert key.created_by == leaver
    assert key.revoked_at is None


def test_a_team_of_nobody_else_that_owns_nothing_goes_too(session, leaver):
    alone = factories.team(session, owner=leaver)
    session.commit()
    registry.delete_person(session, leaver)
    session.commit()

    assert session.scalar(select(Team).where(Team.id == alone.id)) is None


@pytest.mark.parametrize(
    "case", ["last administrator", "last owner of a team", "alone with an API", "alone with all sorts"]
)
def test_is_refused_while_others_need_them(session, leaver, case):
    if case == "last administrator":
        leaver.is_administrator = True
        sentence = "Lea Leaver is the only administrator"
    elif case == "last owner of a team":
        factories.member(session, factories.team(session, owner=leaver, name="Needed"), Role.PUBLISHER)
        sentence = "Needed has other members and no other owner"
    elif case == "alone with all sorts":
        team = factories.team(session, owner=leaver, name="Needed")
        factories.api(session, team=team, plans=[factories.plan(session, team=team)])
        factories.consumer(session, team=team)
        sentence = "Needed owns 1 API, 1 plan and 1 consumer and would be left with nobody"
    else:
        factories.api(session, team=factories.team(session, owner=leaver, name="Needed"))
        sentence = "Needed owns 1 API and would be left with nobody"
    session.commit()

    assert registry.departure(session, leaver).obstacles[0].startswith(sentence)
    with pytest.raises(InUse, match=sentence):
        registry.delete_person(session, leaver)
    session.rollback()
    assert leaver.name == "Lea Leaver"


def test_a_deleted_consumers_key_leaves_the_gateways_file_with_the_next_revision(session):
    consumer = factories.consumer(session)
    key, _ = factories.key(session, consumer)
    public_id = key.public_id
    session.commit()
    before = read_snapshot(session.connection())
    registry.delete_consumer(session, consumer)
    session.commit()
    after = read_snapshot(session.connection())

    assert public_id in [each.public_id for each in before.keys]
    assert public_id not in [each.public_id for each in after.keys]
    assert after.revision > before.revision
