"""Public APIs: nobody is asked who they are, and everything that an upstream hears of its callers is still ours."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from portal.gateway import check
from portal.gateway import compile as compiler
from portal.gateway.filters import limits
from portal.gateway.ir import Api, Consumer, Plan, Snapshot, Subscription
from portal.registry.keys import new_token
from portal.registry.models import KeyKind
from tests.gateway import envoy
from tests.gateway.conftest import IN_A_WHILE, LONG_AGO, SUBSCRIBER, Served, api, token_of, world
from tests.gateway.envoy import Answer, Gateway
from tests.gateway.test_fail_closed import taken, with_script

pytestmark = pytest.mark.envoy

EVERYONE = Consumer(90, "con_everyone22222222", False, True)
PAIR = new_token(kind=KeyKind.BASIC)


def public(id_: int, port: int, path: str, **fields: object) -> Api:
    return api(id_, port, path=path, takes_key=False, public=True, **fields)


def everyone(*apis: Api, plan: Plan | None = None, more: tuple[Subscription, ...] = ()) -> Snapshot:
    """`world`, and one subscription of everyone to each public API, under plan 2."""
    base = world(*apis, plan=Plan(1))
    own = [Subscription(5_000 + one.id, EVERYONE.id, one.id, 2, LONG_AGO, None) for one in apis if one.public]
    replaced = {each.api_id for each in more}
    return replace(
        base,
        plans=(*base.plans, plan or Plan(2)),
        consumers=[*base.consumers, EVERYONE],
        subscriptions=[*base.subscriptions, *(each for each in own if each.api_id not in replaced), *more],
    )


@pytest.fixture(scope="module")
def served(upstream: envoy.Upstream) -> Iterator[Served]:
    port = upstream.port
    gateway = Gateway.new()
    try:
        gateway.publish(
            everyone(
                public(1, port, "/open"),
                public(2, port, "/bearer", key_place="bearer"),
                public(3, port, "/query", key_place="query", key_name="k"),
                public(4, port, "/named", key_name="x-orders-key"),
                public(5, port, "/paused", paused=True),
                public(6, port, "/retired", retired=True),
                public(7, port, "/used-up"),
                public(8, port, "/small", body_limit_bytes=10),
                api(9, port, path="/keyed"),
                public(10, port, "/forgotten"),
                more=(
                    Subscription(5_007, EVERYONE.id, 7, 2, LONG_AGO, None, "approved", IN_A_WHILE),
                    Subscription(5_010, EVERYONE.id, 10, 2, LONG_AGO, LONG_AGO + 1),
                ),
            )
        )
        yield Served(gateway, upstream)
    finally:
        gateway.stop()


def reason(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["reason"]


@pytest.mark.parametrize("path", ["/open", "/bearer", "/query", "/named"])
def test_everybody_may_call_and_is_one_consumer(served: Served, path: str) -> None:
    answer = served.call(f"{path}/x?a=1", token=None)

    assert answer.status == 200
    sent = answer.sent
    assert sent["x-consumer-id"] == EVERYONE.public_id
    assert sent["x-plan-id"] == "2"
    assert sent["x-subscription-id"].startswith("500")
    assert "x-key-id" not in sent
    assert answer.json["path"] == "/x?a=1"


def test_forged_identities_are_taken_off(served: Served) -> None:
    forged = {
        "X-Consumer-Id": "con_0000000000000001",
        "X-Subscription-Id": "100",
        "X-Plan-Id": "1",
        "X-Consumer-Plan": "1",
        "X-Key-Id": "000000000000",
        "X_Consumer_Id": "con_0000000000000001",
    }

    sent = served.call("/open", forged, token=None).sent

    assert (sent["x-consumer-id"], sent["x-subscription-id"], sent["x-plan-id"]) == (EVERYONE.public_id, "5001", "2")
    assert sent["x-consumer-plan"] == "2"
    assert not {"x-key-id", "x_consumer_id"} & sent.keys()


@pytest.mark.parametrize("path", ["/open", "/bearer", "/query", "/named"])
def test_a_credential_that_is_sent_all_the_same_goes_no_further_and_counts_for_nothing(
    served: Served, path: str
) -> None:
    key = token_of(SUBSCRIBER).value
    coded = base64.b64encode(PAIR.value.encode()).decode()
    for headers in (
        [("X-API-Key", key)],
        [("X-Orders-Key", key)] if path == "/named" else [],
        [("Authorization", f"Bearer {key}")],
        [("Authorization", f"Basic {coded}")],
        [("X-API-Key", key), ("X-API-Key", key)],
        [("Cookie", f"a={key}; b=1")],
    ):
        answer = served.call(f"{path}?k={key}&login={PAIR.value}&a=1", headers, token=None)

        assert answer.status == 200
        said = answer.body.decode()
        assert key not in said
        assert coded not in said
        assert PAIR.password not in said
        assert answer.sent["x-consumer-id"] == EVERYONE.public_id


def test_what_is_the_upstreams_own_passes_on(served: Served) -> None:
    foreign = [("Authorization", "Basic dXNlcjpwYXNzd29yZA=="), ("X-API-Key", "theirs"), ("X-Orders-Key", "theirs")]

    answer = served.call("/named?k=theirs", foreign, token=None)

    assert answer.sent["authorization"] == "Basic dXNlcjpwYXNzd29yZA=="
    assert (answer.sent["x-api-key"], answer.sent["x-orders-key"]) == ("theirs", "theirs")
    assert answer.json["path"] == "/?k=theirs"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/paused", (503, "api_paused")),
        ("/retired", (410, "api_retired")),
        ("/used-up", (429, "quota_exceeded")),
        ("/forgotten", (403, "not_subscribed")),
        ("/keyed", (401, "key_missing")),
        ("/nowhere", (404, "no_such_api")),
    ],
)
def test_what_holds_for_calls_with_a_key_holds_without(served: Served, path: str, expected: tuple[int, str]) -> None:
    before = len(served.upstream.calls)

    answer = served.call(path, token=None)

    assert reason(answer) == expected
    assert len(served.upstream.calls) == before
    if expected[0] != 401:
        assert answer.header("WWW-Authenticate") is None


def test_bodies_are_limited(served: Served) -> None:
    assert reason(served.call("/small", token=None, method="POST", body=b"x" * 11)) == (413, "too_large")


def test_the_log_has_consumer_subscription_and_plan(served: Served) -> None:
    answer = served.call("/open/x", token=None)

    (line,) = served.gateway.log_lines(str(answer.header("X-Request-Id")))
    assert (line["c"], line["s"], line["pl"], line.get("k")) == (EVERYONE.public_id, "5001", "2", None)


def test_a_suspended_everyone_calls_nothing(gateway: Gateway, upstream: envoy.Upstream) -> None:
    snapshot = everyone(public(1, upstream.port, "/open"))
    consumers = [each._replace(suspended=True) if each.everyone else each for each in snapshot.consumers]
    gateway.publish(replace(snapshot, consumers=consumers))

    assert reason(gateway.call("/open")) == (403, "consumer_suspended")


class TestLimits:
    """Behind a proxy that says whose call it is, so that one machine can be many."""

    @pytest.fixture
    def proxied(self) -> Iterator[Gateway]:
        gateway = Gateway.new(trusted_hops=1)
        try:
            yield gateway
        finally:
            gateway.stop()

    def statuses(self, gateway: Gateway, address: str, calls: int, path: str = "/open") -> list[int]:
        return [gateway.call(path, {"X-Forwarded-For": address}).status for _ in range(calls)]

    def test_each_address_has_its_own(self, proxied: Gateway, upstream: envoy.Upstream) -> None:
        proxied.publish(everyone(public(1, upstream.port, "/open"), plan=Plan(2, per_minute=2)))

        assert self.statuses(proxied, "203.0.113.1", 3) == [200, 200, 429]
        assert self.statuses(proxied, "203.0.113.2", 3) == [200, 200, 429]
        assert self.statuses(proxied, "2001:db8::1", 2) == [200, 200]
        # Whoever has one address of an IPv6 network has them all.
        assert self.statuses(proxied, "2001:db8::ffff:1", 1) == [429]
        assert self.statuses(proxied, "2001:db8:0:1::1", 1) == [200]

    def test_answers_tell_of_them(self, proxied: Gateway, upstream: envoy.Upstream) -> None:
        plan = Plan(2, per_second=50, per_minute=2, quota_day=1_000)
        proxied.publish(everyone(public(1, upstream.port, "/open"), plan=plan))

        first = proxied.call("/open", {"X-Forwarded-For": "203.0.113.1"})
        assert first.header("X-RateLimit-Remaining") == "1"
        assert str(first.header("RateLimit")).startswith('"minute";r=1')
        policy = str(first.header("RateLimit-Policy"))
        assert policy.startswith('"second";q=50;w=1, "minute";q=2;w=60, "day";q=1000;w=86400;pk=')

        self.statuses(proxied, "203.0.113.1", 1)
        refused = proxied.call("/open", {"X-Forwarded-For": "203.0.113.1"})
        assert reason(refused) == (429, "rate_limited")
        assert int(str(refused.header("Retry-After"))) >= 1

    def test_subscriptions_keep_their_own_buckets(self, proxied: Gateway, upstream: envoy.Upstream) -> None:
        """Also under the same plan, and whatever plan a client claims to have."""
        snapshot = everyone(public(1, upstream.port, "/open"), api(2, upstream.port, path="/keyed"))
        snapshot = replace(snapshot, plans=(Plan(1, per_minute=3), Plan(2, per_minute=2)))
        snapshot = replace(
            snapshot,
            subscriptions=[
                each._replace(plan_id=1) if each.consumer_id == EVERYONE.id else each for each in snapshot.subscriptions
            ],
        )
        proxied.publish(snapshot)
        key = {"X-API-Key": token_of(SUBSCRIBER).value, "X-Consumer-Plan": "2"}

        assert self.statuses(proxied, "203.0.113.1", 4) == [200, 200, 200, 429]
        assert [proxied.call("/keyed", key).status for _ in range(4)] == [200, 200, 200, 429]

    def test_while_nobody_knows_the_plans_nobody_gets_through(self, proxied: Gateway, upstream: envoy.Upstream) -> None:
        snapshot = everyone(public(1, upstream.port, "/open"), plan=Plan(2, per_minute=2))
        proxied.publish(snapshot)
        proxied.write("limits/limits.json", limits.closed())
        name = f"extension_config_discovery.http_filter.{limits.NAME}.version_text"
        expected = compiler.expected_versions({"limits/limits.json": limits.closed()})
        envoy.wait_for(lambda: expected[name] == proxied.versions().get(name), "Envoy takes the limits")

        assert self.statuses(proxied, "203.0.113.9", 1) == [429]

    def test_without_public_apis_the_limits_are_what_they_were(self) -> None:
        plans = (Plan(1, per_second=5, per_minute=7), Plan(2, per_second=5))
        keyed, opened = world(api(1)), everyone(public(1, 80, "/open"), plan=Plan(2, per_second=5))

        before = json.loads(limits.discovered(replace(keyed, plans=plans)))
        after = json.loads(limits.discovered(replace(opened, plans=plans)))

        assert "masked_remote_address" not in json.dumps(before)
        buckets = [each["entries"] for each in after["resources"][0]["typed_config"]["descriptors"]]
        assert [{"key": "s", "value": "2"}, {"key": "masked_remote_address"}] in buckets
        assert [{"key": "s", "value": "1"}, {"key": "masked_remote_address"}] not in buckets


STAGES = {
    "at the start of a call": ("local function decide(handle)\n", ""),
    "while the way is chosen": ("local function way_of(", "in"),
    "while everyone is looked up": ("local function look_up_everyone(api)\n", ""),
    "after the first header was written": ('  headers:add("x-consumer-id", rights[3])\n', ""),
    "before the proof is written": ('  headers:add("x-subscription-id", rights[6])\n', "before"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_script_that_fails_lets_nobody_into_a_public_api(
    gateway: Gateway, upstream: envoy.Upstream, stage: str
) -> None:
    gateway.publish(everyone(public(1, upstream.port, "/open")))
    assert gateway.call("/open").status == 200
    line, where = STAGES[stage]

    def broken(script: str) -> str:
        start = script.index(line)
        end = script.index("\n", start) + 1
        if where == "before":
            return f"{script[:start]}  error('on purpose')\n{script[start:]}"
        return f"{script[:end]}  error('on purpose')\n{script[end:]}"

    taken(gateway, with_script(gateway, broken))
    before = len(upstream.calls)
    forged = {"X-Subscription-Id": "5001", "X-Consumer-Id": EVERYONE.public_id, "X-Plan-Id": "2"}

    answers = [gateway.call("/open", forged), gateway.call("/open")]

    assert [reason(answer) for answer in answers] == [(500, "gateway_error")] * 2
    assert len(upstream.calls) == before


def test_a_script_that_is_gone_lets_nobody_into_a_public_api(gateway: Gateway, upstream: envoy.Upstream) -> None:
    gateway.publish(everyone(public(1, upstream.port, "/open")))
    taken(gateway, with_script(gateway, lambda script: script.replace("function envoy_on_request", "function gone")))
    before = len(upstream.calls)

    assert gateway.call("/open", {"X-Subscription-Id": "5001"}).status == 500
    assert len(upstream.calls) == before


def test_the_static_twin_is_fine(tmp_path: object) -> None:
    snapshot = everyone(public(1, 80, "/open"), plan=Plan(2, per_second=5, per_minute=7))
    assert check.problems(snapshot) == []
    gateway = Gateway.new()
    try:
        twin = compiler.static_twin(snapshot, gateway.place, {"orders.internal": ["127.0.0.1"]})
        assert envoy.validate(twin, gateway.place.directory) == ""
    finally:
        gateway.stop()
