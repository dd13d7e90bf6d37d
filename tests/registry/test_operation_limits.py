"""Limits of single operations under a plan."""

import pytest
from sqlalchemy import select

from portal import registry
from portal.accounts.audit import AuditEntry
from portal.errors import Invalid
from portal.registry import revision
from portal.registry.models import PlanOperation
from portal.registry.operation_limits import MOST_OPERATIONS, OperationLimit, are_stricter, is_moot, limits_at
from portal.registry.plans import PlanValues
from tests import factories

REPORTS = b"""
openapi: 3.1.0
info: {title: Reports, version: '1'}
paths:
  /reports:
    get: {operationId: list-reports, responses: {'200': {description: All}}}
    post: {operationId: create-report, deprecated: true, responses: {'201': {description: Made}}}
  /reports/{id}:
    get: {operationId: show-report, responses: {'200': {description: One}}}
"""
FEWER = REPORTS.replace(b"operationId: create-report", b"operationId: make-report")


@pytest.fixture
def api(session):
    plan = factories.plan(session, slug="basic", name="Basic", per_second=5, per_minute=None)
    digest = factories.openapi_document(session, REPORTS)
    row = factories.api(
        session, team=plan.team, plans=[plan], live=True, slug="reports", name="Reports", openapi=digest
    )
    # Of another API that has the same operations, and of another plan.
    noise = factories.api(session, live=True, openapi=digest)
    other = factories.plan(session, team=noise.team)
    registry.offer_plans(session, noise, [other])
    registry.limit_operations(session, other, [limit(noise, per_minute=77)])
    session.commit()
    return row


@pytest.fixture
def plan(api):
    return api.plans[0]


def limit(api, operation="create-report", **numbers) -> OperationLimit:
    return OperationLimit(api=api, operation=operation, **(numbers or {"per_minute": 2}))


def told(session, plan):
    return [(each.called, each.limit.per_minute) for each in registry.limited_operations(session, plan)]


class TestLimit:
    def test_what_is_given_is_all_that_there_is(self, session, api, plan):
        registry.limit_operations(session, plan, [limit(api), limit(api, "show-report", per_second=1, per_minute=9)])
        session.commit()
        assert told(session, plan) == [("POST /reports", 2), ("GET /reports/{id}", 9)]

        registry.limit_operations(session, plan, [limit(api, "list-reports")])
        session.commit()
        assert told(session, plan) == [("GET /reports", 2)]

        registry.limit_operations(session, plan, [])
        session.commit()
        assert session.scalars(select(PlanOperation.per_minute)).all() == [77]

    def test_nodes_hear_of_changes_only_and_a_changed_limit_keeps_its_buckets(self, session, api, plan):
        registry.limit_operations(session, plan, [limit(api)])
        session.commit()
        before, (row,) = revision.current(session), plan.operations
        number = row.id

        registry.limit_operations(session, plan, [limit(api)])
        session.commit()
        assert revision.current(session) == before

        registry.limit_operations(session, plan, [limit(api, per_minute=3)])
        session.commit()
        assert (revision.current(session), plan.operations[0].id) == (before + 1, number)

    @pytest.mark.parametrize(
        ("wanted", "field", "sentence"),
        [
            ([{"operation": "nothing"}], "operations.0.operation", "Reports v1 has no operation nothing"),
            ([{}, {}], "operations.1.operation", "stands here twice"),
            ([{"per_minute": 0}], "operations.0.per_minute", "Give a number from 1 to"),
            ([{"per_second_burst": 5}], "operations.0.per_second_burst", "A burst needs the limit"),
            (
                [{"per_minute": None, "per_second": None}],
                "operations.0.per_minute",
                "Give calls per second or per minute",
            ),
        ],
    )
    def test_what_makes_no_sense_is_refused_by_its_place(self, session, api, plan, wanted, field, sentence):
        with pytest.raises(Invalid) as refused:
            registry.limit_operations(session, plan, [limit(api, **{"per_minute": 2} | each) for each in wanted])

        assert list(refused.value.fields) == [field]
        assert sentence in refused.value.fields[field]

    def test_an_api_that_does_not_offer_the_plan_is_refused(self, session, api, plan):
        stranger = factories.api(session, team=plan.team, live=True, name="Other", openapi=None)

        with pytest.raises(Invalid, match="Other v1 does not offer this plan"):
            registry.limit_operations(session, plan, [limit(stranger)])

    def test_more_than_fifty_are_refused(self, session, api, plan):
        many = [limit(api, f"operation-{n}") for n in range(MOST_OPERATIONS + 1)]

        with pytest.raises(Invalid, match="These are 51 operations; at most 50 fit"):
            registry.limit_operations(session, plan, many)

    def test_the_trail_says_which_and_how_much(self, session, api, plan):
        registry.limit_operations(session, plan, [limit(api)])
        session.commit()
        registry.limit_operations(session, plan, [limit(api, per_minute=3)])
        session.commit()
        registry.limit_operations(session, plan, [])
        session.commit()

        label = f"create-report of {api.label} under {plan.team.slug}/basic"
        entries = session.scalars(select(AuditEntry).where(AuditEntry.label == label).order_by(AuditEntry.id)).all()
        assert [(each.action, each.team_id, each.changes) for each in entries] == [
            ("created", plan.team_id, {"per_minute": [None, 2]}),
            ("changed", plan.team_id, {"per_minute": [2, 3]}),
            ("deleted", plan.team_id, {"per_minute": [3, None]}),
        ]


class TestWhatBecomesOfIt:
    @pytest.fixture(autouse=True)
    def limited(self, session, api, plan):
        registry.limit_operations(session, plan, [limit(api)])
        session.commit()

    def test_it_stays_when_its_operation_goes_and_holds_when_it_comes_back(self, session, api, plan):
        release(session, api, FEWER)

        (found,) = registry.limited_operations(session, plan)
        assert (found.operation, found.called, found.is_odd) == (None, "create-report", True)
        assert limits_at(session, api, [plan]) == {plan.id: []}
        registry.limit_operations(session, plan, [limit(api, per_minute=5)])  # it may be changed
        with pytest.raises(Invalid, match="has no operation other"):
            registry.limit_operations(session, plan, [limit(api), limit(api, "other")])
        registry.limit_operations(session, plan, [limit(api, per_minute=5)])

        release(session, api, REPORTS)
        assert told(session, plan) == [("POST /reports", 5)]

    def test_it_stays_when_its_api_offers_the_plan_no_more(self, session, api, plan):
        registry.offer_plans(session, api, [])
        session.commit()

        (found,) = registry.limited_operations(session, plan)
        assert not found.is_offered
        registry.limit_operations(session, plan, [limit(api, per_minute=3)])
        with pytest.raises(Invalid, match="does not offer this plan"):
            registry.limit_operations(session, plan, [limit(api), limit(api, "show-report")])

    def test_it_goes_with_its_api_and_with_its_plan(self, session, api, plan):
        registry.delete_api(session, api)
        session.commit()
        assert session.scalars(select(PlanOperation.per_minute)).all() == [77]

        session.refresh(plan)
        other = factories.api(
            session, team=plan.team, plans=[plan], live=True, openapi=factories.openapi_document(session, REPORTS)
        )
        registry.limit_operations(session, plan, [limit(other)])
        session.commit()
        registry.delete_plan(session, plan)
        session.commit()
        assert session.scalars(select(PlanOperation.per_minute)).all() == [77]

    def test_a_new_version_has_it_too(self, session, api, plan):
        made = registry.new_version(session, api, version="v2", path="/reports/v2", by=None)
        session.commit()

        registry.publish(session, made, by=None, expected=made.draft_number)
        session.commit()
        assert sorted((each.limit.api.version, each.called) for each in registry.limited_operations(session, plan)) == [
            ("v1", "POST /reports"),
            ("v2", "POST /reports"),
        ]

    def test_the_docs_word_says_that_it_is_deprecated(self, session, plan):
        (found,) = registry.limited_operations(session, plan)

        assert found.operation.deprecated
        assert found.is_odd


def release(session, api, data: bytes) -> None:
    changed = registry.read_document(api.draft | {"openapi": factories.openapi_document(session, data)})
    registry.save_draft(session, api, changed, by=None, expected=api.draft_number)
    registry.publish(session, api, by=None, expected=api.draft_number)
    session.commit()


NONE = {"per_second": None, "per_second_burst": None, "per_minute": None, "per_minute_burst": None}


@pytest.mark.parametrize(
    ("plan", "operation", "moot"),
    [
        ({"per_second": 5}, {"per_second": 5}, True),
        ({"per_second": 5}, {"per_second": 6}, True),
        ({"per_second": 5}, {"per_second": 4}, False),
        ({"per_second": 5}, {"per_minute": 299}, False),
        ({"per_second": 5}, {"per_minute": 300}, True),
        ({"per_second": 5, "per_second_burst": 400}, {"per_minute": 300}, False),
        ({"per_minute": 60}, {"per_second": 1}, False),
        ({"per_minute": 60}, {"per_second": 60}, True),
        ({"per_minute": 60}, {"per_second": 60, "per_minute": 2}, False),
        ({}, {"per_second": 1_000}, False),
    ],
)
def test_a_limit_that_the_plan_meets_first_is_without_effect(plan, operation, moot):
    assert is_moot(PlanValues(name="Basic", **plan), OperationLimit(api=None, operation="x", **operation)) is moot


@pytest.mark.parametrize(
    ("before", "after", "stricter"),
    [
        (None, {"per_minute": 5}, True),
        ({"per_minute": 5}, None, False),
        ({"per_minute": 5}, {"per_minute": 5}, False),
        ({"per_minute": 5}, {"per_minute": 4}, True),
        ({"per_minute": 5}, {"per_minute": 6}, False),
        ({"per_minute": 5}, {"per_minute": 5, "per_second": 9}, True),
        ({"per_minute": 5, "per_minute_burst": 8}, {"per_minute": 6}, True),
    ],
)
def test_stricter_is_what_could_refuse_more(session, api, before, after, stricter):
    had, wanted = ([] if each is None else [limit(api, **each)] for each in (before, after))

    assert are_stricter(had, wanted) is stricter
