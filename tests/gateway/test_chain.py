"""What a call meets on its way through the real Envoy, and what of it reaches the upstream."""

import json
import re
import socket
import time
from typing import Any

import pytest

from portal.traffic.parse import parse
from tests.gateway.conftest import (
    AFRESH,
    EARLY,
    EXPIRED,
    IN_A_WHILE,
    LATE,
    LATER,
    OF_SUSPENDED,
    REVOKED,
    STOPPED,
    SUBSCRIBER,
    UNKNOWN,
    UNSUBSCRIBED,
    USED_UP,
    WAITING,
    Served,
    token_of,
)

pytestmark = pytest.mark.envoy


def refused(answer: Any) -> tuple[int, str]:
    """Status and reason, after a look at the rest of the body."""
    body = answer.json
    assert set(body) == {"status", "message", "reason", "request_id"}
    assert body["status"] == answer.status
    assert body["request_id"] == answer.header("x-request-id")
    assert body["message"].endswith(".")
    return answer.status, body["reason"]


class TestKey:
    def test_a_good_key_is_let_through_and_says_whose_it_is(self, served: Served) -> None:
        sent = served.call("/orders/v1/x").sent

        assert sent["x-consumer-id"] == "con_0000000000000001"
        assert sent["x-subscription-id"] == "100"
        assert sent["x-plan-id"] == "1"
        assert sent["x-key-id"] == token_of(SUBSCRIBER).public_id
        assert "x-api-key" not in sent

    def test_a_key_that_ends_later_is_good_now(self, served: Served) -> None:
        assert served.call("/orders/v1", token=LATER).status == 200

    @pytest.mark.parametrize(
        ("token", "expected"),
        [
            (None, (401, "key_missing")),
            (UNKNOWN, (401, "key_unknown")),
            (REVOKED, (401, "key_revoked")),
            (EXPIRED, (401, "key_expired")),
            (UNSUBSCRIBED, (403, "not_subscribed")),
            (EARLY, (403, "not_subscribed")),
            (LATE, (403, "not_subscribed")),
            (OF_SUSPENDED, (403, "consumer_suspended")),
            (STOPPED, (403, "subscription_suspended")),
            (WAITING, (403, "subscription_pending")),
            (USED_UP, (429, "quota_exceeded")),
        ],
    )
    def test_who_is_refused(self, served: Served, token: int | None, expected: tuple[int, str]) -> None:
        answer = served.call("/orders/v1", token=token)

        assert refused(answer) == expected
        assert bool(answer.header("www-authenticate")) == (answer.status == 401)
        assert bool(answer.header("retry-after")) == (answer.status == 429)

    def test_who_used_up_a_quota_hears_when_it_begins_anew(self, served: Served) -> None:
        before = int(time.time())
        answer = served.call("/orders/v1", token=USED_UP)
        after = int(time.time())

        assert IN_A_WHILE - after <= int(answer.header("retry-after") or 0) <= IN_A_WHILE - before
        assert answer.json["message"].endswith("It begins anew at 2096-10-02T07:06:40Z.")

    def test_a_quota_that_was_used_up_before_keeps_nobody_out(self, served: Served) -> None:
        assert served.call("/orders/v1", token=AFRESH).sent["x-subscription-id"] == "950"

    def test_these_refusals_are_told_in_the_log(self, served: Served) -> None:
        answer = served.call("/orders/v1", token=STOPPED)

        (line,) = served.gateway.log_lines(answer.header("x-request-id") or "")
        assert parse(json.dumps(line).encode()).reason == "subscription_suspended"

    @pytest.mark.parametrize(
        "change",
        [
            lambda value: value[:-1],
            lambda value: value + "0",
            lambda value: value[:20] + ("a" if value[20] != "a" else "b") + value[21:],
            lambda value: value[:-1] + ("a" if value[-1] != "a" else "b"),
            lambda value: "pcx" + value[3:],
            lambda value: value[:16] + "0" + value[17:],
            lambda value: "zzz",
        ],
    )
    def test_a_token_of_the_wrong_form_is_malformed(self, served: Served, change: Any) -> None:
        answer = served.call("/orders/v1", {"X-API-Key": change(token_of(SUBSCRIBER).value)}, token=None)

        assert refused(answer) == (401, "key_malformed")

    def test_a_key_sent_twice_is_refused(self, served: Served) -> None:
        twice = [("X-API-Key", token_of(SUBSCRIBER).value)] * 2
        query = f"/query?api_key={token_of(SUBSCRIBER).value}&api_key={token_of(SUBSCRIBER).value}"

        assert refused(served.call("/orders/v1", twice, token=None)) == (400, "key_repeated")
        assert refused(served.call(query, token=None)) == (400, "key_repeated")

    def test_bearer(self, served: Served) -> None:
        good = {"Authorization": f"bearer {token_of(SUBSCRIBER).value}"}

        assert "authorization" not in served.call("/bearer", good, token=None).sent
        answer = served.call("/bearer", {"Authorization": "Basic YTpi"}, token=None)
        assert refused(answer) == (401, "key_missing")
        assert answer.header("www-authenticate") == "Bearer"

    def test_query(self, served: Served) -> None:
        token = token_of(SUBSCRIBER).value

        echoed = served.call(f"/query/x?a=%20b&api%5Fkey={token}&&c", token=None).json

        assert echoed["path"] == "/x?a=%20b&c"
        assert served.call(f"/query?api_key={token}", token=None).json["path"] == "/"

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("Authorization", "Bearer {}"),
            ("Authorization", "{}"),
            ("Authorization", "Basic x, {}"),
            ("X-API-Key", "{}"),
        ],
    )
    def test_keys_in_other_places_are_taken_off(self, served: Served, name: str, value: str) -> None:
        token = token_of(SUBSCRIBER).value
        path = f"/query?api_key={token}&a=1&other={token}&p%63o=%70co_x&b=%70cc_1"

        echoed = served.call(path, {name: value.format(token)}, token=None)

        assert echoed.json["path"] == "/?a=1"
        assert name.lower() not in echoed.sent

    def test_other_credentials_are_left_alone(self, served: Served) -> None:
        sent = served.call("/orders/v1?x=a%2Bpco_", {"Authorization": "Basic cGNvXw=="}).sent

        assert sent["authorization"] == "Basic cGNvXw=="

    def test_a_paused_api_answers_503_to_everybody(self, served: Served) -> None:
        answer = served.call("/paused")

        assert refused(answer) == (503, "api_paused")
        assert answer.header("retry-after") == "60"


class TestEnd:
    """Of an API: deprecated, then retired."""

    DOCS = "https://portal.example/catalogue/shop"
    SUCCESSOR = f'<{DOCS}/orders/v1>; rel="successor-version"; type="text/html"'

    def test_callers_of_a_deprecated_api_are_told(self, served: Served) -> None:
        answer = served.call("/old/x")

        assert answer.status == 200
        assert answer.header("deprecation") == "@1767225600"
        assert answer.header("sunset") == "Thu, 31 Dec 2026 23:59:59 GMT"
        assert answer.header("link") == (
            f'<{self.DOCS}/api-12/v1>; rel="deprecation"; type="text/html", {self.SUCCESSOR}'
        )

    @pytest.mark.parametrize(
        ("token", "expected"), [(None, (401, "key_missing")), (UNSUBSCRIBED, (403, "not_subscribed"))]
    )
    def test_they_are_told_too_when_they_are_refused(
        self, served: Served, token: int | None, expected: tuple[int, str]
    ) -> None:
        answer = served.call("/old", token=token)

        assert refused(answer) == expected
        assert answer.header("deprecation") == "@1767225600"
        assert self.SUCCESSOR in (answer.header("link") or "")

    def test_they_are_told_too_when_the_target_does_not_answer(self, served: Served) -> None:
        answer = served.call("/old-and-closed")

        assert refused(answer) == (502, "upstream_unreachable")
        assert answer.header("deprecation") == "@1767225600"

    def test_what_the_target_itself_says_of_it_stays(self, served: Served) -> None:
        answer = served.call("/old/answer?Deprecation=@1&Link=%3C/a%3E;%20rel=next")

        assert answer.header("deprecation") == "@1"
        assert (answer.header("link") or "").startswith("</a>; rel=next, ")
        assert self.SUCCESSOR in (answer.header("link") or "")

    def test_nobody_else_is_told_anything(self, served: Served) -> None:
        for answer in (served.call("/orders/v1"), served.call("/orders/v1", token=None), served.call("/nothing")):
            assert {answer.header(name) for name in ("deprecation", "sunset", "link")} == {None}

    @pytest.mark.parametrize("token", [SUBSCRIBER, UNSUBSCRIBED, None])
    def test_a_retired_api_answers_410_to_everybody_and_names_its_successor(
        self, served: Served, token: int | None
    ) -> None:
        answer = served.call("/gone/x", token=token)

        assert refused(answer) == (410, "api_retired")
        assert f"Use {self.DOCS}/orders/v1 instead." in answer.json["message"]
        assert answer.header("link") == self.SUCCESSOR
        assert answer.header("deprecation") == "@1767225600"


class TestCleaning:
    FORGED = (
        "X-Consumer-Id",
        "X-Consumer-Name",
        "X_Consumer_Id",
        "X-Consumer_Id",
        "X-Subscription-Id",
        "X-Subscription_Id",
        "X-Key-Id",
        "X-Plan-Id",
        "X_Plan_Id",
        "X-Forwarded-Host",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Prefix",
        "X-Forwarded-User",
        "X_Forwarded_For",
        "X-Envoy-Retry-On",
        "X-Envoy-Original-Path",
        "X-Envoy-Upstream-Rq-Timeout-Ms",
        "X_Request_Id",
    )

    def test_clients_may_not_say_who_they_are(self, served: Served) -> None:
        answer = served.call("/orders/v1", [(name, "forged") for name in self.FORGED])

        assert answer.status == 200
        assert not [pair for pair in answer.json["headers"] if "forged" in pair[1]]

    @pytest.mark.parametrize("name", FORGED)
    def test_saying_so_admits_nobody(self, served: Served, name: str) -> None:
        assert served.call("/orders/v1", {name: "100"}, token=None).status == 401

    def test_we_say_where_the_call_came_from(self, served: Served) -> None:
        sent = served.call("/orders/v1/x", {"Host": "api.example.com:8080"}).sent

        assert sent["x-forwarded-host"] == "api.example.com:8080"
        assert sent["x-forwarded-proto"] == "http"
        assert sent["x-forwarded-prefix"] == "/orders/v1"
        assert sent["x-forwarded-for"].count(",") == 0
        assert sent["host"] == f"orders.internal:{served.upstream.port}"

    def test_request_id_is_ours_and_ordered_by_time(self, served: Served) -> None:
        answers = [served.call("/orders/v1", {"X-Request-Id": "theirs"}) for _ in range(3)]

        ids = [answer.header("x-request-id") or "" for answer in answers]
        assert [answer.sent["x-request-id"] for answer in answers] == ids
        assert len(set(ids)) == 3
        assert all(
            re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", id_) for id_ in ids
        )
        assert sorted(id_[:13] for id_ in ids) == [id_[:13] for id_ in ids]
        assert served.gateway.log_lines(ids[0])[0]["cid"] == "theirs"

    def test_the_portals_cookies_stay_here(self, served: Served) -> None:
        sent = served.call("/orders/v1", {"Cookie": "a=1; portico_session=secret; b=portico_x;portico_=2"}).sent
        alone = served.call("/orders/v1", {"Cookie": "portico_session=secret"}).sent

        assert sent["cookie"] == "a=1; b=portico_x"
        assert "cookie" not in alone

    def test_upstreams_cannot_set_the_portals_cookies(self, served: Served) -> None:
        answer = served.call("/orders/v1/answer?Set-Cookie=a%3D1&Set-Cookie=portico_session%3Dx&Set-Cookie=b%3D2")

        assert answer.header("set-cookie") == "a=1, b=2"


class TestPaths:
    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("/orders/v1", "/"),
            ("/orders/v1/", "/"),
            ("/orders/v1?a=/b", "/?a=/b"),
            ("/orders/v1//", "//"),
            ("/orders/v1//x///y", "//x///y"),
            ("/orders/v1/a%20b;c=d,e:f@g", "/a%20b;c=d,e:f@g"),
            ("/orders/v1/%C3%A4?%2F=%5C", "/%C3%A4?%2F=%5C"),
            ("/orders/v1/a/../b", "/b"),
            ("/based/v1", "/up"),
            ("/based/v1/", "/up/"),
            ("/based/v1//x", "/up//x"),
            ("/based/v1?q", "/up?q"),
            ("/both.v1/x", "/x"),
        ],
    )
    def test_prefix_is_replaced_and_the_rest_passes(self, served: Served, path: str, expected: str) -> None:
        assert served.call(path).json["path"] == expected

    @pytest.mark.parametrize("path", ["/orders/v1/a%2Fb", "/orders/v1/a%5Cb", "/orders/v1/a%2fb"])
    def test_escaped_slashes_are_refused(self, served: Served, path: str) -> None:
        answer = served.call(path)

        assert (answer.status, answer.json["reason"]) == (400, "bad_path")

    @pytest.mark.parametrize(
        "path", ["/", "/orders", "/orders/v1x", "//orders/v1", "/orders/v1/../x", "/bothXv1", "/nope"]
    )
    def test_other_paths_are_nobodys(self, served: Served, path: str) -> None:
        assert refused(served.call(path)) == (404, "no_such_api")

    @pytest.mark.parametrize("host", ["orders.localhost", "orders.localhost:8080", "ORDERS.localhost"])
    @pytest.mark.parametrize("path", ["/", "//x", "/orders/v1/x?y"])
    def test_a_host_mount_leaves_the_path_alone(self, served: Served, host: str, path: str) -> None:
        answer = served.call(path, {"Host": host})

        assert answer.json["path"] == path
        assert "x-forwarded-prefix" not in answer.sent

    def test_an_api_with_both_answers_at_both(self, served: Served) -> None:
        assert served.call("/both.v1/a").json["path"] == "/a"
        assert served.call("/both.v1/a", {"Host": "both.localhost"}).json["path"] == "/both.v1/a"

    def test_health_needs_no_key(self, served: Served) -> None:
        for host in ("localhost", "orders.localhost"):
            answer = served.call("/_portico/health", {"Host": host}, token=None)
            assert refused(answer) == (200, "ok")

    @pytest.mark.parametrize(
        ("path", "status", "reason"), [("/orders/a%2Fb", 400, "bad_path"), ("/nowhere", 404, "no_such_api")]
    )
    def test_the_reason_is_never_the_clients(self, served: Served, path: str, status: int, reason: str) -> None:
        """Also where Envoy refuses before front cleaning has run."""
        forged = "Host: x\r\nX-Consumer-Refusal: forged\r\nConnection: close"
        came = served.gateway.raw(f"GET {path} HTTP/1.1\r\n{forged}\r\n\r\n".encode())

        answer = json.loads(came.partition(b"\r\n\r\n")[2])
        assert (answer["status"], answer["reason"]) == (status, reason)

    def test_health_is_no_call(self, served: Served) -> None:
        asked = served.call("/_portico/health", token=None)
        called = served.call("/nowhere", token=None)

        assert served.gateway.log_lines(called.header("x-request-id") or "")
        assert (asked.header("x-request-id") or "?") not in served.gateway.place.access_log.read_text()


class TestAnswers:
    @pytest.mark.parametrize(
        ("path", "location", "expected"),
        [
            ("/orders/v1", "/x?y=/z#a", "/orders/v1/x?y=/z#a"),
            ("/orders/v1", "/", "/orders/v1/"),
            ("/orders/v1", "/orders/v1/x", "/orders/v1/x"),
            ("/orders/v1", "x", "x"),
            ("/orders/v1", "//other/x", "//other/x"),
            ("/orders/v1", "https://example.com/x", "https://example.com/x"),
            ("/orders/v1", "http://{target}/x", "/orders/v1/x"),
            ("/orders/v1", "http://{target}", "/orders/v1/"),
            ("/based/v1", "/up/x", "/based/v1/x"),
            ("/based/v1", "/up", "/based/v1"),
            ("/based/v1", "/upper", "/based/v1/upper"),
        ],
    )
    def test_prefix_is_put_back(self, served: Served, path: str, location: str, expected: str) -> None:
        location = location.format(target=f"orders.internal:{served.upstream.port}")
        query = "&".join(f"{name}={_quoted(location)}" for name in ("Location", "Content-Location"))

        answer = served.call(f"{path}/answer?status=302&{query}")

        assert answer.header("location") == answer.header("content-location") == expected

    @pytest.mark.parametrize(
        ("path", "cookie", "expected"),
        [
            ("/orders/v1", "a=1; Path=/; HttpOnly", "a=1; Path=/orders/v1; HttpOnly"),
            ("/orders/v1", "a=1; path=/x", "a=1; path=/orders/v1/x"),
            ("/based/v1", "a=1; Path=/up", "a=1; Path=/based/v1"),
            ("/orders/v1", "__Host-a=1; Path=/", "__Host-a=1; Path=/"),
            ("/orders/v1", "a=1", "a=1"),
        ],
    )
    def test_cookies_keep_to_the_prefix(self, served: Served, path: str, cookie: str, expected: str) -> None:
        answer = served.call(f"{path}/answer?Set-Cookie={_quoted(cookie)}")

        assert answer.header("set-cookie") == expected

    def test_a_head_call_is_answered_without_a_body(self, served: Served) -> None:
        answer = served.call("/nope", method="HEAD")

        assert answer.status == 404
        assert answer.body == b""
        assert int(answer.header("content-length") or 0) > 100

    @pytest.mark.parametrize(
        ("text", "status", "reason"),
        [
            (b"nonsense\r\n\r\n", b"400", b"bad_request"),
            (b"GET /orders/v1 HTTP/1.1\r\n\r\n", b"400", b"bad_request"),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", b"431", b"headers_too_large"),
        ],
    )
    def test_what_is_not_http_is_told_so(self, served: Served, text: bytes, status: bytes, reason: bytes) -> None:
        answer = served.gateway.raw(text)

        assert answer.startswith(b"HTTP/1.1 " + status)
        assert b'"reason":"' + reason + b'"' in answer


class TestUpstreams:
    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("/closed", (502, "upstream_unreachable")),
            ("/unresolved", (503, "upstream_unreachable")),
            ("/fast/hang", (504, "upstream_timeout")),
            ("/orders/v1/reset", (502, "upstream_reset")),
            ("/orders/v1/garbage", (502, "upstream_not_http")),
        ],
    )
    def test_what_goes_wrong_behind_us_has_a_reason(self, served: Served, path: str, expected: tuple[int, str]) -> None:
        assert refused(served.call(path)) == expected

    def test_a_stream_outlives_the_time_to_the_first_byte(self, served: Served) -> None:
        connection = served.gateway.connection()
        connection.request("GET", "/fast/stream?lines=3", headers={"X-API-Key": token_of(SUBSCRIBER).value})
        answer = connection.getresponse()
        lines = []
        for _ in range(3):
            # The gateway's timer for the first byte is over before each line is sent.
            assert served.call("/fast/hang").status == 504
            served.upstream.line.release()
            lines.append(answer.readline())
            answer.readline()
        connection.close()

        assert lines == [b"data: 0\n", b"data: 1\n", b"data: 2\n"]

    @pytest.mark.parametrize(("method", "attempts"), [("GET", 2), ("PUT", 2), ("POST", 1), ("PATCH", 1)])
    def test_only_idempotent_calls_are_tried_again(self, served: Served, method: str, attempts: int) -> None:
        answer = served.call("/closed", method=method, body=b"x")

        line = served.gateway.log_lines(answer.header("x-request-id") or "")[0]
        assert (line["n"], line["f"]) == (attempts, "URX,UF" if attempts > 1 else "UF")

    def test_websockets_pass(self, served: Served) -> None:
        head = (
            f"GET /orders/v1/socket HTTP/1.1\r\nHost: a\r\nX-API-Key: {token_of(SUBSCRIBER).value}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", served.gateway.place.port), timeout=20) as connection:
            connection.sendall(head.encode())
            reader = connection.makefile("rb")
            assert reader.readline().startswith(b"HTTP/1.1 101")
            while reader.readline().strip():
                pass
            connection.sendall(b"hello\n")
            assert reader.readline() == b"hello\n"


class TestBodies:
    def test_a_body_within_the_limit_passes(self, served: Served) -> None:
        assert served.call("/small", method="POST", body=b"x" * 100_000).json["length"] == 100_000
        assert served.call("/small", method="POST", body=[b"x" * 50_000] * 2).json["length"] == 100_000

    def test_an_announced_length_beyond_the_limit_never_reaches_the_upstream(self, served: Served) -> None:
        before = len(served.upstream.calls)

        answer = served.call("/small", method="POST", body=b"x" * 100_001)

        assert refused(answer) == (413, "too_large")
        assert len(served.upstream.calls) == before

    @pytest.mark.parametrize("chunks", [6, 200])
    def test_chunks_beyond_the_limit_never_reach_the_upstream(self, served: Served, chunks: int) -> None:
        before = len(served.upstream.calls)

        answer = served.call("/small", method="POST", body=[b"x" * 20_000] * chunks)

        assert refused(answer) == (413, "too_large")
        assert len(served.upstream.calls) == before

    def test_chunks_may_be_as_large_as_the_api_allows(self, served: Served) -> None:
        # More than the listener buffers for a connection.
        assert served.call("/orders/v1", method="POST", body=[b"x" * 100_000] * 20).json["length"] == 2_000_000


class TestLog:
    def test_a_line_says_what_happened(self, served: Served) -> None:
        answer = served.call("/based/v1/x?secret=1", {"Host": "a.example.com", "User-Agent": "curl/8"})

        (line,) = served.gateway.log_lines(answer.header("x-request-id") or "")
        assert line | {"t": 0, "du": 0, "us": 0} == {
            "t": 0,
            "id": answer.header("x-request-id"),
            "cid": None,
            "m": "GET",
            "h": "a.example.com",
            "p": "/based/v1/x",
            "r": "2|1|h|10000000|/based/v1|x-api-key",
            "c": "con_0000000000000001",
            "s": "101",
            "k": token_of(SUBSCRIBER).public_id,
            "pl": "1",
            "st": 200,
            "rs": None,
            "sc": None,
            "f": "-",
            "d": "via_upstream",
            "bi": 0,
            "bo": len(answer.body),
            "du": 0,
            "us": 0,
            "ip": "127.0.0.1",
            "ua": "curl/8",
            "up": f"127.0.0.1:{served.upstream.port}",
            "n": 1,
            "tp": None,
        }
        assert line["du"] > line["us"] > 0
        assert len(line["t"]) == 16

    def test_no_key_stands_in_it(self, served: Served) -> None:
        token = token_of(SUBSCRIBER).value
        answer = served.call(f"/nope?api_key={token}", {"Authorization": f"Bearer {token}"})

        served.gateway.log_lines(answer.header("x-request-id") or "")
        assert token not in served.gateway.place.access_log.read_text()


def _quoted(text: str) -> str:
    return "".join(f"%{ord(sign):02X}" for sign in text)
