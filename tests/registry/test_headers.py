from pathlib import Path

import pytest

from portal.gateway import check
from portal.gateway.filters import cleaning
from portal.gateway.ir import Place, Snapshot
from portal.registry.headers import is_gateways_own
from tests.gateway.conftest import api
from tests.registry.test_document import wrong

OWN = [
    *("Host", "Cookie", "Connection", "Transfer-Encoding", "TE", "Upgrade", "Expect", "Keep-Alive", "Trailer"),
    *("Content-Length", "Content-Type", "content_length", "transfer_encoding", "Proxy-Authorization"),
    *("X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "X-Real-IP", "X_Real_IP", "x_anything"),
    *("X-Consumer-Id", "X-Consumer_Name", "X-Subscription-Id", "X-Subscription-Key", "X-Key-Id", "X-Plan-Id"),
    *("X-Envoy-Retry-On", "X-Request-Id", "X-Portico-Proto", "User-Agent", "Traceparent", "Referer"),
]
FREE = ["X-API-Key", "Authorization", "Api_Key", "X-Api-Token", "X-Key", "X-Consumers", "Apikey", "X-Auth-Token"]


@pytest.mark.parametrize("name", OWN)
def test_gateways_own_are_refused_when_typed_and_when_compiled(name: str) -> None:
    assert is_gateways_own(name)
    assert "meaning of its own" in wrong(key={"place": "header", "name": name})["key"]
    (problem,) = check.problems(Snapshot(1, (api(1, key_name=name.lower()),)))
    assert "meaning of its own" in problem.sentence


@pytest.mark.parametrize("name", FREE)
def test_all_others_can_hold_a_key(name: str) -> None:
    assert not is_gateways_own(name)
    assert check.problems(Snapshot(1, (api(1, key_name=name.lower()),))) == []


@pytest.mark.parametrize("name", ["User-Agent", "X-Subscription-Key", "Content-Language"])
def test_credentials_of_targets_go_by_the_same_list(name: str) -> None:
    credential = {"kind": "header", "secret": "token", "header": name}
    upstream = {"targets": [{"url": "http://a.example"}], "credential": credential}

    assert "meaning of its own" in wrong(upstream=upstream)["upstream.credential.header"]


@pytest.mark.parametrize("hops", [0, 1])
def test_whatever_is_taken_off_in_front_is_on_the_list(hops: int) -> None:
    (extension,) = cleaning.early_mutations(Place(Path("/gateway"), trusted_hops=hops))
    taken = [
        step["remove"] if "remove" in step else step["remove_on_match"]["key_matcher"]["prefix"] + "x"
        for step in extension["typed_config"]["mutations"]
    ]

    assert len(taken) > 10
    assert [name for name in taken if not is_gateways_own(name)] == []
