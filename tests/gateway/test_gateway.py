"""What other rooms use of the gateway."""

import json
from pathlib import Path

import pytest

from portal import gateway
from portal.config import Config
from portal.gateway.ir import Consumer, Key, Place
from portal.outbound.addresses import AddressRules
from tests.gateway.running import api, snapshot

RULES = AddressRules(loopback=False)


class TestWhatEnvoyGets:
    def test_shows_every_file_and_of_the_keys_only_their_number(self) -> None:
        key = Key(b"\xab" * 32, "publicpublic", 1, None, None)
        shown = gateway.what_envoy_gets(
            snapshot(api(1), consumers=[Consumer(1, "con_aaaaaaaaaaaaaaaa")], keys=[key]), Place(Path("/var/gateway"))
        )

        assert json.loads(shown["rds/rds.json"])
        assert shown["data/keys.bin"] == b"1 keys, 0 subscriptions, 1 consumers"
        together = b"".join(shown.values())
        assert b"publicpublic" not in together
        assert b"con_aaaaaaaaaaaaaaaa" not in together
        assert (b"ab" * 32) not in together


class TestUpstreamAddressProblem:
    def test_reachable_address_is_none(self) -> None:
        assert gateway.upstream_address_problem("http://192.0.2.1:8080/base", RULES) is None

    @pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "http://[fe80::1]/"])
    def test_forbidden_address_is_a_sentence(self, url: str) -> None:
        assert "never allowed" in str(gateway.upstream_address_problem(url, RULES))

    def test_name_is_judged_by_its_addresses(self) -> None:
        said = gateway.upstream_address_problem(
            "https://inside.example", RULES, lookup=lambda host: ["192.0.2.1", "127.0.0.1"]
        )

        assert str(said).startswith("inside.example leads to a forbidden address: 127.0.0.1 is this machine itself")

    def test_unknown_name_is_a_sentence(self) -> None:
        def lookup(host: str) -> list[str]:
            raise OSError(-2, "Name or service not known")

        said = gateway.upstream_address_problem("https://gone.example", RULES, lookup=lookup)

        assert said == "gone.example does not resolve: name or service not known."

    def test_port_of_the_scheme_counts(self) -> None:
        rules = gateway.rules_of(Config(port=443, gateway_port=8080, upstream_loopback=True))

        assert "itself listens" in str(gateway.upstream_address_problem("https://127.0.0.1", rules))
        assert gateway.upstream_address_problem("http://127.0.0.1", rules) is None


def test_place_is_what_the_settings_say(tmp_path: Path) -> None:
    place = gateway.place_of(Config(data_dir=tmp_path, gateway_bind="0.0.0.0", gateway_port=9, gateway_trusted_hops=2))

    assert (place.directory, place.bind, place.port) == (tmp_path / "gateway", "0.0.0.0", 9)
    assert (place.trusted_hops, place.workers) == (2, None)
