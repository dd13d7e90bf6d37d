"""Approvals: the inbox, one request, the mailed link, the access review, a subscription as the API's team has it."""

import re
from datetime import timedelta

import pytest
from itsdangerous import URLSafeTimedSerializer
from sqlalchemy import select

from portal import letters, registry
from portal.accounts import Role
from portal.db import utcnow
from portal.notify.models import Notice
from portal.registry.models import Api, Approval, Consumer, Plan, Subscription
from tests import factories
from tests.conftest import sign_in
from tests.web import logged

U = "/apis/cast/orders/v1/subscribers"


@pytest.fixture
def gold(session, cast) -> Plan:
    return factories.plan(session, team=cast.team, slug="gold", name="Gold", approval=True)


@pytest.fixture
def orders(session, cast, gold) -> Api:
    free = factories.plan(session, team=cast.team, slug="free", name="Free")
    return factories.api(session, team=cast.team, live=True, plans=[free, gold], slug="orders", name="Orders")


@pytest.fixture
def shop(session, cast) -> Consumer:
    team = factories.team(session, owner=cast.stranger, slug="shop", name="The Shop", may_publish=False)
    return factories.consumer(session, team=team, slug="app", name="Web shop", contacts=["#web-shop"])


@pytest.fixture
def asked(session, orders, gold, shop, cast) -> Approval:
    made = factories.approval(session, shop, orders, plan=gold, by=cast.stranger, expected_calls=25_000)
    # Another team is asked as well, by the same and by another consumer.
    elsewhere = factories.api(session, live=True, name="Elsewhere")
    factories.approval(session, shop, elsewhere)
    factories.approval(session, factories.consumer(session, name="Noise"), elsewhere)
    session.commit()
    return made


@pytest.fixture
def publisher(client, cast, asked):
    return sign_in(client, cast.publisher)


class TestInbox:
    def test_holds_what_waits_for_own_teams_with_a_count_in_the_navigation(self, publisher, asked):
        page = publisher.get("/approvals").text

        assert "Web shop" in page
        assert "Show orders to customers." in page
        assert "Elsewhere" not in page
        assert "Noise" not in page
        assert '<span class="nav-badge" aria-label="1 waiting">1</span>' in page

    def test_administrators_see_what_waits_for_any_team(self, client, cast, asked):
        page = sign_in(client, cast.administrator).get("/approvals").text

        assert "Noise" in page
        assert 'aria-label="3 waiting"' in page

    def test_who_decides_nothing_has_no_entry_and_an_empty_list(self, client, cast, asked):
        for someone in (cast.developer, cast.stranger):
            page = sign_in(client, someone).get("/approvals").text
            assert "Nothing waits for you" in page
            assert 'href="/approvals"><svg' not in page

    def test_is_narrowed(self, publisher):
        assert "No request fits" in publisher.get("/approvals?q=nothing").text
        assert "Web shop" in publisher.get("/approvals?q=THE+shop&api=cast/orders/v1").text
        assert "No request fits" in publisher.get("/approvals?api=cast/none/v1").text

    def test_a_long_one_has_pages_the_oldest_first(self, publisher, session, orders, gold):
        team = factories.team(session)
        for number in range(60):
            consumer = factories.consumer(session, team=team, name=f"App {number:02}")
            factories.approval(session, consumer, orders, plan=gold)
        session.commit()

        first = publisher.get("/approvals").text
        following = re.search(r'rel="next" href="([^"]+)"', first)[1].replace("&amp;", "&")
        second = publisher.get(following).text

        assert "61 requests" in first
        assert ("Web shop" in first, "App 48" in first, "App 49" in first) == (True, True, False)
        assert ("App 49" in second, "App 59" in second, "App 48" in second) == (True, True, False)
        back = re.search(r'rel="prev" href="([^"]+)"', second)[1].replace("&amp;", "&")
        assert "Web shop" in publisher.get(back).text

    def test_several_are_decided_at_once(self, publisher, session, orders, gold, asked):
        other = factories.approval(session, factories.consumer(session), orders, plan=gold)
        session.commit()
        form = {"approval": [asked.id, other.id], "words": "Welcome."}

        answer = publisher.post("/approvals/decide", data=form | {"act": "approve"})

        assert answer.status_code == 303
        session.rollback()
        assert {each.subscription.state for each in (asked, other)} == {"approved"}
        assert "2 requests are approved" in publisher.get("/approvals").text

    def test_those_that_somebody_else_decided_are_told_and_the_others_done(
        self, publisher, session, cast, orders, gold, asked
    ):
        other = factories.approval(session, factories.consumer(session), orders, plan=gold)
        registry.approve(session, asked, by=cast.owner)
        session.commit()

        answer = publisher.post("/approvals/decide", data={"approval": [asked.id, other.id], "act": "approve"})

        assert answer.status_code == 409
        assert "Olga Owner has approved this request already" in answer.text
        session.rollback()
        assert other.subscription.state == "approved"

    def test_rejecting_needs_a_reason_and_keeps_what_was_chosen(self, publisher, session, asked):
        answer = publisher.post("/approvals/decide", data={"approval": asked.id, "act": "reject"})

        assert answer.status_code == 422
        assert "Say why" in answer.text
        assert re.search(rf'value="{asked.id}"[^>]* checked', answer.text)
        assert publisher.post("/approvals/decide", data={"act": "reject"}).status_code == 422
        session.rollback()
        assert asked.state == "waiting"

    def test_others_requests_cannot_be_slipped_in(self, publisher, session, asked):
        others = session.scalars(select(Approval).where(Approval.id != asked.id)).all()
        session.rollback()
        form = {"approval": [each.id for each in others] + ["x", "9" * 30], "act": "approve"}

        assert publisher.post("/approvals/decide", data=form).status_code == 303

        session.rollback()
        assert {each.state.value for each in others} == {"waiting"}


class TestOneRequest:
    def test_says_who_asks_for_what_and_what_else_they_use_of_ones_teams_only(
        self, publisher, session, engine, tmp_path, cast, shop, asked
    ):
        bills = factories.api(session, team=cast.team, live=True, name="Billing")
        factories.subscription(session, shop, bills)
        foreign = factories.api(session, live=True, name="Foreign")
        factories.subscription(session, shop, foreign)
        key, _ = factories.key(session, shop)
        session.commit()
        logged.store(engine, tmp_path, logged.line(bills, shop, key))

        page = publisher.get(f"/approvals/{asked.id}").text

        for words in ("Show orders to customers.", "25,000 calls a day", "Sam Stranger", "#web-shop", "The Shop"):
            assert words in page
        assert "Billing" in page
        assert re.search(r'data-label="Calls in 30 days">1<', page)
        assert "Foreign" not in page
        assert "Elsewhere" not in page

    def test_looking_decides_nothing(self, publisher, session, asked):
        for _ in range(2):
            assert publisher.get(f"/approvals/{asked.id}?act=approve").status_code == 200
        session.rollback()
        assert asked.state == "waiting"

    def test_is_approved_until_the_end_of_a_day(self, publisher, session, cast, asked):
        day = (utcnow() + timedelta(days=30)).date()
        form = {"act": "approve", "until": day.isoformat(), "words": "For the trial."}

        answer = publisher.post(f"/approvals/{asked.id}", data=form)

        assert (answer.status_code, answer.location) == (303, "/approvals")
        session.rollback()
        use = asked.subscription
        assert (use.state, use.ends_at.date(), use.ends_at.hour) == ("approved", day + timedelta(days=1), 0)
        assert (asked.decided_by, asked.words) == (cast.publisher, "For the trial.")
        assert "For the trial." in publisher.get(f"/approvals/{asked.id}").text

    @pytest.mark.parametrize(
        ("form", "sentence"),
        [
            ({"act": "approve", "until": "2001-01-01"}, "This time has passed"),
            ({"act": "approve", "until": "soon"}, "Give a day"),
            ({"act": "approve", "until": "9999-12-31"}, "Choose an earlier day"),
            ({"act": "reject", "words": "  "}, "Say why"),
            ({"act": "reject", "words": "x" * 2001}, "At most 2,000 characters"),
        ],
    )
    def test_what_cannot_be_is_said_beside_the_field(self, publisher, session, asked, form, sentence):
        answer = publisher.post(f"/approvals/{asked.id}", data=form)

        assert answer.status_code == 422
        assert sentence in answer.text
        session.rollback()
        assert asked.state == "waiting"

    def test_the_second_is_told_who_was_first(self, publisher, session, cast, asked):
        registry.approve(session, asked, by=cast.owner)
        session.commit()

        answer = publisher.post(f"/approvals/{asked.id}", data={"act": "reject", "words": "No."})

        assert answer.status_code == 409
        assert "Olga Owner has approved this request already" in answer.text

    def test_of_a_retired_api_says_what_can_be_done(self, publisher, session, orders, asked):
        registry.deprecate(session, orders, at=utcnow(), sunset_at=None, successor=None, message="")
        registry.retire(session, orders)
        session.commit()

        assert "You can reject the request now" in publisher.get(f"/approvals/{asked.id}").text
        answer = publisher.post(f"/approvals/{asked.id}", data={"act": "approve"})
        assert (answer.status_code, "Orders is retired" in answer.text) == (409, True)

    def test_of_a_suspended_consumer_says_so(self, publisher, session, shop, asked):
        registry.suspend_consumer(session, shop)
        session.commit()

        assert "is suspended by its team" in publisher.get(f"/approvals/{asked.id}").text

    def test_of_another_team_nobody_may_know(self, publisher, session, asked):
        other = session.scalars(select(Approval.id).where(Approval.id != asked.id)).first()
        session.rollback()

        assert publisher.get(f"/approvals/{other}").status_code == 404
        assert publisher.post(f"/approvals/{other}", data={"act": "approve"}).status_code == 404

    def test_decided_ones_are_found_by_what_came_of_them(self, publisher, session, cast, asked):
        assert "Nothing was decided yet" in publisher.get("/approvals/decided").text
        registry.reject(session, asked, by=cast.owner, words="Too many calls.")
        session.commit()

        page = publisher.get("/approvals/decided").text
        assert "Too many calls." in page
        assert "Olga Owner" in page
        assert "Web shop" in publisher.get("/approvals/decided?state=rejected").text
        assert "No request fits" in publisher.get("/approvals/decided?state=approved").text


class TestLink:
    @pytest.fixture
    def link(self, app, session, asked) -> str:
        with app.app_context():
            return letters.approval_link(asked)

    def test_leads_who_decides_to_the_decision_and_who_asked_to_the_consumer(self, client, cast, asked, link):
        assert sign_in(client, cast.publisher).get(link).location == f"/approvals/{asked.id}"
        assert sign_in(client, cast.stranger).get(link).location == "/consumers/shop/app"
        assert sign_in(client, cast.developer).get(link).status_code == 404
        assert sign_in(client, None).get(link).location.startswith("/sign-in?next=")

    def test_decides_nothing_however_it_is_asked_for(self, publisher, session, asked, link):
        publisher.get(link)
        assert publisher.post(link).status_code == 405
        session.rollback()
        assert asked.state == "waiting"

    def test_another_one_or_an_old_one_is_dead(self, app, publisher, asked, link, monkeypatch):
        assert publisher.get(link[:-1]).status_code == 410
        other = URLSafeTimedSerializer(str(app.secret_key), salt="portico-invitation").dumps(asked.id)
        assert publisher.get(f"/approvals/link/{other}").status_code == 410
        monkeypatch.setattr(letters, "APPROVAL_LASTS", timedelta(seconds=-1))
        answer = publisher.get(link)
        assert answer.status_code == 410
        assert "open Approvals" in answer.text

    def test_of_what_is_gone_says_so(self, publisher, session, orders, link):
        registry.delete_api(session, orders)
        session.commit()

        assert publisher.get(link).status_code == 404


class TestMails:
    def told(self, session) -> list[Notice]:
        session.rollback()
        return list(session.scalars(select(Notice).order_by(Notice.id)))

    def test_those_who_decide_and_then_those_who_asked_are_told(self, client, session, cast, orders, gold, shop):
        session.commit()
        sign_in(client, cast.stranger).post(
            "/catalogue/cast/orders/v1/subscribe",
            data={"consumer": "shop/app", "plan": "gold", "purpose": "A shop for all.", "expected_calls": "5000"},
        )
        (request,) = self.told(session)
        assert (request.event, request.team) == ("subscription.requested", cast.team)
        assert "A shop for all." in request.text
        assert "5,000 calls a day" in request.text
        assert "Sam Stranger" not in request.text
        decision = sign_in(client, cast.publisher).get(request.link).location

        client.post(decision, data={"act": "reject", "words": "Use the export."})

        told = [each for each in self.told(session) if each.event == "subscription.rejected"]
        assert {each.team or each.person for each in told} == {shop.team, cast.stranger}
        assert all("Use the export." in each.text for each in told)
        assert sign_in(client, cast.stranger).get(told[0].link).location == "/consumers/shop/app"

    def test_nobody_is_asked_about_a_plan_that_needs_no_approval(self, client, session, cast, orders, shop):
        session.commit()
        sign_in(client, cast.stranger).post(
            "/catalogue/cast/orders/v1/subscribe", data={"consumer": "shop/app", "plan": "free"}
        )
        assert self.told(session) == []


class TestReview:
    @pytest.fixture
    def use(self, session, orders, shop) -> Subscription:
        use = factories.subscription(session, shop, orders)
        use.starts_at = utcnow() - timedelta(days=100)
        fresh = factories.subscription(session, factories.consumer(session, name="Fresh"), orders)
        assert fresh.state == "approved"
        foreign = factories.subscription(session, shop, factories.api(session, live=True, name="Foreign"))
        foreign.starts_at = utcnow() - timedelta(days=100)
        session.commit()
        return use

    @pytest.fixture
    def publisher(self, client, cast, use):
        return sign_in(client, cast.publisher)

    def test_lists_what_is_old_enough_and_made_no_call(self, publisher, session, engine, tmp_path, orders, shop, use):
        page = publisher.get("/approvals/review").text
        assert "Web shop" in page
        assert "Fresh" not in page
        assert "Foreign" not in page

        key, _ = factories.key(session, shop)
        session.commit()
        logged.store(engine, tmp_path, logged.line(orders, shop, key, ago=timedelta(days=20)))

        assert "Nothing to review" in (page := publisher.get("/approvals/review?days=90").text)
        assert "All 2 subscriptions to your APIs have made a call in the last 90 days" in page
        assert "Web shop" in publisher.get("/approvals/review?days=14").text
        assert "No subscription fits" in publisher.get("/approvals/review?days=14&q=none").text

    def test_without_any_subscription_it_says_so(self, client, session, cast, orders, shop):
        foreign = factories.api(session, live=True)
        factories.subscription(session, shop, foreign)
        session.commit()

        page = sign_in(client, cast.publisher).get("/approvals/review").text

        assert "No subscription of your APIs yet" in page
        assert 'name="days"' not in page

    def test_notice_is_given_and_withdrawn(self, publisher, session, shop, use):
        day = (utcnow() + timedelta(days=10)).date()
        form = {"subscription": use.id, "until": day.isoformat()}

        assert publisher.post("/approvals/review", data=form | {"act": "notice"}).status_code == 303

        session.rollback()
        assert use.noticed_at is not None
        assert use.ends_at.date() == day + timedelta(days=1)
        (told,) = session.scalars(select(Notice))
        assert (told.event, told.team) == ("subscription.ending", shop.team)
        assert "Under notice" in publisher.get("/approvals/review").text

        assert publisher.post("/approvals/review", data=form | {"act": "withdraw"}).status_code == 303
        session.rollback()
        assert (use.noticed_at, use.ends_at) == (None, None)

    def test_needs_a_choice_and_a_day_that_comes(self, publisher, session, use):
        for form, sentence in (
            ({}, "No subscription is chosen"),
            ({"subscription": use.id}, "Choose the last day"),
            ({"subscription": use.id, "until": "2001-01-01"}, "This time has passed"),
        ):
            answer = publisher.post("/approvals/review", data=form)
            assert (answer.status_code, sentence in answer.text) == (422, True)
        session.rollback()
        assert use.noticed_at is None

    def test_others_subscriptions_cannot_be_slipped_in(self, publisher, session, use):
        foreign = session.scalars(select(Subscription).join(Subscription.api).where(Api.name == "Foreign")).one()
        session.rollback()
        publisher.post("/approvals/review", data={"subscription": foreign.id, "until": "2090-01-01"})

        session.rollback()
        assert foreign.noticed_at is None


class TestSubscriber:
    @pytest.fixture
    def use(self, session, orders, shop) -> Subscription:
        use = factories.subscription(session, shop, orders)
        session.commit()
        return use

    @pytest.fixture
    def publisher(self, client, cast, use):
        return sign_in(client, cast.publisher)

    def test_is_seen_by_developers_and_changed_by_publishers(self, client, session, cast, use):
        sign_in(client, cast.developer)
        assert "Suspend subscription" not in client.get(f"{U}/{use.id}").text
        assert client.post(f"{U}/{use.id}", data={"act": "suspend", "words": "No."}).status_code == 403
        sign_in(client, cast.publisher)
        assert "Suspend subscription" in client.get(f"{U}/{use.id}").text

    def test_is_suspended_with_a_reason_that_its_team_reads_and_resumed(self, publisher, session, cast, use):
        assert publisher.post(f"{U}/{use.id}", data={"act": "suspend"}).status_code == 422
        assert publisher.post(f"{U}/{use.id}", data={"act": "suspend", "words": "Too many errors."}).status_code == 303
        assert "Too many errors." in publisher.get(f"{U}/{use.id}").text
        assert "Too many errors." in sign_in(publisher, cast.stranger).get("/consumers/shop/app").text
        sign_in(publisher, cast.publisher)
        assert publisher.post(f"{U}/{use.id}", data={"act": "resume"}).status_code == 303
        session.rollback()
        assert use.state == "approved"

    def test_gets_another_plan_and_a_last_day_which_saving_again_keeps(self, publisher, session, use):
        publisher.post(f"{U}/{use.id}", data={"act": "plan", "plan": "gold"})
        day = (utcnow() + timedelta(days=20)).date()
        publisher.post(f"{U}/{use.id}", data={"act": "until", "until": day.isoformat()})
        session.rollback()
        assert (use.plan.slug, use.approved_until.date()) == ("gold", day + timedelta(days=1))

        assert f'value="{day.isoformat()}"' in publisher.get(f"{U}/{use.id}").text
        publisher.post(f"{U}/{use.id}", data={"act": "until", "until": ""})
        session.rollback()
        assert use.ends_at is None

    @pytest.mark.parametrize(
        ("form", "status"),
        [
            ({"act": "plan", "plan": "none"}, 422),
            ({"act": "until", "until": "2001-01-01"}, 422),
            ({"act": "until", "until": "soon"}, 422),
            ({"act": "dance"}, 400),
            ({}, 400),
        ],
    )
    def test_what_cannot_be_is_refused(self, publisher, session, use, form, status):
        assert publisher.post(f"{U}/{use.id}", data=form).status_code == status

    def test_is_ended_after_a_question(self, publisher, session, use):
        assert "not_subscribed" in publisher.get(f"{U}/{use.id}/end").text
        session.rollback()
        assert use.state == "approved"
        assert publisher.post(f"{U}/{use.id}/end").status_code == 303
        session.rollback()
        assert use.state == "ended"

    def test_of_another_api_is_not_found(self, publisher, session, cast, use):
        other = factories.api(session, team=cast.team, slug="bills", live=True)
        session.commit()
        assert publisher.get(f"/apis/cast/{other.slug}/v1/subscribers/{use.id}").status_code == 404

    def test_is_let_in_by_its_id_without_being_asked(self, publisher, session, cast, orders):
        guest = factories.consumer(session, name="Guest")
        session.commit()

        answer = publisher.post(f"{U}/new", data={"consumer": f" {guest.public_id} ", "plan": "gold"})

        assert answer.status_code == 303
        session.rollback()
        (use,) = guest.subscriptions
        assert (use.state, use.plan.slug, use.approvals) == ("approved", "gold", [])
        again = publisher.post(f"{U}/new", data={"consumer": guest.public_id, "plan": "gold"})
        assert (again.status_code, "Guest already uses Orders" in again.text) == (409, True)

    @pytest.mark.parametrize(
        ("form", "sentence"),
        [
            ({"consumer": "con_none"}, "No consumer has this id"),
            ({"consumer": ""}, "Give the id of the consumer"),
            ({"plan": "none"}, "does not offer this plan"),
            ({"plan": ""}, "Choose a plan."),
            ({"until": "2001-01-01"}, "This time has passed"),
        ],
    )
    def test_who_cannot_be_let_in_is_told(self, publisher, session, form, sentence):
        guest = factories.consumer(session)
        session.commit()
        answer = publisher.post(f"{U}/new", data={"consumer": guest.public_id, "plan": "gold"} | form)

        assert (answer.status_code, sentence in answer.text) == (422, True)
        session.rollback()
        assert guest.subscriptions == []


def test_a_publisher_of_a_team_that_may_not_publish_any_more_still_decides(client, session, cast, asked):
    cast.team.may_publish = False
    other = factories.member(session, cast.team, Role.PUBLISHER)
    session.commit()
    sign_in(client, other)

    assert 'aria-label="1 waiting"' in client.get("/approvals").text
    assert client.post(f"/approvals/{asked.id}", data={"act": "approve"}).status_code == 303
