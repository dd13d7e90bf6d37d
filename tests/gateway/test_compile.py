from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.gateway import compile as compiler
from portal.gateway.ir import Place, Plan, Snapshot, Target, Upstream
from tests.gateway.conftest import api, world

PLACE = Place(Path("/var/lib/portico"), ca_bundle=Path("/etc/ssl/certs/ca-certificates.crt"))
ADDRESSES = {"a": ["10.0.0.1", "10.0.0.2"], "b": ["10.0.0.3"], "orders.internal": ["10.0.0.4"]}
APIS = (
    api(1, path="/orders/v1", host="orders.localhost"),
    api(2, upstream=Upstream((Target("a", 443, 3), Target("b", 8443, 1)), tls=True)),
    api(3, host="other.localhost", retries=0),
    api(4, path=None, host="third.localhost"),
)
PLANS = (Plan(1, 5, None, 100, 20), Plan(2, per_minute=3), Plan(3))


def files(snapshot: Snapshot, **rest: Any) -> dict[str, bytes]:
    return compiler.compile_files(snapshot, rest.get("place", PLACE), rest.get("addresses", ADDRESSES))


def changed(before: Snapshot, after: Snapshot) -> set[str]:
    old = files(before)
    return {name for name, content in files(after).items() if content != old[name]}


class TestCompileFiles:
    @given(st.permutations(APIS), st.permutations(PLANS))
    def test_order_of_the_registry_does_not_matter(self, apis: Any, plans: Any) -> None:
        whole = Snapshot(1, APIS, PLANS)

        assert files(Snapshot(2, tuple(apis), tuple(plans))) == files(whole)
        assert compiler.static_twin(Snapshot(2, tuple(apis), tuple(plans)), PLACE, ADDRESSES) == compiler.static_twin(
            whole, PLACE, ADDRESSES
        )

    def test_order_of_targets_and_addresses_does_not_matter(self) -> None:
        turned = replace(APIS[1], upstream=replace(APIS[1].upstream, targets=APIS[1].upstream.targets[::-1]))
        whole = Snapshot(1, APIS)

        same = files(
            Snapshot(1, (APIS[0], turned, *APIS[2:])), addresses={name: ips[::-1] for name, ips in ADDRESSES.items()}
        )

        assert same == files(whole)

    def test_a_plans_limits_change_the_limits_only(self) -> None:
        before = world(*APIS)

        assert changed(before, replace(before, plans=(Plan(1, 7),))) == {"limits/limits.json"}

    def test_publishing_changes_routes_and_clusters_only(self) -> None:
        before = world(*APIS)
        other = api(9, upstream=Upstream((Target("b", 80),)))

        assert changed(before, replace(before, apis=(*APIS, other))) == {"rds/rds.json", "cds/cds.json"}
        assert changed(before, replace(before, apis=(*APIS, api(9)))) == {"rds/rds.json"}

    def test_keys_and_subscriptions_change_none_of_them(self) -> None:
        before = world(*APIS)

        assert changed(before, replace(before, revision=2, keys=(), subscriptions=(), consumers=())) == set()

    def test_addresses_change_the_clusters_only(self) -> None:
        old, new = files(world(*APIS)), files(world(*APIS), addresses={**ADDRESSES, "b": ["10.9.9.9"]})

        assert {name for name in old if old[name] != new[name]} == {"cds/cds.json"}

    def test_equal_upstreams_share_a_cluster(self) -> None:
        assert len(compiler.upstreams(Snapshot(1, APIS))) == 2


class TestClusters:
    def endpoints(self, *targets: Target, **addresses: list[str]) -> dict[str, int]:
        snapshot = Snapshot(1, (api(1, upstream=Upstream(targets)),))
        (cluster,) = orjson.loads(compiler.compile_clusters(snapshot, PLACE, addresses))["resources"]
        found = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        return {one["endpoint"]["address"]["socket_address"]["address"]: one["load_balancing_weight"] for one in found}

    def test_a_targets_weight_is_shared_by_its_addresses(self) -> None:
        found = self.endpoints(
            Target("a", 80, 1), Target("b", 80, 1), a=["1.1.1.1", "1.1.1.2", "1.1.1.3"], b=["2.2.2.2"]
        )

        assert found == {"1.1.1.1": 1, "1.1.1.2": 1, "1.1.1.3": 1, "2.2.2.2": 3}

    def test_a_target_without_weight_gets_no_calls(self) -> None:
        assert self.endpoints(Target("a", 80, 0), Target("b", 80, 2), a=["1.1.1.1"], b=["2.2.2.2"]) == {"2.2.2.2": 2}

    def test_a_target_without_address_gets_no_calls(self) -> None:
        assert self.endpoints(Target("a", 80), Target("b", 80), b=["2.2.2.2"]) == {"2.2.2.2": 1}

    @given(st.lists(st.tuples(st.integers(1, 1000), st.integers(1, 60)), min_size=1, max_size=8))
    def test_weights_stay_where_envoy_can_add_them_up(self, shape: list[tuple[int, int]]) -> None:
        targets = [Target(f"h{n}", 80, weight) for n, (weight, _) in enumerate(shape)]
        addresses = {f"h{n}": [f"10.{n}.0.{i}" for i in range(count)] for n, (_, count) in enumerate(shape)}

        found = self.endpoints(*targets, **addresses)

        assert len(found) == sum(count for _, count in shape)
        assert min(found.values()) > 0
        assert sum(found.values()) < 2**32


class TestBootstrap:
    def test_it_depends_on_the_place_alone(self) -> None:
        bootstrap = orjson.loads(compiler.compile_bootstrap(PLACE))

        assert bootstrap["admin"]["address"]["pipe"]["path"] == "/var/lib/portico/admin.sock"
        assert set(bootstrap["dynamic_resources"]) == {"lds_config", "cds_config"}

    def test_arguments(self) -> None:
        arguments = compiler.envoy_arguments(replace(PLACE, workers=3), Path("/x/bootstrap.json"))

        assert "--disable-hot-restart" in arguments
        assert arguments[arguments.index("--concurrency") + 1] == "3"
        assert "--concurrency" not in compiler.envoy_arguments(PLACE, Path("/x"))


class TestExpectedVersions:
    def test_another_content_has_another_version(self) -> None:
        one, other = files(world(*APIS)), files(world(APIS[0]))

        first, second = compiler.expected_versions(one), compiler.expected_versions(other)
        assert {name for name in first if first[name] != second[name]} == {
            compiler.VERSION_STATISTICS["rds/rds.json"],
            compiler.VERSION_STATISTICS["cds/cds.json"],
        }

    def test_every_file_has_one(self) -> None:
        assert set(compiler.VERSION_STATISTICS) == {*files(world()), "keys/keys.json", "tls/tls.json"}


@pytest.mark.parametrize("folder", ["lds", "rds", "cds", "limits", "operations", "overall", "keys"])
def test_each_file_has_a_directory_of_its_own(folder: str) -> None:
    assert [name for name in compiler.VERSION_STATISTICS if name.startswith(f"{folder}/")] == [
        f"{folder}/{folder}.json"
    ]
    assert folder in compiler.DIRECTORIES
