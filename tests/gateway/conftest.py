"""A gateway that serves a few APIs, shared by the tests that only call it, and values for those that make their own."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from portal.bearer import Token
from portal.gateway.ir import Api, Consumer, Key, Plan, Restriction, Snapshot, Subscription, Target, Upstream
from portal.registry.keys import new_token
from tests.gateway import envoy

LONG_AGO, IN_A_WHILE = 1_000_000_000, 4_000_000_000
DEPRECATED, SUNSET = 1_767_225_600, 1_798_761_599


def token_of(n: int) -> Token:
    """Different, well-formed, and new in every run: what the gateway thinks of one must not depend on its letters."""
    return _TOKENS.setdefault(n, new_token())


_TOKENS: dict[int, Token] = {}


def api(id_: int = 1, port: int = 80, **fields: Any) -> Api:
    upstream = Upstream((Target("orders.internal", port),))
    return replace(Api(id_, 1, f"shop/api-{id_}/v1", upstream, path=f"/api-{id_}"), **fields)


def key(n: int, consumer_id: int, **fields: Any) -> Key:
    token = token_of(n)
    return Key(token.sha256, token.public_id, consumer_id, None, None)._replace(**fields)


def noise(n: int = 50) -> list[Key]:
    """Keys of other consumers, so that a search that takes the first it finds fails."""
    return [Key(hashlib.sha256(b"%d" % i).digest(), f"{i:012}", 2, None, None) for i in range(n)]


SUBSCRIBER, REVOKED, EXPIRED, LATER, UNSUBSCRIBED, EARLY, LATE, UNKNOWN = range(8)
"""Keys of `world`: consumer 1 is subscribed to everything, 2 to nothing, 3 from a far day on, 4 until long ago."""
OF_SUSPENDED, STOPPED, WAITING, USED_UP, AFRESH = range(60, 65)
"""Keys of `world`, of consumers 60 to 64: suspended itself, with a suspended subscription, with a pending one, with a
quota that is used up for long, with one that was used up long ago."""
READER, CHOSEN, ELSEWHERE, OPERATOR, NEAR, FAR, MISWRITTEN = range(70, 77)
"""Keys of `world`, of consumer 1, that may do less: see `RESTRICTIONS`."""
OPERATIONS = (
    (1, "GET", "/pets/{id}"),
    (1, "POST", "/pets"),
    (1, "GET", "/files/v{n}-{part}.json"),
    (1, "GET", "/a%20b/{x}"),
    (1, "GET", "/tree/{path+}"),
)
RESTRICTIONS = {
    READER: Restriction(read_only=True),
    CHOSEN: Restriction(subscriptions=(99, 100)),
    ELSEWHERE: Restriction(subscriptions=(101, 250)),
    OPERATOR: Restriction(operations=OPERATIONS),
    NEAR: Restriction(addresses=("10.0.0.0/8", "127.0.0.1/32", "::ffff:192.168.0.0/112", "2001:db8::/32")),
    FAR: Restriction(addresses=("10.0.0.0/8", "::/0", "128.0.0.0/1")),
    MISWRITTEN: Restriction(addresses=("everywhere",)),
}


def world(*apis: Api, plan: Plan | None = None) -> Snapshot:
    """`apis`, and everybody who may or may not call them."""
    subscriptions = [
        row
        for number, one in enumerate(apis)
        for row in (
            Subscription(100 + number, 1, one.id, 1, LONG_AGO, None),
            # An older one that has ended; the filter must find the one that is valid.
            Subscription(200 + number, 1, one.id, 1, 0, LONG_AGO),
            Subscription(300 + number, 3, one.id, 1, IN_A_WHILE, None),
            Subscription(400 + number, 4, one.id, 1, 0, LONG_AGO),
            Subscription(500 + number, OF_SUSPENDED, one.id, 1, LONG_AGO, None),
            Subscription(600 + number, STOPPED, one.id, 1, LONG_AGO, None, "suspended"),
            # The better standing counts, whichever is the older.
            Subscription(650 + number, STOPPED, one.id, 1, LONG_AGO, None, "pending"),
            Subscription(700 + number, WAITING, one.id, 1, LONG_AGO, None, "pending"),
            Subscription(800 + number, USED_UP, one.id, 1, LONG_AGO, None, "approved", IN_A_WHILE),
            Subscription(900 + number, AFRESH, one.id, 1, LONG_AGO, None, "suspended"),
            Subscription(950 + number, AFRESH, one.id, 1, LONG_AGO, None, "approved", LONG_AGO),
        )
    ]
    return Snapshot(
        revision=1,
        apis=apis,
        plans=(plan or Plan(1),),
        consumers=[Consumer(n, f"con_{n:016}", n == OF_SUSPENDED) for n in (1, 2, 3, 4, *range(60, 65))],
        subscriptions=subscriptions,
        keys=[
            key(SUBSCRIBER, 1),
            key(REVOKED, 1, revoked=LONG_AGO),
            key(EXPIRED, 1, expires=LONG_AGO),
            key(LATER, 1, expires=IN_A_WHILE, revoked=IN_A_WHILE),
            key(UNSUBSCRIBED, 2),
            key(EARLY, 3),
            key(LATE, 4),
            *(key(n, n) for n in range(60, 65)),
            *(key(n, 1, id=n) for n in RESTRICTIONS),
            *noise(),
        ],
        restrictions=RESTRICTIONS,
    )


@dataclass
class Served:
    gateway: envoy.Gateway
    upstream: envoy.Upstream

    def call(self, path: str, headers: Any = (), *, token: int | None = SUBSCRIBER, **rest: Any) -> envoy.Answer:
        pairs = list(headers.items() if isinstance(headers, dict) else headers)
        if token is not None:
            pairs.append(("X-API-Key", token_of(token).value))
        return self.gateway.call(path, pairs, **rest)


@pytest.fixture(scope="session")
def upstream() -> Iterator[envoy.Upstream]:
    with envoy.serving() as server:
        yield server


@pytest.fixture(scope="session")
def served(upstream: envoy.Upstream) -> Iterator[Served]:
    """One Envoy with an API of every kind. Tests that publish make their own."""
    port = upstream.port
    closed = Upstream((Target("orders.internal", envoy.free_port()),), connect_timeout_ms=1_000)
    apis = (
        api(1, port, path="/orders/v1"),
        api(2, port, path="/based/v1", base_path="/up"),
        api(3, port, path=None, host="orders.localhost"),
        api(4, port, path="/bearer", key_place="bearer"),
        api(5, port, path="/query", key_place="query", key_name="api_key"),
        api(6, port, path="/paused", paused=True),
        api(7, port, path="/small", body_limit_bytes=100_000),
        api(8, port, path="/fast", first_byte_timeout_ms=300),
        api(9, path="/closed", upstream=closed),
        api(10, path="/unresolved", upstream=Upstream((Target("nowhere.internal", 80),))),
        api(11, port, path="/both.v1", host="both.localhost"),
        api(12, port, path="/old", deprecated=DEPRECATED, sunset=SUNSET, successor="shop/orders/v1"),
        api(13, path="/gone", deprecated=DEPRECATED, retired=True, paused=True, successor="shop/orders/v1"),
        api(14, path="/old-and-closed", upstream=closed, deprecated=DEPRECATED),
    )
    gateway = envoy.Gateway.new(portal="https://portal.example")
    try:
        gateway.publish(world(*apis), {"orders.internal": ["127.0.0.1"]})
        yield Served(gateway, upstream)
    finally:
        gateway.stop()


@pytest.fixture
def gateway() -> Iterator[envoy.Gateway]:
    """An Envoy of one's own; it starts with the first publish."""
    one = envoy.Gateway.new()
    try:
        yield one
    finally:
        one.stop()
