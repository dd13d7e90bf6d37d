"""The pages that delete an account."""

import pytest
from flask_security import hash_password

from portal.accounts import Role
from tests import factories
from tests.conftest import sign_in


@pytest.fixture
def leaver(app, session):
    with app.app_context():
        hashed = hash_password("a long enough password")
    person = factories.person(session, name="Lea Leaver", email="lea@portico.example", password=hashed)
    factories.key(session, factories.consumer(session, team=person.teams[0], slug="own"))
    session.commit()
    return person


class TestOwnAccount:
    def test_is_told_what_goes_and_asked_for_the_address(self, client, leaver):
        page = sign_in(client, leaver).get("/settings/delete").text

        assert "1 consumer, 0 subscriptions and 1 key in use" in page
        assert client.post("/settings/delete", data={"confirm": "lea"}).status_code == 422
        assert client.get("/settings").status_code == 200

    def test_ends_every_session_and_the_password(self, app, client, session, leaver):
        elsewhere = sign_in(app.test_client(), leaver)
        elsewhere.environ_base["HTTP_ACCEPT"] = "text/html"
        sign_in(client, leaver)
        answer = client.post("/settings/delete", data={"confirm": "LEA@portico.example"})

        assert (answer.status_code, answer.location) == (303, "/sign-in")
        assert "Your account is deleted." in client.get("/sign-in").text
        assert elsewhere.get("/settings").location.startswith("/sign-in")
        session.rollback()
        for email in ("lea@portico.example", leaver.email):
            for password in ("a long enough password", "!", ""):
                refused = client.post("/sign-in", data={"email": email, "password": password})
                assert refused.status_code == 422, (email, password)

    def test_is_kept_while_a_team_needs_it(self, client, session, leaver):
        team = factories.team(session, owner=leaver, name="Needed")
        factories.member(session, team, Role.DEVELOPER)
        session.commit()
        page = sign_in(client, leaver).get("/settings/delete").text

        assert "Needed has other members and no other owner." in page
        assert 'name="confirm"' not in page
        assert client.post("/settings/delete", data={"confirm": leaver.email}).status_code == 409


class TestByAnAdministrator:
    def test_deletes_anybody(self, client, session, cast, leaver):
        url = f"/settings/people/{leaver.id}"
        sign_in(client, cast.administrator)
        assert "Delete Lea Leaver" in client.get(f"{url}/delete").text
        answer = client.post(f"{url}/delete", data={"confirm": "lea@portico.example"})

        assert (answer.status_code, answer.location) == (303, "/settings/people")
        assert "Lea Leaver is deleted" in client.get("/settings/people").text
        assert f"Deleted person {leaver.id}" not in client.get("/settings/people").text
        for path in ("", "/delete", "/password"):
            assert client.get(url + path).status_code == 404
        assert client.post(f"{url}/active", data={"active": "1"}).status_code == 404

    def test_the_trail_no_longer_knows_the_name(self, client, session, cast, leaver):
        sign_in(client, leaver).post("/settings", data={"name": "Lea L."})
        sign_in(client, cast.administrator)
        trail = f"/settings/audit?person={leaver.id}"
        assert "Lea L." in client.get(trail).text
        client.post(f"/settings/people/{leaver.id}/delete", data={"confirm": leaver.email})
        client.get("/settings/people")  # shows for the last time whom the administrator has deleted

        assert "Lea" not in client.get(trail).text
        assert f"deleted person {leaver.id}" in client.get(trail).text

    def test_the_last_one_stays(self, client, cast):
        sign_in(client, cast.administrator)

        assert client.get(f"/settings/people/{cast.administrator.id}/delete").location == "/settings/delete"
        assert client.post("/settings/delete", data={"confirm": cast.administrator.email}).status_code == 409
