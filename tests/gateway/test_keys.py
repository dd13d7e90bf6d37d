"""The key data, read back by a reader of its own; what the real reader makes of it is in test_chain.py."""

import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.gateway.ir import Consumer, Key, Snapshot, Subscription
from portal.gateway.keys import key_file_name, key_filter, pack_keys
from tests.gateway.conftest import REVOKED, SUBSCRIBER, key, world

NEVER = 2**63 - 1


def unpacked(packed: bytes) -> dict[str, list[tuple[Any, ...]]]:
    magic, keys, consumers, subscriptions, crc = struct.unpack_from("<8sIIII", packed)
    assert magic == b"PORTICO\1"
    assert crc == zlib.crc32(packed[64:])
    tables = {}
    at = 64
    for name, form, count in (
        ("keys", "<32s12sIqq", keys),
        ("consumers", "<20sIII", consumers),
        ("subscriptions", "<IIIIqq", subscriptions),
    ):
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
        assert tables["subscriptions"] == [(4, 1, 5, 0, 7, NEVER), (3, 2, 5, 0, 7, NEVER), (9, 0, 5, 0, 7, NEVER)]

    def test_instants_are_kept_and_none_means_never(self) -> None:
        snapshot = world()

        rows = {row[0]: row[3:] for row in unpacked(pack_keys(snapshot))["keys"]}

        assert rows[key(SUBSCRIBER, 1).sha256] == (NEVER, NEVER)
        assert rows[key(REVOKED, 1).sha256] == (NEVER, 1_000_000_000)

    def test_keys_of_unknown_consumers_are_left_out(self) -> None:
        snapshot = Snapshot(1, consumers=[Consumer(1, "con_" + "a" * 16)], keys=[key(0, 1), key(1, 99)])

        assert len(unpacked(pack_keys(snapshot))["keys"]) == 1

    def test_two_keys_with_one_hash_are_refused(self) -> None:
        snapshot = Snapshot(1, consumers=[Consumer(1, "con_" + "a" * 16)], keys=[key(0, 1), key(0, 1, expires=5)])

        with pytest.raises(ValueError, match="same hash"):
            pack_keys(snapshot)

    def test_an_empty_registry_packs(self) -> None:
        assert unpacked(pack_keys(Snapshot(1))) == {"keys": [], "consumers": [], "subscriptions": []}

    def test_the_revision_is_not_part_of_it(self) -> None:
        assert pack_keys(Snapshot(1)) == pack_keys(Snapshot(2))

    @given(st.data())
    def test_order_does_not_matter(self, data: st.DataObject) -> None:
        whole = world()
        shuffled = Snapshot(
            1,
            consumers=data.draw(st.permutations(whole.consumers)),
            subscriptions=data.draw(st.permutations(whole.subscriptions)),
            keys=data.draw(st.permutations(whole.keys)),
        )

        assert pack_keys(shuffled) == pack_keys(whole)


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
