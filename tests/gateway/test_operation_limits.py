"""Operations that have limits of their own under a plan, at the real Envoy."""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from portal.gateway import compile as compiler
from portal.gateway.filters import operations as operations_filter
from portal.gateway.ir import Operation, OperationLimit, Plan, Snapshot
from portal.gateway.resource import version_of
from portal.traffic.operations import Trie
from portal.traffic.parse import parse
from portal.traffic.reasons import OPERATION_LIMITED
from tests.gateway import envoy
from tests.gateway.conftest import LATER, SUBSCRIBER, UNKNOWN, Served, api, key, token_of, world
from tests.gateway.envoy import Gateway, Upstream, wait_for

pytestmark = pytest.mark.envoy

LET_THROUGH = (200, None)
OVER = (429, "rate_limited")
REPORTS = (
    Operation("GET", "/reports", "list-reports"),
    Operation("POST", "/reports", "create-report"),
    Operation("GET", "/reports/{id}", "show-report"),
)


def limit(operation: str, api_id: int = 1, **fields: Any) -> OperationLimit:
    return OperationLimit(**{"id": 7, "plan_id": 1, "api_id": api_id, "operation": operation, "per_minute": 2} | fields)


def limiting(snapshot: Snapshot, *limits: OperationLimit, described: tuple[Operation, ...] = REPORTS) -> Snapshot:
    return replace(snapshot, operation_limits=limits, operations={one.id: described for one in snapshot.apis})


def outcome(gateway: Gateway, path: str, method: str = "GET", **more: Any) -> tuple[int, str | None]:
    answer = call(gateway, path, method, **more)
    return answer.status, answer.json.get("reason") if answer.status >= 400 and answer.body else None


def call(gateway: Gateway, path: str, method: str = "GET", token: int = SUBSCRIBER, **headers: str) -> envoy.Answer:
    return gateway.call(path, {"X-API-Key": token_of(token).value, **headers}, method=method)


class TestWhichCallsCount:
    def test_a_used_up_operation_leaves_the_others_alone(self, gateway: Gateway, upstream: Upstream) -> None:
        gateway.publish(limiting(world(api(1, upstream.port)), limit("create-report")))

        assert [outcome(gateway, "/api-1/reports", "POST") for _ in range(4)] == [LET_THROUGH] * 2 + [OVER] * 2
        assert [outcome(gateway, "/api-1/reports") for _ in range(4)] == [LET_THROUGH] * 4
        assert outcome(gateway, "/api-1/reports/7", "POST") == LET_THROUGH, "no operation describes it"

    def test_it_belongs_to_the_subscription_and_to_its_plan(self, gateway: Gateway, upstream: Upstream) -> None:
        snapshot = limiting(world(api(1, upstream.port), api(2, upstream.port)), limit("create-report"))
        other = next(row for row in snapshot.subscriptions if row.consumer_id == 3)._replace(starts=0, plan_id=2)
        third = next(row for row in snapshot.subscriptions if row.consumer_id == 4)._replace(ends=None)
        keys = (*snapshot.keys, key(UNKNOWN, 3), key(80, 4))
        subscriptions = (*snapshot.subscriptions, other._replace(id=1_000), third._replace(id=1_001))
        gateway.publish(replace(snapshot, subscriptions=subscriptions, keys=keys, plans=(Plan(1), Plan(2))))
        assert [outcome(gateway, "/api-1/reports", "POST") for _ in range(3)] == [LET_THROUGH] * 2 + [OVER]

        assert outcome(gateway, "/api-1/reports", "POST", token=LATER) == OVER, "another key of the same consumer"
        assert outcome(gateway, "/api-2/reports", "POST") == LET_THROUGH, "another API"
        assert [outcome(gateway, "/api-1/reports", "POST", token=80) for _ in range(3)] == [LET_THROUGH] * 2 + [OVER]
        assert {outcome(gateway, "/api-1/reports", "POST", token=UNKNOWN) for _ in range(4)} == {LET_THROUGH}, "plan 2"

    @pytest.mark.parametrize(
        ("mount", "path"),
        [
            ({"path": "/api-1"}, "/api-1"),
            ({"path": "/api-1", "base_path": "/up/reports"}, "/api-1"),
            ({"path": None, "host": "reports.localhost"}, ""),
            ({"path": "/api-1", "key_place": "query", "key_name": "key"}, "/api-1"),
        ],
        ids=["path", "path-with-base", "host", "key-in-query"],
    )
    def test_wherever_the_api_is_mounted(
        self, gateway: Gateway, upstream: Upstream, mount: dict[str, Any], path: str
    ) -> None:
        gateway.publish(limiting(world(api(1, upstream.port, **mount)), limit("show-report")))
        headers = {"Host": str(mount["host"])} if mount.get("host") else {}
        question = f"?x=/y&key={token_of(SUBSCRIBER).value}" if mount.get("key_place") else "?x=/y"

        found = [outcome(gateway, f"{path}/reports/{n}{question}", **headers) for n in range(3)]

        assert found == [LET_THROUGH] * 2 + [OVER]
        assert outcome(gateway, f"{path}/reports{question}", **headers) == LET_THROUGH

    def test_head_counts_as_get(self, gateway: Gateway, upstream: Upstream) -> None:
        gateway.publish(limiting(world(api(1, upstream.port)), limit("show-report")))

        assert call(gateway, "/api-1/reports/7", "HEAD").status == 200
        assert outcome(gateway, "/api-1/reports/8") == LET_THROUGH
        assert call(gateway, "/api-1/reports/9", "HEAD").status == 429
        assert call(gateway, "/api-1/reports/9", "DELETE").status == 200

    @pytest.mark.parametrize(
        "path",
        [
            "/reports/",
            "/%72eports",
            "/x/../reports",
            "//reports",
            "/reports;x=1",
            "/reports;x=1/",
            "/reports?x",
            "/./reports",
        ],
    )
    def test_another_way_to_write_the_path_is_no_way_around(
        self, gateway: Gateway, upstream: Upstream, path: str
    ) -> None:
        gateway.publish(limiting(world(api(1, upstream.port)), limit("create-report", per_minute=1)))

        assert [outcome(gateway, f"/api-1{path}", "POST") for _ in range(2)] == [LET_THROUGH, OVER]

    def test_nor_is_another_name_for_the_method(self, gateway: Gateway, upstream: Upstream) -> None:
        gateway.publish(limiting(world(api(1, upstream.port)), limit("create-report", per_minute=1)))
        override = {"X-HTTP-Method-Override": "post"}

        assert [outcome(gateway, "/api-1/reports", "PATCH", **override) for _ in range(2)] == [LET_THROUGH, OVER]
        assert outcome(gateway, "/api-1/reports", "PATCH") == LET_THROUGH

    def test_clients_choose_no_limit(self, gateway: Gateway, upstream: Upstream) -> None:
        gateway.publish(limiting(world(api(1, upstream.port)), limit("create-report", per_minute=1)))
        theirs = {name: "7" for name in ("X-Subscription-Limit", "X_Subscription_Limit", "X-Subscription.Limit")}

        answers = [call(gateway, "/api-1/reports", **theirs) for _ in range(3)]

        assert [answer.status for answer in answers] == [200] * 3
        assert "x-subscription-limit" not in answers[0].sent
        # What upstreams see of it is a number that means something here alone.
        assert call(gateway, "/api-1/reports", "POST").sent["x-subscription-limit"] == "7"


DESCRIBED = tuple(
    Operation(method, path, f"{method.lower()}-{n}")
    for n, (method, path) in enumerate(
        [
            ("GET", "/"),
            ("GET", "/pets"),
            ("HEAD", "/pets"),
            ("GET", "/pets/{id}"),
            ("GET", "/pets/{pet}"),
            ("HEAD", "/pets/{id}"),
            ("GET", "/pets/mine"),
            ("GET", "/pets/{id}/"),
            ("GET", "/pets/{id}.json"),
            ("GET", "/pets/v{n}"),
            ("GET", "/pets/v{n}-{part}"),
            ("GET", "/{kind}/mine/{id}"),
            ("GET", "/pets/{id}/owner"),
            ("POST", "/pets/{id}/owner"),
            ("GET", "/tree/{path+}"),
            ("GET", "/tree/a/{b}"),
            ("GET", "/a%20b/{x}"),
            ("GET", "/{a}/{b}/{c}/{d}"),
            ("GET", "/é/{x}"),
        ]
    )
)
CALLS = [
    *("/", "/pets", "/pets/", "/pets/7", "/pets/7/", "/pets/mine", "/pets/mine/", "/pets/7.json", "/pets/.json"),
    *("/pets/v1", "/pets/v1-2", "/pets/v1-", "/pets/v-2.json", "/pets/mine/3", "/cats/mine/3", "/pets/7/owner"),
    *("/pets/7/owner/", "/tree", "/tree/", "/tree/a", "/tree/a/b", "/tree/a/b/c", "/a%20b/1", "/a+b/1"),
    *("/1/2/3/4", "/1/2/3/4/", "/tree/2/3/4", "/Pets/7", "/pets/%37", "/%C3%A9/x", "/nothing/of/it", "/pets/a%3Bb"),
]


class TestWhichOperationACallIs:
    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
    def test_as_ingest_finds_it(self, all_limited: Gateway, method: str) -> None:
        trie = Trie(DESCRIBED)
        places = {each.name: str(n) for n, each in enumerate(DESCRIBED, 1)}

        for path in CALLS:
            answer = call(all_limited, f"/api-1{path}", method)
            marked = _mark(all_limited, answer) if method == "HEAD" else answer.sent.get("x-subscription-limit")
            assert marked == places.get(trie.find(method, path)), f"{method} {path}"

    def test_what_a_better_template_describes_is_not_limited(self, gateway: Gateway, upstream: Upstream) -> None:
        gateway.publish(limiting(world(api(1, upstream.port)), limit("get-3", per_minute=1), described=DESCRIBED))

        found = {
            path: "x-subscription-limit" in call(gateway, f"/api-1{path}").sent for path in ("/pets/mine", "/pets/v1")
        }

        assert found == {"/pets/mine": False, "/pets/v1": False}
        assert [outcome(gateway, f"/api-1/pets/{n}") for n in (1, 2)] == [LET_THROUGH, OVER]


@pytest.fixture(scope="module")
def all_limited(upstream: Upstream) -> Iterator[Gateway]:
    """Each operation has a limit, whose id is its place."""
    limits = (limit(each.name, id=n, per_minute=10_000) for n, each in enumerate(DESCRIBED, 1))
    gateway = Gateway.new()
    try:
        gateway.publish(limiting(world(api(1, upstream.port)), *limits, described=DESCRIBED))
        yield gateway
    finally:
        gateway.stop()


def _mark(gateway: Gateway, answer: envoy.Answer) -> str | None:
    """Which limit the call met, by the name in its answer: there is no body to say what the upstream got."""
    named = re.match('"([a-z]+-([0-9]+))/minute"', answer.header("ratelimit-policy") or "")
    return str(int(named[2]) + 1) if named else None


class TestWhatStays:
    def test_a_used_up_limit_survives_publishing_keys_and_subscriptions(
        self, gateway: Gateway, upstream: Upstream
    ) -> None:
        before = limiting(world(api(1, upstream.port)), limit("create-report", per_minute=1))
        gateway.publish(before)
        assert [outcome(gateway, "/api-1/reports", "POST") for _ in range(2)] == [LET_THROUGH, OVER]
        (one,) = before.apis
        another = Operation("DELETE", "/reports/{id}", "delete-report")

        for now, changed in (
            (replace(before, apis=(one, api(2, upstream.port))), ["rds/rds.json"]),
            (replace(before, keys=(*before.keys, key(UNKNOWN, 1))), ["keys/keys.json", "rds/rds.json"]),
            (replace(before, subscriptions=before.subscriptions[:-1]), ["keys/keys.json"]),
            (
                replace(before, apis=(replace(one, release=2),), operations={1: (another, *REPORTS)}),
                ["keys/keys.json", "rds/rds.json"],
            ),
        ):
            assert gateway.publish(now) == changed
            assert outcome(gateway, "/api-1/reports", "POST") == OVER

    def test_plans_and_operations_refill_their_own_counters_only(self, gateway: Gateway, upstream: Upstream) -> None:
        plan = Plan(1, per_minute=3)
        before = limiting(world(api(1, upstream.port), plan=plan), limit("create-report", per_minute=1))
        gateway.publish(before)
        assert [outcome(gateway, "/api-1/reports", "POST") for _ in range(2)] == [LET_THROUGH, OVER]
        assert [outcome(gateway, "/api-1/reports") for _ in range(3)] == [LET_THROUGH, LET_THROUGH, OVER]

        changed = gateway.publish(replace(before, operation_limits=(limit("create-report", per_minute=4),)))
        assert changed == ["keys/keys.json", "operations/operations.json"]
        assert outcome(gateway, "/api-1/reports") == OVER, "the plan's"

        gateway.publish(replace(before, operation_limits=(limit("create-report", per_minute=1),)))
        assert outcome(gateway, "/api-1/reports", "POST") == OVER, "still the plan's"
        assert gateway.publish(replace(before, plans=(Plan(1, per_minute=30),))) == [
            "keys/keys.json",
            "limits/limits.json",
        ]
        assert outcome(gateway, "/api-1/reports") == LET_THROUGH
        assert outcome(gateway, "/api-1/reports", "POST") == OVER, "the call that its plan refused took the last token"

    def test_an_operation_that_has_gone_is_limited_no_more(self, gateway: Gateway, upstream: Upstream) -> None:
        before = limiting(world(api(1, upstream.port)), limit("create-report", per_minute=1))
        gateway.publish(before)
        assert [outcome(gateway, "/api-1/reports", "POST") for _ in range(2)] == [LET_THROUGH, OVER]

        assert gateway.publish(replace(before, operations={1: REPORTS[:1]})) == ["keys/keys.json"]
        assert outcome(gateway, "/api-1/reports", "POST") == LET_THROUGH
        gateway.publish(before)
        assert outcome(gateway, "/api-1/reports", "POST") == OVER, "it has come back, and so has its counter"

    def test_while_nobody_knows_the_limits_limited_operations_answer_429(
        self, gateway: Gateway, upstream: Upstream
    ) -> None:
        gateway.publish(limiting(world(api(1, upstream.port)), limit("create-report")))
        gateway.write(operations_filter.FILE, operations_filter.closed())
        name = compiler.VERSION_STATISTICS[operations_filter.FILE]
        wait_for(lambda: gateway.versions()[name] == version_of(operations_filter.closed()), "Envoy takes it")

        assert outcome(gateway, "/api-1/reports", "POST") == OVER
        assert outcome(gateway, "/api-1/reports") == LET_THROUGH


class TestWhatAnswersSay:
    SHARED = ";pk=:" + base64.b64encode(b"con_0000000000000001").decode() + ":"

    def test_the_stricter_of_plan_and_operation_comes_first(self, gateway: Gateway, upstream: Upstream) -> None:
        plan = Plan(1, per_minute=3, per_minute_burst=2_000)
        gateway.publish(
            limiting(world(api(1, upstream.port), plan=plan), limit("create-report", per_minute=2, per_minute_burst=40))
        )

        limited, other = call(gateway, "/api-1/reports", "POST"), call(gateway, "/api-1/reports")

        assert limited.header("ratelimit") == '"create-report/minute";r=39;t=30, "minute";r=1999;t=20'
        assert limited.header("ratelimit-policy") == (
            f'"create-report/minute";q=2;w=60{self.SHARED}, "minute";q=3;w=60{self.SHARED}'
        )
        assert (limited.header("x-ratelimit-limit"), limited.header("x-ratelimit-remaining")) == ("40", "39")
        assert limited.header("x-ratelimit-scope") is None
        assert other.header("ratelimit") == '"minute";r=1998;t=40'
        assert other.header("ratelimit-policy") == f'"minute";q=3;w=60{self.SHARED}'
        assert other.header("x-ratelimit-limit") == "2000"

    def test_a_plan_that_has_less_left_is_the_stricter(self, gateway: Gateway, upstream: Upstream) -> None:
        plan = Plan(1, per_minute=3, per_minute_burst=10)
        gateway.publish(
            limiting(world(api(1, upstream.port), plan=plan), limit("create-report", per_second=2, per_minute=None))
        )
        for _ in range(9):
            call(gateway, "/api-1/reports")

        answer = call(gateway, "/api-1/reports", "POST")

        assert re.fullmatch(
            '"minute";r=0;t=[0-9]+, "create-report/second";r=1;t=1', answer.header("ratelimit") or ""
        ), answer.header("ratelimit")
        assert (answer.header("x-ratelimit-limit"), answer.header("x-ratelimit-remaining")) == ("10", "0")

    def test_a_refusal_says_whose_limit_it_was(self, gateway: Gateway, upstream: Upstream) -> None:
        plan = Plan(1, per_second=1_000, quota_day=5_000)
        gateway.publish(limiting(world(api(1, upstream.port), plan=plan), limit("create-report", per_minute=1)))
        assert outcome(gateway, "/api-1/reports", "POST") == LET_THROUGH

        refused = call(gateway, "/api-1/reports", "POST")

        assert refused.json["reason"] == "rate_limited"
        assert refused.json["message"] == "The subscription's plan allows fewer calls of this operation in this time."
        assert refused.header("x-ratelimit-scope") == "operation"
        assert re.fullmatch('"create-report/minute";r=0;t=([0-9]+)', refused.header("ratelimit") or "")
        assert int(refused.header("retry-after") or 0) > 0
        assert refused.header("x-ratelimit-limit") == "1"
        (line,) = gateway.log_lines(refused.header("x-request-id") or "")
        stored = parse(json.dumps(line).encode())
        assert (stored.reason, stored.details, stored.subscription_id) == ("rate_limited", OPERATION_LIMITED, 100)

    def test_a_refusal_of_the_plan_is_the_plans(self, gateway: Gateway, upstream: Upstream) -> None:
        plan = Plan(1, per_minute=1)
        gateway.publish(limiting(world(api(1, upstream.port), plan=plan), limit("create-report", per_minute=50)))
        call(gateway, "/api-1/reports", "POST")

        refused = call(gateway, "/api-1/reports", "POST")

        assert refused.status == 429
        assert refused.header("x-ratelimit-scope") is None
        assert re.fullmatch(
            '"minute";r=0;t=[0-9]+, "create-report/minute";r=48;t=[0-9]', refused.header("ratelimit") or ""
        ), refused.header("ratelimit")
        (line,) = gateway.log_lines(refused.header("x-request-id") or "")
        assert parse(json.dumps(line).encode()).details == "local_rate_limited"

    def test_what_an_upstream_says_is_not_mixed_with_ours(self, gateway: Gateway, upstream: Upstream) -> None:
        described = (Operation("GET", "/answer", "answer"),)
        theirs = "X-RateLimit-Limit=5&X-RateLimit-Remaining=4&X-RateLimit-Reset=3&X-RateLimit-Scope=operation"
        for plan in (Plan(1), Plan(1, per_minute=3, per_minute_burst=2_000)):
            one = limit("answer", per_minute=2, per_minute_burst=40)
            gateway.publish(limiting(world(api(1, upstream.port), plan=plan), one, described=described))
            answer = call(gateway, f"/api-1/answer?status=429&{theirs}")

            assert (answer.header("x-ratelimit-limit"), answer.header("x-ratelimit-remaining"))[0] == "40"
            assert (answer.header("ratelimit") or "").startswith('"answer/minute";r=3')
            (line,) = gateway.log_lines(answer.header("x-request-id") or "")
            assert parse(json.dumps(line).encode()).reason == "upstream_status"


class TestCost:
    def test_without_such_limits_the_filter_is_off(self, served: Served) -> None:
        before = served.gateway.stat("operations.http_local_rate_limit.enabled")

        assert served.call("/orders/v1/reports").status == 200
        assert served.gateway.stat("operations.http_local_rate_limit.enabled") == before == 0
