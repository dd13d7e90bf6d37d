"""Invitations: sent by administrators, answered with an account."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from portal import accounts
from portal.accounts import Invitation, Person
from portal.accounts.audit import AuditEntry
from portal.config import Config
from portal.db import utcnow
from tests import factories
from tests.conftest import sign_in
from tests.letters import delivered, link_in, only

LIST = "/settings/people/invitations"
FORM = {"name": " Ira\n Invited ", "password": "correct horse battery"}


@pytest.fixture
def config(tmp_path):
    """Sign-up is closed: an invitation is the only way in."""
    return Config(data_dir=tmp_path / "var", sign_up=False)


@pytest.fixture
def administrator(client, cast):
    return sign_in(client, cast.administrator)


@pytest.fixture
def visitor(app):
    client = app.test_client()
    client.environ_base["HTTP_ACCEPT"] = "text/html"
    return client


def invite(administrator, email="ira@portico.example"):
    return administrator.post(f"{LIST}/new", data={"email": email})


def invitation(session) -> Invitation | None:
    session.rollback()
    return session.scalars(select(Invitation)).one_or_none()


class TestInvite:
    def test_sends_a_link_that_leads_to_an_account(self, app, administrator, visitor, session):
        assert invite(administrator).location == LIST
        mail = only(app)
        link = link_in(mail, app)

        assert mail["To"] == "ira@portico.example"
        assert "Ada Administrator invites you" in mail.get_content()
        assert "ira@portico.example" in visitor.get(link).text
        assert visitor.post(link, data=FORM).status_code == 303

        session.rollback()
        person = session.scalars(select(Person).where(Person.email == "ira@portico.example")).one()
        assert (person.name, person.is_administrator) == ("Ira Invited", False)
        assert person.confirmed_at is not None
        assert [team.is_personal for team in person.teams] == [True]
        assert visitor.get("/consumers").status_code == 200
        again = {"email": person.email, "password": FORM["password"]}
        visitor.post("/sign-out")
        assert visitor.post("/sign-in", data=again).status_code == 302

    @pytest.mark.parametrize(
        ("email", "status", "says"),
        [
            ("", 422, "Give the address to send the invitation to."),
            ("ira", 422, "This is not an e-mail address."),
            ("Taken@portico.example", 409, "has an account already"),
            ("Open@portico.example", 409, "is invited already"),
        ],
    )
    def test_says_what_is_wrong_and_keeps_what_was_typed(self, app, administrator, session, cast, email, status, says):
        factories.person(session, email="taken@portico.example")
        accounts.invite(session, email="open@portico.example", by=cast.administrator, now=utcnow())
        session.commit()

        answer = invite(administrator, email)

        assert answer.status_code == status
        assert says in answer.text
        assert f'value="{email}"' in answer.text
        assert delivered(app) == []

    def test_the_audit_trail_has_neither_address_nor_nonce(self, administrator, session):
        invite(administrator)

        made = invitation(session)
        entry = session.scalars(select(AuditEntry).where(AuditEntry.kind == "invitation")).one()
        assert entry.action == "created"
        assert "ira@" not in str(entry.changes) + entry.label
        assert made.nonce not in str(entry.changes)


class TestList:
    def test_says_what_is_open_and_what_is_too_old(self, administrator, session):
        assert "Nobody is invited" in administrator.get(LIST).text
        invite(administrator)
        invite(administrator, "old@portico.example")
        session.rollback()
        old = session.scalars(select(Invitation).where(Invitation.email == "old@portico.example")).one()
        old.sent_at -= accounts.INVITATION_LASTS + timedelta(seconds=1)
        session.commit()

        page = administrator.get(LIST).text.split("<tbody>")[1]

        assert page.index("ira@portico.example") < page.index("Open") < page.index("old@portico.example")
        assert "Too old" in page
        assert "Ada Administrator" in page
        found = administrator.get(f"{LIST}?q=IRA").text
        assert "ira@portico.example" in found
        assert "old@portico.example" not in found
        assert "Nobody fits" in administrator.get(f"{LIST}?q=xyz").text

    def test_a_long_one_has_pages(self, administrator, session, cast):
        for n in range(51):
            accounts.invite(session, email=f"i{n:02}@portico.example", by=cast.administrator, now=utcnow())
        session.commit()

        first = administrator.get(LIST).text
        assert "51 invitations" in first
        assert "i49@portico.example" in first
        assert "i50@portico.example" not in first
        last = session.scalars(select(Invitation.id).where(Invitation.email == "i49@portico.example")).one()
        assert "i50@portico.example" in administrator.get(f"{LIST}?after={last}").text

    def test_sending_again_ends_the_link_before(self, app, administrator, visitor, session):
        invite(administrator)
        first = link_in(only(app), app)
        assert administrator.post(f"{LIST}/{invitation(session).id}/send").status_code == 303
        second = link_in(only(app), app)

        assert visitor.post(first, data=FORM).status_code == 410
        assert visitor.post(second, data=FORM).status_code == 303

    def test_withdrawing_asks_and_then_ends_the_link(self, app, administrator, visitor, session):
        invite(administrator)
        link = link_in(only(app), app)
        url = f"{LIST}/{invitation(session).id}/withdraw"

        assert "The link that was sent to ira@portico.example stops working." in administrator.get(url).text
        assert invitation(session) is not None
        assert administrator.post(url).status_code == 303
        assert invitation(session) is None
        answer = visitor.get(link)
        assert answer.status_code == 410
        assert "Ask the administrator who invited you for a new one." in answer.text


class TestAccept:
    @pytest.fixture
    def link(self, app, administrator) -> str:
        invite(administrator)
        return link_in(only(app), app)

    def test_a_link_works_once(self, visitor, session, link):
        assert visitor.post(link, data=FORM).status_code == 303

        assert visitor.get(link).status_code == 410
        assert visitor.post(link, data=FORM | {"name": "Second"}).status_code == 410
        assert invitation(session) is None

    def test_a_link_is_too_old_after_its_days(self, visitor, session, link):
        made = invitation(session)
        made.sent_at = utcnow() - accounts.INVITATION_LASTS - timedelta(seconds=1)
        session.commit()

        assert visitor.post(link, data=FORM).status_code == 410
        session.rollback()
        assert session.scalar(select(Person).where(Person.email == "ira@portico.example")) is None

    def test_a_link_that_was_tampered_with_is_none(self, visitor, link):
        assert visitor.get(link[:-2] + "xx").status_code == 410

    @pytest.mark.parametrize(
        ("field", "value", "says"),
        [
            ("name", " ", "Give the name that others will see."),
            ("password", "", "Give a password."),
            ("password", "short", "A password has 10 characters or more."),
        ],
    )
    def test_says_what_is_wrong_and_the_link_still_works(self, visitor, link, field, value, says):
        answer = visitor.post(link, data=FORM | {field: value})

        assert answer.status_code == 422
        assert says in answer.text
        assert "correct horse" not in answer.text
        assert visitor.post(link, data=FORM).status_code == 303

    def test_nobody_chooses_another_address(self, visitor, session, link):
        visitor.post(link, data=FORM | {"email": "eve@portico.example"})

        session.rollback()
        assert session.scalar(select(Person).where(Person.email == "eve@portico.example")) is None

    def test_an_address_that_was_taken_meanwhile_is_said(self, visitor, session, link):
        session.rollback()
        factories.person(session, email="ira@portico.example", confirmed_at=utcnow())
        session.commit()

        answer = visitor.post(link, data=FORM)

        assert answer.status_code == 409
        assert "has an account already" in answer.text


class TestWhoComesAnotherWay:
    """An invitation is over when somebody with its address has an account that is known to be theirs."""

    SIGN_UP = {"name": "Ira", "email": "Ira@portico.example", "password": "correct horse battery"}

    @pytest.fixture
    def config(self, tmp_path, request):
        return Config(data_dir=tmp_path / "var", confirm_email=getattr(request, "param", True))

    @pytest.fixture
    def open_one(self, session, cast, administrator, app):
        """The link of an invitation to Ira, beside one to somebody else."""
        invite(administrator, "other@portico.example")
        delivered(app)
        invite(administrator)
        return link_in(only(app), app)

    def listed(self, session) -> list[str]:
        session.rollback()
        found = list(session.scalars(select(Invitation.email).order_by(Invitation.email)))
        session.rollback()
        return found

    def ira(self, session) -> Person:
        return session.scalars(select(Person).where(func.lower(Person.email) == "ira@portico.example")).one()

    def test_by_a_confirmed_sign_up(self, app, visitor, session, open_one):
        visitor.post("/sign-up", data=self.SIGN_UP)
        assert self.listed(session) == ["ira@portico.example", "other@portico.example"]
        visitor.post(link_in(only(app), app))

        assert self.listed(session) == ["other@portico.example"]
        assert visitor.get(open_one).status_code == 410

    @pytest.mark.parametrize("config", [False], indirect=True)
    def test_by_a_sign_up_where_addresses_are_not_confirmed(self, visitor, session, open_one):
        assert visitor.post("/sign-up", data=self.SIGN_UP).location == "/"

        assert self.listed(session) == ["other@portico.example"]

    def test_made_by_an_administrator(self, administrator, session, open_one):
        administrator.post("/settings/people/new", data={"email": "ira@portico.example", "name": "Ira"})

        assert self.listed(session) == ["other@portico.example"]

    def test_by_changing_the_address_of_an_account(self, app, session, cast, open_one):
        with app.app_context():
            accounts.change_email(session, cast.stranger, "ira@portico.example")
        session.commit()

        assert self.listed(session) == ["other@portico.example"]

    def test_a_stranger_who_signed_up_with_the_address_is_out_when_its_owner_accepts(
        self, app, visitor, session, open_one
    ):
        app.test_client().post("/sign-up", data=self.SIGN_UP | {"name": "Not Ira", "password": "of the stranger"})
        answer = visitor.post(open_one, data=FORM)

        assert answer.status_code == 303
        assert visitor.get("/settings").status_code == 200
        assert self.listed(session) == ["other@portico.example"]
        ira = self.ira(session)
        assert (ira.name, ira.confirmed_at is None) == ("Ira Invited", False)
        session.rollback()
        sign = {"email": "Ira@portico.example", "password": "of the stranger"}
        assert app.test_client().post("/sign-in", data=sign).status_code == 422

    def test_a_confirmed_account_is_nobody_elses(self, app, visitor, session, open_one, cast):
        """As after a restored backup: the invitation should not be there."""
        cast.stranger.email, cast.stranger.confirmed_at = "ira@portico.example", utcnow()
        session.commit()

        assert visitor.post(open_one, data=FORM).status_code == 409
        assert self.ira(session).name == "Sam Stranger"
