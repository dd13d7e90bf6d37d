"""Telling people: who hears of what, by which mail, and when."""

import pytest
from sqlalchemy import func, select

from portal import config_of, notify, worker
from portal.accounts import Role
from portal.db import db, utcnow
from portal.notify import events
from portal.notify.models import Notice
from tests import factories
from tests.letters import delivered

TOLD = {"subject": "Shop may call Orders", "text": "The team Orders has approved it.", "link": "/consumers/cast/shop"}


@pytest.fixture(autouse=True)
def confirmed(session, cast):
    for person in (cast.owner, cast.publisher, cast.developer, cast.stranger):
        person.confirmed_at = utcnow()
    session.commit()


def tell(session, event="subscription.approved", **values):
    notify.tell(session, event, **TOLD | values)
    session.commit()


class TestTell:
    def test_everybody_of_the_team_gets_a_mail_with_the_link_and_nobody_else(self, app, session, cast):
        tell(session, teams=[cast.team])

        mails = delivered(app)

        assert {mail["To"] for mail in mails} == {cast.owner.email, cast.publisher.email, cast.developer.email}
        assert {mail["Subject"] for mail in mails} == {"Shop may call Orders"}
        expected = f"The team Orders has approved it.\n\n{config_of(app).url}/consumers/cast/shop\n\n-- \n"
        assert {mail.get_content().replace("\r\n", "\n")[: len(expected)] for mail in mails} == {expected}

    def test_what_publishers_decide_is_not_told_to_developers(self, app, session, cast):
        tell(session, "subscription.requested", teams=[cast.team])

        assert {mail["To"] for mail in delivered(app)} == {cast.owner.email, cast.publisher.email}

    def test_who_did_it_gets_none(self, app, session, cast):
        tell(session, teams=[cast.team], but=cast.publisher)

        assert cast.publisher.email not in {mail["To"] for mail in delivered(app)}

    def test_who_is_named_twice_hears_of_it_once(self, app, session, cast):
        other = factories.team(session, owner=cast.owner)

        tell(session, teams=[cast.team, other, cast.team], persons=[cast.owner, cast.stranger])

        to = [mail["To"] for mail in delivered(app)]
        assert sorted(to) == sorted(
            person.email for person in (cast.owner, cast.publisher, cast.developer, cast.stranger)
        )

    def test_numbers_stand_for_teams_and_people(self, app, session, cast):
        tell(session, persons=[cast.stranger.id])
        tell(session, teams=[cast.team.id], but=cast.owner.id)

        to = {mail["To"] for mail in delivered(app)}
        assert to == {cast.stranger.email, cast.publisher.email, cast.developer.email}

    def test_an_address_that_nobody_confirmed_reads_no_word_of_a_stranger(self, app, session, cast):
        cast.owner.confirmed_at = None

        tell(session, teams=[cast.team])

        text = next(mail for mail in delivered(app) if mail["To"] == cast.owner.email).as_string()
        assert "A subscription was approved" in text
        assert "Orders" not in text
        assert "/consumers" not in text

    def test_who_was_deactivated_or_has_left_meanwhile_hears_nothing(self, app, session, cast):
        tell(session, teams=[cast.team])
        cast.developer.active = False
        leaver = next(each for each in cast.team.memberships if each.person == cast.publisher)
        cast.team.memberships.remove(leaver)
        session.commit()

        assert [mail["To"] for mail in delivered(app)] == [cast.owner.email]

    def test_what_was_rolled_back_is_told_to_nobody(self, app, session, cast):
        notify.tell(session, "subscription.approved", teams=[cast.team], **TOLD)
        session.rollback()

        assert delivered(app) == []

    def test_nobody_to_tell_is_no_work(self, app, session):
        tell(session)

        with app.app_context():
            assert not worker.turn(config_of(app), "test")

    def test_a_subject_is_one_line_of_bounded_length(self, session, cast):
        tell(session, teams=[cast.team], subject="a\nb" + "c" * 300)

        assert session.scalars(select(Notice.subject)).one() == "a b" + "c" * 197

    def test_an_event_that_there_is_not_is_refused(self, session, cast):
        with pytest.raises(LookupError, match=r"key\.eaten is no event"):
            tell(session, "key.eaten", teams=[cast.team])

    @pytest.mark.parametrize("link", ["https://elsewhere.example/", "//elsewhere.example", "consumers"])
    def test_a_link_leads_into_this_portal(self, session, cast, link):
        with pytest.raises(ValueError, match="no path of this portal"):
            tell(session, teams=[cast.team], link=link)


class TestSpread:
    def test_doing_it_twice_sends_once(self, app, session, cast):
        tell(session, teams=[cast.team])
        number = session.scalars(select(Notice.id)).one()
        with app.app_context():
            notify.spread(config_of(app), {"notices": [number], "but": None})
            notify.spread(config_of(app), {"notices": [number], "but": None})

        assert len(delivered(app)) == 3

    def test_a_notice_of_a_team_that_is_gone_is_no_failure(self, app, session, cast):
        team = factories.team(session)
        tell(session, teams=[team])
        with app.app_context(), db.begin() as writing:
            writing.delete(writing.get(type(team), team.id))
        session.rollback()

        assert delivered(app) == []
        assert session.scalar(select(func.count()).select_from(Notice)) == 0


def test_who_is_mailed_unasked_hears_of_it():
    order = list(Role)
    assert [
        event for event in events.EVENTS.values() if order.index(event.mailed_from) < order.index(event.heard_from)
    ] == []
