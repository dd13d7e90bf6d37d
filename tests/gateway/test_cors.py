"""What pages of other sites may do, at the real Envoy. tests/journeys/test_cross_origin.py asks a real browser."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from portal.gateway.ir import Cors, Plan, Target, Upstream
from portal.registry import access
from portal.traffic.parse import parse
from tests.gateway import envoy
from tests.gateway.conftest import LATER, REVOKED, SUBSCRIBER, Served, api, token_of, world

pytestmark = pytest.mark.envoy

APP, OTHER = "https://app.example.com", "https://evil.example"


def cors(*origins: str, **more: Any) -> Cors:
    usual = access.Cors(origins=origins)
    rules = Cors(origins, usual.all_methods(), usual.all_headers("X-API-Key"), usual.all_exposed_headers())
    return replace(rules, **more)


@pytest.fixture(scope="module")
def opened(upstream: envoy.Upstream) -> Iterator[Served]:
    """APIs with rules for browsers of every kind, and one without."""
    port = upstream.port
    closed = Upstream((Target("orders.internal", envoy.free_port()),), connect_timeout_ms=1_000)
    apis = (
        api(1, port, path="/orders/v1", cors=cors(APP, "http://localhost:3000", max_age_s=60)),
        api(2, port, path="/cookies", cors=cors(APP, credentials=True)),
        api(3, port, path="/all", cors=cors("*")),
        api(4, port, path="/below", cors=cors("https://*.example.com", "https://*.example.org:8443")),
        api(5, port, path="/silent"),
        api(6, path="/closed", upstream=closed, cors=cors(APP)),
        api(7, port, path="/small", body_limit_bytes=1_000, cors=cors(APP)),
        api(8, port, path="/paused", paused=True, cors=cors(APP)),
        api(9, port, path="/gone", retired=True, cors=cors(APP)),
        api(10, port, path="/old", deprecated=1_767_225_600, cors=cors(APP)),
        api(11, port, path="/slow", first_byte_timeout_ms=200, cors=cors(APP)),
        api(12, port, path=None, host="orders.localhost", cors=cors(APP)),
        api(13, port, path="/query", key_place="query", key_name="api_key", cors=cors(APP)),
    )
    gateway = envoy.Gateway.new()
    try:
        gateway.publish(world(*apis), {"orders.internal": ["127.0.0.1"]})
        yield Served(gateway, upstream)
    finally:
        gateway.stop()


def ask(
    served: Served, path: str, origin: str | None = APP, wanted: str | None = "POST", **headers: str
) -> envoy.Answer:
    """A preflight, as a browser sends it: no key."""
    sent = {"Access-Control-Request-Headers": "x-api-key"} | headers
    if wanted is not None:
        sent["Access-Control-Request-Method"] = wanted
    if origin is not None:
        sent["Origin"] = origin
    return served.call(path, sent, token=None, method="OPTIONS")


def said(answer: envoy.Answer) -> dict[str, str]:
    """What it says about CORS; each header once, or its values with commas."""
    names = {name.lower() for name, _ in answer.headers if name.lower().startswith("access-control-")}
    return {name.removeprefix("access-control-"): answer.header(name) or "" for name in names}


def allowed(answer: envoy.Answer) -> str | None:
    return answer.header("access-control-allow-origin")


class TestPreflight:
    def test_is_answered_without_a_key_and_reaches_no_target(self, opened: Served) -> None:
        before = len(opened.upstream.calls)

        answer = ask(opened, "/orders/v1/things")

        assert answer.status == 200
        assert said(answer) == {
            "allow-origin": APP,
            "allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
            "allow-headers": "X-API-Key, Content-Type, Authorization",
            "max-age": "60",
            "expose-headers": ", ".join(access.EXPOSED_HEADERS),  # browsers take no notice of it here
        }
        assert len(opened.upstream.calls) == before

    @pytest.mark.parametrize(
        ("path", "origin", "is_allowed"),
        [
            ("/orders/v1", "http://localhost:3000", True),
            ("/orders/v1", OTHER, False),
            ("/orders/v1", "null", False),
            ("/orders/v1", "https://app.example.com:8443", False),
            ("/orders/v1", "http://app.example.com", False),
            ("/orders/v1", "https://app.example.com.evil.example", False),
            ("/orders/v1", "https://APP.example.com", False),
            ("/all", OTHER, True),
            ("/all", "null", True),
            ("/below", "https://a.example.com", True),
            ("/below", "https://a.b-c.example.com", True),
            ("/below", "https://example.com", False),
            ("/below", "https://evilexample.com", False),
            ("/below", "https://a.example.com:8443", False),
            ("/below", "https://a.example.org:8443", True),
            ("/below", "https://a.example.com.evil.example", False),
            ("/below", "https://evil.example/.example.com", False),
            ("/below", "https://evil.example#.example.com", False),
            ("/below", "https://axexample.com", False),
            ("/below", "*", False),
        ],
    )
    def test_only_origins_that_are_named_are_allowed(
        self, opened: Served, path: str, origin: str, is_allowed: bool
    ) -> None:
        answer = ask(opened, path, origin)

        assert answer.status == 200
        assert allowed(answer) == (origin if is_allowed else None)
        # And what follows it, a call with a good key.
        assert allowed(opened.call(path, {"Origin": origin})) == (origin if is_allowed else None)

    def test_credentials_are_told_where_they_are_wanted(self, opened: Served) -> None:
        assert said(ask(opened, "/cookies"))["allow-credentials"] == "true"
        assert "allow-credentials" not in said(ask(opened, "/orders/v1"))

    def test_of_an_api_that_says_nothing_is_a_call_without_a_key(self, opened: Served) -> None:
        answer = ask(opened, "/silent")

        assert (answer.status, answer.json["reason"]) == (401, "key_missing")
        assert said(answer) == {}

    @pytest.mark.parametrize(("origin", "wanted"), [(None, "POST"), (APP, None), ("", "POST"), (APP, "")])
    def test_what_is_none_needs_a_key(self, opened: Served, origin: str | None, wanted: str | None) -> None:
        assert ask(opened, "/orders/v1", origin, wanted).json["reason"] == "key_missing"

    def test_a_call_that_claims_to_be_one_needs_a_key(self, opened: Served) -> None:
        headers = {"Origin": APP, "Access-Control-Request-Method": "POST"}

        for method in ("GET", "POST", "options"):
            assert opened.call("/orders/v1", headers, token=None, method=method).status in {400, 401}

    def test_of_a_paused_or_retired_api_lets_the_page_read_why(self, opened: Served) -> None:
        for path, status, reason in (("/paused", 503, "api_paused"), ("/gone", 410, "api_retired")):
            assert allowed(ask(opened, path)) == APP
            answer = opened.call(path, {"Origin": APP})
            assert (answer.status, answer.json["reason"], allowed(answer)) == (status, reason, APP)

    def test_hosts_and_keys_in_the_query_are_no_different(self, opened: Served) -> None:
        assert allowed(ask(opened, "/any", Host="orders.localhost")) == APP
        assert allowed(ask(opened, "/query")) == APP
        answer = opened.call(f"/query?api_key={token_of(SUBSCRIBER).value}", {"Origin": APP}, token=None)
        assert (answer.status, allowed(answer)) == (200, APP)

    def test_is_logged_as_what_it_is_with_nobodys_name(self, opened: Served) -> None:
        forged = {"X-Request-Id": "preflight-1", "X-Consumer-Id": "con_forged", "X-Subscription-Id": "7"}
        key = {"X-API-Key": token_of(SUBSCRIBER).value}

        ask(opened, "/orders/v1/logged", **forged, **key)

        (line,) = opened.gateway.log_lines("preflight-1")
        call = parse(json.dumps(line).encode())
        assert (call.reason, call.status, call.api_id, call.method) == ("preflight", 200, 1, "OPTIONS")
        assert (call.request_id, call.consumer, call.subscription_id, call.key) == (None, None, None, None)
        assert token_of(SUBSCRIBER).value not in json.dumps(line)


class TestCalls:
    def test_say_whose_page_may_read_them(self, opened: Served) -> None:
        answer = opened.call("/orders/v1/things", {"Origin": APP})

        assert answer.status == 200
        assert said(answer) == {"allow-origin": APP, "expose-headers": ", ".join(access.EXPOSED_HEADERS)}
        assert answer.header("vary") == "Origin"
        assert answer.sent["origin"] == APP

    def test_without_an_origin_say_only_that_they_differ(self, opened: Served) -> None:
        answer = opened.call("/orders/v1")

        assert (said(answer), answer.header("vary")) == ({}, "Origin")

    def test_from_other_origins_are_made_and_not_to_be_read(self, opened: Served) -> None:
        """An origin opens and closes nothing at the gateway; browsers keep the answer from the page."""
        answer = opened.call("/orders/v1", {"Origin": OTHER})

        assert (answer.status, said(answer), answer.header("vary")) == (200, {}, "Origin")
        assert opened.call("/orders/v1", {"Origin": APP}, token=None).status == 401

    @pytest.mark.parametrize(("origin", "expected"), [(APP, APP), (OTHER, None)])
    def test_what_a_target_says_does_not_count(self, opened: Served, origin: str, expected: str | None) -> None:
        words = {
            "Allow-Origin": "*",
            "Allow-Credentials": "true",
            "Allow-Methods": "PURGE",
            "Allow-Headers": "X-Theirs",
            "Expose-Headers": "X-Theirs",
            "Max-Age": "9",
        }
        query = "&".join(f"Access-Control-{name}={value}" for name, value in words.items())

        answer = opened.call(f"/orders/v1/answer?{query}&Vary=Accept", {"Origin": origin})

        assert allowed(answer) == expected
        assert answer.header("vary") == "Accept,Origin"
        assert not {"allow-credentials", "allow-methods", "allow-headers", "max-age"} & said(answer).keys()
        assert "X-Theirs" not in str(answer.headers)

    def test_of_an_api_that_says_nothing_pass_what_the_target_says(self, opened: Served) -> None:
        answer = opened.call("/silent/answer?Access-Control-Allow-Origin=*", {"Origin": OTHER})

        assert (said(answer), answer.header("vary")) == ({"allow-origin": "*"}, None)

    def test_an_options_call_with_a_key_goes_on(self, opened: Served) -> None:
        answer = opened.call("/orders/v1", {"Origin": APP}, method="OPTIONS")

        assert (answer.status, answer.json["method"], allowed(answer)) == (200, "OPTIONS", APP)


class TestRefusals:
    @pytest.mark.parametrize(
        ("path", "token", "status", "reason"),
        [
            ("/orders/v1", None, 401, "key_missing"),
            ("/orders/v1", REVOKED, 401, "key_revoked"),
            ("/closed", SUBSCRIBER, 502, "upstream_unreachable"),
            ("/slow/hang", SUBSCRIBER, 504, "upstream_timeout"),
            ("/orders/v1/reset", SUBSCRIBER, 502, "upstream_reset"),
        ],
    )
    def test_can_be_read_by_the_page(
        self, opened: Served, path: str, token: int | None, status: int, reason: str
    ) -> None:
        answer = opened.call(path, {"Origin": APP}, token=token)

        assert (answer.status, answer.json["reason"]) == (status, reason)
        assert said(answer) == {"allow-origin": APP, "expose-headers": ", ".join(access.EXPOSED_HEADERS)}
        assert said(opened.call(path, {"Origin": OTHER}, token=token)) == {}

    def test_too_large_a_body_with_and_without_its_length(self, opened: Served) -> None:
        for body in (b"x" * 2_000, (b"x" * 500 for _ in range(4))):
            answer = opened.call("/small", {"Origin": APP}, method="POST", body=body)
            assert (answer.status, answer.json["reason"], allowed(answer)) == (413, "too_large", APP)

    def test_a_used_up_limit_and_when_to_come_back(self, gateway: envoy.Gateway, upstream: envoy.Upstream) -> None:
        gateway.publish(world(api(1, upstream.port, cors=cors(APP)), plan=Plan(1, per_minute=1)))
        headers = {"X-API-Key": token_of(SUBSCRIBER).value, "Origin": APP}

        first, second = gateway.call("/api-1", headers), gateway.call("/api-1", headers)

        assert (first.status, second.status, second.json["reason"]) == (200, 429, "rate_limited")
        assert allowed(second) == APP
        exposed = (second.header("access-control-expose-headers") or "").lower().split(", ")
        told = ("ratelimit", "ratelimit-policy", "x-ratelimit-remaining", "x-request-id")
        assert all(second.header(name) and name in exposed for name in told)
        # Preflights use up nothing, and are answered when nothing is left.
        assert (
            gateway.call("/api-1", {"Origin": APP, "Access-Control-Request-Method": "GET"}, method="OPTIONS").status
            == 200
        )

    def test_what_the_gateway_says_of_an_old_api_can_be_read(self, opened: Served) -> None:
        answer = opened.call("/old", {"Origin": APP})

        assert answer.header("deprecation") == "@1767225600"
        assert "Deprecation" in said(answer)["expose-headers"]


class TestPublishing:
    def test_other_rules_hold_at_once_and_touch_nothing_else(
        self, gateway: envoy.Gateway, upstream: envoy.Upstream
    ) -> None:
        one, plan = api(1, upstream.port), Plan(1, per_minute=2)
        gateway.publish(world(one, plan=plan))
        key = {"X-API-Key": token_of(SUBSCRIBER).value, "Origin": APP}
        stream = gateway.connection()
        stream.request("GET", "/api-1/stream?lines=3", headers={"X-API-Key": token_of(LATER).value})
        lines = stream.getresponse()

        for number, rules in enumerate((cors(OTHER), cors(APP), None), start=2):
            changed = gateway.publish(world(replace(one, release=number, cors=rules), plan=plan))
            assert changed == ["rds/rds.json"]
            asked = gateway.call("/api-1", {"Origin": APP, "Access-Control-Request-Method": "GET"}, method="OPTIONS")
            assert allowed(asked) == (APP if rules and APP in rules.origins else None)
            upstream.line.release()
            assert lines.readline() == b"data: %d\n" % (number - 2)
            lines.readline()
        stream.close()

        # The stream was one call, this is the other; preflights were none.
        assert [gateway.call("/api-1", key).status for _ in range(2)] == [200, 429]
