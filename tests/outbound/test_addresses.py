import threading
import time

import pytest

from portal.errors import AddressRefused
from portal.outbound.addresses import AddressRules, Listener, NotResolved, lookup, resolve, resolve_all

OPEN = AddressRules(loopback=True, private=True)
CLOSED = AddressRules(loopback=False, private=False)


class TestNeverAllowed:
    @pytest.mark.parametrize(
        "address",
        [
            "169.254.169.254",
            "169.254.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "fd00:ec2::254",
            "fe80::1",
            "fe80::1%eth0",
            "fec0::1",
            "224.0.0.1",
            "239.255.255.250",
            "ff02::1",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "255.255.255.255",
            "240.0.0.1",
            "192.0.0.8",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            # The same address in the clothes of IPv6: mapped, compatible, 6to4, NAT64.
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "2002:a9fe:a9fe::1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
        ],
    )
    def test_is_refused_even_where_everything_else_is_open(self, address: str) -> None:
        with pytest.raises(AddressRefused, match="never allowed"):
            OPEN.check(address, 80)

    def test_sentence_names_what_an_address_hides(self) -> None:
        with pytest.raises(AddressRefused, match=r"^2002:a9fe:a9fe::1 \(which is 169\.254\.169\.254\) is a cloud's"):
            OPEN.check("2002:a9fe:a9fe::1", 80)


class TestLoopback:
    @pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"])
    def test_only_where_the_setting_allows_it(self, address: str) -> None:
        OPEN.check(address, 80)
        with pytest.raises(AddressRefused, match="PORTAL_UPSTREAM_LOOPBACK=1"):
            CLOSED.check(address, 80)


class TestPrivate:
    @pytest.mark.parametrize(
        "address", ["10.0.0.1", "172.16.5.5", "192.168.1.1", "100.64.0.1", "fd12::1", "::ffff:10.0.0.1", "198.18.0.1"]
    )
    def test_unless_the_setting_forbids_it(self, address: str) -> None:
        OPEN.check(address, 80)
        with pytest.raises(AddressRefused, match="PORTAL_UPSTREAM_PRIVATE=1"):
            CLOSED.check(address, 80)

    @pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "172.32.0.1", "100.128.0.1"])
    def test_the_internet_is_always_open(self, address: str) -> None:
        CLOSED.check(address, 443)


class TestOwnListeners:
    @pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1"])
    def test_loopback_listener_is_refused_under_every_loopback_address(self, address: str) -> None:
        rules = AddressRules(loopback=True, own=(Listener("127.0.0.1", 8000),))

        rules.check(address, 8001)
        with pytest.raises(AddressRefused, match="port 8000 is where this installation itself listens"):
            rules.check(address, 8000)

    @pytest.mark.parametrize("bind", ["0.0.0.0", "::"])
    def test_wildcard_listener_is_refused_under_every_address_of_the_machine(self, bind: str) -> None:
        rules = AddressRules(loopback=True, own=(Listener(bind, 8000),))

        with pytest.raises(AddressRefused, match="itself listens"):
            rules.check("127.0.0.1", 8000)
        rules.check("192.0.2.200", 8000)  # nobody's address

    def test_listener_on_one_address_leaves_the_others(self) -> None:
        rules = AddressRules(loopback=True, own=(Listener("192.0.2.7", 8000),))

        rules.check("127.0.0.1", 8000)
        with pytest.raises(AddressRefused, match="itself listens"):
            rules.check("192.0.2.7", 8000)


class TestResolve:
    @pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1"])
    def test_numbers_in_disguise_are_judged_as_what_they_are(self, host: str) -> None:
        assert resolve(host) == ["127.0.0.1"]

    def test_unknown_name_is_a_sentence(self) -> None:
        with pytest.raises(NotResolved, match=r"^nowhere\.invalid does not resolve: "):
            resolve("nowhere.invalid", lookup=_raising)

    def test_system_resolver_failure_is_an_os_error_that_is_caught(self) -> None:
        with pytest.raises(NotResolved, match=r"^nowhere\.invalid does not resolve: "):
            resolve("nowhere.invalid", seconds=20)

    def test_name_with_a_part_too_long_for_dns_is_a_sentence(self) -> None:
        with pytest.raises(NotResolved):
            resolve("a" * 80 + ".example", lookup=lookup)

    def test_silent_name_server_holds_nobody_up(self) -> None:
        over = threading.Event()

        def slow(host: str) -> list[str]:
            if host == "slow.example":
                over.wait(30)
            return ["192.0.2.1"]

        began = time.monotonic()
        answers = resolve_all(["slow.example", "quick.example", "192.0.2.9"], seconds=0.3, lookup=slow)
        over.set()

        assert answers["quick.example"] == ["192.0.2.1"]
        assert answers["192.0.2.9"] == ["192.0.2.9"]
        assert isinstance(answers["slow.example"], NotResolved)
        assert time.monotonic() - began < 20

    def test_names_whose_turn_did_not_come_are_missing(self) -> None:
        over = threading.Event()

        def slow(host: str) -> list[str]:
            over.wait(30)
            return ["192.0.2.1"]

        answers = resolve_all(["a.example", "b.example"], seconds=0.1, at_once=1, lookup=slow)
        over.set()

        assert list(answers) == ["a.example"]


def _raising(host: str) -> list[str]:
    raise OSError(8, "Name or service not known")
