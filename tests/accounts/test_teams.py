import pytest

from portal import accounts
from portal.accounts import Permission, Role, Standing
from portal.errors import Conflict, Invalid, NameTaken, NotFound
from tests import factories


class TestPersonalTeam:
    def test_everyone_owns_theirs(self, session):
        person = factories.person(session, email="mika@portico.example")

        team = person.teams[0]
        assert (team.slug, team.is_personal, team.may_publish) == ("mika", True, False)
        assert accounts.standing(person, team).role is Role.OWNER

    def test_equal_names_get_different_slugs(self, session):
        slugs = {factories.person(session, email=f"mika@{host}.example").teams[0].slug for host in "abc"}

        assert slugs == {"mika", "mika-2", "mika-3"}

    def test_words_of_our_own_addresses_are_not_taken(self, session):
        assert factories.person(session, email="new@portico.example").teams[0].slug == "new-2"

    def test_never_publishes_and_has_one_member(self, session):
        team = factories.person(session).teams[0]
        other = factories.person(session)

        with pytest.raises(Conflict, match="cannot publish"):
            accounts.allow_publishing(team, True)
        with pytest.raises(Conflict, match="one member"):
            accounts.add_member(session, team, email=other.email, role=Role.DEVELOPER)


class TestTeam:
    def test_slug_is_taken_once(self, session):
        team = factories.team(session)

        with pytest.raises(NameTaken):
            factories.team(session, slug=team.slug)
        with pytest.raises(NameTaken):
            factories.team(session, slug="new")

    def test_form_of_the_slug(self, session):
        with pytest.raises(Invalid):
            factories.team(session, slug="Team One")


class TestMembers:
    def test_is_found_by_address_in_any_case(self, session):
        team, person = factories.team(session), factories.person(session, email="mika@portico.example")

        added = accounts.add_member(session, team, email=" MIKA@portico.example ", role=Role.DEVELOPER)

        assert added.person is person

    def test_twice_or_unknown_is_refused(self, session):
        team = factories.team(session)
        person = factories.member(session, team, Role.DEVELOPER)

        with pytest.raises(Conflict, match="is a member already"):
            accounts.add_member(session, team, email=person.email, role=Role.OWNER)
        with pytest.raises(NotFound, match="Nobody here signs in as"):
            accounts.add_member(session, team, email="nobody@portico.example", role=Role.OWNER)

    def test_the_last_owner_stays_owner_and_member(self, session):
        team = factories.team(session)
        factories.member(session, team, Role.PUBLISHER)
        owner = next(member for member in team.memberships if member.role is Role.OWNER)

        with pytest.raises(Conflict, match="is the only owner"):
            accounts.change_role(session, owner, Role.DEVELOPER)
        with pytest.raises(Conflict, match="is the only owner"):
            accounts.remove_member(session, owner)

        factories.member(session, team, Role.OWNER)
        accounts.remove_member(session, owner)
        session.flush()
        assert owner not in team.memberships


class TestRights:
    """The permission table, cell by cell: who may do what in a team that may publish."""

    ALL = frozenset(Permission)
    TABLE = {
        Permission.PUBLIC: "stranger developer publisher owner administrator",
        Permission.SIGNED_IN: "stranger developer publisher owner administrator",
        # Strangers too, here: of one API after the other the registry says who may know of it.
        Permission.SEE_CATALOGUE: "stranger developer publisher owner administrator",
        Permission.MANAGE_CONSUMERS: "developer publisher owner administrator",
        Permission.SEE_APIS: "developer publisher owner administrator",
        Permission.SEE_TEAM: "developer publisher owner administrator",
        Permission.MANAGE_APIS: "publisher owner administrator",
        Permission.DECIDE: "publisher owner administrator",
        Permission.SEE_API_CALLS: "publisher owner administrator",
        Permission.MANAGE_TEAM: "owner administrator",
        Permission.ADMINISTER: "administrator",
    }

    def test_the_table_names_every_permission(self):
        assert set(self.TABLE) == self.ALL

    @pytest.mark.parametrize("permission", Permission)
    def test_cell(self, permission):
        standings = {
            "stranger": Standing(None, False, True),
            "developer": Standing(Role.DEVELOPER, False, True),
            "publisher": Standing(Role.PUBLISHER, False, True),
            "owner": Standing(Role.OWNER, False, True),
            "administrator": Standing(None, True, True),
        }

        allowed = {who for who, standing in standings.items() if standing.may(permission)}

        assert allowed == set(self.TABLE[permission].split())

    def test_nobody_changes_apis_of_a_team_without_the_publishing_right(self):
        for standing in (Standing(Role.OWNER), Standing(None, True)):
            assert not standing.may(Permission.MANAGE_APIS)


def test_slugs_read_like_the_text():
    assert accounts.slug_of("Ordres d'été 2026!") == "ordres-d-ete-2026"
    assert accounts.slug_of("注文") == "x"
    assert len(accounts.slug_of("a" * 200)) <= 50
