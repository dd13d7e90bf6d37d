"""Categories, what a publish would change, and OpenAPI with the gateway's address, as programs use them."""

import pytest
from sqlalchemy import select

from portal.jobs import Job
from portal.registry import exports
from portal.registry.models import Visibility
from tests import factories

PATH = "/teams/cast/apis/orders/v1"


@pytest.fixture
def api(session, cast):
    made = factories.api(session, team=cast.team, slug="orders", live=True, name="Orders", path="/orders")
    session.commit()
    return made


class TestCategories:
    def test_administrators_put_them_up_change_them_and_take_them_down(self, program, cast, api):
        asking = program(cast.administrator)
        made = asking.post("/categories", {"slug": "money", "name": "Money"})
        assert (made.status_code, made.headers["Location"]) == (201, "/api/v1/categories/money")
        assert made.json == {"slug": "money", "name": "Money", "description": "", "position": 0}
        taken = asking.post("/categories", {"slug": "cash", "name": "MONEY"})
        assert (taken.status_code, taken.json["errors"][0]["field"]) == (409, "name")

        tag = asking.get("/categories/money").headers["ETag"]
        change = {"name": "Finance", "position": 7}
        assert asking.put("/categories/money", change, If_Match='"another"').status_code == 412
        assert asking.put("/categories/money", change, If_Match=tag).json["name"] == "Finance"
        assert asking.delete("/categories/money").status_code == 204
        assert asking.get("/categories").json["items"] == []

    def test_publishers_choose_one(self, program, cast, api):
        program(cast.administrator).post("/categories", {"slug": "money", "name": "Money"})
        asking = program(cast.publisher)

        assert asking.put(f"{PATH}/category", {"category": "money"}).json["category"] == "money"
        (found,) = asking.get("/catalogue?category=money").json["items"]
        assert found["api"] == "cast/orders/v1"
        refused = asking.put(f"{PATH}/category", {"category": "mony"})
        assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "category")
        assert asking.put(f"{PATH}/category", {"category": None}).json["category"] is None
        assert asking.post("/categories", {"slug": "mine", "name": "Mine"}).status_code == 403


class TestChanges:
    def test_of_the_draft_and_between_releases(self, program, cast, api):
        asking = program(cast.publisher)
        document = asking.get(f"{PATH}/draft").json["document"]
        asking.put(f"{PATH}/draft", document | {"path": "/orders-new"}, If_Match="*")

        draft = asking.get(f"{PATH}/draft/changes").json
        assert (draft["since"], draft["obstacles"]) == (1, [])
        assert [each["is_breaking"] for each in draft["effects"]] == [True]
        assert [(each["before"], each["after"]) for each in draft["differences"]] == [("/orders", "/orders-new")]

        asking.post(f"{PATH}/releases", {}, If_Match="*")
        assert asking.get(f"{PATH}/draft/changes").json["differences"] == []
        assert asking.get(f"{PATH}/releases/2/changes?since=1").json["differences"] == draft["differences"]
        refused = asking.get(f"{PATH}/releases/2/changes?since=9")
        assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "since")


class TestOpenAPI:
    def test_it_has_the_gateways_address(self, program, cast, api):
        found = program(cast.stranger).get("/catalogue/cast/orders/v1/openapi")

        assert found.status_code == 200
        assert found.json["info"]["title"] == "Orders"
        assert found.json["servers"][0]["url"].endswith("/orders")
        assert "/api/v1" not in found.json["servers"][0]["url"]

    def test_a_hidden_one_does_not_exist(self, program, session, cast, api):
        api.visibility = Visibility.TEAM
        session.commit()

        assert program(cast.stranger).get("/catalogue/cast/orders/v1/openapi").status_code == 404
        assert program(cast.developer).get("/catalogue/cast/orders/v1/openapi").status_code == 200

    def test_a_large_one_is_written_by_the_worker(self, program, session, cast, api, monkeypatch):
        monkeypatch.setitem(exports.LARGE, "json", -1)

        waiting = program(cast.stranger).get("/catalogue/cast/orders/v1/openapi")

        assert (waiting.status_code, waiting.json["detail"]) == (
            503,
            "It is being written, which may take some minutes. Ask again.",
        )
        session.rollback()
        assert [job.kind for job in session.scalars(select(Job))] == [exports.KIND]
