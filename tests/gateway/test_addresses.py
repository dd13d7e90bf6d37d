"""From which networks an API takes calls, at the real Envoy."""

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from portal.gateway.ir import AddressLists, Cors, Plan
from portal.traffic.parse import parse
from portal.traffic.reasons import REFUSED_BY_API
from tests.gateway import envoy
from tests.gateway.conftest import FAR, REVOKED, SUBSCRIBER, Served, api, token_of, world

pytestmark = pytest.mark.envoy

LET_THROUGH = (200, None)
REFUSED = (403, "address_not_allowed")
LISTS = {
    "/allowed": AddressLists(allow=("10.0.0.0/8", "127.0.0.1/32", "2001:db8::/32")),
    "/denied": AddressLists(deny=("10.0.0.0/8", "127.0.0.1/32", "2001:db8::/32")),
    "/both": AddressLists(allow=("10.0.0.0/8", "2001:db8::/32"), deny=("10.9.0.0/16", "2001:db8:9::/48")),
    "/six": AddressLists(allow=("::/0",)),
    "/single": AddressLists(allow=("203.0.113.7/32", "2001:db8::7/128")),
    "/open": None,
}


def outcome(answer: envoy.Answer) -> tuple[int, str | None]:
    return answer.status, answer.json["reason"] if answer.status >= 400 else None


def serving(upstream: envoy.Upstream, hops: int) -> Iterator[Served]:
    gateway = envoy.Gateway.new(trusted_hops=hops)
    try:
        apis = [
            api(number, upstream.port, path=path, addresses=lists)
            for number, (path, lists) in enumerate(LISTS.items(), start=1)
        ]
        gateway.publish(world(*apis))
        yield Served(gateway, upstream)
    finally:
        gateway.stop()


@pytest.fixture(scope="module")
def direct(upstream: envoy.Upstream) -> Iterator[Served]:
    yield from serving(upstream, 0)


@pytest.fixture(scope="module")
def behind_a_proxy(upstream: envoy.Upstream) -> Iterator[Served]:
    """A gateway that believes the test where a call came from."""
    yield from serving(upstream, 1)


class TestDirect:
    def test_the_address_is_the_connections(self, direct: Served) -> None:
        assert outcome(direct.call("/allowed")) == LET_THROUGH
        assert outcome(direct.call("/denied")) == REFUSED
        assert outcome(direct.call("/both")) == REFUSED
        assert outcome(direct.call("/open")) == LET_THROUGH

    @pytest.mark.parametrize(
        "name", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Envoy-External-Address", "True-Client-IP"]
    )
    def test_a_client_cannot_say_where_it_is(self, direct: Served, name: str) -> None:
        value = "for=10.1.2.3" if name == "Forwarded" else "10.1.2.3"

        assert outcome(direct.call("/both", {name: value})) == REFUSED
        assert outcome(direct.call("/single", {name: "203.0.113.7"})) == REFUSED
        assert outcome(direct.call("/denied", {name: "203.0.113.7"})) == REFUSED
        assert outcome(direct.call("/allowed", {name: "203.0.113.7"})) == LET_THROUGH

    def test_the_refusal_says_what_it_is_to_who_has_a_good_key(self, direct: Served) -> None:
        before = len(direct.upstream.calls)
        answer = direct.call("/denied")

        assert answer.json == {
            "status": 403,
            "message": "This API takes no calls from the address that the call came from.",
            "reason": "address_not_allowed",
            "request_id": answer.header("x-request-id"),
        }
        assert len(direct.upstream.calls) == before

    def test_the_log_knows_whose_call_it_was(self, direct: Served) -> None:
        answer = direct.call("/denied")

        (line,) = direct.gateway.log_lines(answer.header("x-request-id") or "")
        call = parse(json.dumps(line).encode())
        assert (call.reason, call.details, call.address) == ("address_not_allowed", REFUSED_BY_API, "127.0.0.1")
        assert (call.api_id, call.consumer, call.key) == (2, f"con_{1:016}", token_of(SUBSCRIBER).public_id)

    def test_the_key_is_looked_at_first(self, direct: Served) -> None:
        assert direct.call("/denied", token=None).json["reason"] == "key_missing"
        assert direct.call("/denied", token=REVOKED).json["reason"] == "key_revoked"

    def test_a_keys_own_list_holds_as_well(self, direct: Served) -> None:
        answer = direct.call("/allowed", token=FAR)

        assert outcome(answer) == REFUSED
        assert answer.json["message"].startswith("The key, or the API itself,")

    def test_an_upstream_cannot_say_it(self, direct: Served) -> None:
        answer = direct.call("/open/answer?status=403&X-Envoy-Details=rbac_access_denied")

        (line,) = direct.gateway.log_lines(answer.header("x-request-id") or "")
        assert parse(json.dumps(line).encode()).reason == "upstream_status"


class TestBehindAProxy:
    @pytest.mark.parametrize(
        ("path", "address", "expected"),
        [
            ("/allowed", "10.0.0.0", LET_THROUGH),
            ("/allowed", "10.255.255.255", LET_THROUGH),
            ("/allowed", "9.255.255.255", REFUSED),
            ("/allowed", "11.0.0.0", REFUSED),
            ("/allowed", "2001:db8::", LET_THROUGH),
            ("/allowed", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", LET_THROUGH),
            ("/allowed", "2001:db9::", REFUSED),
            ("/allowed", "::ffff:10.1.2.3", LET_THROUGH),
            ("/allowed", "::ffff:11.1.2.3", REFUSED),
            ("/denied", "10.1.2.3", REFUSED),
            ("/denied", "::ffff:10.1.2.3", REFUSED),
            ("/denied", "::ffff:a01:203", REFUSED),
            ("/denied", "2001:db8::1", REFUSED),
            ("/denied", "11.1.2.3", LET_THROUGH),
            ("/denied", "2001:db9::1", LET_THROUGH),
            ("/both", "10.8.0.1", LET_THROUGH),
            ("/both", "10.9.0.1", REFUSED),
            ("/both", "::ffff:10.9.0.1", REFUSED),
            ("/both", "192.0.2.1", REFUSED),
            ("/both", "2001:db8:8::1", LET_THROUGH),
            ("/both", "2001:db8:9::1", REFUSED),
            ("/six", "2001:db8::1", LET_THROUGH),
            ("/six", "192.0.2.1", REFUSED),
            ("/six", "::ffff:192.0.2.1", REFUSED),
            ("/single", "203.0.113.7", LET_THROUGH),
            ("/single", "203.0.113.8", REFUSED),
            ("/single", "2001:db8::7", LET_THROUGH),
            ("/single", "2001:db8::8", REFUSED),
            ("/open", "192.0.2.1", LET_THROUGH),
        ],
    )
    def test_the_address_is_the_one_that_the_proxy_names(
        self, behind_a_proxy: Served, path: str, address: str, expected: tuple[int, str | None]
    ) -> None:
        assert outcome(behind_a_proxy.call(path, {"X-Forwarded-For": address})) == expected
        # What stood there before, the client has written.
        assert outcome(behind_a_proxy.call(path, {"X-Forwarded-For": f"10.1.2.3, {address}"})) == expected
        assert outcome(behind_a_proxy.call(path, {"X-Forwarded-For": f"8.8.8.8, {address}"})) == expected

    @pytest.mark.parametrize("written", [None, "", "unknown", "10.1.2.3:80x", "10.1.2"])
    def test_what_is_no_address_is_the_proxys_own(self, behind_a_proxy: Served, written: str | None) -> None:
        headers = {} if written is None else {"X-Forwarded-For": written}

        assert outcome(behind_a_proxy.call("/both", headers)) == REFUSED
        assert outcome(behind_a_proxy.call("/denied", headers)) == REFUSED


def test_over_ipv6_and_over_ipv4_on_the_same_listener(upstream: envoy.Upstream) -> None:
    if not _has_ipv6():
        pytest.skip("this machine has no IPv6")
    gateway = envoy.Gateway.new(bind="::1")
    lists = {"/six": AddressLists(allow=("::1/128",)), "/four": AddressLists(allow=("127.0.0.0/8",))}
    try:
        gateway.publish(
            world(
                *(api(n, upstream.port, path=path, addresses=those) for n, (path, those) in enumerate(lists.items(), 1))
            )
        )
        found = {}
        for path in lists:
            with contextlib.closing(socket.create_connection(("::1", gateway.place.port), timeout=20)) as connection:
                key = token_of(SUBSCRIBER).value
                connection.sendall(
                    f"GET {path} HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nConnection: close\r\n\r\n".encode()
                )
                found[path] = int(b"".join(iter(lambda: connection.recv(65_536), b"")).split(b" ", 2)[1])
        assert found == {"/six": 200, "/four": 403}
    finally:
        gateway.stop()


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_other_lists_hold_at_once_and_fill_no_limit(gateway: envoy.Gateway, upstream: envoy.Upstream) -> None:
    one, plan = api(1, upstream.port), Plan(1, per_minute=2)
    key = {"X-API-Key": token_of(SUBSCRIBER).value}
    gateway.publish(world(one, plan=plan))
    assert gateway.call("/api-1", key).status == 200

    denied = replace(one, release=2, addresses=AddressLists(deny=("127.0.0.0/8",)))
    assert gateway.publish(world(denied, plan=plan)) == ["rds/rds.json"]
    assert [gateway.call("/api-1", key).status for _ in range(5)] == [403] * 5

    # What was refused has used up nothing, and what was used up before stays so.
    gateway.publish(world(replace(one, release=3), plan=plan))
    assert [gateway.call("/api-1", key).status for _ in range(2)] == [200, 429]


def test_a_page_reads_why_its_call_was_refused(gateway: envoy.Gateway, upstream: envoy.Upstream) -> None:
    rules = Cors(("https://app.example.com",), ("GET",), ("X-API-Key",), ("X-Request-Id",))
    gateway.publish(world(api(1, upstream.port, cors=rules, addresses=AddressLists(deny=("127.0.0.0/8",)))))

    answer = gateway.call("/api-1", {"X-API-Key": token_of(SUBSCRIBER).value, "Origin": "https://app.example.com"})

    assert outcome(answer) == REFUSED
    assert answer.header("access-control-allow-origin") == "https://app.example.com"
