from dataclasses import replace
from typing import Any

import pytest

from portal.gateway.check import Problem, problems
from portal.gateway.ir import AddressLists, Cors, Plan, Snapshot, Target, Upstream
from tests.gateway.conftest import api, world


def of(*apis: Any, **rest: Any) -> list[Problem]:
    return problems(replace(world(*apis), **rest))


def test_a_good_snapshot_has_none() -> None:
    assert (
        of(
            api(1, path="/orders/v1", host="orders.localhost"),
            api(2, path="/orders/v10", key_place="bearer"),
            api(3, path=None, host="other.example.com", base_path="/a/b", key_place="query", key_name="api_key"),
            plans=(Plan(1, 1, 1, 1, 1), Plan(2)),
        )
        == []
    )


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"path": None}, "neither a path nor a host"),
        ({"path": "orders"}, "must look like /orders/v1"),
        ({"path": "/"}, "must look like /orders/v1"),
        ({"path": "/orders/"}, "must look like /orders/v1"),
        ({"path": "/a//b"}, "must look like /orders/v1"),
        ({"path": "/a%2Fb"}, "must look like /orders/v1"),
        ({"path": "/a b"}, "must look like /orders/v1"),
        ({"path": "/a/../b"}, ". or .. alone"),
        ({"path": "/_portico"}, "belongs to the gateway"),
        ({"path": "/_portico/x"}, "belongs to the gateway"),
        ({"host": "Orders.example.com"}, "not a host name"),
        ({"host": "orders.example.com:80"}, "not a host name"),
        ({"host": "*.example.com"}, "not a host name"),
        ({"host": "a_b..c"}, "not a host name"),
        ({"base_path": "up"}, "must begin with /"),
        ({"base_path": "/a?b"}, "must begin with /"),
        ({"base_path": "/a/../b"}, "must begin with /"),
        ({"key_name": "X Y"}, "not the name of a header"),
        ({"key_name": "X-Key"}, "not the name of a header"),
        ({"key_name": "host"}, "meaning of its own"),
        ({"key_name": "content-length"}, "meaning of its own"),
        ({"key_name": "x-consumer-id"}, "meaning of its own"),
        ({"key_name": "x-request-id"}, "meaning of its own"),
        ({"key_name": "x_api_key"}, "meaning of its own"),
        ({"key_name": "content_length"}, "meaning of its own"),
        ({"key_name": "user-agent"}, "meaning of its own"),
        ({"key_place": "query", "key_name": "a&b"}, "query parameter"),
        ({"upstream": Upstream(())}, "no target"),
        ({"upstream": Upstream((Target("a b", 80),))}, "neither a host name nor an address"),
        ({"upstream": Upstream((Target("a", 0),))}, "port"),
        ({"upstream": Upstream((Target("a", 80, -1),))}, "weight"),
        ({"first_byte_timeout_ms": 0}, "time to the first byte"),
        ({"retries": 11}, "retries"),
        ({"body_limit_bytes": -1}, "body limit"),
        ({"cors": Cors((), ("GET",), (), ())}, "no origin"),
        ({"cors": Cors(("https://a.example",), ("GET",), ("X-A, X-B",), ())}, "“X-A, X-B”"),
        ({"cors": Cors(("https://a.example\r\nX: y",), ("GET",), (), ())}, "CORS rules"),
        ({"cors": Cors(("*",), ("GET",), (), (), credentials=True)}, "cookies"),
        ({"addresses": AddressLists(allow=("10.1.2.3/8",))}, "“10.1.2.3/8”"),
        ({"addresses": AddressLists(deny=("10.1.2.3",))}, "“10.1.2.3”"),
    ],
)
def test_a_problem_names_its_api(fields: dict[str, Any], part: str) -> None:
    (problem,) = of(api(1, **fields), api(2, path="/other"))

    assert problem.api == "shop/api-1/v1"
    assert part in problem.sentence


def test_addresses_are_good_targets() -> None:
    targets = (Target("10.0.0.1", 80), Target("fd00::1", 8080), Target("Orders.internal", 80))

    assert of(api(1, upstream=Upstream(targets))) == []


@pytest.mark.parametrize("inner", ["/orders/v1", "/orders/v1/x", "/orders"])
def test_mounts_may_not_touch(inner: str) -> None:
    found = of(api(1, path="/orders/v1"), api(2, path="/orders-v1"), api(3, path=inner))

    assert len(found) == 1
    assert found[0].api in {"shop/api-1/v1", "shop/api-3/v1"}
    other = {"shop/api-1/v1", "shop/api-3/v1"} - {found[0].api}
    assert other.pop() in found[0].sentence


def test_a_host_belongs_to_one_api() -> None:
    (problem,) = of(api(1, host="a.localhost"), api(2, host="a.localhost"))

    assert problem == Problem(
        "shop/api-2/v1", "It is mounted at the host a.localhost, which already belongs to shop/api-1/v1."
    )


@pytest.mark.parametrize(
    "plan", [Plan(1, per_second=0), Plan(1, per_minute=-1), Plan(1, 5, 0), Plan(1, per_minute_burst=0)]
)
def test_limits_are_at_least_one(plan: Plan) -> None:
    (problem,) = of(plans=(plan,))

    assert problem.api is None
    assert "Plan 1" in problem.sentence


def test_an_empty_snapshot_has_none() -> None:
    assert problems(Snapshot(0)) == []
