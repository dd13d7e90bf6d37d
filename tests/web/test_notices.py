"""The bell, its list, what people choose, and the page of the link that ends mails."""

import re

import pytest
from sqlalchemy import event, func, select

from portal import notify
from portal.accounts import Membership, Role
from portal.db import db, utcnow
from portal.notify import choices
from portal.notify.events import EVENTS
from portal.notify.models import NoticeChoice, NoticeCopy, Way
from tests import factories
from tests.conftest import sign_in
from tests.letters import delivered, only

TOLD = {"subject": "A key <b>expires</b>", "text": "In 7 days.", "link": "/consumers/cast/shop"}


@pytest.fixture(autouse=True)
def confirmed(session, cast):
    for person in (cast.owner, cast.publisher, cast.developer, cast.stranger):
        person.confirmed_at = utcnow()
    session.commit()


def tell(app, session, word="key.expiring", **values):
    session.rollback()  # what was read before must not stand in the way of what is written now
    notify.tell(session, word, **TOLD | values)
    session.commit()
    return delivered(app)


def copy_of(session, person) -> NoticeCopy:
    session.rollback()
    return session.scalars(select(NoticeCopy).where(NoticeCopy.person_id == person.id)).one()


def count(session) -> int:
    session.rollback()
    found = session.scalar(select(func.count()).select_from(NoticeCopy))
    session.rollback()
    return found


class TestBell:
    def test_nothing_is_told_to_who_has_nothing(self, client, cast):
        page = sign_in(client, cast.developer).get("/notices")

        assert "No notices yet" in page.text
        assert 'aria-label="Notices"' in page.text

    def test_it_counts_what_is_unread_on_every_page_with_one_question(self, app, client, session, cast):
        for _ in range(3):
            tell(app, session, teams=[cast.team])
        browser = sign_in(client, cast.developer)
        asked = []
        with app.app_context():
            event.listen(db.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))

        page = browser.get("/settings/teams")

        assert 'aria-label="Notices, 3 unread"' in page.text
        assert len([each for each in asked if "notice_copy" in each]) == 1

    def test_more_than_99_are_not_counted(self, app, client, session, cast):
        notify.tell(session, "key.expiring", persons=[cast.developer], **TOLD)
        session.commit()
        for _ in range(100):
            notify.tell(session, "key.expiring", persons=[cast.developer], **TOLD)
        session.commit()
        delivered(app)

        assert "99+ unread" in sign_in(client, cast.developer).get("/notices").text

    def test_opening_one_marks_it_read_and_leads_there(self, app, client, session, cast):
        tell(app, session, teams=[cast.team])
        browser, number = sign_in(client, cast.developer), copy_of(session, cast.developer).id
        assert "A key &lt;b&gt;expires&lt;/b&gt;" in browser.get("/notices").text

        answer = browser.post(f"/notices/{number}/open")

        assert (answer.status_code, answer.location) == (303, "/consumers/cast/shop")
        assert copy_of(session, cast.developer).read_at is not None
        assert copy_of(session, cast.owner).read_at is None
        assert "Nothing is unread" in browser.get("/notices?unread=1").text
        browser.post(f"/notices/{number}/mark", data={"read": "0"})
        assert copy_of(session, cast.developer).read_at is None

    def test_somebody_elses_is_not_found(self, app, client, session, cast):
        tell(app, session, persons=[cast.owner])
        number = copy_of(session, cast.owner).id

        browser = sign_in(client, cast.administrator)

        assert browser.post(f"/notices/{number}/open").status_code == 404
        assert browser.post(f"/notices/{number}/mark", data={"read": "1"}).status_code == 404
        assert browser.post(f"/notices/{10**30}/open").status_code == 404

    def test_all_that_were_seen_are_marked_and_what_came_since_is_not(self, app, client, session, cast):
        tell(app, session, persons=[cast.developer])
        seen = copy_of(session, cast.developer).id
        tell(app, session, persons=[cast.developer])
        browser = sign_in(client, cast.developer)

        assert browser.post("/notices/read", data={"up_to": seen}).status_code == 303

        assert "Notices, 1 unread" in browser.get("/notices").text
        assert browser.post("/notices/read", data={"up_to": "x"}).status_code == 303

    def test_the_list_has_pages(self, app, client, session, cast):
        for _ in range(120):
            notify.tell(session, "key.revoked", persons=[cast.stranger], **TOLD)
        session.commit()
        delivered(app)
        browser, address, seen = sign_in(client, cast.stranger), "/notices", []
        while address:
            text = browser.get(address).text
            seen += re.findall(r"/notices/(\d+)/mark", text)
            found = re.search(r'rel="next" href="([^"]+)"', text)
            address = found[1] if found else ""

        assert len(seen) == len(set(seen)) == 120


class TestChoices:
    def test_without_a_choice_it_follows_the_role(self, app, session, cast):
        to = {mail["To"] for mail in tell(app, session, "api.deprecated", teams=[cast.team])}

        assert to == {cast.owner.email}
        assert count(session) == 3

    def test_mail_can_be_asked_for_and_switched_off(self, app, client, session, cast):
        browser = sign_in(client, cast.developer)
        page = browser.get("/settings/notices").text
        on = dict.fromkeys(re.findall(r'name="([a-z]+:[a-z._]+)" checked', page), "on")
        assert "mail:key.expiring" in on

        del on["mail:key.expiring"]
        on["mail:quota.warned"] = "on"
        del on["portal:key.rotated"]
        assert browser.post("/settings/notices", data=on).status_code == 303

        assert cast.developer.email not in {mail["To"] for mail in tell(app, session, teams=[cast.team])}
        assert cast.developer.email in {m["To"] for m in tell(app, session, "quota.warned", teams=[cast.team])}
        before = count(session)
        tell(app, session, "key.rotated", persons=[cast.developer])
        assert count(session) == before

    def test_only_what_was_touched_is_kept(self, client, session, cast):
        browser = sign_in(client, cast.developer)
        on = dict.fromkeys(re.findall(r'name="([a-z]+:[a-z._]+)" checked', browser.get("/settings/notices").text), "on")
        del on["mail:key.expiring"]

        browser.post("/settings/notices", data=on)

        session.rollback()
        kept = [(row.event, row.way, row.wanted) for row in session.scalars(select(NoticeChoice))]
        assert kept == [("key.expiring", Way.MAIL, False)]
        browser.post("/settings/notices", data={"act": "defaults"})
        session.rollback()
        assert session.scalars(select(NoticeChoice)).all() == []

    def test_a_leaked_key_is_told_whatever_was_chosen(self, app, client, session, cast):
        page = sign_in(client, cast.developer).get("/settings/notices").text
        assert "mail:key.leaked" not in page
        sign_in(client, cast.developer).post("/settings/notices", data={})

        mails = tell(app, session, "key.leaked", teams=[cast.team])

        assert {mail["To"] for mail in mails} == {cast.owner.email, cast.publisher.email, cast.developer.email}
        assert not [mail for mail in mails if mail["List-Unsubscribe"]]

    def test_every_event_is_a_row(self, client, cast):
        page = sign_in(client, cast.developer).get("/settings/notices").text

        assert not [event.title for event in EVENTS.values() if event.title not in page]

    def test_who_is_in_two_teams_hears_as_in_the_team_that_is_told(self, app, session, cast):
        other = factories.team(session)
        other.memberships.append(Membership(person=cast.owner, role=Role.DEVELOPER))
        session.commit()

        to = {mail["To"] for mail in tell(app, session, "api.deprecated", teams=[other])}

        assert cast.owner.email not in to


class TestUnsubscribe:
    @pytest.fixture
    def link(self, app, session, cast) -> str:
        notify.tell(session, "key.expiring", persons=[cast.stranger], **TOLD)
        session.commit()
        mail = only(app)
        found = re.search(r"(/unsubscribe/\S+)", mail.get_content())
        assert found
        assert mail["List-Unsubscribe"].endswith(f"{found[1]}>")
        return found[1]

    def test_looking_decides_nothing(self, app, client, session, cast, link):
        page = client.get(link)

        assert "Get no more of these mails?" in page.text
        assert len(tell(app, session, persons=[cast.stranger])) == 1

    def test_pressing_ends_mails_of_this_kind_and_no_other(self, app, client, session, cast, link):
        page = client.post(link, data={"act": "stop"})

        assert "You get no more of these mails" in page.text
        assert tell(app, session, persons=[cast.stranger]) == []
        assert len(tell(app, session, "key.revoked", persons=[cast.stranger])) == 1
        assert count(session) == 3

        assert "again" in client.post(link, data={"act": "again"}).text
        assert len(tell(app, session, persons=[cast.stranger])) == 1

    @pytest.mark.parametrize("token", ["x", "WzEsInguIl0.AAAA", "a" * 3000])
    def test_a_link_that_is_not_whole_is_told(self, client, token):
        page = client.get(f"/unsubscribe/{token}")

        assert page.status_code == 410
        assert "Settings, Notices" in page.text

    def test_a_link_of_somebody_who_is_gone_is_dead(self, client, session, cast, link):
        cast.stranger.deleted_at = utcnow()
        session.commit()

        assert client.post(link, data={"act": "stop"}).status_code == 410

    def test_a_link_for_what_cannot_be_ended_says_so(self, client, cast, config):
        token = choices.Unsubscribing(config).token(cast.stranger, EVENTS["key.leaked"])

        assert "cannot be switched off" in client.get(f"/unsubscribe/{token}").text
        assert client.post(f"/unsubscribe/{token}", data={"act": "stop"}).status_code == 409
