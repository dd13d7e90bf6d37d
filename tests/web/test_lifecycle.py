"""Pages of how an API ends, of who may see it, and of its next version."""

import json
import re
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from portal import registry
from portal.accounts import Role
from portal.db import db, utcnow
from portal.registry.models import Api, Subscription, Visibility
from tests import factories
from tests.conftest import sign_in
from tests.letters import delivered

A = "/apis/cast/orders/v1"


@pytest.fixture
def orders(session, cast) -> Api:
    api = factories.api(session, team=cast.team, slug="orders", name="Orders", live=True)
    registry.offer_plans(session, api, [factories.plan(session, team=cast.team, slug="gold", name="Gold")])
    session.commit()
    return api


@pytest.fixture
def shop(session, orders):
    """Another team that uses it with one consumer; its owner has confirmed their address."""
    owner = factories.person(session, name="Sue Shopkeeper", confirmed_at=utcnow())
    team = factories.team(session, owner=owner, slug="shop", name="The Shop")
    factories.subscription(session, factories.consumer(session, team=team, slug="web", name="Web shop"), orders)
    session.commit()
    return team


@pytest.fixture
def publisher(client, cast):
    return sign_in(client, cast.publisher)


def stored(session, version: str = "v1") -> Api:
    session.rollback()
    return session.scalars(select(Api).where(Api.slug == "orders", Api.version == version)).one()


def owner_of(team):
    return next(each.person for each in team.memberships if each.role is Role.OWNER)


def deprecate(client, **values):
    return client.post(f"{A}/lifecycle", data=values)


class TestDeprecate:
    def test_callers_and_their_owners_are_told(self, app, publisher, session, cast, orders, shop):
        new = factories.api(session, team=cast.team, slug="orders", version="v2", name="Orders", live=True)
        session.commit()
        assert f'value="{new.label}"' in publisher.get(f"{A}/lifecycle").text

        answer = deprecate(publisher, sunset="2099-12-31", successor=new.label, message="Faster.", close="1")

        assert answer.status_code == 303
        api = stored(session)
        assert (api.state, api.closed, api.successor.label) == ("deprecated", True, new.label)
        assert api.sunset_at == datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC)
        (mail,) = [each for each in delivered(app) if each["To"] == owner_of(shop).email]
        text = mail.get_content()
        for word in ("Orders v1", "2099-12-31", "Orders v2", "Faster.", "Web shop"):
            assert word in text

    def test_whoever_does_it_gets_no_mail(self, app, client, session, cast, orders):
        factories.subscription(session, factories.consumer(session, team=cast.team), orders)
        session.commit()
        deprecate(sign_in(client, cast.owner))

        assert delivered(app) == []

    def test_an_address_that_nobody_confirmed_gets_no_names(self, app, publisher, session, orders, shop):
        owner_of(shop).confirmed_at = None
        session.commit()
        deprecate(publisher, message="Buy this.")

        (mail,) = delivered(app)
        assert "Orders" not in mail.get_content()
        assert "Buy this." not in mail.get_content()

    def test_only_what_concerns_callers_is_mailed_again(self, app, publisher, session, orders, shop):
        deprecate(publisher, sunset="2099-12-31", message="Faster.")
        delivered(app)
        since = stored(session).deprecated_at

        deprecate(publisher, since=f"{since:%Y-%m-%d}", sunset="2099-12-31", message="Faster.")
        assert delivered(app) == []
        deprecate(publisher, since=f"{since:%Y-%m-%d}", sunset="2098-12-31", message="Faster.")

        assert [each["Subject"] for each in delivered(app)] == ["The end of an API that you use has changed"]
        assert stored(session).deprecated_at == since

    @pytest.mark.parametrize(
        ("typed", "field", "sentence"),
        [
            ({"sunset": "2001-01-01"}, "sunset", "Choose a day that is still to come."),
            ({"sunset": "tomorrow"}, "sunset", "Give a day"),
            ({"since": "2099-01-01", "sunset": "2098-01-01"}, "sunset", "It cannot end before it is deprecated."),
            ({"sunset": "0000-00-00"}, "sunset", "Give a day"),
            ({"sunset": "9999-12-31"}, "sunset", "Choose an earlier day"),
            ({"since": "0001-01-01"}, "since", "Choose a day that is not so far away."),
            ({"successor": "cast/orders/v9"}, "successor", "There is no published API cast/orders/v9"),
            ({"successor": "v9"}, "successor", "Write team/slug/version."),
            ({"successor": "cast/orders/v1"}, "successor", "An API cannot succeed itself."),
            ({"message": "x" * 3000}, "message", "At most 2,000 characters fit here."),
        ],
    )
    def test_what_makes_no_sense(self, publisher, session, orders, typed, field, sentence):
        answer = deprecate(publisher, **{"message": "Kept."} | typed)

        assert answer.status_code == 422
        assert re.search(f'id="{field}-error">.*?{re.escape(sentence)}', answer.text, re.DOTALL)
        assert typed.get("message", "Kept.") in answer.text
        assert stored(session).state == "published"

    def test_a_successor_that_one_may_not_know_of(self, publisher, session, orders):
        hidden = factories.api(session, live=True, slug="hidden")
        registry.set_visibility(session, hidden, Visibility.TEAM)
        session.commit()

        assert hidden.label not in publisher.get(f"{A}/lifecycle").text
        assert deprecate(publisher, successor=hidden.label).status_code == 422

    def test_a_hidden_successor_that_callers_are_not_told_of(self, publisher, session, cast, orders):
        hidden = factories.api(session, team=cast.team, slug="hidden", live=True)
        registry.set_visibility(session, hidden, Visibility.TEAM)
        session.commit()

        deprecate(publisher, successor=hidden.label)

        assert f"Answers of the gateway do not name {hidden.label}" in publisher.get(f"{A}/lifecycle").text
        assert "told to use" not in publisher.get(f"{A}/lifecycle/retire").text

    def test_two_that_name_each_other(self, publisher, session, cast, orders):
        other = factories.api(session, team=cast.team, slug="bills", live=True)
        registry.deprecate(session, other, at=utcnow(), sunset_at=None, successor=orders, message="")
        session.commit()

        assert "names this very API as its successor" in deprecate(publisher, successor="cast/bills/v1").text

    def test_a_draft_has_no_end(self, publisher, session, cast):
        factories.api(session, team=cast.team, slug="bills")
        session.commit()

        assert "Not published" in publisher.get("/apis/cast/bills/v1/lifecycle").text
        answer = publisher.post("/apis/cast/bills/v1/lifecycle", data={})
        assert answer.status_code == 409


class TestSteps:
    def press(self, client, act: str, **data):
        return client.post(f"{A}/lifecycle/{act}", data=data)

    def test_to_the_end_and_back(self, app, publisher, session, orders, shop):
        assert self.press(publisher, "retire", confirm="orders").status_code == 409
        deprecate(publisher)
        assert self.press(publisher, "retire", confirm="wrong").status_code == 422
        assert "1 consumer is subscribed" in publisher.get(f"{A}/lifecycle/retire").text
        delivered(app)

        assert self.press(publisher, "retire", confirm="orders").status_code == 303
        assert stored(session).state == "retired"
        assert [each["Subject"] for each in delivered(app)] == ["An API that you use is retired"]
        assert "410 <code>api_retired</code>" in publisher.get(A).text
        assert self.press(publisher, "withdraw").status_code == 409
        self.press(publisher, "revive")
        assert stored(session).state == "deprecated"
        self.press(publisher, "withdraw")
        assert stored(session).state == "published"
        assert [each["Subject"] for each in delivered(app)] == ["An API that you use goes on"]

    def test_new_subscriptions(self, publisher, session, orders):
        self.press(publisher, "close")
        assert stored(session).closed
        assert "It takes none." in publisher.get(f"{A}/lifecycle").text
        self.press(publisher, "reopen")
        assert not stored(session).closed

    def test_developers_look_only(self, client, cast, orders):
        developer = sign_in(client, cast.developer)

        page = developer.get(f"{A}/lifecycle").text
        assert "Deprecate API" not in page
        assert "Calls in 30 days" not in page
        assert deprecate(developer).status_code == 403

    def test_the_list_finds_each_state(self, publisher, session, cast, orders):
        for slug, steps in {
            "draft": None,
            "published": [],
            "paused": [registry.pause],
            "deprecated": ["deprecate"],
            "retired": ["deprecate", registry.retire],
        }.items():
            api = factories.api(session, team=cast.team, slug=slug, name=f"Is {slug}", live=steps is not None)
            for step in steps or ():
                if step == "deprecate":
                    registry.deprecate(session, api, at=utcnow(), sunset_at=None, successor=None, message="")
                else:
                    step(session, api)
        session.commit()

        for state in ("draft", "published", "paused", "deprecated", "retired"):
            found = re.findall(r">Is (\w+)<", publisher.get(f"/apis?state={state}").text)
            assert found == [state]


class TestRemaining:
    def test_who_is_subscribed(self, publisher, session, orders, shop):
        page = publisher.get(f"{A}/lifecycle").text

        assert "Web shop" in page
        assert "The Shop" in page
        assert "never" in page

    def test_nobody(self, publisher, orders):
        assert "Nobody uses it" in publisher.get(f"{A}/lifecycle").text


class TestSubscribing:
    def test_a_hidden_api_is_neither_listed_nor_found(self, client, session, cast, orders, shop):
        owner = sign_in(client, owner_of(shop))
        app = factories.consumer(session, team=shop, slug="app")
        session.commit()
        choose = f"/consumers/shop/{app.slug}/subscriptions/new"
        assert "Orders" in owner.get(choose).text

        registry.set_visibility(session, orders, Visibility.TEAM)
        session.commit()

        assert "Orders" not in owner.get(choose).text
        assert owner.get(f"{choose}?api=cast/orders/v1").status_code == 404
        answer = owner.post("/catalogue/cast/orders/v1/subscribe", data={"consumer": "shop/app", "plan": "gold"})
        assert answer.status_code == 404
        assert "Orders" not in answer.text

    def test_a_closed_api_says_so(self, client, session, cast, orders, shop):
        owner = sign_in(client, owner_of(shop))
        factories.consumer(session, team=shop, slug="app")
        registry.close(session, orders)
        session.commit()
        choose = "/consumers/shop/app/subscriptions/new"

        assert "cast/orders/v1" not in owner.get(choose).text
        assert owner.get(f"{choose}?api=cast/orders/v1").status_code == 303
        subscribe = "/catalogue/cast/orders/v1/subscribe"
        assert "closed to new subscriptions" in owner.get(subscribe).text
        assert owner.post(subscribe, data={"consumer": "shop/app", "plan": "gold"}).status_code == 409


class TestVisibility:
    def save(self, client, **values):
        return client.post(f"{A}/visibility", data=values)

    def test_it_is_so_at_once(self, publisher, session, orders):
        factories.team(session, slug="friends", name="Friends")
        session.commit()

        answer = self.save(publisher, visibility="chosen", others="friends")

        assert answer.status_code == 303
        api = stored(session)
        assert (api.visibility, [team.slug for team in api.viewers]) == (Visibility.CHOSEN, ["friends"])
        assert "Friends" in publisher.get(A).text
        assert re.search(
            r'value="friends"[^>]*checked|checked[^>]*value="friends"', publisher.get(f"{A}/visibility").text
        )

    def test_who_loses_sight_is_named_first(self, publisher, session, orders, shop):
        first = self.save(publisher, visibility="team")

        assert first.status_code == 409
        assert "The Shop, with 1 consumer" in first.text
        assert stored(session).visibility is Visibility.SIGNED_IN
        (mark,) = re.findall(r'name="agreed" value="(\w+)"', first.text)
        assert self.save(publisher, visibility="team", agreed=mark).status_code == 303
        assert stored(session).visibility is Visibility.TEAM
        assert session.scalars(select(Subscription)).one().state == "approved"

    @pytest.mark.parametrize(
        ("typed", "sentence"),
        [
            ({"visibility": "chosen"}, "Choose at least one team"),
            ({"visibility": "chosen", "others": "nobody-here"}, "There is no team nobody-here"),
            ({"visibility": "secret"}, "Not a valid choice"),
            ({}, "Not a valid choice"),
        ],
    )
    def test_what_makes_no_sense(self, publisher, session, orders, typed, sentence):
        answer = self.save(publisher, **typed)

        assert answer.status_code == 422
        assert sentence in answer.text
        assert stored(session).visibility is Visibility.SIGNED_IN

    def test_personal_teams_cannot_be_told_from_none(self, publisher, session, cast, orders):
        personal = cast.stranger.teams[0].slug
        answer = self.save(publisher, visibility="chosen", others=personal)

        assert f"There is no team {personal}" in answer.text


class TestVersions:
    def test_a_draft_beside_the_old_one(self, publisher, session, orders):
        answer = publisher.post(f"{A}/new-version", data={"version": "v2", "path": ""})

        assert answer.location == "/apis/cast/orders/v2"
        new = stored(session, "v2")
        assert (new.state, new.draft["path"]) == ("draft", "/orders/v2")
        assert "/apis/cast/orders/v1" in publisher.get("/apis/cast/orders/v2").text

    @pytest.mark.parametrize(
        ("version", "path", "field"),
        [("v1", "/x", "version"), ("V 2", "/x", "version"), ("v2", "x y", "path"), ("", "", "version")],
    )
    def test_what_makes_no_sense(self, publisher, orders, version, path, field):
        answer = publisher.post(f"{A}/new-version", data={"version": version, "path": path})

        assert answer.status_code in {409, 422}
        assert f'id="{field}-error"' in answer.text

    @pytest.fixture
    def next(self, session, orders) -> Api:
        made = registry.new_version(session, orders, version="v2", path="/orders/v2", by=None)
        session.flush()
        registry.publish(session, made, by=None, expected=1)
        session.commit()
        return made

    CARRY = "/apis/cast/orders/v2/carry"

    def test_consumers_are_carried_over(self, app, publisher, session, orders, shop, next):
        assert "/apis/cast/orders/v2/carry?from=v1" in publisher.get("/apis/cast/orders/v2/releases/1?since=1").text
        page = publisher.get(f"{self.CARRY}?from=v1").text
        assert "Web shop" in page
        (number,) = re.findall(r'name="subscription" value="(\d+)" checked', page)

        answer = publisher.post(f"{self.CARRY}?from=v1", data={"subscription": number, "then": "deprecate"})

        assert answer.location == "/apis/cast/orders/v1/lifecycle?successor=cast/orders/v2"
        session.rollback()
        assert {each.api.version for each in session.scalars(select(Subscription))} == {"v1", "v2"}
        (mail,) = delivered(app)
        assert "Orders v2" in mail.get_content()
        assert "Web shop" in mail.get_content()
        assert 'value="cast/orders/v2"' in publisher.get(answer.location).text
        assert "Nobody to carry over" in publisher.get(f"{self.CARRY}?from=v1").text

    def test_another_plan_where_the_same_is_not_offered(self, publisher, session, cast, orders, shop, next):
        silver = factories.plan(session, team=cast.team, slug="silver", name="Silver")
        registry.offer_plans(session, next, [silver])
        session.commit()
        page = publisher.get(self.CARRY).text
        assert "In the place of Gold" in page
        (number,) = re.findall(r'name="subscription" value="(\d+)" checked', page)

        assert publisher.post(self.CARRY, data={"subscription": number}).status_code == 409
        gold = orders.plans[0].id
        assert publisher.post(self.CARRY, data={"subscription": number, f"plan-{gold}": "silver"}).status_code == 303
        session.rollback()
        assert session.scalars(select(Subscription).where(Subscription.api_id == next.id)).one().plan is silver

    def test_nobody_chosen(self, publisher, orders, shop, next):
        answer = publisher.post(self.CARRY, data={"subscription": "x", "plan-": "a", "plan-²": "b"})

        assert answer.status_code == 409
        assert "No consumer is chosen." in answer.text

    def test_there_is_no_such_version(self, publisher, orders, next):
        assert publisher.get(f"{self.CARRY}?from=v9").status_code == 404
        assert "No other version" not in publisher.get(self.CARRY).text


class TestBreakingReleases:
    """Who calls an API hears of a release that breaks calls, and of no other."""

    def publish(self, app, session, cast, orders, **changes):
        with app.app_context(), db.begin() as writing:
            api = writing.get(Api, orders.id)
            by = writing.get(type(cast.publisher), cast.publisher.id)
            registry.save_draft(
                writing, api, registry.read_document(api.draft | changes), by=by, expected=api.draft_number
            )
            registry.publish(writing, api, by=by, expected=api.draft_number)
        session.rollback()

    def test_another_path_is_told(self, app, session, cast, orders, shop):
        session.rollback()
        self.publish(app, session, cast, orders, path="/elsewhere/v1")

        (mail,) = delivered(app)
        text = mail.get_content()
        assert mail["Subject"] == "An API that you use has changed"
        assert "- The path becomes /elsewhere/v1." in text
        assert "- Web shop" in text

    def test_another_description_is_not(self, app, session, cast, orders, shop):
        session.rollback()
        self.publish(app, session, cast, orders, description="In other words.")

        assert delivered(app) == []

    def test_operations_that_are_gone_are_named(self, app, session, cast, orders, shop):
        session.rollback()
        digests = []
        for paths in ({"/pets": {"get": {}}, "/owners": {"get": {}}}, {"/pets": {"get": {}}}):
            document = {"openapi": "3.1.0", "info": {"title": "Pets", "version": "1"}, "paths": paths}
            digests.append(factories.openapi_document(session, json.dumps(document).encode()))
        session.commit()
        self.publish(app, session, cast, orders, openapi=digests[0])
        delivered(app)
        self.publish(app, session, cast, orders, openapi=digests[1])

        assert "- GET /owners is gone." in delivered(app)[0].get_content()
