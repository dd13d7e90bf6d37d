"""Tokens (JWT) at the real Envoy: which are believed, whose they are, what reaches the upstream."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from portal.gateway.ir import Api, Jwt, Plan, Snapshot, Subject
from portal.registry.jwks import read_jwks
from tests import tokens
from tests.gateway import envoy
from tests.gateway.conftest import (
    OF_SUSPENDED,
    STOPPED,
    SUBSCRIBER,
    UNKNOWN,
    UNSUBSCRIBED,
    USED_UP,
    WAITING,
    api,
    token_of,
    world,
)
from tests.gateway.envoy import Answer, Gateway, Upstream
from tests.tokens import AUDIENCE, ISSUER, Signer

pytestmark = pytest.mark.envoy

RSA, EC, STRANGER = tokens.rsa_signer(), tokens.ec_signer(), tokens.rsa_signer()
"""The last one has the id of the first, and is another key."""
OTHERS = [
    *(tokens.rsa_signer(f"key-{name}", name) for name in ("RS384", "RS512", "PS256", "PS384", "PS512")),
    *(tokens.ec_signer(f"key-{name}", name) for name in ("ES384", "ES512")),
    tokens.ed_signer(),
]
KEYS = read_jwks(tokens.jwks(RSA, EC, *OTHERS)).text


def jwt(**fields: Any) -> Jwt:
    return replace(Jwt(ISSUER, (AUDIENCE,), "sub", "https://login.example/jwks", jwks=KEYS), **fields)


def snapshot(*apis: Api, plan: Plan | None = None) -> Snapshot:
    """`world` with subjects: those who may call alike are told apart by who they are."""
    base = world(*apis, plan=plan)
    first = len(apis)
    subjects = [Subject(100 + n, "alice") for n in range(first)]
    for name, number in (("late", 400), ("suspended", 500), ("stopped", 600), ("waiting", 700), ("used up", 800)):
        subjects += [Subject(number + n, name) for n in range(first)]
    subjects += [Subject(100 + n, "long " * 100) for n in range(first)]
    return replace(base, subjects=[*subjects, Subject(999_999, "nobody's")])


APIS = {
    "orders": jwt(),
    "bearer": jwt(),
    "alone": jwt(),
    "forward": jwt(forward=True),
    "azp": jwt(claim="azp"),
    "any": jwt(audiences=()),
    "keyless": jwt(jwks=""),
    "plain": None,
    "other-audience": jwt(audiences=("https://billing.example",)),
}


@dataclass
class Tokens:
    gateway: Gateway
    upstream: Upstream

    def call(self, token: str | None, name: str = "orders", headers: Any = (), path: str = "/x") -> Answer:
        pairs = list(headers)
        if token is not None:
            pairs.append(("Authorization", f"Bearer {token}"))
        return self.gateway.call(f"/{name}{path}", pairs)


@pytest.fixture(scope="module")
def served(upstream: Upstream) -> Iterator[Tokens]:
    apis = [
        api(
            n,
            upstream.port,
            path=f"/{name}",
            jwt=asked,
            key_place="bearer" if name == "bearer" else "header",
            takes_key=name != "alone",
        )
        for n, (name, asked) in enumerate(APIS.items(), 1)
    ]
    gateway = Gateway.new()
    try:
        gateway.publish(snapshot(*apis))
        yield Tokens(gateway, upstream)
    finally:
        gateway.stop()


def outcome(answer: Answer) -> tuple[int, str | None]:
    return answer.status, answer.json.get("reason") if answer.status >= 400 else None


@pytest.mark.parametrize("signer", [RSA, EC, *OTHERS], ids=lambda signer: signer.algorithm)
def test_a_good_token_calls_as_the_consumer_of_its_subject(served: Tokens, signer: Signer) -> None:
    answer = served.call(signer.token())

    assert answer.status == 200, answer.body
    assert answer.sent["x-consumer-id"] == "con_0000000000000001"
    assert answer.sent["x-subscription-id"] == "100"
    assert answer.sent["x-plan-id"] == "1"
    assert "x-key-id" not in answer.sent
    assert "authorization" not in answer.sent
    assert not [name for name in answer.sent if name.startswith("x-consumer-claim")]


def test_small_letters_are_a_bearer_too(served: Tokens) -> None:
    assert served.gateway.call("/orders/x", {"Authorization": f"bearer {RSA.token()}"}).status == 200


@pytest.mark.parametrize(
    ("made", "status", "reason"),
    [
        (lambda: RSA.token(exp=int(time.time()) - 300), 401, "token_expired"),
        (lambda: RSA.token(exp=int(time.time()) - 30), 200, None),
        (lambda: RSA.token(exp=None), 401, "token_invalid"),
        (lambda: RSA.token(nbf=int(time.time()) + 300), 401, "token_early"),
        (lambda: RSA.token(nbf=int(time.time()) + 30), 200, None),
        (lambda: RSA.token(iss="https://evil.example/"), 401, "token_invalid"),
        (lambda: RSA.token(iss=ISSUER.rstrip("/")), 401, "token_invalid"),
        (lambda: RSA.token(iss=None), 401, "token_invalid"),
        (lambda: RSA.token(aud="https://billing.example"), 401, "token_invalid"),
        (lambda: RSA.token(aud=None), 401, "token_invalid"),
        (lambda: RSA.token(aud=["https://billing.example", AUDIENCE]), 200, None),
        (lambda: STRANGER.token(), 401, "token_invalid"),
        (lambda: STRANGER.token(header={"kid": "unheard-of"}), 401, "token_invalid"),
        (lambda: EC.token(header={"kid": RSA.kid}), 401, "token_invalid"),
        (lambda: RSA.token(header={"alg": "RS512"}), 401, "token_invalid"),
        (lambda: tokens.unsigned().token(), 401, "token_invalid"),
        (lambda: tokens.unsigned().token(header={"alg": "NONE"}), 401, "token_invalid"),
        (lambda: RSA.token()[:-8] + "AAAAAAAA", 401, "token_invalid"),
        (lambda: RSA.token().rpartition(".")[0] + ".", 401, "token_invalid"),
        (lambda: "not.a.token", 401, "token_invalid"),
        (lambda: "x", 401, "token_invalid"),
        (lambda: RSA.token(sub="mallory"), 403, "token_unknown"),
        (lambda: RSA.token(sub="Alice"), 403, "token_unknown"),
        (lambda: RSA.token(sub="nobody's"), 403, "token_unknown"),
        (lambda: RSA.token(sub=None), 401, "token_invalid"),
        (lambda: RSA.token(sub="x" * 2000), 403, "token_unknown"),
        (lambda: RSA.token(sub="alice\r\nx-subscription-id: 100"), 403, "token_unknown"),
        (lambda: RSA.token(sub="long " * 100), 200, None),
        (lambda: RSA.token(sub="late"), 403, "not_subscribed"),
        (lambda: RSA.token(sub="suspended"), 403, "consumer_suspended"),
        (lambda: RSA.token(sub="stopped"), 403, "subscription_suspended"),
        (lambda: RSA.token(sub="waiting"), 403, "subscription_pending"),
        (lambda: RSA.token(sub="used up"), 429, "quota_exceeded"),
    ],
)
def test_others_are_told_why_not(served: Tokens, made: Any, status: int, reason: str | None) -> None:
    before = len(served.upstream.calls)

    answer = served.call(made())

    assert outcome(answer) == (status, reason), answer.body
    assert len(served.upstream.calls) == before + (status == 200)


def test_a_public_key_is_no_secret_to_sign_with(served: Tokens) -> None:
    for secret in (RSA.jwk["n"].encode(), KEYS.encode(), tokens.jwks(RSA).encode(), b""):
        assert outcome(served.call(tokens.hs256(secret, RSA.kid).token())) == (401, "token_invalid")


class TestRefusals:
    def test_say_what_those_of_keys_say(self, served: Tokens) -> None:
        token = RSA.token(exp=1)

        answer = served.call(token, headers=[("X-Request-Id", "mine")])

        assert answer.header("WWW-Authenticate") == 'Bearer error="invalid_token"'
        assert answer.json["status"] == 401
        assert answer.json["request_id"] == answer.header("X-Request-Id") != "mine"
        (line,) = served.gateway.log_lines(answer.json["request_id"])
        assert line["rs"] == "token_expired"
        assert token not in str(line)

    def test_nothing_that_a_token_says_is_logged(self, served: Tokens) -> None:
        answer = served.call(RSA.token(sub="alice", email="alice@secret.example"))

        request_id = answer.header("X-Request-Id")
        assert request_id is not None
        log = str(served.gateway.log_lines(request_id))
        assert "alice" not in log
        assert ISSUER not in log

    def test_without_any_both_ways_are_offered(self, served: Tokens) -> None:
        answer = served.call(None)

        assert outcome(answer) == (401, "token_missing")
        assert answer.header("WWW-Authenticate") == 'ApiKey in="header", name="x-api-key", Bearer'
        assert outcome(served.call(None, "plain")) == (401, "key_missing")


class TestForgery:
    def test_headers_that_the_gateway_writes_are_taken_off(self, served: Tokens) -> None:
        header = jwt().header
        for name in (header, header.upper(), header.replace("-", "_"), f"{header}-x"):
            for token in (None, STRANGER.token(), RSA.token(sub="mallory")):
                answer = served.call(token, headers=[(name, "alice"), ("X-Subscription-Id", "100")])
                assert answer.status in (401, 403), (name, answer.body)

    def test_a_token_for_another_api_of_the_issuer_is_not_believed(self, served: Tokens) -> None:
        """Envoy tries the other provider of the same issuer when this one says no."""
        token = RSA.token(aud="https://billing.example")

        assert served.call(token, "other-audience").status == 200
        assert outcome(served.call(token, "orders")) == (401, "token_invalid")
        assert served.call(token, "any").status == 200

    def test_nor_does_its_claim_reach_the_upstream_beside_a_key(self, served: Tokens) -> None:
        token = RSA.token(aud="https://billing.example")

        answer = served.call(token, headers=[("X-API-Key", token_of(SUBSCRIBER).value)])

        assert answer.status == 200
        assert not [name for name in answer.sent if "claim" in name]
        assert "authorization" not in answer.sent

    @pytest.mark.parametrize("name", ["orders", "bearer", "forward"])
    def test_one_token_and_nothing_beside_it(self, served: Tokens, name: str) -> None:
        good, bad = RSA.token(), STRANGER.token()
        for values in ([good, bad], [bad, good], [good, good]):
            pairs = [("Authorization", f"Bearer {value}") for value in values]
            assert served.gateway.call(f"/{name}/x", pairs).status in (400, 401)
        for value in (
            f"Bearer {good}, Bearer {bad}",
            f"Basic eDp5, Bearer {good}",
            f"Bearer {good} {bad}",
            f"x Bearer {good}",
        ):
            assert served.gateway.call(f"/{name}/x", {"Authorization": value}).status in (400, 401), value

    def test_an_api_without_tokens_takes_none(self, served: Tokens) -> None:
        assert outcome(served.call(RSA.token(), "plain")) == (401, "key_missing")

    def test_a_token_in_the_query_is_not_looked_at(self, served: Tokens) -> None:
        assert outcome(served.call(None, path=f"/x?access_token={RSA.token()}")) == (401, "token_missing")


class TestBesideKeys:
    def test_keys_work_as_ever(self, served: Tokens) -> None:
        good = token_of(SUBSCRIBER).value
        for name, headers in (
            ("orders", {"X-API-Key": good}),
            ("bearer", {"Authorization": f"Bearer {good}"}),
        ):
            answer = served.gateway.call(f"/{name}/x", headers)
            assert answer.status == 200
            assert answer.sent["x-key-id"] == token_of(SUBSCRIBER).public_id
        assert outcome(served.gateway.call("/bearer/x", {"Authorization": f"Bearer {token_of(UNKNOWN).value}"})) == (
            401,
            "key_unknown",
        )
        assert outcome(served.gateway.call("/orders/x", {"X-API-Key": token_of(UNSUBSCRIBED).value})) == (
            403,
            "not_subscribed",
        )

    def test_where_keys_go_into_the_same_header_what_is_no_key_is_a_token(self, served: Tokens) -> None:
        assert served.call(RSA.token(), "bearer").status == 200
        assert outcome(served.call("nonsense", "bearer")) == (401, "token_invalid")

    def test_a_key_decides_where_there_is_one(self, served: Tokens) -> None:
        answer = served.call(RSA.token(), headers=[("X-API-Key", token_of(UNKNOWN).value)])
        assert outcome(answer) == (401, "key_unknown")

        answer = served.call(STRANGER.token(), "forward", headers=[("X-API-Key", token_of(SUBSCRIBER).value)])
        assert answer.status == 200
        assert "authorization" not in answer.sent, "upstreams may believe what is forwarded to them"

    def test_where_only_tokens_will_do_keys_do_not(self, served: Tokens) -> None:
        assert outcome(served.call(None, "alone", [("X-API-Key", token_of(SUBSCRIBER).value)])) == (
            401,
            "token_missing",
        )
        assert served.call(RSA.token(), "alone").status == 200

    def test_what_targets_ask_for_in_the_same_header_goes_on_beside_a_key(self, served: Tokens) -> None:
        headers = {"X-API-Key": token_of(SUBSCRIBER).value, "Authorization": "Basic eDp5"}

        assert served.gateway.call("/orders/x", headers).sent["authorization"] == "Basic eDp5"


def test_a_believed_token_goes_on_where_the_api_says_so(served: Tokens) -> None:
    token = RSA.token()

    assert served.call(token, "forward").sent["authorization"] == f"Bearer {token}"


def test_another_claim_may_say_who_calls(served: Tokens) -> None:
    assert served.call(RSA.token(sub="mallory", azp="alice"), "azp").status == 200
    assert outcome(served.call(RSA.token(sub="alice", azp="mallory"), "azp")) == (403, "token_unknown")


def test_without_keys_to_verify_with_nobody_is_let_in_by_a_token(served: Tokens) -> None:
    assert outcome(served.call(RSA.token(), "keyless")) == (503, "token_keys_missing")
    assert outcome(served.call(None, "keyless")) == (401, "token_missing")
    assert served.call(None, "keyless", [("X-API-Key", token_of(SUBSCRIBER).value)]).status == 200


def test_the_cast_is_what_the_table_takes_it_for() -> None:
    assert (OF_SUSPENDED, STOPPED, WAITING, USED_UP) == (60, 61, 62, 63)
    assert isinstance(envoy.AUTHORITY, object)
