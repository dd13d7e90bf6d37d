"""Makes log lines as the gateway writes them, the same ones for the same seed. Tests and the bench use it."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from portal.traffic.line import FIELDS
from portal.traffic.models import microseconds
from portal.traffic.scope import Scope

START = 1_790_000_000_000_000
"""Microseconds of the first call, unless told."""

NOW = datetime(2026, 11, 20, 12, 30, 30, tzinfo=UTC)
ALL = Scope(everything=True)


def line(at: int = START, **fields: Any) -> bytes:
    """One line with its newline; what is not named is an ordinary answered call without a key."""
    known: dict[str, Any] = dict.fromkeys(FIELDS) | {
        "t": str(at),
        "id": request_id(at, 1),
        "m": "GET",
        "h": "api.example.com",
        "p": "/orders/v1/orders",
        "st": 200,
        "f": "-",
        "d": "via_upstream",
        "bi": 0,
        "bo": 512,
        "du": 12_000,
        "us": 11_000,
        "ip": "192.0.2.7",
        "ua": "curl/8.5.0",
        "up": "10.1.2.3:8080",
        "n": 1,
    }
    unknown = fields.keys() - known.keys()
    assert not unknown, f"no such fields: {unknown}"
    return orjson.dumps(known | fields) + b"\n"


def request_id(at: int, n: int) -> str:
    """A UUIDv7 of this microsecond."""
    number = (at // 1_000) << 80 | 7 << 76 | (at % 1_000) << 64 | 2 << 62 | n & (2**62 - 1)
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class Mix:
    """A realistic mix: popular and rare APIs and consumers, some failures, latencies with a long tail.

    Consumers have the public ids of `consumer_id(n)` and one key each, `key_id(n)`; API n is number n, from 1.
    """

    def __init__(self, *, apis: int = 200, consumers: int = 2_000, seconds: float = 300, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.span = int(seconds * 1_000_000)
        self.consumers = consumers
        self.apis = apis
        # Each consumer has three subscriptions; the n-th most popular is called 1/n as often.
        self.choices = [(c, self.random.randint(1, apis)) for c in range(1, consumers + 1) for _ in range(3)]
        self.random.shuffle(self.choices)
        total, self.weights = 0.0, []
        for n in range(len(self.choices)):
            total += 1 / (n + 1)
            self.weights.append(total)
        self.agents = [f"client-{n}/1.{n} (build {n * 37}) http/{n}.0" for n in range(30)]

    def lines(self, count: int, start: int = START) -> Iterator[bytes]:
        """`count` lines in the order of their time, evenly over the seconds."""
        rng = self.random
        chosen = rng.choices(self.choices, cum_weights=self.weights, k=count)
        for n, (consumer, api) in enumerate(chosen):
            at = start + n * self.span // count
            yield line(at, id=request_id(at, rng.getrandbits(62)), **self._call(consumer, api))

    def _call(self, consumer: int, api: int) -> dict[str, Any]:
        rng = self.random
        upstream = int(rng.lognormvariate(9.2, 0.7))
        fields: dict[str, Any] = {
            "m": rng.choice(("GET", "GET", "GET", "POST", "PUT")),
            "p": f"/service-{api}/v1/things/{rng.randint(1, 99_999)}",
            "r": f"{api}|3|h|10000000|/service-{api}/v1|x-api-key",
            "c": consumer_id(consumer),
            "s": str(consumer * 3),
            "k": key_id(consumer),
            "pl": str(1 + consumer % 20),
            "bi": rng.choice((0, 0, 0, 320)),
            "bo": rng.randint(80, 9_000),
            "du": upstream + rng.randint(80, 400),
            "us": upstream,
            "ip": f"198.51.100.{consumer % 250}",
            "ua": self.agents[consumer % 30],
            "up": f"10.0.{api % 250}.12:8080",
        }
        dice = rng.random()
        if dice < 0.90:
            return fields
        refused = {"d": None, "up": None, "us": None, "n": 0, "du": rng.randint(50, 200), "bo": 140}
        if dice < 0.94:
            return fields | {"st": rng.choice((400, 404, 404, 409))}
        if dice < 0.96:
            return fields | refused | {"st": 429, "f": "RL", "d": "local_rate_limited"}
        if dice < 0.98:
            nobody = {"c": None, "s": None, "k": None, "pl": None}
            return fields | refused | nobody | {"st": 401, "d": "lua_response", "rs": "key_missing"}
        if dice < 0.99:
            return fields | {"st": 500}
        return fields | {"st": 502, "f": "UF", "d": "upstream_reset_before_response_started{connection_failure}"}


def consumer_id(n: int) -> str:
    return f"con_{n:016d}".replace("0", "a").replace("1", "b").replace("8", "c").replace("9", "d")


def key_id(n: int) -> str:
    return f"K{n:011d}"


def call(ago: timedelta, api: int = 1, consumer: int = 1, n: int = 1, **fields: Any) -> list[bytes]:
    """`n` lines of calls that long before NOW."""
    at = microseconds(NOW - ago)
    who = {"r": f"{api}|1", "c": consumer_id(consumer), "k": key_id(consumer)}
    return [line(at, **who | {"id": request_id(at, i)} | fields) for i in range(n)]


def refused(**fields: Any) -> dict[str, Any]:
    """Fields of a call that the gateway refused by itself."""
    return {"d": "lua_response", "up": None, "us": None, "du": 90} | fields
