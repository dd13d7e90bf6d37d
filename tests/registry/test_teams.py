import pytest
from sqlalchemy import select

from portal import registry
from portal.accounts import Membership, Team
from portal.errors import Conflict, InUse
from tests import factories


def test_a_team_that_owns_nothing_can_be_deleted(session):
    factories.api(session)
    team = factories.team(session)

    registry.delete_team(session, team)
    session.flush()

    assert session.get(Team, team.id) is None
    assert session.scalar(select(Membership).where(Membership.team_id == team.id)) is None


def test_a_team_that_owns_things_says_which(session):
    team = factories.team(session, name="Payments")
    factories.consumer(session, team=team)
    factories.consumer(session, team=team)
    factories.plan(session, team=team)
    factories.api(session)

    assert registry.belongings(session, team) == {"plan": 1, "consumer": 2}
    with pytest.raises(InUse, match="Payments still owns 1 plan and 2 consumers"):
        registry.delete_team(session, team)


def test_a_personal_team_stays(session):
    with pytest.raises(Conflict, match="personal"):
        registry.delete_team(session, factories.person(session).teams[0])
