"""Calls as bytes, and what must become of them: how the tables of this folder are written and judged."""

import re
from typing import NamedTuple

from tests.gateway.conftest import SUBSCRIBER, UNSUBSCRIBED, token_of
from tests.gateway.envoy import Gateway
from tests.gateway.trust.wire import Recorder, answers, status

KEY = "{key}"
"""Stands in the table for a good key, which is new in every run; {other} for one that is subscribed to nothing."""
SMUGGLED = "GET /orders/v1/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED_SMUGGLED = f"0\r\n\r\n{SMUGGLED}"

OURS = re.compile(rb"x-(consumer|subscription|key|plan)-id|x-consumer-.*|x-forwarded-.*|x-envoy-.*|x-real-ip|proxy")
"""What only the gateway may say; in the tables, what clients say under such names has `forged` in it."""


class Case(NamedTuple):
    what: str
    sent: str
    """Latin-1, so that every byte can stand in it."""
    statuses: list[int]
    """Of all answers on the connection."""
    reached: int = 0
    """How many calls the upstream saw."""


def post(fields: str, body: str = "") -> str:
    return f"POST /orders/v1/x HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\n{fields}\r\n{body}"


def get(path: str = "/orders/v1/x", fields: str = "", *, host: str = "Host: a\r\n", method: str = "GET") -> str:
    return f"{method} {path} HTTP/1.1\r\n{host}X-API-Key: {KEY}\r\n{fields}\r\n"


CLOSE = "Connection: close\r\n"
TE = "Transfer-Encoding: chunked\r\n"


def judge(gateway: Gateway, upstream: Recorder, case: Case) -> None:
    """Nothing without a checked key, no call that was not sent as one, no identity but the key's, no key upstream."""
    upstream.forget()
    key, other = token_of(SUBSCRIBER).value, token_of(UNSUBSCRIBED).value
    sent = case.sent.replace("{key}", key).replace("{other}", other).encode("latin-1")

    came = answers(gateway, sent, len(case.statuses))

    # Envoy has one worker, so what it has sent on before it comes to this call arrives before it.
    last = f"GET /orders/v1/last HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nConnection: close\r\n\r\n".encode()
    assert [status(each) for each in answers(gateway, last, 1)] == [200]
    calls = [call for call in upstream.calls if b"/last" not in call.line]
    assert [status(each) for each in came] == case.statuses
    assert len(calls) == case.reached
    for call in calls:
        assert call.names.count(b"x-subscription-id") == call.names.count(b"x-consumer-id") == 1
        assert b"x-subscription-id: 100\r\n" in call.head
        assert b"\r" not in call.head.replace(b"\r\n", b"")
        assert not {b"content_length", b"transfer_encoding"} & set(call.names)
        assert b"host: orders.internal" in call.head
        for field in call.head.split(b"\r\n"):
            name, _, value = field.partition(b":")
            # CGI, WSGI and PHP take such names for one.
            if OURS.fullmatch(re.sub(rb"[_.]", b"-", name.lower().strip())):
                assert b"forged" not in value
    assert b"smuggled" not in b"".join(call.line for call in calls)
    # What the gateway refuses here is the client's fault, and its answer says so.
    assert b'"reason":"gateway_error"' not in b"".join(came)
    for secret in (key, other):
        assert secret.encode() not in upstream.bytes
