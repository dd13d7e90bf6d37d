"""The key filter broken on purpose. Envoy lets a call through when a script fails; the chain must not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portal.gateway import compile as compiler
from portal.gateway import keys
from portal.gateway.filters import key
from portal.gateway.resource import discovery_file, version_of
from tests.gateway.conftest import SUBSCRIBER, UNKNOWN, api, token_of, world
from tests.gateway.envoy import Answer, Gateway, Upstream, wait_for

pytestmark = pytest.mark.envoy

STAGES = {
    "at the start of a call": "local function decide(handle)",
    "before the key is taken": "  local token, several, path = take_key(api, headers, authorization)",
    "after the key was taken": "  if api.paused then",
    "before a restriction is looked at": "  if rights[7] then\n",
    "after the first header was written": "  headers:add(way.plan, rights[5])",
    "before pcall": "  local decided, status, reason, api, again, unannounced = pcall(decide, handle)",
    "while looking the key up": "  sha256(text)\n",
}


@pytest.fixture
def live(gateway: Gateway, upstream: Upstream) -> Gateway:
    gateway.publish(world(api(1, upstream.port)))
    assert call(gateway).status == 200
    return gateway


def call(gateway: Gateway, token: int = SUBSCRIBER) -> Answer:
    # Headers that would admit the call if front cleaning were missing.
    forged = {"X-Subscription-Id": "100", "X-Consumer-Id": "con_0000000000000001", "X-Plan-Id": "1"}
    return gateway.call("/api-1", {"X-API-Key": token_of(token).value, **forged})


def with_script(gateway: Gateway, change: Callable[[str], str]) -> bytes:
    """The live key filter's resource with its script changed."""
    resource = json.loads(gateway.files["keys/keys.json"])["resources"][0]
    source = resource["typed_config"]["default_source_code"]
    changed = change(source["inline_string"])
    assert changed != source["inline_string"]
    source["inline_string"] = changed
    return discovery_file([resource])


def taken(gateway: Gateway, file: bytes) -> None:
    gateway.write("keys/keys.json", file)
    name = f"extension_config_discovery.http_filter.{key.NAME}.version_text"
    wait_for(lambda: gateway.versions().get(name) == version_of(file), "Envoy takes the script")


def rejected(gateway: Gateway, file: bytes) -> None:
    before = gateway.stat(f"{key.NAME}.config_fail")
    gateway.write("keys/keys.json", file)
    wait_for(lambda: gateway.stat(f"{key.NAME}.config_fail") > before, "Envoy refuses the script")


@pytest.mark.parametrize("stage", STAGES)
def test_a_script_that_fails_lets_nobody_through(live: Gateway, upstream: Upstream, stage: str) -> None:
    line = STAGES[stage]
    failing = (
        f"{line}\n  error('on purpose')\n" if line.startswith("local function") else f"  error('on purpose')\n{line}"
    )
    taken(live, with_script(live, lambda script: script.replace(line, failing)))
    before = len(upstream.calls)

    answers = [call(live), call(live, UNKNOWN), live.call("/api-1")]

    assert {(answer.status, answer.json["reason"]) for answer in answers} <= {
        (500, "gateway_error"),
        # Where the failing line is not reached without a good key.
        (401, "key_missing"),
        (401, "key_unknown"),
    }
    assert answers[0].status == 500
    assert len(upstream.calls) == before


def test_a_script_without_its_function_lets_nobody_through(live: Gateway, upstream: Upstream) -> None:
    taken(live, with_script(live, lambda script: script.replace("function envoy_on_request", "function elsewhere")))
    before = len(upstream.calls)

    answer = call(live)

    assert (answer.status, answer.json["reason"]) == (500, "gateway_error")
    assert len(upstream.calls) == before


def test_health_answers_although_the_script_is_broken(live: Gateway) -> None:
    taken(live, with_script(live, lambda script: script.replace("function envoy_on_request", "function elsewhere")))

    assert live.call("/_portico/health").status == 200


@pytest.mark.parametrize("text", ["error('on purpose')\n", "this is no Lua\n"])
def test_a_script_that_does_not_load_is_refused_and_the_old_one_stays(live: Gateway, text: str) -> None:
    rejected(live, with_script(live, lambda script: text + script))

    assert call(live).status == 200
    assert call(live, UNKNOWN).status == 401


def _shorter(data: bytes) -> bytes:
    return data[:-1]


def _flipped(data: bytes) -> bytes:
    return data[:200] + bytes([data[200] ^ 1]) + data[201:]


DAMAGE: dict[str, Callable[[bytes], bytes | None]] = {
    "missing": lambda data: None,
    "empty": lambda data: b"",
    "shorter": _shorter,
    "one bit wrong": _flipped,
    "of another version": lambda data: data[:7] + b"\1" + data[8:],
    "something else": lambda data: b"x" * len(data),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_key_data_is_refused_and_the_old_stays(live: Gateway, damage: str) -> None:
    rejected(live, damaged(live, DAMAGE[damage]))

    assert call(live).status == 200
    assert call(live, UNKNOWN).status == 401


@pytest.mark.parametrize("damage", ["missing", "shorter", "one bit wrong"])
def test_a_gateway_that_starts_with_damaged_key_data_lets_nobody_through(
    gateway: Gateway, upstream: Upstream, damage: str
) -> None:
    snapshot = world(api(1, upstream.port))
    gateway.files |= gateway.key_files(snapshot)
    for name, file in compiler.compile_files(snapshot, gateway.place, {"orders.internal": ["127.0.0.1"]}).items():
        gateway.write(name, file)
    gateway.write("keys/keys.json", damaged(gateway, DAMAGE[damage]))
    before = len(upstream.calls)

    gateway.start()

    wait_for(lambda: gateway.stat(f"{key.NAME}.config_fail"), "Envoy refuses the script")
    assert reached_nobody(gateway)
    assert len(upstream.calls) == before


def reached_nobody(gateway: Gateway) -> bool:
    try:
        return call(gateway).status == 500
    except OSError:  # the port is closed: just as good
        return True


def damaged(gateway: Gateway, change: Callable[[bytes], bytes | None]) -> bytes:
    """The key filter's resource, naming a damaged copy of the live data."""
    resource: dict[str, Any] = json.loads(gateway.files["keys/keys.json"])["resources"][0]
    script = resource["typed_config"]["default_source_code"]["inline_string"]
    live = Path(script.partition('"')[2].partition('"')[0])
    changed = change(live.read_bytes())
    file = live.with_name("keys-damaged.bin")
    if changed is not None:
        file.write_bytes(changed)
    return keys.key_filter(str(file))
