"""The key data, read back by a reader of its own; what the real reader makes of it is in test_chain.py."""

import ipaddress
import struct
import zlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.gateway.ir import Consumer, Key, Plan, Restriction, Snapshot, Subscription
from portal.gateway.keys import key_file_name, key_filter, pack_keys
from tests.gateway.conftest import REVOKED, SUBSCRIBER, key, world

NEVER = 2**63 - 1
NEVER_REVOKED = 2**32 - 1
FORMS = {
    "keys": "<32s12sIqII",
    "consumers": "<20sIII",
    "subscriptions": "<IIIIqqq",
    "plans": "<IIIIQQ",
    "restrictions": "<9I4x",
    "subjects": "<32sII",
    "networks6": "<16s16s",
    "operations": "<III4x",
    "networks4": "<II",
    "chosen": "<I",
    "limited": "<4I",
    "texts": "<c",
}


def backwards(restriction: Restriction) -> Restriction:
    return Restriction(
        restriction.subscriptions[::-1],
        restriction.read_only,
        restriction.operations[::-1],
        restriction.addresses[::-1],
    )


def _networks_around(address: ipaddress.IPv4Address) -> st.SearchStrategy[str]:
    return st.integers(0, 32).map(lambda length: str(ipaddress.ip_network((address, length), strict=False)))


def unpacked(packed: bytes) -> dict[str, list[tuple[Any, ...]]]:
    magic, crc, *counts = struct.unpack_from("<8s13I", packed)
    assert magic == b"PORTICO\3"
    assert crc == zlib.crc32(packed[64:])
    tables = {}
    at = 64
    for (name, form), count in zip(FORMS.items(), counts, strict=True):
        size = struct.calcsize(form) * count
        tables[name] = list(struct.iter_unpack(form, packed[at : at + size]))
        at += size
    assert at == len(packed)
    return tables


class TestPackKeys:
    def test_keys_are_sorted_by_hash_and_point_at_their_consumer(self) -> None:
        snapshot = world()

        tables = unpacked(pack_keys(snapshot))

        assert [row[0] for row in tables["keys"]] == sorted(one.sha256 for one in snapshot.keys)
        owners = {row[0]: tables["consumers"][row[2]][0] for row in tables["keys"]}
        assert owners == {one.sha256: b"con_%016d" % one.consumer_id for one in snapshot.keys}

    def test_a_consumers_subscriptions_stand_together_sorted_by_api(self) -> None:
        rows = [
            Subscription(n, consumer, api, 5, 7, None) for n, (consumer, api) in enumerate([(2, 9), (1, 4), (2, 3)])
        ]
        snapshot = Snapshot(
            1, consumers=[Consumer(2, "con_" + "b" * 16), Consumer(1, "con_" + "a" * 16)], subscriptions=rows
        )

        tables = unpacked(pack_keys(snapshot))

        assert [row[1:3] for row in tables["consumers"]] == [(0, 1), (1, 2)]
        assert [row[:6] for row in tables["subscriptions"]] == [
            (4, 1, 5, 0, 7, NEVER),
            (3, 2, 5, 0, 7, NEVER),
            (9, 0, 5, 0, 7, NEVER),
        ]

    def test_what_keeps_calls_out_is_kept(self) -> None:
        snapshot = Snapshot(
            1,
            consumers=[Consumer(1, "con_" + "a" * 16, suspended=True), Consumer(2, "con_" + "b" * 16)],
            subscriptions=[
                Subscription(1, 1, 1, 5, 7, None, "suspended"),
                Subscription(2, 1, 2, 5, 7, None, "pending"),
                Subscription(3, 1, 3, 5, 7, 9, "approved", 1_234),
            ],
        )

        tables = unpacked(pack_keys(snapshot))

        assert [row[3] for row in tables["consumers"]] == [1, 0]
        assert [(row[3], row[6]) for row in tables["subscriptions"]] == [(1, 0), (2, 0), (0, 1_234)]

    def test_plans_bring_the_limits_that_answers_tell(self) -> None:
        plans = (Plan(3), Plan(2, 5, 9, 60, 7, 100, 2**40), Plan(1, per_minute=30), Plan(4, quota_month=9))

        assert unpacked(pack_keys(Snapshot(1, plans=plans)))["plans"] == [
            (1, 0, 30, 30, 0, 0),
            (2, 5, 60, 7, 100, 2**40),
            (4, 0, 0, 0, 0, 9),
        ]

    def test_instants_are_kept_and_none_means_never(self) -> None:
        snapshot = world()

        rows = {row[0]: row[3:5] for row in unpacked(pack_keys(snapshot))["keys"]}

        assert rows[key(SUBSCRIBER, 1).sha256] == (NEVER, NEVER_REVOKED)
        assert rows[key(REVOKED, 1).sha256] == (NEVER, 1_000_000_000)

    def test_keys_of_unknown_consumers_are_left_out(self) -> None:
        snapshot = Snapshot(1, consumers=[Consumer(1, "con_" + "a" * 16)], keys=[key(0, 1), key(1, 99)])

        assert len(unpacked(pack_keys(snapshot))["keys"]) == 1

    def test_two_keys_with_one_hash_are_refused(self) -> None:
        snapshot = Snapshot(1, consumers=[Consumer(1, "con_" + "a" * 16)], keys=[key(0, 1), key(0, 1, expires=5)])

        with pytest.raises(ValueError, match="same hash"):
            pack_keys(snapshot)

    def test_an_empty_registry_packs(self) -> None:
        assert unpacked(pack_keys(Snapshot(1))) == {name: [] for name in FORMS}

    def test_the_revision_is_not_part_of_it(self) -> None:
        assert pack_keys(Snapshot(1)) == pack_keys(Snapshot(2))

    @given(st.data())
    def test_order_does_not_matter(self, data: st.DataObject) -> None:
        whole = replace(world(), plans=(Plan(1, 5), Plan(2, 6), Plan(3)))
        shuffled = Snapshot(
            1,
            plans=tuple(data.draw(st.permutations(whole.plans))),
            consumers=data.draw(st.permutations(whole.consumers)),
            subscriptions=data.draw(st.permutations(whole.subscriptions)),
            keys=data.draw(st.permutations(whole.keys)),
            restrictions={n: backwards(whole.restrictions[n]) for n in reversed(whole.restrictions)},
        )

        assert pack_keys(shuffled) == pack_keys(whole)


class TestPackRestrictions:
    def tables(self, *restrictions: Restriction) -> dict[str, list[tuple[Any, ...]]]:
        """Of as many keys of one consumer; the last key has none."""
        snapshot = Snapshot(
            1,
            consumers=[Consumer(1, "con_" + "a" * 16)],
            keys=[key(n, 1, id=n) for n in range(len(restrictions) + 1)],
            restrictions=dict(enumerate(restrictions)),
        )
        tables = unpacked(pack_keys(snapshot))
        order = {row[0]: row[5] for row in tables["keys"]}
        tables["places"] = [(order[one.sha256],) for one in snapshot.keys]
        return tables

    def test_equal_ones_stand_there_once_and_other_keys_have_none(self) -> None:
        read_only = Restriction(read_only=True)

        tables = self.tables(read_only, Restriction(subscriptions=(7, 5, 7)), read_only)

        assert tables["restrictions"] == [(1, 0, 0, 0, 0, 0, 0, 0, 0), (2, 0, 2, 0, 0, 0, 0, 0, 0)]
        assert tables["places"] == [(1,), (2,), (1,), (0,)]
        assert tables["chosen"] == [(5,), (7,)]

    def test_operations_are_templates_without_percent_encoding(self) -> None:
        operations = (
            (9, "GET", "/a%20b/{x}/v{n}-{m}?q"),
            (8, "PUT", "/t/{rest+}"),
            (8, "GET", "/"),
            (8, "GET", "/%01"),
        )

        tables = self.tables(Restriction(operations=operations))

        texts = b"".join(sign for (sign,) in tables["texts"])
        found = {(api, texts[at : at + length]) for api, at, length in tables["operations"]}
        assert found == {(9, b"GET /a b/\1/v\1-\1"), (8, b"PUT /t/\2"), (8, b"GET /"), (8, b"() ")}

    def test_networks_are_merged_and_mapped_ones_are_what_they_stand_for(self) -> None:
        addresses = ("10.1.0.0/16", "10.0.0.0/16", "10.0.3.0/24", "::ffff:1.2.3.0/120", "2001:db8::1", "10.9.0.1/8x")

        tables = self.tables(Restriction(addresses=addresses))

        assert tables["networks4"] == [(0x01020300, 0x010203FF), (0x0A000000, 0x0A01FFFF)]
        assert tables["networks6"] == [(b"\x20\x01\x0d\xb8" + bytes(11) + b"\1",) * 2]

    def test_a_list_that_cannot_be_understood_is_still_a_list(self) -> None:
        assert self.tables(Restriction(addresses=("?",)))["restrictions"] == [(4, 0, 0, 0, 0, 0, 0, 0, 0)]

    @given(st.lists(st.ip_addresses(v=4).flatmap(_networks_around), max_size=8), st.ip_addresses(v=4))
    def test_an_address_lies_in_a_range_exactly_if_it_lies_in_a_network(self, networks: list[str], at: Any) -> None:
        ranges = self.tables(Restriction(addresses=tuple(networks)))["networks4"]

        within = [first <= int(at) <= last for first, last in ranges]
        assert any(within) == any(at in ipaddress.ip_network(network) for network in networks)
        assert sum(within) < 2
        assert ranges == sorted(ranges)


class TestNames:
    def test_other_keys_have_another_name(self) -> None:
        one, other = pack_keys(Snapshot(1)), pack_keys(world())

        assert key_file_name(one) != key_file_name(other)
        assert key_file_name(other) == key_file_name(pack_keys(world()))

    def test_the_filter_names_its_data(self) -> None:
        assert b'local FILE = \\"/a/b/keys-1.bin\\"' in key_filter("/a/b/keys-1.bin")


def test_record_of_a_key_has_64_bytes() -> None:
    one = pack_keys(Snapshot(1, consumers=[Consumer(1, "con_" + "a" * 16)], keys=[Key(b"x" * 32, "y" * 12, 1, 3, 4)]))

    assert len(one) == 64 + 64 + 32
