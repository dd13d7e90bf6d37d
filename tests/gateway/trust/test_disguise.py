"""Known tricks in other clothes: the same attacks as in test_ambiguity.py, spelled so that a filter might miss them."""

import pytest

from tests.gateway.envoy import Gateway
from tests.gateway.trust.cases import CHUNKED_SMUGGLED, CLOSE, KEY, SMUGGLED, TE, Case, get, judge, post
from tests.gateway.trust.wire import Recorder

LENGTHS = [
    Case(f"the length {value!r}", post(f"Content-Length: {value}\r\n{CLOSE}", f"ab{SMUGGLED}"), [expected], reached)
    for value, expected, reached in (
        ("1_0", 400, 0),
        ("2;", 400, 0),
        ("2,", 400, 0),
        (",2", 400, 0),
        ("2 ,2", 400, 0),
        ("1e1", 400, 0),
        ('"2"', 400, 0),
        ("-0", 400, 0),
        ("+0", 400, 0),
        ("2\x00", 400, 0),
        ("2\x0b", 400, 0),
        ("2\xa0", 400, 0),
        ("\xb2", 400, 0),
        ("2\r", 200, 1),
        ("\t2\t", 200, 1),
        ("0" * 24 + "2", 200, 1),
        ("9223372036854775808", 413, 0),
        ("18446744073709551616", 400, 0),
    )
]
LENGTHS += [
    Case("a length with a space before its colon", post("Content-Length : 2\r\n", "ab"), [400]),
    Case("a length with a tab before its colon", post("Content-Length\t: 2\r\n", "ab"), [400]),
    Case("a length with a NUL in its name", post("Content-Length\x00: 2\r\n", "ab"), [400]),
    Case("a length and an empty one", post("Content-Length: 2\r\nContent-Length: \r\n", "ab"), [400]),
    Case("a length and one with a zero before", post("Content-Length: 2\r\nContent-Length: 02\r\n", "ab"), [400]),
    Case(
        "a length that is folded into another value", post("X-A: b\r\n Content-Length: 45\r\n", SMUGGLED), [200, 401], 1
    ),
    Case("a length behind a carriage return", post("X-A: b\rContent-Length: 45\r\n", SMUGGLED), [200, 401], 1),
    Case("a length with a dot", post("Content.Length: 45\r\n", SMUGGLED), [200, 401], 1),
    Case(
        "a length as of the connection",
        post("Connection: content-length\r\nContent-Length: 2\r\n", f"ab{SMUGGLED}"),
        [200, 401],
        1,
    ),
    Case(
        "a body behind a HEAD",
        get(fields="Content-Length: 45\r\n", method="HEAD") + SMUGGLED + get(fields=CLOSE),
        [200, 200],
        2,
    ),
]

CODINGS = [
    Case(f"the coding {value!r}", post(f"Transfer-Encoding: {value}\r\n{CLOSE}", CHUNKED_SMUGGLED), [expected], reached)
    for value, expected, reached in (
        ("chunked, identity", 501, 0),
        ("identity", 501, 0),
        ("identity, chunked", 501, 0),
        ("cow, chunked", 501, 0),
        ("chunked,", 501, 0),
        (",chunked", 501, 0),
        ("chunked;", 501, 0),
        ("[chunked]", 501, 0),
        ("chun ked", 501, 0),
        ("chun\r\n ked", 501, 0),
        ("\xefchunked", 501, 0),
        ("chunked\x00", 400, 0),
        ("chunked\x0c", 400, 0),
        ("chunked\r", 200, 1),
        (" \t chunked \t ", 200, 1),
    )
]
CODINGS += [
    Case("chunked in two fields", post(TE + TE, CHUNKED_SMUGGLED), [501]),
    Case("chunked and another in a second field", post(f"{TE}Transfer-Encoding: cow\r\n", CHUNKED_SMUGGLED), [501]),
    Case("chunked with a tab before its colon", post("Transfer-Encoding\t: chunked\r\n", CHUNKED_SMUGGLED), [400]),
    Case("chunked with a NUL in its name", post("Transfer\x00-Encoding: chunked\r\n", CHUNKED_SMUGGLED), [400]),
    Case(
        "chunked behind a carriage return",
        post("X-A: b\rTransfer-Encoding: chunked\r\n", CHUNKED_SMUGGLED),
        [200, 400],
        1,
    ),
    Case("chunked with a dot", post("Transfer.Encoding: chunked\r\n", CHUNKED_SMUGGLED), [200, 400], 1),
    Case("chunked folded into the key", post(" Transfer-Encoding: chunked\r\n", CHUNKED_SMUGGLED), [401, 400]),
    Case(
        "chunked as of the connection",
        post(f"Connection: transfer-encoding\r\n{TE}", f"2\r\nab\r\n{CHUNKED_SMUGGLED}"),
        [200, 401],
        1,
    ),
    Case("chunks of a GET", get(fields=TE) + CHUNKED_SMUGGLED, [200, 401], 1),
    Case("chunks of a HEAD", get(fields=TE, method="HEAD") + CHUNKED_SMUGGLED, [200, 401], 1),
    Case(
        "a length, and chunked with an underscore",
        post("Content-Length: 5\r\nTransfer_Encoding: chunked\r\n", CHUNKED_SMUGGLED),
        [200, 401],
        1,
    ),
]

CHUNKS = [
    Case(f"the chunks {body[:24]!r}", post(TE, body), statuses, reached)
    for body, statuses, reached in (
        (" 2\r\nab\r\n0\r\n\r\n", [400], 0),
        ("2_\r\nab\r\n0\r\n\r\n", [400], 0),
        ("g\r\nab\r\n0\r\n\r\n", [400], 0),
        ("0x\r\n\r\n", [400], 0),
        ("2\r\rab\r\n0\r\n\r\n", [400], 0),
        ("2;a\rb\r\nab\r\n0\r\n\r\n", [400], 0),
        ("2\r\nabX0\r\n\r\n", [400], 0),
        (f"0\n\n{SMUGGLED}", [400], 0),
        (f"0\r\nX y\r\n\r\n{SMUGGLED}", [400], 0),
        (f"0\r\nX\x00: y\r\n\r\n{SMUGGLED}", [400], 0),
        (f"0\r\nX: {'y' * 80_000}\r\n\r\n", [431], 0),
        ("2 \t\r\nab\r\n0\r\n\r\n", [200], 1),
        ("2\r\nab\n0\r\n\r\n", [200], 1),
        ("2;\x00\r\nab\r\n0\r\n\r\n", [200], 1),
        (f"2;{'a' * 20_000}\r\nab\r\n0\r\n\r\n", [200], 1),
        (f"00\r\n\r\n{SMUGGLED}", [200, 401], 1),
        (f"0;a\r\n\r\n{SMUGGLED}", [200, 401], 1),
        (f"0\r\nX: y\r\n\r\n{SMUGGLED}", [200, 401], 1),
        (f"0\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKED_SMUGGLED}", [200, 400], 1),
        (f"0\r\nHost: private.localhost\r\nX-API-Key: x\r\n\r\n{SMUGGLED}", [200, 401], 1),
        ("0\r\nX-Consumer-Id: forged\r\nx_consumer_id: forged\r\n\r\n", [200], 1),
    )
]

NAMES = [
    Case(f"the name {name!r}", get(fields=f"{name}: forged\r\n{CLOSE}"), [expected], int(expected == 200))
    for name, expected in (
        ("X_Consumer_Id", 200),
        ("X-Consumer_Id", 200),
        ("x.consumer.id", 200),
        ("X-Consumer.Id", 200),
        ("X-CONSUMER-ID", 200),
        ("X-Consumer-Id:", 200),
        ("X--Consumer-Id", 200),
        ("X-Consumer--Id", 200),
        ("X~Consumer~Id", 200),
        ("HTTP_X_CONSUMER_ID", 200),
        ("Proxy", 200),
        ("X-Consumer-Id ", 400),
        ("X-Consumer-Id\t", 400),
        ("X-Consumer-Id\x0b", 400),
        ("X-Consumer-Id\xa0", 400),
        ("X-Consumer-Id\x00", 400),
        ("X-Consumer-Id\r", 400),
        ("X-Consumer\n-Id", 400),
        ("(X-Consumer-Id)", 400),
        ("\xefX-Consumer-Id", 400),
        (":x-consumer-id", 400),
        (":authority", 400),
        (":path", 400),
        (":method", 400),
        (":scheme", 400),
        (":status", 400),
        # It continues the line before, which has the key.
        (" X-Consumer-Id", 401),
        ("\tX-Consumer-Id", 401),
    )
]

HEADERS = [
    Case(
        f"as of the connection, {names}", get(fields=f"Connection: {names}\r\n") + SMUGGLED, statuses, len(statuses) - 1
    )
    for names, statuses in (
        ("x-consumer-id, x-key-id, x-plan-id, x-subscription-id", [200, 401]),
        ("x-request-id", [200, 401]),
        ("x-forwarded-prefix", [200, 401]),
        ("authorization, cookie, te, upgrade", [200, 401]),
        ("," * 2_000, [200, 401]),
        ("host", [400]),
        (":path", [400]),
        (":method", [400]),
        ("x-forwarded-host", [400]),
        ("keep-alive, Transfer-Encoding, Host", [400]),
    )
]
HEADERS += [
    Case(
        "the key behind a line feed",
        f"GET /orders/v1/x HTTP/1.1\r\nHost: a\r\nX-A: b\nX-API-Key: {KEY}\r\n{CLOSE}\r\n",
        [200],
        1,
    ),
    Case(
        "the key behind a carriage return",
        f"GET /orders/v1/x HTTP/1.1\r\nHost: a\r\nX-A: b\rX-API-Key: {KEY}\r\n\r\n",
        [401],
    ),
    Case("two line feeds", get(fields=f"X-A: b\n\n{SMUGGLED}"), [200, 401], 1),
    Case("a carriage return alone in a line", get(fields="X-A: b\r\n\r\r\n"), [400]),
    Case("98 names", get(fields="".join(f"X-{n}: a\r\n" for n in range(96)) + CLOSE), [200], 1),
    Case("a head of spaces", get(fields=f"X-A:{' ' * 50_000}b\r\n{CLOSE}"), [200], 1),
]

HOSTS = [
    # The key is good for /orders only, and private.localhost belongs to another API.
    Case(f"the host {host!r}", get("/orders/v1/x", CLOSE, host=f"Host: {host}\r\n"), [expected], int(expected == 200))
    for host, expected in (
        ("A", 200),
        ("a.", 200),
        ("a.:80", 200),
        ("[::1]:80", 200),
        ("a\t", 200),
        ("a" * 300, 200),
        ("PRIVATE.localhost", 403),
        ("private.localhost:80", 403),
        ("private.localhost:", 403),
        ("[::1", 400),
        ("a:80:80", 400),
        ("a%00", 400),
        ("a%2f", 400),
        ("a\x0b", 400),
        ("a?x", 400),
        ("a#x", 400),
        ("a\\b", 400),
        ("a;b", 400),
        ("a'--", 400),
        ("*", 400),
        ("\xe9", 400),
        ("http://a", 400),
        ("a\r\n b", 400),
        ("a\r\nhOsT: b", 400),
        # An empty one beside adds nothing, and upstreams get their own name.
        ("a\r\nHost: ", 200),
    )
]
HOSTS += [
    Case("a space before the host's colon", get(host="Host : a\r\n"), [400]),
    Case("a host in a line that is folded", get(host=" Host: a\r\n"), [400]),
]

TARGETS = [
    Case(f"the target {path!r}", get(path, CLOSE), [expected], int(expected == 200))
    for path, expected in (
        ("http://a", 404),
        ("http://a?/orders/v1/x", 404),
        ("http:///orders/v1/x", 400),
        ("http:/orders/v1/x", 400),
        ("http:orders/v1/x", 400),
        ("http://a#/orders/v1", 400),
        ("http://a\\@private.localhost/x", 400),
        ("http://private.localhost:80/x", 403),
        ("http://a@private.localhost/x", 403),
        ("https://a/orders/v1/x", 403),
        ("http://private.localhost@a/orders/v1/x", 200),
        ("http://a/../orders/v1/x", 200),
        ("ws://a/orders/v1/x", 400),
        ("file:///orders/v1/x", 400),
        ("//a/orders/v1/x", 404),
        ("a:80", 400),
        ("/orders/v1/x HTTP/1.0", 400),
        ("/orders/v1/x\tHTTP/1.1", 400),
        ("/orders/v1/ x", 400),
        ("/orders/v1/x\x0b", 400),
        ("/orders/v1/x\r", 200),
        ("/orders/v1/\x7f", 400),
        ("/orders/v1/\xff", 400),
        # What servers of Java would resolve once more.
        ("/orders/v1/%2e%2e;/private/v1", 400),
        ("/orders/v1/%2e%2e;a=b/private/v1", 400),
        ("/orders/v1/x/.%2E;/%2e.;/private/v1", 400),
        ("/orders/v1/%2e;/x", 400),
        ("/orders/v1/..;/private/v1", 404),
        ("/orders/v1/x;a=..;b", 200),
        ("/orders/v1/x?a=/..;/", 200),
        ("/orders/v1/x...;/y", 200),
        ("/orders/v1/%2e%2e%2fprivate/v1", 400),
        ("/orders/v1/..%00/private/v1", 400),
        ("/orders/v1/%5c..%5c", 400),
        ("/orders/v1\\..\\..\\private\\v1", 403),
        ("/orders\\v1\\x", 200),
        ("\\orders\\v1\\x", 400),
        ("/orders/v1;/x", 404),
        ("/orders;/v1/x", 404),
        ("/orders/v1%3b/x", 404),
        ("/orders/v1/x;jsessionid=1", 200),
        ("/orders/v1/%u002e%u002e/private", 200),
        ("/orders/v1/.%252e/private/v1", 200),
        ("/orders/v1/%c0%af..%c0%af", 200),
        ("/orders/v1/x%3f/../..", 404),
        ("/orders/v1%20", 404),
        ("/orders/v1.", 404),
        ("/orders//v1/x", 404),
        ("///orders/v1/x", 404),
        ("/%2forders/v1/x", 400),
        ("/_portico/health/..;/x", 404),
        ("/_portico/health/", 404),
        ("/../../..", 404),
    )
]

VERSIONS = [
    Case(
        f"the version {version!r}", get(fields=CLOSE).replace("HTTP/1.1", version, 1), [expected], int(expected == 200)
    )
    for version, expected in (
        ("HTTP/1.1 ", 200),
        ("HTTP/1.1x", 400),
        ("HTTP/01.1", 400),
        ("HTTP/1.01", 400),
        ("http/1.1", 400),
        ("HTTP/3", 400),
        ("HTTP/1.1\x00", 400),
        ("HTTP/1.1\r\nX-Consumer-Id: forged", 200),
        ("ICY/1.1", 400),
        ("", 426),
        ("HTTP/0.9", 426),
        ("HTTP/9.9", 426),
    )
]

METHODS = [
    Case(f"the method {method!r}", get(method=method, fields=CLOSE), [expected], int(expected == 200))
    for method, expected in (
        ("GET\x00", 400),
        ("G ET", 400),
        (" GET", 400),
        ("", 400),
        ("G\xe9T", 400),
        ('"GET"', 400),
        ("PRI", 400),
        ("TRACK", 400),
        ("A" * 5_000, 400),
        ("TRACE", 200),
        ("GET\r", 200),
    )
]

WEBSOCKET = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n"
FRAMES = "\0\0\0\4\0\0\0\0\0" + "\0\0\5\1\5\0\0\0\1\x82\x86\x84\x41\x8a"
UPGRADES = [
    Case(f"an upgrade to {protocol!r}", get(fields=f"Connection: Upgrade\r\nUpgrade: {protocol}\r\n"), [403])
    for protocol in (
        "TLS/1.0",
        "HTTP/2.0",
        "websocket, h2c",
        "h2c, websocket",
        "websocket;x",
        "websocket\r\nUpgrade: h2c",
        "",
    )
]
UPGRADES += [
    # The upstream answers 200, so that what follows was never its.
    Case("a call behind an upgrade that is not taken", get(fields=WEBSOCKET) + SMUGGLED, [200], 1),
    Case("a call behind a POST that asks for an upgrade", post(WEBSOCKET, SMUGGLED), [200], 1),
    Case("chunks behind an upgrade", post(WEBSOCKET + TE, CHUNKED_SMUGGLED), [200], 1),
    Case("an upgrade with a body", post(f"{WEBSOCKET}Content-Length: 45\r\n", SMUGGLED), [400]),
    Case("an upgrade with a body of nothing", post(f"{WEBSOCKET}Content-Length: 0\r\n", SMUGGLED), [200], 1),
    Case("an upgrade without a key", f"GET /orders/v1/x HTTP/1.1\r\nHost: a\r\n{WEBSOCKET}\r\n" + get(), [401]),
    Case("an upgrade by CONNECT", get(fields=WEBSOCKET, method="CONNECT"), [400]),
    Case(
        "an upgrade that the connection does not name", get(fields="Upgrade: websocket\r\n") + SMUGGLED, [200, 401], 1
    ),
    Case("h2c that the connection does not name", get(fields=f"Upgrade: h2c\r\n{CLOSE}"), [200], 1),
    Case("an upgrade of CONNECT's over UDP", get(fields="Connection: Upgrade\r\nUpgrade: connect-udp\r\n"), [404]),
    Case("HTTP/2 without asking", f"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{FRAMES}", [400]),
    Case("HTTP/2 behind a call", get() + f"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{FRAMES}", [200, 400], 1),
    Case("a frame of HTTP/2 behind a call", get() + FRAMES, [200, 400], 1),
    Case("the beginning of TLS", "\x16\x03\x01\x00\x05hello\r\n\r\n", [400]),
    Case("the PROXY protocol", f"PROXY TCP4 192.0.2.9 192.0.2.8 1 2\r\n{get()}", [400]),
    Case("the PROXY protocol in binary", f"\r\n\r\n\0\r\nQUIT\n!\x11\0\x0c{'x' * 12}{get()}", [400]),
]

REFUSED = "POST /orders/v1/x HTTP/1.1\r\nHost: a\r\n"
PIPELINES = [
    # The rest of a refused call's body must not become a call: Envoy closes.
    Case("a body behind a refusal", f"{REFUSED}Content-Length: 45\r\n\r\n{SMUGGLED}", [401]),
    Case("chunks behind a refusal", f"{REFUSED}{TE}\r\n2d\r\n{SMUGGLED}\r\n0\r\n\r\n", [401]),
    Case(
        "a body behind a path that nobody has",
        post("Content-Length: 45\r\n", SMUGGLED).replace("/orders/v1", "/no", 1),
        [404],
    ),
    Case("a body that is too long", post("Content-Length: 20000000\r\n", SMUGGLED), [413]),
    Case("ten calls and one without a key", get() * 10 + SMUGGLED, [200] * 10 + [401], 10),
    Case(
        "a good call behind a refused one",
        f"GET /orders/v1/x HTTP/1.1\r\nHost: a\r\n\r\n{get(fields=CLOSE)}",
        [401, 200],
        1,
    ),
    Case("a call behind one of another's key", get().replace(KEY, "{other}") + get(fields=CLOSE), [403, 200], 1),
    Case("Expect, without a key", f"{REFUSED}Expect: 100-continue\r\nContent-Length: 45\r\n\r\n{SMUGGLED}", [100, 401]),
    Case(
        "Expect twice",
        post(f"Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 2\r\n{CLOSE}", "ab"),
        [200],
        1,
    ),
    Case(
        "Expect of what will not be read",
        post("Expect: 100-continue\r\nContent-Length: 99999999999\r\n", SMUGGLED),
        [100, 413],
    ),
]

CASES = [
    *(*LENGTHS, *CODINGS, *CHUNKS, *NAMES, *HEADERS, *HOSTS),
    *(*TARGETS, *VERSIONS, *METHODS, *UPGRADES, *PIPELINES),
]


def test_no_case_stands_twice() -> None:
    assert len({case.what for case in CASES}) == len(CASES)


@pytest.mark.envoy
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what.encode("unicode_escape").decode()[:60])
def test_it_is_read_in_one_way_or_refused(narrow: Gateway, recorder: Recorder, case: Case) -> None:
    judge(narrow, recorder, case)
