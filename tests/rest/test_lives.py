"""Imports, lifecycle, visibility, old releases and the catalogue, as programs use them."""

import orjson
import pytest
from sqlalchemy import select

from portal import config_of, registry, worker
from portal.db import utcnow
from portal.jobs import Job
from portal.registry import imports
from portal.registry.models import Api, Import, Visibility
from portal.traffic.models import DAY, ByConsumerOperation
from tests import factories
from tests.conftest import sign_in

PATH = "/teams/cast/apis/orders/v1"


@pytest.fixture
def api(session, cast):
    plan = factories.plan(session, team=cast.team, slug="gold")
    made = factories.api(session, team=cast.team, slug="orders", live=True, plans=[plan], name="Orders", path="/orders")
    session.commit()
    return made


def pets(**paths):
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Pet shop", "version": "2.1", "description": "Pets."},
        "servers": [{"url": "https://pets.example/v2"}],
        "paths": {f"/{name}": {"get": {"summary": said}} for name, said in paths.items()},
    }
    return orjson.dumps(document).decode()


class TestOverallLimit:
    def test_it_is_set_and_taken_away(self, program, session, cast, api):
        asking = program(cast.publisher)

        assert asking.get(PATH).json["overall_per_second"] is None
        assert asking.put(f"{PATH}/limit", {"overall_per_second": 250}).json["overall_per_second"] == 250
        session.rollback()
        assert session.get_one(Api, api.id).overall_per_second == 250
        assert asking.put(f"{PATH}/limit", {"overall_per_second": None}).json["overall_per_second"] is None

    @pytest.mark.parametrize("rate", [0, 1_000_001, 1.5, "5", True])
    def test_what_makes_no_sense_is_refused(self, program, cast, api, rate):
        answer = program(cast.publisher).put(f"{PATH}/limit", {"overall_per_second": rate})

        assert answer.status_code == 422
        assert answer.json["errors"][0]["pointer"] == "#/overall_per_second"


class TestImports:
    def test_a_document_becomes_an_api_that_is_published(self, program, cast):
        asking = program(cast.publisher)
        brought = asking.post("/teams/cast/imports", {"text": pets(pets="All pets")})
        assert (brought.status_code, brought.json["state"]) == (201, "ready")
        assert brought.json["proposal"]["targets"] == ["https://pets.example/v2"]
        one = brought.headers["Location"].removeprefix("/api/v1")
        assert asking.get(one).json == brought.json

        made = asking.post(f"{one}/apply", {})
        assert (made.status_code, made.json["slug"], made.json["state"]) == (200, "pet-shop", "draft")
        path = f"/teams/cast/apis/pet-shop/{made.json['version']}"
        assert asking.post(f"{path}/releases", {}, If_Match="*").status_code == 201
        assert asking.post(f"{one}/apply", {}).status_code == 409

    def test_a_newer_document_keeps_what_people_have_changed(self, program, cast):
        asking = program(cast.publisher)
        first = asking.post("/teams/cast/imports", {"text": pets(pets="All pets", cats="Cats")}).json
        made = asking.post(f"/imports/{first['id']}/apply", {"slug": "pets", "version": "v2"}).json
        draft = f"/teams/cast/apis/{made['slug']}/{made['version']}/draft"
        mine = asking.get(draft).json["document"] | {"name": "Pets, ours"}
        assert asking.put(draft, mine, If_Match="*").status_code == 200

        again = asking.post("/teams/cast/apis/pets/v2/imports", {"text": pets(pets="All pets")}).json
        assert again["api"] == "cast/pets/v2"
        assert again["changes"]["counts" if "counts" in again["changes"] else next(iter(again["changes"]))] is not None
        tag = asking.get(draft).headers["ETag"]
        assert asking.post(f"/imports/{again['id']}/apply", {}, If_Match='"0-0"').status_code == 412
        assert asking.post(f"/imports/{again['id']}/apply", {}, If_Match=tag).status_code == 200
        after = asking.get(draft).json["document"]
        assert (after["name"], after["openapi"] != mine["openapi"]) == ("Pets, ours", True)

    def test_who_called_what_breaks_is_named_to_those_who_may_know(self, program, client, session, cast):
        asking = program(cast.publisher)
        first = asking.post("/teams/cast/imports", {"text": pets(pets="All pets", cats="Cats")}).json
        asking.post(f"/imports/{first['id']}/apply", {"slug": "pets", "version": "v2"})
        assert asking.post("/teams/cast/apis/pets/v2/releases", {}, If_Match="*").status_code == 201
        names = {each["path"]: each["id"] for each in asking.get("/teams/cast/apis/pets/v2/operations").json["items"]}
        api = session.scalars(select(Api)).one()
        shop = factories.consumer(session, team=cast.stranger.teams[0], name="The Shop")
        now = int(utcnow().timestamp())
        for path, ago, calls in (("/cats", 3 * DAY, 7), ("/cats", 40 * DAY, 90), ("/pets", DAY, 5)):
            at = now - ago
            session.add(
                ByConsumerOperation(
                    at=at - at % DAY,
                    api_id=api.id,
                    operation=names[path],
                    consumer_id=shop.id,
                    calls=calls,
                    last_at=at - at % 60,
                )
            )
        session.commit()

        again = asking.post("/teams/cast/apis/pets/v2/imports", {"text": pets(pets="All pets")}).json
        page = sign_in(client, cast.publisher).get(f"/imports/{again['id']}").text

        assert [(each["operation"], each["consumer"], each["calls"]) for each in again["callers"]] == [
            (names["/cats"], "The Shop", 7)
        ]
        assert "The Shop" in page
        assert program(cast.developer).get(f"/imports/{again['id']}").status_code == 403

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "text"),
            ({"text": "x: 1", "address": "http://x.example"}, "text"),
            ({"text": "<html></html>"}, "text"),
            ({"text": "a: [\n"}, "text"),
            ({"address": "http://169.254.169.254/latest"}, "address"),
            ({"address": "file:///etc/passwd"}, "address"),
            ({"address": "nonsense"}, "address"),
        ],
        ids=["nothing", "both", "a page", "broken", "metadata", "a file", "no address"],
    )
    def test_what_cannot_be_read_is_said(self, program, session, cast, body, field):
        refused = program(cast.publisher).post("/teams/cast/imports", body)

        assert (refused.status_code, [each["field"] for each in refused.json["errors"]]) == (422, [field])
        assert session.scalars(select(Import)).all() == []

    def test_what_is_not_read_yet_is_waited_for(self, program, session, cast):
        # Aliases are read by the worker, which nobody runs here.
        asking, text = (
            program(cast.publisher),
            "openapi: 3.1.0\ninfo: &i {title: x, version: '1', x-a: *i}\npaths: {}\n",
        )
        waiting = asking.post("/teams/cast/imports", {"text": text})
        assert (waiting.status_code, waiting.json["state"]) == (201, "waiting")

        refused = asking.post(f"/imports/{waiting.json['id']}/apply", {})

        assert (refused.status_code, refused.json["detail"]) == (409, "It is not read yet. Wait until it is.")

    def test_those_of_others_do_not_exist(self, program, session, cast):
        number = program(cast.publisher).post("/teams/cast/imports", {"text": pets(a="A")}).json["id"]

        for verb, path in (("GET", ""), ("DELETE", ""), ("POST", "/apply")):
            answer = program(cast.stranger).ask(verb, f"/imports/{number}{path}", {} if verb == "POST" else None)
            assert answer.status_code == 404
        assert program(cast.publisher).delete(f"/imports/{number}").status_code == 204
        assert program(cast.publisher).get(f"/imports/{number}").json["state"] == "discarded"

    def test_one_that_was_overtaken_is_compared_again(self, app, program, session, cast):
        asking = program(cast.publisher)
        first = asking.post("/teams/cast/imports", {"text": pets(pets="All pets")}).json
        asking.post(f"/imports/{first['id']}/apply", {"slug": "pets", "version": "v2"})
        late, soon = (
            asking.post("/teams/cast/apis/pets/v2/imports", {"text": pets(**paths)}).json
            for paths in ({"cats": "Cats"}, {"pets": "All pets", "dogs": "Dogs"})
        )
        asking.post(f"/imports/{soon['id']}/apply", {})
        one = f"/imports/{late['id']}"
        assert asking.get(one).json["is_stale"] is True
        assert asking.post(f"{one}/apply", {}).status_code == 409

        assert asking.post(f"{one}/compare").json["state"] == "waiting"
        assert asking.post(f"{one}/compare").status_code == 409
        with app.app_context():
            assert worker.turn(config_of(app), "test", {imports.JOB: worker.KINDS[imports.JOB]})

        found = asking.get(one).json
        assert (found["state"], found["is_stale"]) == ("ready", False)
        assert {row["path"] for row in found["changes"]["rows"] if row["kind"] == "removed"} == {"/pets", "/dogs"}
        assert asking.post(f"{one}/apply", {}).status_code == 200

    def test_are_listed_with_what_became_of_them(self, program, session, cast, api):
        asking = program(cast.publisher)
        for path in ("/teams/cast/imports", f"{PATH}/imports", f"{PATH}/imports"):
            asking.post(path, {"text": pets(a="A")})
        newest, older = asking.get("/teams/cast/imports?limit=2").json["items"]
        asking.delete(f"/imports/{older['id']}")

        assert [each["id"] for each in asking.get(f"{PATH}/imports").json["items"]] == [newest["id"], older["id"]]
        assert len(asking.get("/teams/cast/imports").json["items"]) == 3
        (gone,) = asking.get("/teams/cast/imports?state=discarded").json["items"]
        assert (gone["id"], gone["api"]) == (older["id"], "cast/orders/v1")
        assert asking.get("/teams/cast/imports?state=lost").status_code == 422
        assert program(cast.developer).get("/teams/cast/imports").status_code == 403

    def test_tell_the_operations_that_were_brought(self, program, cast):
        asking = program(cast.publisher)
        number = asking.post("/teams/cast/imports", {"text": pets(pets="All pets", cats="Cats")}).json["id"]
        path = f"/imports/{number}/operations"

        assert [each["path"] for each in asking.get(path).json["items"]] == ["/pets", "/cats"]
        assert [each["path"] for each in asking.get(f"{path}?q=all").json["items"]] == ["/pets"]
        assert len(asking.get(f"{path}?q=get").json["items"]) == 2


class TestLifecycle:
    def test_from_published_to_retired_and_back(self, program, session, cast, api):
        factories.api(session, team=cast.team, slug="orders", version="v2", live=True, path="/orders-v2")
        session.commit()
        asking = program(cast.publisher)
        assert asking.post(f"{PATH}/retire").status_code == 409
        body = {"sunset_at": "2999-01-01T00:00:00Z", "successor": "cast/orders/v2", "message": "Use v2."}
        told = asking.put(f"{PATH}/deprecation", body).json
        assert (told["state"], told["successor"], told["sunset_at"]) == (
            "deprecated",
            "cast/orders/v2",
            "2999-01-01T00:00:00Z",
        )
        assert asking.post(f"{PATH}/retire").json["state"] == "retired"
        assert asking.delete(f"{PATH}/deprecation").status_code == 409
        assert asking.post(f"{PATH}/revive").json["state"] == "deprecated"
        assert asking.delete(f"{PATH}/deprecation").status_code == 204
        assert asking.get(PATH).json["state"] == "published"

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"successor": "cast/orders/v9"}, "successor"),
            ({"successor": "cast/orders/v1"}, "successor"),
            ({"sunset_at": "2001-01-01T00:00:00Z"}, "sunset_at"),
            ({"sunset_at": "3500-01-01T00:00:00Z"}, "sunset_at"),
            ({"at": "1999-01-01T00:00:00Z"}, "at"),
            ({"message": "x" * 2001}, "message"),
        ],
        ids=["none", "itself", "passed", "far", "long ago", "long"],
    )
    def test_what_cannot_be_meant(self, program, cast, api, body, field):
        refused = program(cast.publisher).put(f"{PATH}/deprecation", body)

        assert (refused.status_code, [each["field"] for each in refused.json["errors"]]) == (422, [field])

    def test_closed_takes_no_subscriptions(self, program, session, cast, api):
        factories.consumer(session, team=cast.team, slug="shop")
        session.commit()
        asking, wish = program(cast.publisher), {"api": "cast/orders/v1", "plan": "gold"}
        assert asking.post(f"{PATH}/close").json["is_closed"] is True
        assert asking.post("/teams/cast/consumers/shop/subscriptions", wish).status_code in {409, 422}
        assert asking.post(f"{PATH}/reopen").json["is_closed"] is False
        assert asking.post("/teams/cast/consumers/shop/subscriptions", wish).status_code == 201

    def test_who_remains_is_listed_with_the_last_call(self, program, session, cast, api):
        plan = api.plans[0]
        shop, quiet = (
            factories.consumer(session, team=cast.stranger.teams[0], name=name) for name in ("Shop", "Quiet")
        )
        for consumer in (shop, quiet):
            factories.subscription(session, consumer, api, plan)
        at = int(utcnow().timestamp()) // 60 * 60
        session.add(
            ByConsumerOperation(at=at - at % DAY, api_id=api.id, operation="", consumer_id=shop.id, calls=4, last_at=at)
        )
        session.commit()

        found = program(cast.publisher).get(f"{PATH}/remaining").json
        less = program(cast.developer).get(f"{PATH}/remaining").json

        assert [(each["consumer"], each["plan"], each["calls"]) for each in found["items"]] == [
            ("Shop", plan.name, 4),
            ("Quiet", plan.name, 0),
        ]
        assert (found["count"], found["items"][0]["last_call"] is None) == (2, False)
        assert {(each["calls"], each["last_call"]) for each in less["items"]} == {(0, None)}

    def test_who_remains_comes_in_pages(self, program, session, cast, api):
        team, now = cast.stranger.teams[0], int(utcnow().timestamp()) // 60 * 60
        named = [factories.consumer(session, team=team, name=f"Shop {n % 3}") for n in range(9)]
        for n, consumer in enumerate(named[:7]):
            factories.subscription(session, consumer, api)
            if n < 4:  # two of them at one moment
                _calls(session, api, consumer.id, now - n // 2 * 60)
        _calls(session, api, 999_999, now)  # deleted by now
        session.commit()
        asking, path, found = program(cast.publisher), f"{PATH}/remaining?limit=3", []
        page = asking.get(path).json
        while page:
            found += page["items"]
            page = page["next"] and asking.get(f"{path}&cursor={page['next']}").json

        assert found == asking.get(f"{PATH}/remaining").json["items"]
        assert len(found) == 8
        assert [each["consumer"] for each in found[:3]] == [None, "Shop 0", "Shop 1"]
        assert [each["calls"] for each in found] == [1] * 5 + [0] * 3
        assert asking.get(f"{PATH}/remaining?cursor=x").status_code == 422


def _calls(session, api, consumer_id, at):
    session.add(
        ByConsumerOperation(at=at - at % DAY, api_id=api.id, operation="", consumer_id=consumer_id, calls=1, last_at=at)
    )


class TestVisibility:
    def test_who_would_lose_sight_is_named_first(self, program, session, cast, api):
        other = factories.team(session, owner=cast.stranger, slug="others", name="The Others")
        factories.subscription(session, factories.consumer(session, team=other), api)
        session.commit()
        asking = program(cast.publisher)

        refused = asking.put(f"{PATH}/visibility", {"visibility": "team"})
        assert refused.status_code == 409
        assert "The Others" in refused.json["detail"]
        chosen = asking.put(f"{PATH}/visibility", {"visibility": "chosen", "viewers": ["others"]})
        assert (chosen.status_code, chosen.json["viewers"]) == (200, ["others"])
        assert asking.put(f"{PATH}/visibility", {"visibility": "team", "losing": True}).status_code == 200
        assert program(cast.stranger).get("/catalogue").json["count"] == 0

    @pytest.mark.parametrize("viewers", [[], ["nobody-at-all"]])
    def test_chosen_needs_teams_that_there_are(self, program, cast, api, viewers):
        refused = program(cast.publisher).put(f"{PATH}/visibility", {"visibility": "chosen", "viewers": viewers})

        assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "viewers")


class TestOldReleases:
    def test_come_back_under_a_new_number(self, program, cast, api):
        asking = program(cast.publisher)
        document = asking.get(f"{PATH}/draft").json["document"]
        asking.put(f"{PATH}/draft", document | {"description": "New."}, If_Match="*")
        assert asking.post(f"{PATH}/releases", {}, If_Match="*").json["number"] == 2

        back = asking.post(f"{PATH}/releases/1/republish", {"note": "Back."})

        assert (back.status_code, back.json["number"], back.json["copy_of"]) == (201, 3, 1)
        assert asking.get(f"{PATH}/draft").json["document"]["description"] == "New."
        assert asking.post(f"{PATH}/releases/1/republish", {}).status_code == 409


class TestCatalogue:
    @pytest.mark.parametrize("sort", ["name", "newest", "used"])
    def test_pages_hide_and_repeat_nothing_when_apis_come_and_go(self, program, session, cast, api, sort):
        made = [
            factories.api(session, team=cast.team, slug=f"b-{n}", live=True, name=f"B {n}", path=f"/b-{n}")
            for n in range(4)
        ]
        session.commit()
        asking = program(cast.stranger)
        first = asking.get(f"/catalogue?limit=2&sort={sort}").json
        seen = [each["api"] for each in first["items"]]
        factories.api(session, team=cast.team, slug="a", live=True, name="A", path="/a")
        gone = next(each for each in (*made, api) if each.label == seen[0])
        registry.unpublish(session, gone)
        session.commit()

        following = first["next"]
        while following:
            page = asking.get(f"/catalogue?limit=2&sort={sort}&cursor={following}").json
            seen += [each["api"] for each in page["items"]]
            following = page["next"]

        assert len(set(seen)) == len(seen)
        assert {each.label for each in (*made, api)} <= set(seen)

    def test_is_searched_and_paged(self, program, session, cast, api):
        for n in range(3):
            factories.api(session, team=cast.team, slug=f"bills-{n}", live=True, name=f"Bills {n}", path=f"/bills-{n}")
        session.commit()
        asking = program(cast.stranger)
        assert asking.get("/catalogue").json["count"] == 4
        (found,) = asking.get("/catalogue?q=ord").json["items"]
        assert (found["api"], found["state"]) == ("cast/orders/v1", "published")
        first = asking.get("/catalogue?limit=3&sort=name").json
        rest = asking.get(f"/catalogue?limit=3&sort=name&cursor={first['next']}").json
        assert [len(first["items"]), len(rest["items"]), rest["next"]] == [3, 1, None]
        assert asking.get("/catalogue?team=nobody").json["items"] == []
        assert asking.get("/catalogue?category=nothing").json["items"] == []
        assert asking.get("/catalogue?sort=worst").status_code == 422


def test_subscribers_are_told_of_a_deprecation(program, session, cast, api):
    factories.subscription(session, factories.consumer(session, team=cast.stranger.teams[0]), api)
    session.commit()
    program(cast.publisher).put(f"{PATH}/deprecation", {"message": "Move on."})

    session.rollback()
    assert [job.kind for job in session.scalars(select(Job))] == ["notice"]


class TestCatalogueEntry:
    def test_tells_how_it_is_called_and_under_which_plans(self, program, session, cast, api):
        factories.plan(session, team=cast.team, slug="unoffered")
        session.commit()
        one = program(cast.stranger).get("/catalogue/cast/orders/v1").json

        assert (one["api"], one["name"], one["state"], one["is_closed"]) == (
            "cast/orders/v1",
            "Orders",
            "published",
            False,
        )
        assert one["addresses"][0].endswith("/orders")
        assert (one["key_place"], one["key_name"]) == ("header", "X-API-Key")
        assert [(plan["slug"], plan["per_second"]) for plan in one["plans"]] == [("gold", 10)]
        assert one["successor"] is None

    def test_of_what_one_may_not_know_of_does_not_exist(self, program, session, cast, api):
        newer = factories.api(session, team=cast.team, slug="orders", version="v2", live=True, path="/orders-v2")
        newer.visibility = Visibility.TEAM
        session.commit()
        program(cast.publisher).put(f"{PATH}/deprecation", {"successor": "cast/orders/v2", "message": "Move on."})

        told = program(cast.stranger).get("/catalogue/cast/orders/v1").json
        assert (told["state"], told["successor"], told["deprecation_message"]) == ("deprecated", None, "Move on.")
        assert program(cast.developer).get("/catalogue/cast/orders/v1").json["successor"] == "cast/orders/v2"
        assert program(cast.stranger).get("/catalogue/cast/orders/v2").status_code == 404


class TestVersions:
    def test_stand_beside_each_other_and_take_callers_over(self, program, session, cast, api):
        consumer = factories.consumer(session, team=cast.stranger.teams[0], slug="guest")
        factories.subscription(session, consumer, api)
        session.commit()
        asking = program(cast.publisher)
        made = asking.post(f"{PATH}/versions", {"version": "v2", "path": "/orders-v2"})
        assert (made.status_code, made.json["state"], made.json["plans"]) == (201, "draft", ["gold"])
        newer = made.headers["Location"].removeprefix("/api/v1")
        assert asking.post(f"{newer}/carry", {"source": "v1"}).status_code == 409
        asking.post(f"{newer}/releases", {}, If_Match="*")

        assert asking.post(f"{newer}/carry", {"source": "v3"}).json["errors"][0]["field"] == "source"
        wrong = asking.post(f"{newer}/carry", {"source": "v1", "plans": {"gold": "silver"}})
        assert wrong.json["errors"][0]["field"] == "plans"
        assert asking.post(f"{newer}/carry", {"source": "v1", "subscriptions": []}).json["items"] == []
        (carried,) = asking.post(f"{newer}/carry", {"source": "v1"}).json["items"]
        assert (carried["consumer"], carried["api"], carried["plan"]) == ("guest", "cast/orders/v2", "gold")
        assert asking.post(f"{newer}/carry", {"source": "v1"}).json["items"] == []

    def test_taken_ones_are_refused(self, program, cast, api):
        refused = program(cast.publisher).post(f"{PATH}/versions", {"version": "v1"})

        assert (refused.status_code, refused.json["code"]) == (409, "name_taken")


class TestOperations:
    def test_are_listed_in_the_order_of_the_document(self, program, cast, api):
        asking = program(cast.publisher)
        assert asking.get(f"{PATH}/operations").json["items"] == []
        number = asking.post("/teams/cast/imports", {"text": pets(zebras="Z", apes="A", bees="B")}).json["id"]
        made = asking.post(f"/imports/{number}/apply", {"slug": "pets", "version": "v2"}).json
        path = f"/teams/cast/apis/{made['slug']}/{made['version']}/operations?limit=2"

        first = asking.get(path).json
        rest = asking.get(f"{path}&cursor={first['next']}").json
        assert [each["path"] for each in first["items"] + rest["items"]] == ["/zebras", "/apes", "/bees"]
        assert rest["next"] is None
