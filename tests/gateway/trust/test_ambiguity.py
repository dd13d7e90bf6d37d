"""Calls that two programs could read in two ways: the gateway takes them in one, or refuses them.

What must hold for each: nothing reaches the upstream without a checked key, what reaches it is one call and not two,
and the client hears exactly what stands here. RFC 9112 (section 11.2) and RFC 9110 (section 17).
"""

import pytest

from tests.gateway.envoy import Gateway
from tests.gateway.trust.cases import CHUNKED_SMUGGLED, CLOSE, KEY, SMUGGLED, TE, Case, get, judge, post
from tests.gateway.trust.wire import Recorder

pytestmark = pytest.mark.envoy

CL_TE = "Content-Length: {0}\r\nTransfer-Encoding: chunked\r\n"

LENGTHS = [
    Case("CL.TE", post(CL_TE.format(len(CHUNKED_SMUGGLED)), CHUNKED_SMUGGLED), [400]),
    Case("TE.CL", post(CL_TE.format(4), f"2e\r\n{SMUGGLED}\r\n0\r\n\r\n"), [400]),
    Case("length 0 and chunks", post(CL_TE.format(0), CHUNKED_SMUGGLED), [400]),
    Case("two different lengths", post("Content-Length: 0\r\nContent-Length: 46\r\n", SMUGGLED), [400]),
    Case("the same length twice", post("Content-Length: 2\r\nContent-Length: 2\r\n", "ab"), [400]),
    Case("a list of lengths", post("Content-Length: 2, 2\r\n", "ab"), [400]),
    Case("a length with a plus", post("Content-Length: +2\r\n", "ab"), [400]),
    Case("a length below nothing", post("Content-Length: -1\r\n", SMUGGLED), [400]),
    Case("a length in hex", post("Content-Length: 0x2\r\n", "ab"), [400]),
    Case("a length with a space inside", post("Content-Length: 4 6\r\n", SMUGGLED), [400]),
    Case("a length with spaces around", post(f"Content-Length:  2 \r\n{CLOSE}", "ab"), [200], 1),
    Case("a length with a fraction", post("Content-Length: 2.0\r\n", "ab"), [400]),
    Case("a length that is empty", post("Content-Length: \r\n", SMUGGLED), [400]),
    Case("a length beyond 64 bits", post("Content-Length: 18446744073709551618\r\n", "ab"), [400]),
    Case("a length with a leading zero", post(f"Content-Length: 002\r\n{CLOSE}", "ab"), [200], 1),
    Case("a length with an underscore", post("Content_Length: 46\r\n", SMUGGLED), [200, 401], 1),
    Case("a length on a GET", get(fields=f"Content-Length: 2\r\n{CLOSE}") + "ab", [200], 1),
    Case("no length, with a body", post("", SMUGGLED), [200, 401], 1),
    Case("a folded length", post("Content-Length:\r\n 2\r\n" + CLOSE, "ab"), [200], 1),
]

CHUNKS = [
    Case("plain chunks", post(TE + CLOSE, "2\r\nab\r\n0\r\n\r\n"), [200], 1),
    Case("chunks and a second call without a key", post(TE, f"2\r\nab\r\n{CHUNKED_SMUGGLED}"), [200, 401], 1),
    Case("an unknown coding", post("Transfer-Encoding: xchunked\r\n", CHUNKED_SMUGGLED), [501]),
    Case("chunked twice", post("Transfer-Encoding: chunked, chunked\r\n", CHUNKED_SMUGGLED), [501]),
    Case("chunked, then identity", post(f"{TE}Transfer-Encoding: identity\r\n", CHUNKED_SMUGGLED), [501]),
    Case("identity, then chunked", post(f"Transfer-Encoding: identity\r\n{TE}", CHUNKED_SMUGGLED), [501]),
    Case("compressed, then chunked", post("Transfer-Encoding: gzip, chunked\r\n", CHUNKED_SMUGGLED), [501]),
    Case("a tab before chunked", post(f"Transfer-Encoding:\tchunked\r\n{CLOSE}", "0\r\n\r\n"), [200], 1),
    Case("a vertical tab before chunked", post("Transfer-Encoding: \x0bchunked\r\n", CHUNKED_SMUGGLED), [400]),
    Case("a space before the colon", post("Transfer-Encoding : chunked\r\n", CHUNKED_SMUGGLED), [400]),
    Case("folded chunked", post("Transfer-Encoding:\r\n chunked\r\n", CHUNKED_SMUGGLED), [200, 401], 1),
    Case("quoted chunked", post('Transfer-Encoding: "chunked"\r\n', CHUNKED_SMUGGLED), [501]),
    Case("CHUNKED", post(f"Transfer-Encoding: CHUNKED\r\n{CLOSE}", "0\r\n\r\n"), [200], 1),
    Case("chunked with a parameter", post("Transfer-Encoding: chunked;q=1\r\n", CHUNKED_SMUGGLED), [501]),
    Case("chunked behind a line feed", post("X-A: b\nTransfer-Encoding: chunked\r\n", CHUNKED_SMUGGLED), [200, 401], 1),
    Case("chunked with an underscore", post("Transfer_Encoding: chunked\r\n", CHUNKED_SMUGGLED), [200, 400], 1),
    Case("an empty coding", post("Transfer-Encoding: \r\n", CHUNKED_SMUGGLED), [501]),
    Case("a chunk size with 0x", post(TE, "0x2\r\nab\r\n0\r\n\r\n"), [400]),
    Case("a chunk size with a sign", post(TE, "+2\r\nab\r\n0\r\n\r\n"), [400]),
    Case("a chunk size below nothing", post(TE, "-2\r\nab\r\n0\r\n\r\n"), [400]),
    Case("a chunk size beyond 64 bits", post(TE, "10000000000000002\r\nab\r\n0\r\n\r\n"), [400]),
    Case("a chunk size that is empty", post(TE, "\r\nab\r\n0\r\n\r\n"), [400]),
    Case("a chunk size with leading zeros", post(TE + CLOSE, "0002\r\nab\r\n0\r\n\r\n"), [200], 1),
    Case("a chunk extension", post(TE + CLOSE, "2;a=b\r\nab\r\n0\r\n\r\n"), [200], 1),
    Case("a line feed in a chunk extension", post(TE, f"2;\nxx\r\n{CHUNKED_SMUGGLED}"), [400]),
    Case("a chunk size that ends with a line feed", post(TE, "2\nab\r\n0\r\n\r\n"), [400]),
    Case("a chunk longer than it says", post(TE + CLOSE, "2\r\nabc\r\n0\r\n\r\n"), [200], 1),
    Case("a chunk without its end of line", post(TE, "2\r\nab0\r\n\r\n"), [400]),
    Case("a trailer that names a consumer", post(TE + CLOSE, "0\r\nX-Consumer-Id: x\r\n\r\n"), [200], 1),
    Case("a trailer with a length", post(TE, f"0\r\nContent-Length: 46\r\n\r\n{SMUGGLED}"), [200, 401], 1),
]

HEADERS = [
    Case("a bare line feed ends each line", get(fields=CLOSE).replace("\r\n", "\n"), [200], 1),
    Case("a bare carriage return in a value", get(fields=f"X-A: b\rX-Consumer-Id: c\r\n{CLOSE}"), [200], 1),
    Case("a NUL in a value", get(fields="X-A: b\x00c\r\n"), [400]),
    Case("a NUL in a name", get(fields="X\x00A: b\r\n"), [400]),
    Case("a control character in a value", get(fields="X-A: b\x01c\r\n"), [400]),
    Case("DEL in a value", get(fields="X-A: b\x7fc\r\n"), [400]),
    Case("a space in a name", get(fields="X A: b\r\n"), [400]),
    Case("a name that is empty", get(fields=": b\r\n"), [400]),
    Case("a line without a colon", get(fields="nonsense\r\n"), [400]),
    Case("a folded first line", f"GET /orders/v1/x HTTP/1.1\r\n X: y\r\nHost: a\r\nX-API-Key: {KEY}\r\n\r\n", [400]),
    Case("a folded value", get(fields=f"X-A: b\r\n X-Consumer-Id: c\r\n{CLOSE}"), [200], 1),
    Case("a folded key", f"GET /orders/v1 HTTP/1.1\r\nHost: a\r\nX-API-Key:\r\n {KEY}\r\n{CLOSE}\r\n", [200], 1),
    Case("the key twice", get(fields=f"x-api-key: {KEY}\r\n{CLOSE}"), [400]),
    Case("a second key of somebody else", get(fields=f"x-api-key: {{other}}\r\n{CLOSE}"), [400]),
    Case("the key with underscores too", get(fields=f"x_api_key: {{other}}\r\n{CLOSE}"), [200], 1),
    Case(
        "the key only with underscores", f"GET /orders/v1 HTTP/1.1\r\nHost: a\r\nX_API_Key: {KEY}\r\n{CLOSE}\r\n", [401]
    ),
    Case("the key removed as of the connection", get(fields="Connection: x-api-key, close\r\n"), [401]),
    Case("the proof named as of the connection", get(fields="Connection: x-subscription-id, close\r\n"), [200], 1),
    Case("X-Forwarded-For as of the connection", get(fields="Connection: x-forwarded-for\r\n"), [400]),
    Case("a head of 70 000 bytes", get(fields=f"X-A: {'b' * 70_000}\r\n"), [431]),
    Case("a path of 70 000 bytes", get(f"/orders/v1/{'b' * 70_000}"), [431]),
    Case("101 headers", get(fields="X-A: b\r\n" * 101), [431]),
]

HOSTS = [
    Case("no host", get(host=""), [400]),
    Case("two hosts", get(host="Host: a\r\nHost: orders.localhost\r\n"), [400]),
    Case("the same host twice", get(host="Host: a\r\nHost: a\r\n"), [400]),
    Case("an empty host", get(host="Host: \r\n", fields=CLOSE), [400]),
    Case("a host with a space", get(host="Host: a b\r\n"), [400]),
    Case("a host with a comma", get(host="Host: a,orders.localhost\r\n", fields=CLOSE), [400]),
    Case("a host with userinfo", get(host="Host: orders.localhost@a\r\n", fields=CLOSE), [400]),
    Case("a host with a slash", get(host="Host: a/orders/v1\r\n", fields=CLOSE), [400]),
    Case("a host with a port", get(host="Host: a:1234\r\n", fields=CLOSE), [200], 1),
    Case("a host with a port that is none", get(host="Host: a:b\r\n", fields=CLOSE), [400]),
    Case("a host with a dot at its end", get("/x", host="Host: private.localhost.\r\n", fields=CLOSE), [404]),
    Case("a URI and another host", get("http://private.localhost/orders/v1/x", fields=CLOSE), [403]),
    Case("a URI of an API and its own host", get("http://a/orders/v1/x", fields=CLOSE), [200], 1),
    Case("a URI with userinfo", get("http://u:p@a/orders/v1/x", fields=CLOSE), [200], 1),
    Case("a URI of another scheme", get("ftp://a/orders/v1/x", fields=CLOSE), [400]),
]

METHODS = [
    Case("CONNECT", get("orders.internal:80", method="CONNECT"), [404]),
    Case("CONNECT with a path", get("/orders/v1/x", method="CONNECT"), [400]),
    Case("a method that nobody knows", get(method="SMUGGLE"), [400]),
    Case("a method in lower case", get(method="get"), [400]),
    Case("an asterisk", get("*", method="OPTIONS", fields=CLOSE), [404]),
    Case("HTTP/0.9", "GET /orders/v1/x\r\n\r\n", [426]),
    Case("HTTP/1.0", get().replace("1.1", "1.0"), [426]),
    Case("HTTP/1.0 with chunks", post(TE, CHUNKED_SMUGGLED).replace("1.1", "1.0", 1), [426]),
    Case("HTTP/2.0", get().replace("1.1", "2.0"), [426]),
    Case("HTTP/1.10", get().replace("1.1", "1.10"), [400]),
    Case("HTTP/1.2", get().replace("1.1", "1.2"), [426]),
    Case("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
    Case(
        "h2c", get(fields="Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"), [200], 1
    ),
    Case("an unknown upgrade", get(fields="Connection: Upgrade\r\nUpgrade: smuggle\r\n"), [403]),
    Case("two spaces in the first line", get(fields=CLOSE).replace("GET ", "GET  "), [200], 1),
    Case("a tab in the first line", get(fields=CLOSE).replace("GET ", "GET\t"), [200], 1),
    Case("an empty line before", "\r\n" + get(fields=CLOSE), [200], 1),
    Case("Expect", post(f"Expect: 100-continue\r\nContent-Length: 2\r\n{CLOSE}", "ab"), [100, 200], 1),
    Case("Expect of something else", post(f"Expect: 200-ok\r\nContent-Length: 2\r\n{CLOSE}", "ab"), [200], 1),
    Case("a second call without a key", get() + SMUGGLED, [200, 401], 1),
    Case("a second call with a key", get() + get(fields=CLOSE), [200, 200], 2),
    Case("a first call without a key", SMUGGLED + get(fields=CLOSE), [401, 200], 1),
    Case("a call behind a closing one", get(fields=CLOSE) + get(), [200], 1),
]

PATHS = [
    Case(f"the path {path}", get(path, CLOSE), [expected], int(expected == 200))
    for path, expected in (
        # The key is good for /orders and not for /private, so 403 says that a call arrived there.
        ("/orders/v1/../../private/v1/x", 403),
        ("/orders/v1/./x", 200),
        ("/orders/v1/..", 404),
        ("/orders/v1/%2e%2e/%2E%2E/private/v1/x", 403),
        ("/orders/v1/.%2e/.%2E/private/v1", 403),
        ("/private/v1/../../orders/v1/x", 200),
        ("/orders/v1/..%2f..%2fprivate/v1", 400),
        ("/orders/v1/..%5c..%5cprivate/v1", 400),
        ("/orders/v1/..\\..\\private\\v1", 403),
        ("/orders/v1/%252e%252e/%252e%252e/private/v1", 200),
        ("/orders/v1/..%252f..%252fprivate/v1", 200),
        ("/orders/v1/..;/..;/private/v1", 403),
        ("/orders/v1;x=/../private/v1", 404),
        ("/orders/v1//../../private/v1", 404),
        ("//private/v1/x", 404),
        ("/./private/v1/x", 403),
        ("/orders/v1/%00", 400),
        ("/orders/v1/\x00", 400),
        ("/orders/v1/%0d%0aX-Consumer-Id:%20x", 200),
        ("/orders/v1/#/../../private/v1", 400),
        ("/orders/v1/\xe9", 400),
        ("/orders/v1/%c0%ae%c0%ae/%c0%ae%c0%ae/private/v1", 200),
        ("/orders/v1/%zz", 200),
        ("/ORDERS/v1/x", 404),
        ("/%6frders/v1/x", 200),
        ("/%70rivate/v1/x", 403),
        ("/orders%2Fv1/x", 400),
        ("orders/v1/x", 400),
        ("/orders/v1?/../private/v1", 200),
        ("?/orders/v1", 400),
        ("/_portico/../orders/v1/x", 200),
        ("/_portico/health/../../private/v1/x", 403),
    )
]

CASES = [*LENGTHS, *CHUNKS, *HEADERS, *HOSTS, *METHODS, *PATHS]


def test_no_case_stands_twice() -> None:
    assert len({case.what for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what.encode("unicode_escape").decode()[:60])
def test_it_is_read_in_one_way_or_refused(narrow: Gateway, recorder: Recorder, case: Case) -> None:
    judge(narrow, recorder, case)
