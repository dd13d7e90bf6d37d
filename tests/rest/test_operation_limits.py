"""Limits of operations, in the bodies of plans."""

import pytest

from tests import factories
from tests.registry.test_operation_limits import REPORTS

LIMIT = {
    "api": "cast/reports/v1",
    "operation": "create-report",
    "per_second": None,
    "per_second_burst": None,
    "per_minute": 2,
    "per_minute_burst": 4,
}


@pytest.fixture(autouse=True)
def api(session, cast):
    plan = factories.plan(session, team=cast.team, slug="basic", name="Basic")
    digest = factories.openapi_document(session, REPORTS)
    made = factories.api(session, team=cast.team, plans=[plan], live=True, slug="reports", openapi=digest)
    session.commit()
    return made


def test_they_are_set_kept_and_taken_away(program, cast):
    publisher = program(cast.publisher)
    made = publisher.put("/teams/cast/plans/basic", {"name": "Basic", "operations": [LIMIT]})
    assert (made.status_code, made.json["operations"]) == (200, [LIMIT]), made.text

    # A program that knows nothing of them takes none away.
    assert publisher.put("/teams/cast/plans/basic", {"name": "Renamed"}).json["operations"] == [LIMIT]
    assert program(cast.developer).get("/teams/cast/plans/basic").json["operations"] == [LIMIT]
    assert publisher.put("/teams/cast/plans/basic", {"name": "Basic", "operations": []}).json["operations"] == []


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        ({"api": "cast/nothing/v1"}, "#/operations/0/api"),
        ({"operation": "nothing"}, "#/operations/0/operation"),
        ({"per_minute": None, "per_minute_burst": None}, "#/operations/0/per_minute"),
        ({"per_minute": 0}, "#/operations/0/per_minute"),
        ({"per_second_burst": 3}, "#/operations/0/per_second_burst"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_place(program, cast, sent, pointer):
    answer = program(cast.publisher).put("/teams/cast/plans/basic", {"name": "Basic", "operations": [LIMIT | sent]})

    assert (answer.status_code, [each["pointer"] for each in answer.json["errors"]]) == (422, [pointer])
    assert program(cast.publisher).get("/teams/cast/plans/basic").json["operations"] == []


def test_a_plan_that_nobody_offers_yet_limits_none(program, cast):
    answer = program(cast.publisher).post("/teams/cast/plans", {"name": "New", "slug": "new", "operations": [LIMIT]})

    assert answer.status_code == 422
    assert program(cast.publisher).get("/teams/cast/plans/new").status_code == 404


def test_a_change_is_another_edition(program, cast):
    publisher = program(cast.publisher)
    before = publisher.get("/teams/cast/plans/basic").headers["ETag"]
    publisher.put("/teams/cast/plans/basic", {"name": "Basic", "operations": [LIMIT]})

    assert publisher.get("/teams/cast/plans/basic").headers["ETag"] != before
