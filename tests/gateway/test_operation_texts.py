"""What the key data says of limited operations; what the key filter makes of it is in test_operation_limits.py."""

import zlib

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from portal import registry
from portal.gateway.ir import Operation, OperationLimit, Snapshot
from portal.gateway.keys import pack_keys
from portal.gateway.operation_limits import texts
from portal.gateway.read import Reader, consistent
from portal.registry.models import Revision
from portal.registry.operation_limits import OperationLimit as Wanted
from tests import factories
from tests.gateway.test_keys import unpacked
from tests.postgres import own_schema
from tests.registry.test_operation_limits import FEWER, REPORTS, release


def limit(operation: str, **fields: int | None) -> OperationLimit:
    return OperationLimit(**{"id": 7, "plan_id": 1, "api_id": 3, "operation": operation, "per_minute": 2} | fields)  # type: ignore[arg-type]


def snapshot(*limits: OperationLimit, described: tuple[Operation, ...]) -> Snapshot:
    return Snapshot(1, operation_limits=limits, operations={3: described})


def text(*limits: OperationLimit, described: list[tuple[str, str]]) -> str | None:
    operations = tuple(Operation(method, path, f"{method} {path}".lower()) for method, path in described)
    named = {each.name: f"op-{n}" for n, each in enumerate(operations)}
    renamed = tuple(each._replace(name=named[each.name]) for each in operations)
    return texts(snapshot(*limits, described=renamed)).get((1, 3))


class TestTexts:
    def test_a_line_for_each_limited_operation_with_its_numbers(self) -> None:
        found = text(
            limit("op-1", per_second=3, per_second_burst=5),
            limit("op-0", id=8, per_minute=9),
            described=[("POST", "/reports"), ("GET", "/a%20b/{x}.json"), ("GET", "/others")],
        )

        assert found == "8 0 0 9 9 op-0 POST /reports\n7 3 5 2 2 op-1 GET /a b/\1.json\n"

    @pytest.mark.parametrize(
        ("path", "others", "rivals"),
        [
            ("/pets/{id}", ["/pets/mine", "/pets/v{n}", "/pets/{id}/", "/{kind}/7", "/{all+}"], 5),
            ("/pets/{id}", ["/pets", "/pets/", "/pets/7/owner", "/cats/mine", "/"], 0),
            ("/tree/{path+}", ["/tree/a", "/tree/a/b/c", "/{x}/{y}"], 3),
            ("/tree/{path+}", ["/tree", "/trees/a"], 0),
            ("/", ["/pets"], 0),
        ],
    )
    def test_with_those_that_describe_some_of_the_same_calls(self, path: str, others: list[str], rivals: int) -> None:
        for method, of_others in (("GET", "GET"), ("GET", "HEAD"), ("HEAD", "GET"), ("POST", "POST")):
            found = text(limit("op-0"), described=[(method, path), *((of_others, other) for other in others)])
            assert found is not None
            assert found.count("\n0 0 0 0 0 - ") == rivals, (method, of_others)
        other_method = text(limit("op-0"), described=[("GET", path), *(("POST", other) for other in others)])
        assert other_method is not None
        assert other_method.count("\n") == 1

    def test_none_where_the_operation_is_not_there(self) -> None:
        assert text(limit("gone"), described=[("GET", "/reports")]) is None
        assert text(limit("op-0"), described=[("GET", "/odd\n1 1 1 1 1 x GET /")]) is None
        assert texts(Snapshot(1, operation_limits=(limit("op-0"),))) == {}

    def test_many_operations_are_looked_through_in_no_time(self) -> None:
        """Not quadratic in what an API describes: only what is limited is compared with all."""
        described = [("GET", f"/things-{n}/{{id}}") for n in range(20_000)]

        found = text(limit("op-77"), described=described)

        assert found == "7 0 0 2 2 op-77 GET /things-77/\1\n"


def test_the_key_data_has_them_sorted_by_plan_and_api() -> None:
    reports = (Operation("POST", "/reports", "create-report"),)
    one = Snapshot(
        1,
        operation_limits=tuple(
            limit("create-report", id=n, plan_id=plan, api_id=api)
            for n, (plan, api) in enumerate([(2, 1), (1, 9), (1, 2), (1, 5)], 1)
        ),
        operations={1: reports, 2: reports, 9: reports},
    )

    tables = unpacked(pack_keys(one))
    words = b"".join(sign for (sign,) in tables["texts"])

    assert [row[:2] for row in tables["limited"]] == [(1, 2), (1, 9), (2, 1)]
    assert [words[at : at + length] for _, _, at, length in tables["limited"]] == [
        b"%d 0 0 2 2 create-report POST /reports\n" % n for n in (3, 2, 1)
    ]
    assert zlib.crc32(pack_keys(one)) == zlib.crc32(
        pack_keys(Snapshot(1, operation_limits=one.operation_limits[::-1], operations=one.operations))
    )


class TestRead:
    def test_of_the_live_release_of_apis_that_have_limits(self, engine: Engine, session: Session) -> None:
        check_what_is_read(engine, session)

    @pytest.mark.postgres
    def test_on_postgresql(self, postgres_server: str) -> None:
        with own_schema(postgres_server) as engine, Session(engine) as session:
            session.add(Revision(id=1, n=0))
            check_what_is_read(engine, session)


def check_what_is_read(engine: Engine, session: Session) -> None:
    plan = factories.plan(session)
    digest = factories.openapi_document(session, REPORTS)
    api, _other = (factories.api(session, team=plan.team, plans=[plan], live=True, openapi=digest) for _ in range(2))
    reader = Reader()

    def read() -> Snapshot:
        session.commit()
        with consistent(engine) as connection:
            return reader.read(connection).snapshot

    assert (read().operation_limits, read().operations) == ((), {})

    registry.limit_operations(session, plan, [Wanted(api=api, operation="create-report", per_minute=2)])
    first = read()
    (row,) = plan.operations
    assert first.operation_limits == (OperationLimit(row.id, plan.id, api.id, "create-report", None, None, 2, None),)
    assert first.operations == {
        api.id: (
            Operation("GET", "/reports", "list-reports"),
            Operation("POST", "/reports", "create-report"),
            Operation("GET", "/reports/{id}", "show-report"),
        )
    }
    assert list(texts(first)) == [(plan.id, api.id)]
    assert read().operations[api.id] is first.operations[api.id], "it is not read again"

    release(session, api, FEWER)
    gone = read()
    assert gone.operation_limits == first.operation_limits
    assert [each.name for each in gone.operations[api.id]] == ["list-reports", "make-report", "show-report"]
    assert texts(gone) == {}
