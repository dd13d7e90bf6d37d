"""Targets that speak https: verified by the target's own name, whatever the client says."""

from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest

from portal.gateway.ir import Target
from portal.gateway.ir import Upstream as Targets
from tests.gateway.conftest import SUBSCRIBER, api, token_of, world
from tests.gateway.envoy import AUTHORITY, Answer, Gateway, Upstream, serving

pytestmark = pytest.mark.envoy

OWN_CA = AUTHORITY.cert_pem.bytes().decode()


@pytest.fixture(scope="module")
def secure() -> Iterator[Upstream]:
    with serving(tls=True) as upstream:
        yield upstream


def call(
    gateway: Gateway, port: int, host: str = "orders.internal", *others: Target, ca: str | None = OWN_CA
) -> Answer:
    upstream = Targets((Target(host, port), *others), tls=True, ca_pem=ca)
    gateway.publish(world(api(1, upstream=upstream)))
    return gateway.call("/api-1", {"X-API-Key": token_of(SUBSCRIBER).value, "Host": "forged.internal"})


def test_a_target_is_asked_for_and_verified_by_its_name(gateway: Gateway, secure: Upstream) -> None:
    answer = call(gateway, secure.port)

    assert answer.sent["host"] == f"orders.internal:{secure.port}"
    assert secure.names[-1] == "orders.internal"


def test_an_address_is_verified_as_an_address(gateway: Gateway, secure: Upstream) -> None:
    assert call(gateway, secure.port, "127.0.0.1").status == 200


def test_several_hosts_are_verified_each_by_its_own_name(gateway: Gateway, secure: Upstream) -> None:
    # The second has the certificate of the first.
    statuses = {
        call(gateway, secure.port, "orders.internal", Target("other.internal", secure.port)).status for _ in range(20)
    }

    assert statuses == {200, 502}


@pytest.mark.parametrize("host", ["other.internal", "127.0.0.2"])
def test_another_name_is_refused(gateway: Gateway, secure: Upstream, host: str) -> None:
    answer = call(gateway, secure.port, host)

    assert (answer.status, answer.json["reason"]) == (502, "upstream_unreachable")


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("trusts ours", 200),
        # It has real authorities, none of which has signed ours.
        ("trusts others", 502),
        ("trusts nobody", 503),
    ],
)
def test_without_an_authority_of_its_own_the_machines_are_believed(
    secure: Upstream, machine: str, expected: int, tmp_path: Path
) -> None:
    ours = tmp_path / "ours.pem"
    AUTHORITY.cert_pem.write_to_path(ours)
    authorities = {"trusts ours": ours, "trusts others": Path(certifi.where()), "trusts nobody": None}[machine]
    gateway = Gateway.new(ca_bundle=authorities)
    try:
        answer = call(gateway, secure.port, ca=None)
        assert answer.status == expected
        assert expected == 200 or answer.json["reason"] == "upstream_unreachable"
    finally:
        gateway.stop()
