import pytest
from sqlalchemy import select

from portal import registry
from portal.accounts import Role
from portal.errors import Invalid
from portal.registry import revision
from portal.registry.models import Api, Visibility
from tests import factories


@pytest.fixture
def api(session) -> Api:
    factories.api(session, live=True)
    return factories.api(session, live=True)


class TestSetVisibility:
    def test_it_is_live_at_once(self, session, api):
        session.commit()
        before = revision.current(session)
        chosen, other = factories.team(session), factories.team(session)
        person, stranger = (factories.member(session, team, Role.DEVELOPER) for team in (chosen, other))
        registry.set_visibility(session, api, Visibility.CHOSEN, [chosen, api.team, chosen])
        session.commit()

        assert api.viewers == [chosen]
        assert revision.current(session) == before + 1
        for someone, sees in ((person, True), (stranger, False), (None, False)):
            found = session.scalar(select(Api.id).where(Api.id == api.id, registry.visible_to(someone)))
            assert (found is not None, registry.may_see(someone, api)) == (sees, sees)

    def test_a_personal_team_cannot_be_chosen(self, session, api):
        with pytest.raises(Invalid, match="personal team"):
            registry.set_visibility(session, api, Visibility.CHOSEN, factories.person(session).teams)


class TestLosingSight:
    def use(self, session, api: Api, team) -> None:
        factories.subscription(session, factories.consumer(session, team=team), api)

    def test_teams_that_use_it_and_could_not_see_it_then(self, session, api):
        chosen, other = factories.team(session, name="Chosen"), factories.team(session, name="Other")
        for team in (api.team, chosen, other, other):
            self.use(session, api, team)

        def lost(visibility, *viewers):
            return [(team.name, count) for team, count in registry.losing_sight(session, api, visibility, viewers)]

        assert lost(Visibility.PUBLIC) == lost(Visibility.SIGNED_IN) == []
        assert lost(Visibility.CHOSEN, chosen) == [("Other", 2)]
        assert lost(Visibility.TEAM, chosen) == [("Chosen", 1), ("Other", 2)]

    def test_a_member_of_a_chosen_team_sees_it_for_their_other_teams(self, session, api):
        chosen = factories.team(session)
        person = factories.member(session, chosen, Role.DEVELOPER)
        self.use(session, api, person.teams[0])

        assert registry.losing_sight(session, api, Visibility.CHOSEN, [chosen]) == []
        assert [team for team, _ in registry.losing_sight(session, api, Visibility.TEAM)] == [person.teams[0]]

    def test_subscriptions_that_ended_do_not_count(self, session, api):
        use = factories.subscription(session, factories.consumer(session), api)
        registry.end_subscription(session, use)

        assert registry.losing_sight(session, api, Visibility.TEAM) == []
