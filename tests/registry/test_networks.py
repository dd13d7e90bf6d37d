import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.errors import Invalid
from portal.registry import networks


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("203.0.113.7", "203.0.113.7/32"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:DB8::", "2001:db8::/128"),
        ("2001:0db8:0::/32", "2001:db8::/32"),
        ("::/0", "::/0"),
        ("  10.0.0.0/8 ", "10.0.0.0/8"),
    ],
)
def test_is_kept_in_one_form(typed, kept):
    assert networks.read([typed]) == [kept]


@pytest.mark.parametrize(
    ("typed", "network", "address"),
    [("10.1.2.3/8", "10.0.0.0/8", "10.1.2.3"), ("2001:db8::1/32", "2001:db8::/32", "2001:db8::1")],
)
def test_host_bits_are_refused_with_the_network_that_was_meant(typed, network, address):
    with pytest.raises(Invalid) as refused:
        networks.read([typed])

    said = refused.value.fields["addresses"]
    assert said.startswith(f"{typed} is an address inside of the network {network}.")
    assert f"or {address} for this address alone" in said


@pytest.mark.parametrize(
    "typed",
    [
        *("", "localhost", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "10.0.0.0/0.255.255.255", "::/129", "10.0.0.0/", "/8"),
        *(
            "fe80::1%eth0",
            "fe80::1%eth0/64",
            "010.0.0.1",
            "10.0.0",
            "１０.0.0.1",
            "10.0.0.0/-1",
            "10.0.0.0/8/8",
            "1.2.3.4:80",
        ),
    ],
)
def test_what_is_no_network_is_refused(typed):
    with pytest.raises(Invalid, match="is no address and no network"):
        networks.read(["192.0.2.1", typed])


def test_ipv4_inside_of_ipv6_is_named_as_what_it_is():
    with pytest.raises(Invalid, match=r"Write 10\.1\.2\.3\."):
        networks.read(["::ffff:10.1.2.3"])


def test_each_stands_once_in_the_order_given():
    assert networks.read(["10.0.0.0/8", "::1", "10.0.0.0/8", "0:0::1"]) == ["10.0.0.0/8", "::1/128"]


def test_there_are_not_too_many():
    many = [f"10.0.{n}.0/24" for n in range(networks.MOST + 1)]

    assert len(networks.read(many[1:])) == networks.MOST
    with pytest.raises(Invalid, match="These are 51 networks; at most 50 fit"):
        networks.read(many)


def test_a_field_is_split_at_spaces_commas_and_lines():
    assert networks.split(" 10.0.0.0/8,::1;\r\n192.0.2.1  \n") == ["10.0.0.0/8", "::1", "192.0.2.1"]


@given(st.one_of(st.ip_addresses(), st.ip_addresses().map(lambda each: ipaddress.ip_network(each))))
def test_what_is_shown_is_read_as_the_same(each):
    try:
        (kept,) = networks.read([str(each)])
    except Invalid:
        assert getattr(each, "ipv4_mapped", None) or each.network_address.ipv4_mapped
        return

    assert ipaddress.ip_network(kept) == ipaddress.ip_network(each)
    assert networks.read([networks.shown(kept)]) == [kept]
