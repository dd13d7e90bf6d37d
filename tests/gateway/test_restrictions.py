"""What single keys may not do though their consumer may, at the real Envoy."""

import contextlib
from collections.abc import Iterator

import pytest

from tests.gateway import envoy
from tests.gateway.conftest import (
    CHOSEN,
    ELSEWHERE,
    FAR,
    MISWRITTEN,
    NEAR,
    OPERATOR,
    READER,
    SUBSCRIBER,
    Served,
    api,
    token_of,
    world,
)

pytestmark = pytest.mark.envoy

LET_THROUGH = (200, None)
NOT_ALLOWED = (403, "key_not_allowed")
FROM_ELSEWHERE = (403, "address_not_allowed")


def outcome(answer: envoy.Answer) -> tuple[int, str | None]:
    return answer.status, answer.json.get("reason") if answer.status >= 400 else None


class TestReadOnly:
    @pytest.mark.parametrize("method", ["GET", "OPTIONS"])
    def test_what_reads_is_let_through(self, served: Served, method: str) -> None:
        assert outcome(served.call("/orders/v1/x", token=READER, method=method)) == LET_THROUGH

    def test_head_is_let_through(self, served: Served) -> None:
        assert served.call("/orders/v1/x", token=READER, method="HEAD").status == 200

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "get", "PROPFIND"])
    def test_everything_else_is_refused(self, served: Served, method: str) -> None:
        assert outcome(served.call("/orders/v1/x", token=READER, method=method)) in (NOT_ALLOWED, (400, "bad_request"))

    @pytest.mark.parametrize(
        "name",
        ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-HTTP_Method.Override", "X-Method_Override"],
    )
    def test_nothing_else_goes_under_the_name_of_get(self, served: Served, name: str) -> None:
        assert outcome(served.call("/orders/v1/x", {name: "DELETE"}, token=READER)) == NOT_ALLOWED
        assert outcome(served.call("/orders/v1/x", {name: "DELETE"}, token=SUBSCRIBER)) == LET_THROUGH

    def test_spellings_that_are_taken_off_reach_nobody(self, served: Served) -> None:
        answer = served.call("/orders/v1/x", {"X_HTTP_Method_Override": "DELETE"}, token=READER)

        assert answer.status == 200
        assert not [name for name in answer.sent if "override" in name]

    def test_a_websocket_writes(self, served: Served) -> None:
        upgrade = {"Connection": "Upgrade", "Upgrade": "WebSocket"}

        assert outcome(served.call("/orders/v1/socket", upgrade, token=READER)) == NOT_ALLOWED


class TestChosenSubscriptions:
    def test_a_chosen_one_is_let_through(self, served: Served) -> None:
        assert outcome(served.call("/orders/v1", token=CHOSEN)) == LET_THROUGH
        assert outcome(served.call("/based/v1", token=ELSEWHERE)) == LET_THROUGH

    def test_others_are_refused_though_the_consumer_is_subscribed(self, served: Served) -> None:
        assert outcome(served.call("/based/v1", token=CHOSEN)) == NOT_ALLOWED
        assert outcome(served.call("/orders/v1", token=ELSEWHERE)) == NOT_ALLOWED
        assert outcome(served.call("/based/v1", token=SUBSCRIBER)) == LET_THROUGH


class TestChosenOperations:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/pets/7"),
            ("GET", "/pets/7?x=/y"),
            ("GET", "/pets/a%20b"),
            ("HEAD", "/pets/7"),
            ("POST", "/pets"),
            ("GET", "/files/v1-2.json"),
            ("GET", "/files/v1-2-3.json"),
            ("GET", "/files/v--.json.json"),
            ("GET", "/a%20b/1"),
            ("GET", "/tree/a"),
            ("GET", "/tree/a/b//c"),
            ("GET", "/pets/x/../7"),
        ],
    )
    def test_these_are_let_through(self, served: Served, method: str, path: str) -> None:
        assert served.call(f"/orders/v1{path}", token=OPERATOR, method=method).status == 200

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", ""),
            ("GET", "/"),
            ("GET", "/pets"),
            ("GET", "/pets/"),
            ("GET", "/pets//"),
            ("GET", "/pets/7/owner"),
            ("GET", "/Pets/7"),
            ("DELETE", "/pets/7"),
            ("HEAD", "/pets"),
            ("POST", "/pets/"),
            ("POST", "/pets/7"),
            ("GET", "//pets/7"),
            ("GET", "/pets/;x"),
            ("GET", "/pets/7;/owner"),
            ("GET", "/files/v-.json"),
            ("GET", "/files/v1.json"),
            ("GET", "/files/v1-2.xml"),
            ("GET", "/tree"),
            ("GET", "/tree/"),
            ("GET", "/tree//a"),
            ("GET", "/pets/7/../../x"),
            ("GET", "/pets/\x01"),
            ("GET", "/\x01/7"),
        ],
    )
    def test_these_are_refused(self, served: Served, method: str, path: str) -> None:
        answer = served.call(f"/orders/v1{path}".replace("\x01", "%01"), token=OPERATOR, method=method)

        if path == "/pets/\x01":
            assert answer.status == 200  # an odd id, but an id
        else:
            assert answer.status == 403
            (line,) = served.gateway.log_lines(answer.header("x-request-id") or "")
            assert (line["rs"], line["c"]) == ("key_not_allowed", None)

    def test_the_methods_name_cannot_be_changed(self, served: Served) -> None:
        headers = {"X-HTTP-Method-Override": "DELETE"}

        assert outcome(served.call("/orders/v1/pets", headers, token=OPERATOR, method="POST")) == NOT_ALLOWED

    def test_other_apis_are_open(self, served: Served) -> None:
        assert outcome(served.call("/based/v1/anything", token=OPERATOR, method="DELETE")) == LET_THROUGH


class TestAddresses:
    def test_a_key_works_from_its_networks_only(self, served: Served) -> None:
        assert outcome(served.call("/orders/v1", token=NEAR)) == LET_THROUGH
        assert outcome(served.call("/orders/v1", token=FAR)) == FROM_ELSEWHERE

    def test_a_list_that_cannot_be_understood_lets_nobody_in(self, served: Served) -> None:
        assert outcome(served.call("/orders/v1", token=MISWRITTEN)) == FROM_ELSEWHERE

    def test_a_client_cannot_say_where_it_is(self, served: Served) -> None:
        headers = {"X-Forwarded-For": "10.1.2.3", "X-Real-IP": "10.1.2.3", "Forwarded": "for=10.1.2.3"}

        assert outcome(served.call("/orders/v1", headers, token=FAR)) == FROM_ELSEWHERE

    @pytest.mark.parametrize(
        ("address", "expected"),
        [
            ("10.0.0.0", LET_THROUGH),
            ("10.255.255.255", LET_THROUGH),
            ("9.255.255.255", FROM_ELSEWHERE),
            ("11.0.0.0", FROM_ELSEWHERE),
            ("127.0.0.1", LET_THROUGH),
            ("127.0.0.2", FROM_ELSEWHERE),
            ("192.168.255.255", LET_THROUGH),
            ("192.169.0.0", FROM_ELSEWHERE),
            ("::ffff:10.1.2.3", LET_THROUGH),
            ("::ffff:11.1.2.3", FROM_ELSEWHERE),
            ("2001:db8::", LET_THROUGH),
            ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", LET_THROUGH),
            ("2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", FROM_ELSEWHERE),
            ("2001:db9::", FROM_ELSEWHERE),
            ("::1", FROM_ELSEWHERE),
        ],
    )
    def test_the_ends_of_networks(self, behind_a_proxy: Served, address: str, expected: tuple[int, str | None]) -> None:
        for _ in range(2):  # the second time it is remembered
            answer = behind_a_proxy.call("/orders/v1", {"X-Forwarded-For": address}, token=NEAR)
            assert outcome(answer) == expected

    def test_all_of_ipv6_is_none_of_ipv4(self, behind_a_proxy: Served) -> None:
        for address, expected in (("2001:db8::1", LET_THROUGH), ("::ffff:1.2.3.4", FROM_ELSEWHERE)):
            answer = behind_a_proxy.call("/orders/v1", {"X-Forwarded-For": address}, token=FAR)
            assert outcome(answer) == expected

    def test_more_addresses_than_are_remembered(self, behind_a_proxy: Served) -> None:
        with contextlib.closing(behind_a_proxy.gateway.connection()) as connection:
            for n in range(1_100):
                address = f"10.0.{n // 256}.{n % 256}" if n % 2 else f"11.0.{n // 256}.{n % 256}"
                headers = {"X-API-Key": token_of(NEAR).value, "X-Forwarded-For": address}
                connection.request("GET", "/orders/v1", headers=headers)
                answer = connection.getresponse()
                answer.read()
                assert answer.status == (200 if n % 2 else 403)


@pytest.fixture(scope="module")
def behind_a_proxy(upstream: envoy.Upstream) -> Iterator[Served]:
    """A gateway that believes the test where a call came from."""
    gateway = envoy.Gateway.new(trusted_hops=1)
    try:
        gateway.publish(world(api(1, upstream.port, path="/orders/v1")))
        yield Served(gateway, upstream)
    finally:
        gateway.stop()
