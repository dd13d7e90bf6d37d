"""Key sets and subjects that change while Envoy runs, and what a broken token filter lets through: nothing."""

import json
from dataclasses import replace

import pytest

from portal.gateway import compile as compiler
from portal.gateway import keys
from portal.gateway.filters import jwt as filter_
from portal.gateway.ir import Plan, Snapshot, Subject
from portal.gateway.resource import discovery_file, version_of
from portal.registry.jwks import read_jwks
from tests import tokens
from tests.gateway import running
from tests.gateway.conftest import SUBSCRIBER, api, token_of, world
from tests.gateway.envoy import Answer, Gateway, Upstream, validate, wait_for
from tests.gateway.test_tokens import RSA, jwt

pytestmark = pytest.mark.envoy

NEXT = tokens.rsa_signer("rsa-2")


def call(gateway: Gateway, token: str, path: str = "/api-1") -> tuple[int, str | None]:
    answer: Answer = gateway.call(path, {"Authorization": f"Bearer {token}"})
    return answer.status, answer.json.get("reason") if answer.status >= 400 else None


def one(upstream: Upstream, *signers: tokens.Signer, **fields: object) -> Snapshot:
    asked = jwt(jwks=read_jwks(tokens.jwks(*signers)).text)
    return replace(world(api(1, upstream.port, jwt=asked), **fields), subjects=[Subject(100, "alice")])


def test_a_new_key_is_taken_up_and_a_withdrawn_one_is_over(gateway: Gateway, upstream: Upstream) -> None:
    gateway.publish(one(upstream, RSA))
    old, new = RSA.token(), NEXT.token()
    assert call(gateway, old) == (200, None)
    assert call(gateway, new) == (401, "token_invalid")

    assert gateway.publish(one(upstream, RSA, NEXT)) == ["jwt/jwt.json"]
    assert call(gateway, old) == call(gateway, new) == (200, None)

    gateway.publish(one(upstream, NEXT))
    assert call(gateway, old) == (401, "token_invalid"), "what was verified once is not remembered"
    assert call(gateway, new) == (200, None)


def test_a_subject_is_moved_within_the_key_data(gateway: Gateway, upstream: Upstream) -> None:
    before = one(upstream, RSA)
    gateway.publish(before)
    assert call(gateway, RSA.token()) == (200, None)

    assert gateway.publish(replace(before, subjects=[Subject(100, "bob")])) == ["keys/keys.json"]

    assert call(gateway, RSA.token()) == (403, "token_unknown")
    assert call(gateway, RSA.token(sub="bob")) == (200, None)


def test_limits_of_the_plan_hold_for_tokens_and_keys_together(gateway: Gateway, upstream: Upstream) -> None:
    gateway.publish(one(upstream, RSA, plan=Plan(1, per_minute=3)))

    first = gateway.call("/api-1", {"Authorization": f"Bearer {RSA.token()}"})
    assert first.header("RateLimit-Policy") is not None
    assert gateway.call("/api-1", {"X-API-Key": token_of(SUBSCRIBER).value}).status == 200
    assert call(gateway, RSA.token()) == (200, None)
    assert call(gateway, RSA.token()) == (429, "rate_limited")


class TestBroken:
    def test_a_filter_that_knows_nothing_lets_nobody_in(self, gateway: Gateway, upstream: Upstream) -> None:
        gateway.publish(one(upstream, RSA))
        taken(gateway, compiler.compile_empty(gateway.place)[filter_.FILE])

        before = len(upstream.calls)
        for headers in ({"Authorization": f"Bearer {RSA.token()}"}, {"X-API-Key": token_of(SUBSCRIBER).value}, {}):
            answer = gateway.call("/api-1", headers)
            assert (answer.status, answer.json["reason"]) == (500, "gateway_error")
        assert len(upstream.calls) == before

    def test_a_route_that_forgets_the_filter_lets_no_token_in(self, gateway: Gateway, upstream: Upstream) -> None:
        snapshot = one(upstream, RSA)
        gateway.publish(snapshot)
        content = json.loads(gateway.files["rds/rds.json"])
        text = json.dumps(content["resources"]).replace(filter_.NAME, "portico.nothing")
        changed = discovery_file(json.loads(text))
        gateway.write("rds/rds.json", changed)
        name = compiler.VERSION_STATISTICS["rds/rds.json"]
        before = gateway.stat("rds.apis.update_rejected")
        wait_for(
            lambda: (
                gateway.versions().get(name) == version_of(changed) or gateway.stat("rds.apis.update_rejected") > before
            ),
            "Envoy takes or refuses the routes",
        )

        header = {jwt().header: "alice", "Authorization": f"Bearer {tokens.unsigned().token()}"}
        assert gateway.call("/api-1", header).status == 401

    def test_refused_keys_leave_the_former_ones(self, gateway: Gateway, upstream: Upstream) -> None:
        gateway.publish(one(upstream, RSA))
        broken = one(upstream, RSA)
        asked = jwt(jwks='{"keys":[{"kty":"RSA","n":"!","e":"AQAB"}]}')
        broken = replace(broken, apis=(replace(broken.apis[0], jwt=asked),))
        before = gateway.stat(f"{filter_.NAME}.config_fail")
        gateway.write(filter_.FILE, compiler.compile_tokens(broken))
        wait_for(lambda: gateway.stat(f"{filter_.NAME}.config_fail") > before, "Envoy refuses the keys")

        assert call(gateway, RSA.token()) == (200, None)
        twin = compiler.static_twin(broken, gateway.place, {})
        assert "jwks" in validate(twin, gateway.place.directory).lower()

    def test_without_the_file_the_gateway_does_not_open(self, gateway: Gateway, upstream: Upstream) -> None:
        snapshot = one(upstream, RSA)
        addresses = {"orders.internal": ["127.0.0.1"]}
        files = {**compiler.compile_files(snapshot, gateway.place, addresses), **gateway.key_files(snapshot)}
        for name, content in files.items():
            if name != filter_.FILE:
                gateway.write(name, content)
        gateway.start()
        wait_for(lambda: gateway.stat("listener_create_failure") + gateway.stat("lds.update_rejected"), "Envoy refuses")

        headers = {"Authorization": f"Bearer {RSA.token()}"}
        assert running.status_of(gateway.place.port, "/api-1", headers) == 0


class TestKeyData:
    def test_of_two_with_one_subject_neither_has_it(self, gateway: Gateway, upstream: Upstream) -> None:
        snapshot = one(upstream, RSA)
        gateway.publish(replace(snapshot, subjects=[Subject(100, "alice"), Subject(700, "alice")]))

        assert call(gateway, RSA.token()) == (403, "token_unknown")

    def test_order_says_nothing(self, upstream: Upstream) -> None:
        snapshot = one(upstream, RSA)
        subjects = [Subject(100, "a"), Subject(700, "b"), Subject(800, "c")]

        assert keys.pack_keys(replace(snapshot, subjects=subjects)) == keys.pack_keys(
            replace(snapshot, subjects=subjects[::-1])
        )

    def test_a_subject_of_one_api_is_none_of_another(self, gateway: Gateway, upstream: Upstream) -> None:
        asked = jwt(jwks=read_jwks(tokens.jwks(RSA)).text)
        both = world(api(1, upstream.port, jwt=asked), api(2, upstream.port, jwt=asked))
        gateway.publish(replace(both, subjects=[Subject(101, "alice")]))

        assert call(gateway, RSA.token(), "/api-2") == (200, None)
        assert call(gateway, RSA.token(), "/api-1") == (403, "token_unknown")


def taken(gateway: Gateway, file: bytes) -> None:
    gateway.write(filter_.FILE, file)
    name = compiler.VERSION_STATISTICS[filter_.FILE]
    wait_for(lambda: gateway.versions().get(name) == version_of(file), "Envoy takes the file")
