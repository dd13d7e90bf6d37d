"""What stays while files change under a running Envoy, and what acts at once."""

import base64
import json
import re
import time
from dataclasses import replace
from email.utils import formatdate
from unittest.mock import ANY

import pytest

from portal.gateway import compile as compiler
from portal.gateway import keys
from portal.gateway.filters import overall
from portal.gateway.ir import Plan, Snapshot
from portal.gateway.publish import Publisher
from portal.gateway.resolve import Resolver
from portal.gateway.resource import discovery_file, version_of
from portal.gateway.supervisor import NullEnvoy
from portal.outbound.addresses import AddressRules
from portal.traffic.parse import parse
from tests.gateway.conftest import LATER, LONG_AGO, SUBSCRIBER, UNKNOWN, UNSUBSCRIBED, api, key, token_of, world
from tests.gateway.envoy import Gateway, Upstream, wait_for

pytestmark = pytest.mark.envoy


def status(gateway: Gateway, path: str = "/api-1", token: int = SUBSCRIBER) -> int:
    return gateway.call(path, {"X-API-Key": token_of(token).value}).status


def with_keys(snapshot: Snapshot, *more: object) -> Snapshot:
    return replace(snapshot, keys=(*snapshot.keys, *more))


def test_a_key_acts_as_soon_as_its_file_is_taken(gateway: Gateway, upstream: Upstream) -> None:
    before = world(api(1, upstream.port))
    gateway.publish(before)
    assert status(gateway, token=UNKNOWN) == 401

    assert gateway.publish(with_keys(before, key(UNKNOWN, 1))) == ["keys/keys.json"]
    assert status(gateway, token=UNKNOWN) == 200

    gateway.publish(with_keys(before, key(UNKNOWN, 1, revoked=LONG_AGO)))
    answer = gateway.call("/api-1", {"X-API-Key": token_of(UNKNOWN).value})
    assert answer.json["reason"] == "key_revoked"


def test_a_new_release_and_a_pause_act_at_once(gateway: Gateway, upstream: Upstream) -> None:
    one = api(1, upstream.port)
    gateway.publish(world(one))
    gateway.publish(world(replace(one, paused=True)))
    assert status(gateway) == 503

    gateway.publish(world(replace(one, release=2, base_path="/two")))
    assert gateway.call("/api-1", {"X-API-Key": token_of(SUBSCRIBER).value}).json["path"] == "/two"


def test_a_stream_survives_twenty_publishes(gateway: Gateway, upstream: Upstream) -> None:
    first = api(1, upstream.port)
    gateway.publish(world(first))
    connection = gateway.connection()
    connection.request("GET", "/api-1/stream?lines=21", headers={"X-API-Key": token_of(SUBSCRIBER).value})
    answer = connection.getresponse()
    lines = []
    for number in range(21):
        others = [api(2 + n, upstream.port) for n in range(number)]
        # The address of the stream's own upstream changes too, so that its cluster is replaced under it.
        gateway.publish(
            with_keys(world(first, *others), *(key(20 + n, 2) for n in range(number))),
            {"orders.internal": ["127.0.0.1", "127.0.0.2"] if number % 2 else ["127.0.0.1"]},
        )
        upstream.line.release()
        lines.append(answer.readline())
        answer.readline()
    connection.close()

    assert lines == [b"data: %d\n" % number for number in range(21)]


class TestLimits:
    def calls(self, gateway: Gateway, number: int = 5) -> list[int]:
        return [status(gateway) for _ in range(number)]

    def test_a_used_up_limit_survives_a_publish_and_a_key_but_not_a_change_of_limits(
        self, gateway: Gateway, upstream: Upstream
    ) -> None:
        before = world(api(1, upstream.port), plan=Plan(1, per_minute=3))
        gateway.publish(before)
        assert self.calls(gateway) == [200, 200, 200, 429, 429]

        assert gateway.publish(replace(before, apis=(*before.apis, api(2, upstream.port)))) == ["rds/rds.json"]
        assert status(gateway) == 429
        gateway.publish(with_keys(before, key(UNKNOWN, 1)))
        assert status(gateway) == 429
        assert status(gateway, token=UNKNOWN) == 429, "the limit belongs to the subscription, not to the key"

        assert gateway.publish(replace(before, plans=(Plan(1, per_minute=2),))) == [
            "keys/keys.json",
            "limits/limits.json",
        ]
        assert self.calls(gateway, 3) == [200, 200, 429]

    def test_a_used_up_limit_survives_another_plan_only_where_that_has_no_limits(
        self, gateway: Gateway, upstream: Upstream
    ) -> None:
        before = world(api(1, upstream.port), plan=Plan(1, per_minute=2))
        gateway.publish(before)
        assert self.calls(gateway, 3) == [200, 200, 429]

        assert gateway.publish(replace(before, plans=(*before.plans, Plan(2)))) == []
        assert status(gateway) == 429

        # Envoy's filter makes all its buckets anew; README and the pages of plans say so.
        limited = replace(before, plans=(*before.plans, Plan(2, per_minute=9)))
        assert gateway.publish(limited) == ["keys/keys.json", "limits/limits.json"]
        assert self.calls(gateway, 3) == [200, 200, 429]

    def test_the_refusal_says_when_to_come_back(self, gateway: Gateway, upstream: Upstream) -> None:
        gateway.publish(world(api(1, upstream.port), plan=Plan(1, per_minute=1)))
        assert status(gateway) == 200

        answer = gateway.call("/api-1", {"X-API-Key": token_of(SUBSCRIBER).value})

        assert (answer.status, answer.json["reason"]) == (429, "rate_limited")
        assert 1 <= int(answer.header("retry-after") or 0) <= 60
        assert answer.header("x-ratelimit-limit") == "1"
        assert answer.header("x-ratelimit-remaining") == "0"

    def test_a_burst_may_be_smaller_or_larger_than_the_rate(self, gateway: Gateway, upstream: Upstream) -> None:
        gateway.publish(world(api(1, upstream.port), plan=Plan(1, per_minute=2, per_minute_burst=4)))
        assert self.calls(gateway) == [200, 200, 200, 200, 429]

        gateway.publish(world(api(1, upstream.port), plan=Plan(1, per_minute=4, per_minute_burst=1)))
        assert self.calls(gateway, 2) == [200, 429]

    def test_both_limits_hold(self, gateway: Gateway, upstream: Upstream) -> None:
        gateway.publish(world(api(1, upstream.port), plan=Plan(1, per_second=1000, per_minute=2)))
        assert self.calls(gateway, 3) == [200, 200, 429]

        gateway.publish(world(api(1, upstream.port), plan=Plan(1, per_minute=1000, per_second=1)))
        assert 429 in self.calls(gateway, 20)

    def test_a_refused_key_uses_up_nothing(self, gateway: Gateway, upstream: Upstream) -> None:
        gateway.publish(world(api(1, upstream.port), plan=Plan(1, per_minute=1)))
        for _ in range(3):
            assert status(gateway, token=UNSUBSCRIBED) == 403

        assert self.calls(gateway, 2) == [200, 429]

    def test_apis_have_buckets_of_their_own(self, gateway: Gateway, upstream: Upstream) -> None:
        gateway.publish(world(api(1, upstream.port), api(2, upstream.port), plan=Plan(1, per_minute=1)))

        assert [status(gateway, path) for path in ("/api-1", "/api-2", "/api-1")] == [200, 200, 429]


class TestTrustedHops:
    def test_behind_a_proxy_the_last_address_is_the_clients(self, upstream: Upstream) -> None:
        gateway = Gateway.new(trusted_hops=1)
        try:
            gateway.publish(world(api(1, upstream.port)))
            sent = gateway.call(
                "/api-1",
                {
                    "X-API-Key": token_of(SUBSCRIBER).value,
                    "X-Forwarded-For": "6.6.6.6, 203.0.113.9",
                    "X-Forwarded-Proto": "https",
                    "X-Forwarded-Host": "forged",
                    "X-Forwarded-User": "forged",
                    "X_Forwarded_For": "forged",
                    "X-Consumer-Id": "forged",
                },
            )

            assert sent.sent["x-forwarded-for"] == "203.0.113.9"
            assert sent.sent["x-forwarded-proto"] == "https"
            assert "forged" not in str(sent.json["headers"])
            assert gateway.log_lines(sent.sent["x-request-id"])[0]["ip"] == "203.0.113.9"
        finally:
            gateway.stop()


class TestOverallLimit:
    def calls(self, gateway: Gateway, count: int, path: str = "/api-1") -> list[tuple[int, str | None]]:
        answers = [gateway.call(path, {"X-API-Key": token_of(SUBSCRIBER).value}) for _ in range(count)]
        return [(each.status, each.json["reason"] if each.status >= 400 else None) for each in answers]

    def test_it_holds_whatever_the_plan_allows(self, gateway: Gateway, upstream: Upstream) -> None:
        limited = api(1, upstream.port, overall_per_second=1)
        gateway.publish(world(limited, api(2, upstream.port)))
        let_through = (200, None)

        found = self.calls(gateway, 20)

        assert found[0] == let_through
        # Refilled once a second; 20 calls take a small part of one.
        assert found.count((429, "api_limit")) > 10
        assert self.calls(gateway, 20, "/api-2") == [let_through] * 20

    def test_a_refusal_says_so_in_answer_and_log(self, gateway: Gateway, upstream: Upstream) -> None:
        gateway.publish(world(api(1, upstream.port, overall_per_second=1), plan=Plan(1, per_second=1_000)))
        answers = [gateway.call("/api-1", {"X-API-Key": token_of(SUBSCRIBER).value}) for _ in range(20)]

        refused = next(answer for answer in answers if answer.status == 429)

        assert refused.header("x-ratelimit-scope") == "api"
        assert int(refused.header("retry-after") or 0) > 0
        # What is left of the plan is told all the same.
        assert re.fullmatch('"second";r=[0-9]+;t=1', refused.header("ratelimit") or "")
        (line,) = gateway.log_lines(refused.header("x-request-id") or "")
        assert parse(json.dumps(line).encode()).reason == "api_limit"
        assert answers[0].header("x-ratelimit-scope") is None

    def test_what_a_plan_refuses_is_the_plans_refusal(self, gateway: Gateway, upstream: Upstream) -> None:
        limited = api(1, upstream.port, overall_per_second=1_000)
        gateway.publish(world(limited, plan=Plan(1, per_minute=1)))

        assert self.calls(gateway, 2) == [(200, None), (429, "rate_limited")]

    def test_an_upstream_that_says_the_same_is_not_believed(self, gateway: Gateway, upstream: Upstream) -> None:
        gateway.publish(world(api(1, upstream.port)))
        path = "/api-1/answer?status=429&X-RateLimit-Scope=api"

        answer = gateway.call(path, {"X-API-Key": token_of(SUBSCRIBER).value})

        (line,) = gateway.log_lines(answer.header("x-request-id") or "")
        assert parse(json.dumps(line).encode()).reason == "upstream_status"

    def test_a_change_touches_nobodys_plan(self, gateway: Gateway, upstream: Upstream) -> None:
        one = api(1, upstream.port, overall_per_second=1_000)
        before = world(one, plan=Plan(1, per_minute=1))
        gateway.publish(before)
        assert self.calls(gateway, 2) == [(200, None), (429, "rate_limited")]

        changed = gateway.publish(replace(before, apis=(replace(one, overall_per_second=2_000),)))

        assert changed == ["overall/overall.json"]
        assert self.calls(gateway, 1) == [(429, "rate_limited")]

    def test_while_nobody_knows_the_limits_such_apis_answer_429(self, gateway: Gateway, upstream: Upstream) -> None:
        gateway.publish(world(api(1, upstream.port, overall_per_second=1_000), api(2, upstream.port)))
        gateway.write(overall.FILE, overall.closed())
        name = compiler.VERSION_STATISTICS[overall.FILE]
        wait_for(lambda: gateway.versions()[name] == version_of(overall.closed()), "Envoy takes it")

        assert self.calls(gateway, 2) == [(429, "api_limit")] * 2
        assert self.calls(gateway, 1, "/api-2") == [(200, None)]


@pytest.mark.parametrize(
    ("plan", "remaining", "seconds", "policy"),
    [
        (Plan(1, per_second=1, per_second_burst=1_000), "999", 1, '"second";q=1;w=1;pk={}'),
        (Plan(1, per_minute=3, per_minute_burst=2_000), "1999", 20, '"minute";q=3;w=60;pk={}'),
        (Plan(1, 1_000, 1_000, 60, 1_000), "999", 1, '"second";q=1000;w=1;pk={0}, "minute";q=60;w=60;pk={0}'),
    ],
)
def test_answers_say_what_is_left_of_a_limit(
    gateway: Gateway, upstream: Upstream, plan: Plan, remaining: str, seconds: int, policy: str
) -> None:
    gateway.publish(world(api(1, upstream.port), plan=plan))

    answer = gateway.call("/api-1", {"X-API-Key": token_of(SUBSCRIBER).value})

    consumer = ":" + base64.b64encode(b"con_0000000000000001").decode() + ":"
    name = "minute" if plan.per_minute else "second"
    assert answer.header("ratelimit-policy") == policy.format(consumer)
    assert answer.header("ratelimit") == f'"{name}";r={remaining};t={seconds}'
    assert answer.header("x-ratelimit-remaining") == remaining
    assert gateway.call("/api-1").header("ratelimit") is None


def test_quotas_are_told_with_the_limits_or_alone(gateway: Gateway, upstream: Upstream) -> None:
    quotas = Plan(1, quota_day=10_000, quota_month=10**12)
    gateway.publish(world(api(1, upstream.port), plan=quotas))
    alone = gateway.call("/api-1/answer?X-RateLimit-Remaining=4", {"X-API-Key": token_of(SUBSCRIBER).value})
    gateway.publish(world(api(1, upstream.port), plan=replace(quotas, per_second=1)))
    both = gateway.call("/api-1", {"X-API-Key": token_of(SUBSCRIBER).value})

    shared = ";pk=:" + base64.b64encode(b"con_0000000000000001").decode() + ":"
    told = f'"day";q=10000;w=86400{shared}, "month";q=1000000000000{shared}'
    # What is left of a quota the gateway does not know.
    assert (alone.header("ratelimit-policy"), alone.header("ratelimit")) == (told, None)
    assert alone.header("x-ratelimit-remaining") == "4"
    assert both.header("ratelimit-policy") == f'"second";q=1;w=1{shared}, {told}'
    assert both.header("ratelimit") == '"second";r=0;t=1'


def test_a_refusal_speaks_of_the_limit_that_refused(gateway: Gateway, upstream: Upstream) -> None:
    gateway.publish(world(api(1, upstream.port), plan=Plan(1, 1_000, 2_000, 1, 2)))
    answers = [gateway.call("/api-1", {"X-API-Key": token_of(SUBSCRIBER).value}) for _ in range(3)]

    assert [answer.header("ratelimit") for answer in answers[:2]] == ['"minute";r=1;t=60', ANY]
    assert answers[2].json["reason"] == "rate_limited"
    left = re.fullmatch('"minute";r=0;t=([0-9]+)', answers[2].header("ratelimit") or "")
    assert left
    assert 1 <= int(left[1]) <= 60
    assert answers[2].header("ratelimit-policy")
    assert int(answers[2].header("retry-after") or 0) > 0


def test_what_an_upstream_says_of_limits_is_not_mixed_with_ours(gateway: Gateway, upstream: Upstream) -> None:
    theirs = "X-RateLimit-Limit=5&X-RateLimit-Remaining=4&X-RateLimit-Reset=3&RateLimit=%22theirs%22;r=1"
    limited = world(api(1, upstream.port), plan=Plan(1, per_second=1, per_second_burst=1_000))
    gateway.publish(limited)
    ours = gateway.call(f"/api-1/answer?{theirs}", {"X-API-Key": token_of(SUBSCRIBER).value})
    gateway.publish(replace(limited, plans=(Plan(1),)))
    alone = gateway.call(f"/api-1/answer?{theirs}", {"X-API-Key": token_of(SUBSCRIBER).value})

    assert (ours.header("x-ratelimit-limit"), ours.header("x-ratelimit-remaining")) == ("1000", "999")
    # A list, of which each member has its name.
    assert ours.header("ratelimit") == '"theirs";r=1, "second";r=999;t=1'
    assert (alone.header("x-ratelimit-limit"), alone.header("ratelimit")) == ("5", '"theirs";r=1')


def test_a_key_says_in_its_last_week_when_it_ends(gateway: Gateway, upstream: Upstream) -> None:
    now = int(time.time())
    day = 86_400
    before = world(api(1, upstream.port), plan=Plan(1, per_second=1))
    ends = {UNKNOWN: now + 6 * day, LATER: now + 8 * day}
    soon = [key(n, 1, expires=moment) for n, moment in ends.items()]
    gateway.publish(replace(before, keys=[*(row for row in before.keys if row.sha256 != soon[1].sha256), *soon]))

    told = [
        gateway.call("/api-1", {"X-API-Key": token_of(token).value}) for token in (LATER, UNKNOWN, UNKNOWN, SUBSCRIBER)
    ]

    last = formatdate(ends[UNKNOWN], usegmt=True)
    assert [answer.header("x-key-expires") for answer in told] == [None, last, last, None]
    assert told[2].status in (200, 429)


def test_what_an_older_portico_left_running_serves_on_until_it_is_given_keys_anew(
    gateway: Gateway, upstream: Upstream
) -> None:
    snapshot = world(api(1, upstream.port))
    gateway.publish(snapshot)
    older = bytearray(keys.pack_keys(snapshot))
    older[7] -= 1
    data = gateway.place.directory / "data" / keys.key_file_name(older)
    data.write_bytes(older)
    (resource,) = json.loads(keys.key_filter(str(data)))["resources"]
    source = resource["typed_config"]["default_source_code"]
    source["inline_string"] = source["inline_string"].replace('"PORTICO\\3"', '"PORTICO\\2"')
    left = discovery_file([resource])
    gateway.write("keys/keys.json", left)
    name = compiler.VERSION_STATISTICS["keys/keys.json"]
    wait_for(lambda: gateway.versions()[name] == version_of(left), "Envoy takes what was left")

    publisher = Publisher(gateway.place, NullEnvoy(), Resolver(gateway.place.directory / "names", AddressRules()))
    publisher.prepare()

    file = gateway.place.directory / "keys" / "keys.json"
    assert file.read_bytes() == left
    assert status(gateway, "/api-1") == 200
    publisher.publish_keys(snapshot)
    wait_for(lambda: gateway.versions()[name] == version_of(file.read_bytes()) != version_of(left), "Envoy takes both")
    assert status(gateway, "/api-1") == 200
