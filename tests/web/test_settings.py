"""The settings: me, teams, people, the installation."""

import re
from datetime import timedelta

import pytest
from flask_security import verify_password
from sqlalchemy import select

from portal import accounts, sample
from portal.accounts import Membership, Person, Role, Team
from portal.accounts.throttle import Throttle
from portal.db import utcnow
from tests import factories
from tests.conftest import sign_in


@pytest.fixture
def owner(client, cast):
    return sign_in(client, cast.owner)


@pytest.fixture
def administrator(client, cast):
    return sign_in(client, cast.administrator)


def membership(session, team, person) -> Membership | None:
    session.rollback()
    return session.scalar(select(Membership).where(Membership.team_id == team.id, Membership.person_id == person.id))


class TestMe:
    def test_changes_the_own_name_only(self, client, session, cast):
        sign_in(client, cast.developer)
        assert client.post("/settings", data={"name": "  Dana\n D. "}).status_code == 303
        assert client.post("/settings", data={"name": " "}).status_code == 422

        session.rollback()
        assert cast.developer.name == "Dana D."
        assert cast.owner.name == "Olga Owner"


class TestTeams:
    def test_lists_own_teams_and_all_to_administrators(self, client, session, cast):
        factories.team(session, slug="foreign", name="Foreign team")
        session.commit()

        assert "Foreign team" not in sign_in(client, cast.developer).get("/settings/teams").text
        assert "The Cast" in client.get("/settings/teams").text
        page = sign_in(client, cast.administrator).get("/settings/teams").text
        assert "Foreign team" in page
        assert "Sam Stranger" not in page

    def test_anybody_makes_one_that_may_not_publish(self, client, session, cast):
        answer = sign_in(client, cast.stranger).post("/settings/teams/new", data={"name": "Night Shift", "slug": ""})

        assert (answer.status_code, answer.location) == (303, "/settings/teams/night-shift")
        session.rollback()
        made = session.scalars(select(Team).where(Team.slug == "night-shift")).one()
        assert not made.may_publish
        assert membership(session, made, cast.stranger).role is Role.OWNER

    @pytest.mark.parametrize(("slug", "status"), [("Night shift", 422), ("cast", 409), ("new", 409)])
    def test_a_slug_that_cannot_be_is_refused(self, owner, slug, status):
        answer = owner.post("/settings/teams/new", data={"name": "Kept", "slug": slug})

        assert answer.status_code == status
        assert 'value="Kept"' in answer.text

    def test_only_administrators_give_the_right_to_publish(self, client, session, cast):
        url = "/settings/teams/cast/publishing"
        assert sign_in(client, cast.owner).post(url, data={"allowed": "0"}).status_code == 403
        assert sign_in(client, cast.administrator).post(url, data={"allowed": "0"}).status_code == 303
        session.rollback()
        assert not cast.team.may_publish

        assert "None of your teams may publish" in sign_in(client, cast.owner).get("/apis/new").text
        assert client.post("/apis/new").status_code == 403
        sign_in(client, cast.administrator).post(url, data={"allowed": "1"})
        session.rollback()
        assert cast.team.may_publish

    def test_a_personal_team_never_gets_it(self, administrator, cast):
        slug = cast.stranger.teams[0].slug

        answer = administrator.post(f"/settings/teams/{slug}/publishing", data={"allowed": "1"})
        assert answer.status_code == 409


class TestMembers:
    def test_are_added_by_address_with_a_role(self, owner, session, cast):
        answer = owner.post(
            "/settings/teams/cast/members", data={"email": cast.stranger.email.upper(), "role": "publisher"}
        )

        assert answer.status_code == 303
        assert membership(session, cast.team, cast.stranger).role is Role.PUBLISHER

    @pytest.mark.parametrize(
        ("email", "status", "sentence"),
        [
            ("", 422, "Give the address"),
            ("nobody@portico.example", 422, "Nobody here signs in as nobody@portico.example"),
            ("member", 409, "is a member already"),
        ],
    )
    def test_who_cannot_be_added_is_told_beside_the_field(self, owner, cast, email, status, sentence):
        email = cast.developer.email if email == "member" else email
        answer = owner.post("/settings/teams/cast/members", data={"email": email, "role": "owner"})

        assert answer.status_code == status
        assert sentence in answer.text
        assert 'id="email-error"' in answer.text
        assert f'value="{email}"' in answer.text

    def test_roles_change_at_once(self, client, session, cast):
        member = membership(session, cast.team, cast.developer)
        sign_in(client, cast.owner).post(f"/settings/teams/cast/members/{member.id}/role", data={"role": "owner"})

        assert sign_in(client, cast.developer).get("/settings/teams/cast/delete").status_code == 200

    def test_a_role_that_does_not_exist_is_refused(self, owner, session, cast):
        member = membership(session, cast.team, cast.developer)

        assert owner.post(f"/settings/teams/cast/members/{member.id}/role", data={"role": "king"}).status_code == 422

    def test_removed_people_lose_sight_of_the_team(self, client, session, cast):
        member = membership(session, cast.team, cast.developer)
        url = f"/settings/teams/cast/members/{member.id}/remove"
        assert sign_in(client, cast.owner).get(url).status_code == 200
        assert membership(session, cast.team, cast.developer) is not None
        assert client.post(url).status_code == 303

        assert sign_in(client, cast.developer).get("/settings/teams/cast").status_code == 404

    def test_the_only_owner_stays(self, owner, session, cast):
        member = membership(session, cast.team, cast.owner)

        assert owner.post(f"/settings/teams/cast/members/{member.id}/remove").status_code == 409
        answer = owner.post(f"/settings/teams/cast/members/{member.id}/role", data={"role": "developer"})
        assert answer.status_code == 409
        assert membership(session, cast.team, cast.owner).role is Role.OWNER


class TestWhoHasAnAccount:
    """An owner who adds a member learns it, but not of thousands of addresses."""

    URL = "/settings/teams/cast/members"

    def guess(self, owner, n):
        return owner.post(self.URL, data={"email": f"guess{n}@portico.example", "role": "developer"})

    def test_guesses_are_slowed_down_and_what_was_typed_is_kept(self, client, session, cast):
        owner = sign_in(client, cast.owner)
        assert {self.guess(owner, n).status_code for n in range(10)} == {422}
        session.rollback()
        (counted,) = session.scalars(select(Throttle).where(Throttle.free_at > Throttle.at)).all()
        counted.free_at = utcnow() + timedelta(minutes=1)
        session.commit()

        answer = owner.post(self.URL, data={"email": cast.stranger.email, "role": "developer"})

        assert answer.status_code == 429
        assert 0 < int(answer.headers["Retry-After"]) <= 60
        assert "Too many attempts" in answer.text
        assert f'value="{cast.stranger.email}"' in answer.text
        session.rollback()
        assert all(member.person_id != cast.stranger.id for member in cast.team.memberships)

    def test_members_who_are_found_cost_nothing_and_forgive_nothing(self, client, session, cast):
        owner = sign_in(client, cast.owner)
        people = [factories.person(session) for _ in range(12)]
        session.commit()
        emails = [person.email for person in people]
        session.rollback()
        for n in range(9):
            self.guess(owner, n)
        assert {owner.post(self.URL, data={"email": each, "role": "developer"}).status_code for each in emails} == {303}

        assert self.guess(owner, 9).status_code == 422
        session.rollback()
        assert session.scalars(select(Throttle.attempts).where(Throttle.free_at > Throttle.at)).all() == [10]


class TestTeam:
    def test_is_renamed_and_keeps_its_addresses(self, owner, session, cast):
        assert owner.post("/settings/teams/cast/name", data={"name": "Ensemble"}).status_code == 303
        assert owner.post("/settings/teams/cast/name", data={"name": ""}).status_code == 422
        session.rollback()
        assert (cast.team.name, cast.team.slug) == ("Ensemble", "cast")


class TestPeople:
    def test_are_searched(self, administrator, cast):
        page = administrator.get("/settings/people?q=STRANGER").text

        assert "Sam Stranger" in page
        assert "Olga Owner" not in page
        assert "1 person<" in page

    def test_somebody_new_gets_a_password_that_works_and_is_shown_once(self, app, administrator, session):
        form = {"email": "Jun@Portico.example", "name": "Jun Li"}
        answer = administrator.post("/settings/people/new", data=form)

        assert answer.status_code == 201
        session.rollback()
        person = session.scalars(select(Person).where(Person.name == "Jun Li")).one()
        password = re.search(r'secret-value"><code>([^<]+)<', answer.text)[1]
        with app.test_request_context():
            assert verify_password(password, person.password)
        assert not person.is_administrator
        assert [team.is_personal for team in person.teams] == [True]
        assert password not in administrator.get(f"/settings/people/{person.id}").text

    @pytest.mark.parametrize(
        ("email", "status", "sentence"),
        [("jun", 422, "not an e-mail address"), ("taken", 409, "has an account already")],
    )
    def test_who_cannot_be_added_is_told(self, administrator, cast, email, status, sentence):
        email = cast.owner.email if email == "taken" else email
        answer = administrator.post("/settings/people/new", data={"email": email, "name": "Jun"})

        assert answer.status_code == status
        assert sentence in answer.text
        assert 'value="Jun"' in answer.text

    def test_deactivation_ends_sessions_at_once(self, app, administrator, session, cast):
        theirs = sign_in(app.test_client(), cast.developer)
        assert theirs.get("/consumers").status_code == 200
        url = f"/settings/people/{cast.developer.id}/active"
        assert "signed out everywhere" in administrator.get(url).text
        assert theirs.get("/consumers").status_code == 200
        administrator.post(url, data={"active": "0"})

        assert theirs.get("/consumers").status_code == 401
        session.rollback()
        assert not cast.developer.active
        administrator.post(f"/settings/people/{cast.developer.id}/active", data={"active": "1"})
        session.rollback()
        assert cast.developer.active

    def test_a_new_password_ends_sessions_and_is_shown(self, app, administrator, session, cast):
        theirs = sign_in(app.test_client(), cast.developer)
        url = f"/settings/people/{cast.developer.id}/password"
        assert administrator.get(url).status_code == 200
        assert theirs.get("/consumers").status_code == 200
        answer = administrator.post(url)

        assert answer.status_code == 201
        assert answer.headers["Cache-Control"] == "no-store"
        assert theirs.get("/consumers").status_code == 401
        password = re.search(r'secret-value"><code>([^<]+)<', answer.text)[1]
        session.rollback()
        with app.test_request_context():
            assert verify_password(password, cast.developer.password)

    def test_the_last_administrator_stays(self, administrator, session, cast):
        url = f"/settings/people/{cast.administrator.id}"

        assert administrator.post(f"{url}/administrator", data={"administrator": "0"}).status_code == 409
        assert administrator.post(f"{url}/active", data={"active": "0"}).status_code == 409
        session.rollback()
        assert cast.administrator.is_administrator
        assert cast.administrator.active

    def test_administrators_make_others_and_may_step_down(self, administrator, session, cast):
        other = f"/settings/people/{cast.owner.id}/administrator"
        assert administrator.post(other, data={"administrator": "1"}).status_code == 303
        own = f"/settings/people/{cast.administrator.id}/administrator"
        answer = administrator.post(own, data={"administrator": "0"})

        assert (answer.status_code, answer.location) == (303, "/settings")
        session.rollback()
        assert (cast.owner.is_administrator, cast.administrator.is_administrator) == (True, False)


class TestInstallation:
    def test_shows_every_setting_and_no_secret(self, app, administrator):
        page = administrator.get("/settings/installation").text

        assert "PORTAL_GATEWAY_URL" in page
        assert "http://localhost:8080" in page
        assert app.config["SECRET_KEY"] not in page
        assert "sqlite:" not in page

    def test_the_sample_is_removed_by_its_button(self, administrator, session, cast):
        assert "Remove sample" not in administrator.get("/settings/installation").text
        sample.create(session, "http://127.0.0.1:9", cast.administrator)
        session.commit()

        assert "/settings/installation/sample/remove" in administrator.get("/settings/installation").text
        assert administrator.get("/settings/installation/sample/remove").status_code == 200
        session.rollback()
        assert sample.exists(session)
        assert administrator.post("/settings/installation/sample/remove").status_code == 303
        session.rollback()
        assert not sample.exists(session)
        assert session.scalar(select(Team).where(Team.slug == "sample")) is None


def test_slugs_of_our_own_addresses_belong_to_nobody():
    assert "new" in accounts.teams.RESERVED
