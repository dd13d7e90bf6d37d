"""Home: is anything wrong, and what to do first."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import event

from portal import registry, sample
from portal.db import db, utcnow
from portal.gateway.models import Node
from portal.registry.models import Revision, SubscriptionState
from tests import factories
from tests.conftest import sign_in
from tests.web import logged


@pytest.fixture
def own(session, cast):
    """An API and a consumer of the team, and the same of another team, both with calls of their own."""
    other = factories.team(session)
    things = {
        "api": factories.api(session, team=cast.team, live=True, slug="orders", name="Orders"),
        "consumer": factories.consumer(session, team=cast.team, slug="shop", name="Shop"),
        "foreign_api": factories.api(session, team=other, live=True, slug="stock", name="Stock"),
        "foreign_consumer": factories.consumer(session, team=other, slug="depot", name="Depot"),
    }
    session.commit()
    return things


def home(client, person, query=""):
    answer = sign_in(client, person).get(f"/{query}")
    assert answer.status_code == 200, answer.text
    return answer.text


def tile(page, label):
    """What a tile says, without markup; '' when there is none."""
    found = re.search(rf'<p class="stat-label">{label}</p>(.*?)</div>', page, re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", found[1]).split()) if found else ""


class TestNewcomer:
    def test_is_led_to_a_first_call(self, client, cast):
        page = home(client, cast.stranger)

        assert "Make a consumer" in page
        assert 'href="/consumers/new' in page
        assert "chart-canvas" not in page

    def test_sees_what_is_done_and_what_comes_next(self, client, session, cast):
        factories.consumer(session, team=cast.stranger.teams[0], slug="mine")
        session.commit()

        page = home(client, cast.stranger)

        assert page.count('aria-label="Done"') == 1
        assert 'href="/catalogue">Find an API</a>' in page

    def test_who_may_publish_is_invited_to(self, client, cast):
        assert "Register an API" in home(client, cast.publisher)
        assert "Register an API" not in home(client, cast.developer)


class TestNumbers:
    def test_count_own_calls_only(self, client, cast, own, engine, tmp_path):
        logged.store(
            engine,
            tmp_path,
            logged.line(own["api"], own["foreign_consumer"]),
            logged.line(own["foreign_api"], own["consumer"]),
            logged.line(own["foreign_api"], own["foreign_consumer"], st=500),
        )

        assert tile(home(client, cast.publisher), "Calls").startswith("2")
        assert tile(home(client, cast.developer), "Calls").startswith("1")
        assert tile(home(client, cast.administrator), "Calls").startswith("3")
        assert "Depot" in home(client, cast.publisher), "a publisher may know who calls"
        assert "Depot" not in home(client, cast.developer)

    def test_lead_to_exactly_their_calls(self, client, cast, own, engine, tmp_path):
        logged.store(
            engine,
            tmp_path,
            logged.line(own["api"]),
            logged.line(own["api"], st=404),
            logged.line(own["api"], st=429, rs="rate_limited", **logged.REFUSED),
            logged.line(own["foreign_api"], st=404),
            logged.line(own["api"], st=404, ago=timedelta(days=3)),
        )
        page = home(client, cast.owner, "?window=24h")

        link = re.search(r'href="(/calls[^"]*status=4xx[^"]*)"', page)[1].replace("&amp;", "&")

        assert client.get(link).text.count('id="call-') == 1

    def test_have_no_percentiles_of_few_calls(self, client, cast, own, engine, tmp_path):
        logged.store(engine, tmp_path, *(logged.line(own["api"]) for _ in range(19)))
        assert tile(home(client, cast.owner), "p95") == "– n = 19"

        logged.store(engine, tmp_path, logged.line(own["api"]))
        assert re.match(r"12\D+ms", tile(home(client, cast.owner), "p95"))

    def test_do_not_compare_with_a_time_before_there_were_calls(self, client, cast, own, engine, tmp_path):
        times = [timedelta(hours=30), *[timedelta(minutes=5)] * 2]
        logged.store(engine, tmp_path, *(logged.line(own["api"], ago=ago) for ago in times))

        page = home(client, cast.owner, "?window=24h")

        assert tile(page, "Calls") == "2"
        assert "nothing earlier to compare with" in page

    def test_compare_with_the_period_before(self, client, cast, own, engine, tmp_path):
        times = [timedelta(days=4), timedelta(hours=30), *[timedelta(minutes=5)] * 2]
        logged.store(engine, tmp_path, *(logged.line(own["api"], ago=ago) for ago in times))

        assert "+100" in tile(home(client, cast.owner, "?window=24h"), "Calls")


class TestWindow:
    def test_without_calls_leads_to_a_longer_one(self, client, cast, own, engine, tmp_path):
        logged.store(engine, tmp_path, logged.line(own["api"], ago=timedelta(hours=3)))

        page = home(client, cast.owner, "?window=1h")

        assert "No calls in this time" in page
        assert 'href="/?window=24h">Look at 24 hours' in page

    def test_is_an_hour_while_everything_fits_into_it(self, client, cast, own, engine, tmp_path):
        logged.store(engine, tmp_path, logged.line(own["api"], ago=timedelta(minutes=20)))
        assert re.search(r'aria-current="true"[^>]*>1h<', home(client, cast.owner))

    def test_is_a_day_after_that(self, client, cast, own, engine, tmp_path):
        logged.store(engine, tmp_path, logged.line(own["api"], ago=timedelta(hours=3)))
        assert re.search(r'aria-current="true"[^>]*>24h<', home(client, cast.owner))

    def test_of_another_length_is_refused(self, client, cast):
        answer = sign_in(client, cast.owner).get("/?window=2y")
        assert answer.status_code == 400
        assert "There is no window 2y" in answer.text


def test_refresh_answers_the_same_fragment(client, cast, own, engine, tmp_path):
    logged.store(engine, tmp_path, *(logged.line(own["api"]) for _ in range(20)))
    page = home(client, cast.owner)

    fragment = client.get("/", headers={"HX-Request": "true"}).text

    assert "<html" not in fragment
    assert fragment.count("chart-canvas") == page.count("chart-canvas") == 3


def test_latency_is_not_drawn_of_few_calls(client, cast, own, engine, tmp_path):
    logged.store(engine, tmp_path, logged.line(own["api"]))
    assert "No step here has as many." in home(client, cast.owner)


def test_last_step_of_a_chart_is_marked_as_not_complete(client, cast, own, engine, tmp_path):
    logged.store(engine, tmp_path, *(logged.line(own["api"]) for _ in range(20)))
    assert home(client, cast.owner).count("(not complete)") == 3


def test_api_that_nobody_called_has_a_state(client, session, cast, own, engine, tmp_path):
    factories.api(session, team=cast.team, name="Quiet one")
    session.commit()
    logged.store(engine, tmp_path, logged.line(own["api"]))

    assert re.search(r"Quiet one.*?draft", home(client, cast.owner), re.S)


class TestAttention:
    @pytest.fixture
    def node(self, session, own):
        problems = [
            {"api": own["api"].label, "sentence": "orders.example does not resolve."},
            {"api": own["foreign_api"].label, "sentence": "stock.example does not resolve."},
            {"api": "", "sentence": "The disk is full."},
        ]
        revision = session.get(Revision, 1).n
        row = Node(name="node-1", instance_id="x", state="troubled", revision=revision, problems=problems)
        session.add(row)
        session.commit()
        return row

    def test_of_publishers_is_what_concerns_their_apis(self, client, cast, node):
        page = home(client, cast.publisher)

        assert "orders.example does not resolve." in page
        assert "stock.example" not in page
        assert "The disk is full." not in page

    def test_one_host_that_is_away_is_one_thing(self, client, session, cast, own, node):
        others = [factories.api(session, team=cast.team, live=True, name=f"Other {n}") for n in range(9)]
        node.problems = [
            {"api": api.label, "sentence": "orders.example does not resolve."} for api in (own["api"], *others)
        ]
        session.commit()

        page = home(client, cast.publisher)

        assert page.count("orders.example does not resolve.") == 1
        assert "One thing needs your attention" in page
        [matter] = re.findall(r"<li>.*?orders\.example", page, re.S)
        assert matter.count('<a href="/apis/cast/') == 6
        assert "and 4 more: orders.example" in matter

    def test_of_administrators_is_everything(self, client, cast, node):
        page = home(client, cast.administrator)

        assert "3 things need your attention" in page
        assert "is live on 1 of 1 node" in page

    def test_a_silent_node_is_told(self, client, session, cast, node):
        node.seen_at = utcnow() - timedelta(minutes=4)
        session.commit()

        page = home(client, cast.administrator)

        assert "Nothing was heard from it for 4 min." in page
        assert "is live on 0 of 1 node" in page

    def test_a_paused_api_and_an_ending_key_are_told(self, client, session, cast, own):
        registry.pause(session, own["api"])
        key, _ = factories.key(session, own["consumer"], label="laptop", expires_at=utcnow() + timedelta(days=2))
        factories.key(session, own["foreign_consumer"], expires_at=utcnow() + timedelta(days=3))
        session.commit()

        page = home(client, cast.publisher)

        assert "It is paused." in page
        assert "expires in 1 day" in page
        assert f'href="/consumers/cast/shop/keys/{key.public_id}">pco_{key.public_id[:6]}… “laptop”</a>' in page
        assert "2 things need your attention" in page

    def test_requests_that_wait_are_told_to_who_decides(self, client, session, cast, own):
        for _ in range(2):
            factories.approval(session, factories.consumer(session), own["api"])
        factories.approval(session, factories.consumer(session), own["foreign_api"])
        session.commit()

        page = home(client, cast.publisher)

        assert '<a href="/approvals">Approvals</a>: 2 requests wait for your decision.' in page
        assert "3 requests wait for your decision." in home(client, cast.administrator)
        assert "for your decision" not in home(client, cast.developer)

    def test_the_end_of_an_api_is_told_to_its_team_and_to_who_uses_it(self, client, session, cast, own):
        now = utcnow()
        factories.subscription(session, own["foreign_consumer"], own["api"])
        registry.deprecate(
            session,
            own["api"],
            at=now - timedelta(days=90),
            sunset_at=now - timedelta(days=1),
            successor=None,
            message="",
        )
        session.commit()
        user = next(each.person for each in own["foreign_consumer"].team.memberships)

        assert "Its last day has passed, and calls still go through." in home(client, cast.publisher)
        theirs = home(client, user)
        assert "which it uses, is deprecated; its last day was" in theirs
        assert "calls still go through" not in theirs

    def test_says_when_there_is_nothing(self, client, cast, own, engine, tmp_path):
        logged.store(engine, tmp_path, logged.line(own["api"]))
        assert "Nothing needs your attention" in home(client, cast.publisher)


def test_administrators_may_remove_the_sample_while_there_is_one(client, session, cast):
    assert "Remove sample" not in home(client, cast.administrator)

    sample.create(session, "http://127.0.0.1:9", by=cast.administrator)
    session.commit()

    assert "Remove sample" in home(client, cast.administrator)
    assert "Remove sample" not in home(client, cast.owner)


class TestOwnConsumers:
    """What a developer has: keys with their use, quotas, what waits for a decision."""

    def card(self, page: str) -> str:
        found = re.search(r'<section class="card" id="own".*?</section>', page, re.S)
        return " ".join(re.sub(r"<[^>]+>", " ", found[0]).split()) if found else ""

    def test_keys_stand_with_their_calls_the_most_used_first(self, client, session, cast, own, engine, tmp_path):
        busy, _ = factories.key(session, own["consumer"], label="Till 1")
        factories.key(session, own["consumer"], label="Till 2")
        dead, _ = factories.key(session, own["consumer"], label="Till 3")
        foreign, _ = factories.key(session, own["foreign_consumer"], label="Theirs")
        dead.revoked_at = utcnow()
        session.commit()
        logged.store(
            engine,
            tmp_path,
            *(logged.line(own["foreign_api"], own["consumer"], busy) for _ in range(3)),
            logged.line(own["foreign_api"], own["foreign_consumer"], foreign),
        )

        said = self.card(home(client, cast.developer))

        assert re.search(r"Shop The Cast Till 1 \S+ 3 Till 2 \S+ 0 3 no subscription", said), said
        assert "Till 3" not in said
        assert "Theirs" not in said

    def test_quotas_and_requests_that_wait_are_there(self, client, session, cast, own):
        plan = factories.plan(session, team=own["foreign_api"].team, quota_month=1_000)
        factories.subscription(session, own["consumer"], own["foreign_api"], plan=plan)
        asked = factories.subscription(session, own["consumer"], own["api"])
        asked.state = SubscriptionState.PENDING
        session.commit()

        said = self.card(home(client, cast.developer))

        assert "Stock v1 This month" in said
        assert "of 1 k" in said.replace("\u202f", " ")
        assert "Waits Orders v1: nobody has decided yet" in said

    def test_many_are_cut_and_counted(self, client, session, cast, own):
        for number in range(20):
            factories.consumer(session, team=cast.team, slug=f"more-{number}", name=f"More {number:02}")
        session.commit()

        said = self.card(home(client, cast.developer))

        assert "All 21 consumers" in said
        assert said.count("no key that works") == 8

    def test_who_has_none_has_no_card_and_administrators_neither(self, client, cast, own):
        assert self.card(home(client, cast.stranger)) == ""
        assert self.card(home(client, cast.administrator)) == ""

    def test_it_costs_no_more_statements_with_many_consumers(self, app, client, session, cast, own):
        browser, asked = sign_in(client, cast.developer), []
        with app.app_context():
            event.listen(db.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
        browser.get("/")
        few = len(asked)
        for number in range(7):
            consumer = factories.consumer(session, team=cast.team, slug=f"more-{number}")
            factories.key(session, consumer)
            factories.subscription(session, consumer, own["foreign_api"])
        session.commit()
        asked.clear()
        browser.get("/")

        assert len(asked) <= few + 6, asked


class TestFirstCall:
    def test_the_steps_turn_green_and_are_gone_the_next_day(self, client, session, cast, own, engine, tmp_path):
        key, _ = factories.key(session, own["consumer"])
        factories.subscription(session, own["consumer"], own["foreign_api"])
        session.commit()
        assert home(client, cast.developer).count('aria-label="Done"') == 3

        logged.store(engine, tmp_path, logged.line(own["foreign_api"], own["consumer"], key))
        page = home(client, cast.developer)
        assert page.count('aria-label="Done"') == 4
        assert "All is done" in page

        own["consumer"].created_at = utcnow() - timedelta(days=2)
        session.commit()
        assert 'aria-label="Done"' not in home(client, cast.developer)
