"""Limits of operations on the pages: where they are written, and where they are read."""

import re

import pytest
from sqlalchemy import select

from portal import registry
from portal.db import utcnow
from portal.registry.models import PlanOperation
from portal.registry.operation_limits import OperationLimit
from portal.traffic.models import DAY, HOUR, ByConsumerOperation, ByOperation
from tests import factories
from tests.conftest import sign_in
from tests.registry.test_operation_limits import FEWER, REPORTS, release

PAGE = "/plans/cast/basic"
FORM = {"name": "Basic", "description": "", "per_second": "5", "operations_listed": "1"}


def row(n: int = 0, operation: str = "POST /reports", **numbers: str) -> dict[str, str]:
    given = {"per_second": "", "per_second_burst": "", "per_minute": "2", "per_minute_burst": ""} | numbers
    return {f"operation_{n}_{name}": value for name, value in ({"operation": operation} | given).items()}


@pytest.fixture
def api(session, cast):
    plan = factories.plan(session, team=cast.team, slug="basic", name="Basic", per_second=5, per_minute=None)
    digest = factories.openapi_document(session, REPORTS)
    made = factories.api(
        session, team=cast.team, plans=[plan], live=True, slug="reports", name="Reports", openapi=digest
    )
    session.commit()
    return made


@pytest.fixture
def plan(api):
    return api.plans[0]


@pytest.fixture
def limited(session, api, plan):
    registry.limit_operations(session, plan, [OperationLimit(api=api, operation="create-report", per_minute=2)])
    session.commit()


@pytest.fixture
def publisher(client, cast, api):
    return sign_in(client, cast.publisher)


def stored(session):
    session.rollback()
    rows = session.scalars(select(PlanOperation).order_by(PlanOperation.operation)).all()
    return [(each.operation, each.per_second, each.per_minute, each.per_minute_burst) for each in rows]


class TestForm:
    @pytest.mark.parametrize(
        "typed", ["POST /reports", "reports/v1 POST /reports", "reports/v1 create-report", "post  /reports"]
    )
    def test_an_operation_is_named_as_one_likes(self, publisher, session, typed):
        assert publisher.post(PAGE, data=FORM | row(operation=typed)).status_code == 303
        assert stored(session) == [("create-report", None, 2, None)]
        assert 'value="reports/v1 POST /reports"' in publisher.get(PAGE).text

    def test_rows_come_and_go_without_saving_and_keep_what_was_typed(self, publisher, session, limited):
        typed = FORM | {"name": "Not saved"} | row(0) | row(1, "GET /reports", per_minute="many")
        more = publisher.post(PAGE, data=typed | {"operations": "add"})
        fewer = publisher.post(PAGE, data=typed | {"operations": "0"})

        assert (more.status_code, fewer.status_code) == (200, 200)
        assert rows_of(more.text) == ["POST /reports", "GET /reports", ""]
        assert rows_of(fewer.text) == ["GET /reports"]
        for page in (more.text, fewer.text):
            assert 'value="Not saved"' in page
            assert 'value="many"' in page
        assert stored(session) == [("create-report", None, 2, None)]

    def test_removing_the_last_row_removes_the_limit(self, publisher, session, limited):
        assert publisher.post(PAGE, data=FORM).status_code == 303
        assert stored(session) == []

    def test_what_does_not_speak_of_operations_leaves_them(self, publisher, session, limited):
        assert publisher.post(PAGE, data={"name": "Basic", "per_second": "5"}).status_code == 303
        assert stored(session) == [("create-report", None, 2, None)]

    @pytest.mark.parametrize(
        ("typed", "sentence"),
        [
            (row(0, "POST /nothing"), "Reports v1 has no operation POST /nothing."),
            (row(0, "other/v1 GET /reports"), "No API that offers this plan is called other/v1."),
            (row(0, "reports/v1"), "Name an operation of Reports v1"),
            (row(0, ""), "Name the operation, or clear the numbers."),
            (row(0, per_minute=""), "Give calls per second or per minute"),
            (row(0, per_minute="-1"), "Give a number from 1 to"),
            (row(0, per_minute="a lot"), "Give a number, such as 30."),
            (row(0) | row(1), "stands here twice"),
            (row(0, per_minute="", per_second_burst="5"), "A burst needs the limit"),
        ],
    )
    def test_what_makes_no_sense_is_said_beside_it_and_stays(self, publisher, session, typed, sentence):
        answer = publisher.post(PAGE, data=FORM | {"name": "Kept"} | typed)

        assert answer.status_code == 422
        assert sentence in answer.text
        assert 'value="Kept"' in answer.text
        assert rows_of(answer.text) == [value for name, value in typed.items() if name.endswith("_operation")]
        assert stored(session) == []

    def test_the_sentence_stands_in_the_row_that_it_is_about(self, publisher):
        typed = row(3, "") | {"operation_3_per_minute": ""} | row(5) | row(7, "GET /nothing")

        page = publisher.post(PAGE, data=FORM | typed).text

        assert re.search(r'id="operation_2_operation-error".{0,600}no operation GET /nothing', page, re.S)

    def test_a_plan_that_nobody_offers_has_nothing_to_limit(self, publisher, session, cast):
        factories.plan(session, team=cast.team, slug="lonely")
        session.commit()

        assert (
            "No API offers this plan yet, so there is no operation to limit" in publisher.get("/plans/cast/lonely").text
        )
        answer = publisher.post("/plans/cast/lonely", data=FORM | row())
        assert (answer.status_code, "No API offers this plan yet. Offer it" in answer.text) == (422, True)

    def test_one_of_many_apis_has_to_be_named(self, publisher, session, cast, plan):
        digest = factories.openapi_document(session, REPORTS)
        factories.api(session, team=cast.team, plans=[plan], live=True, slug="bills", openapi=digest)
        session.commit()

        answer = publisher.post(PAGE, data=FORM | row())
        assert "Name the API too, such as" in answer.text
        assert publisher.post(PAGE, data=FORM | row(operation="bills/v1 POST /reports")).status_code == 303

    def test_what_has_become_of_limits_is_said(self, publisher, session, api, plan, limited):
        assert "The operation is deprecated." in publisher.get(PAGE).text

        release(session, api, FEWER)
        page = publisher.get(PAGE).text
        assert "The live release has no such operation, so this limit does nothing" in page
        assert 'value="reports/v1 create-report"' in page
        again = FORM | row(operation="reports/v1 create-report", per_minute="9999")
        assert publisher.post(PAGE, data=again).status_code == 303
        page = publisher.get(PAGE).text
        assert "Without effect: the plan itself allows no more than this." in page

        registry.offer_plans(session, api, [])
        session.commit()
        assert "The API offers this plan no more" in publisher.get(PAGE).text
        assert publisher.post(PAGE, data=FORM).status_code == 303
        assert stored(session) == []

    def test_who_may_not_change_it_reads_it(self, client, cast, limited):
        page = sign_in(client, cast.developer).get(PAGE).text

        assert "POST /reports" in page
        assert "2 calls per minute" in page
        assert "Limit an operation" not in page
        assert client.post(PAGE, data=FORM).status_code == 403


def rows_of(page: str) -> list[str]:
    found = re.findall(r'<input[^>]*id="operation_\d+_operation"[^>]*>', page)
    return [re.search(r'value="([^"]*)"', each)[1] for each in found]


class TestForesight:
    @pytest.fixture
    def busy(self, session, api, plan):
        """Forty calls an hour, three days ago."""
        found = factories.subscription(session, factories.consumer(session, name="Busy shop"), api, plan)
        other = factories.subscription(session, factories.consumer(session, name="Quiet shop"), api, plan)
        hour = int(utcnow().timestamp()) // HOUR * HOUR - 3 * DAY
        same = {"api_id": api.id, "operation": "create-report"}
        session.add(
            ByOperation(
                level=HOUR, at=hour, **same, status=200, reason="ok", latency=b"", calls=40, bytes_in=0, bytes_out=0
            )
        )
        session.add(
            ByConsumerOperation(at=hour // DAY * DAY, consumer_id=found.consumer_id, calls=40, last_at=hour, **same)
        )
        session.commit()
        return found, other

    def test_who_may_have_met_a_stricter_limit_is_named_before_it_is_saved(self, publisher, session, busy):
        wish = FORM | row(per_minute="2")
        asked = publisher.post(PAGE, data=wish)

        assert asked.status_code == 409
        assert "Nothing is saved yet: limits of operations might have been met" in asked.text
        assert "Busy shop" in asked.text
        assert "40 calls" in asked.text
        named = asked.text.partition("Limits of operations that might have been met")[2].partition("</section>")[0]
        assert "Quiet shop" not in named
        assert stored(session) == []
        agreed = re.search('name="agreed" value="([0-9a-f]+)"', asked.text)[1]
        assert publisher.post(PAGE, data=wish | row(per_minute="3") | {"agreed": agreed}).status_code == 409
        assert publisher.post(PAGE, data=wish | {"agreed": agreed}).status_code == 303
        assert stored(session) == [("create-report", None, 2, None)]

    def test_what_nobody_met_is_saved_at_once(self, publisher, session, busy):
        assert publisher.post(PAGE, data=FORM | row(per_minute="40")).status_code == 303
        assert publisher.post(PAGE, data=FORM | row(operation="GET /reports", per_minute="1")).status_code == 303

    def test_it_can_be_asked_for(self, publisher, session, busy):
        answer = publisher.post(PAGE, data=FORM | row(per_minute="60") | {"what_if": "1"})

        assert answer.status_code == 200
        assert "none of 2 subscriptions would have been refused a call" in answer.text


class TestWhoReadsIt:
    def test_before_subscribing(self, client, cast, limited):
        page = sign_in(client, cast.stranger).get("/catalogue/cast/reports/v1/subscribe").text

        assert re.search(r"<code>POST /reports</code>:\s*2 calls per minute", page)

    def test_in_the_docs_of_the_api_and_of_the_operation(self, client, cast, limited):
        sign_in(client, cast.stranger)

        assert "POST /reports: 2 calls per minute" in client.get("/catalogue/cast/reports/v1").text
        page = client.get("/catalogue/cast/reports/v1/operations/create-report").text
        assert "2 calls per minute under the plan Basic" in page
        assert "per minute" not in client.get("/catalogue/cast/reports/v1/operations/show-report").text

    def test_not_by_those_who_may_not_know_the_plan(self, client, session, cast, plan, limited):
        plan.public = False
        session.commit()
        sign_in(client, cast.stranger)

        assert "per minute" not in client.get("/catalogue/cast/reports/v1/operations/create-report").text
        assert "per minute" not in client.get("/catalogue/cast/reports/v1").text

    def test_where_another_plan_is_chosen_and_where_publishers_subscribe(
        self, client, session, cast, api, plan, limited
    ):
        using = factories.subscription(session, factories.consumer(session, team=cast.team, slug="app"), api, plan)
        session.commit()
        sign_in(client, cast.owner)

        for page in (f"/consumers/cast/app/subscriptions/{using.id}/plan", "/apis/cast/reports/v1/subscribers/new"):
            assert "2 calls per minute" in client.get(page).text, page


class TestBackOffice:
    def test_it_leaves_limits_of_operations(self, client, session, cast, plan, limited):
        sign_in(client, cast.administrator)
        sent = {"name": "Basic", "per_second": "4"}

        assert client.post(f"/admin/plan/edit/?id={plan.id}", data=sent).status_code == 303
        assert stored(session) == [("create-report", None, 2, None)]
