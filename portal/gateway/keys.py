"""The key data file: what the key filter searches for every call, packed so that it can be mapped and never parsed.

All numbers are little-endian. A file is

    header        64 bytes   magic, counts of the three tables, CRC-32 of all that follows
    keys          64 each    sorted by SHA-256, so that the filter finds one by binary search
    consumers     32 each    sorted by id; each names its range in the table of subscriptions
    subscriptions 32 each    sorted by consumer and API

`filters/key.lua` holds the reader's half of these layouts; `_VERSION` changes with them. The file's name carries a hash
of its content, so a file that Envoy has mapped is never written again, and Envoy hears of new data by the changed name
in the filter's own resource.
"""

import hashlib
import struct
import zlib
from itertools import repeat

from portal.gateway.filters import key
from portal.gateway.ir import Snapshot

_VERSION = 1
_MAGIC = b"PORTICO" + bytes([_VERSION])
_HEADER = struct.Struct("<8sIIII40x")
_KEY = struct.Struct("<32s12sIqq")
_CONSUMER = struct.Struct("<20sII4x")
_SUBSCRIPTION = struct.Struct("<IIII qq")
_NEVER = 2**63 - 1


def pack_keys(snapshot: Snapshot) -> bytes:
    """The key data of a snapshot; equal for equal rights, whatever their order.

    Keys and subscriptions of consumers that the snapshot does not hold are left out: they could admit nobody. Raises
    struct.error for an id beyond 32 bits and ValueError for two keys with one hash.
    """
    subscriptions = sorted(snapshot.subscriptions, key=lambda row: (row.consumer_id, row.api_id, row.id))
    ranges: dict[int, list[int]] = {}
    for place, row in enumerate(subscriptions):
        ranges.setdefault(row.consumer_id, [place, 0])[1] += 1
    index: dict[int, int] = {}
    consumers = []
    for place, consumer in enumerate(sorted(snapshot.consumers)):
        index[consumer.id] = place
        first, count = ranges.get(consumer.id, (0, 0))
        consumers.append(_CONSUMER.pack(consumer.public_id.encode("ascii"), first, count))
    keys = _packed_keys(snapshot, index)
    rest = b"".join(
        [
            *keys,
            *consumers,
            *(
                _SUBSCRIPTION.pack(api, id_, plan, 0, starts, _NEVER if ends is None else ends)
                for id_, _, api, plan, starts, ends in subscriptions
            ),
        ]
    )
    return _HEADER.pack(_MAGIC, len(keys), len(consumers), len(subscriptions), zlib.crc32(rest)) + rest


def key_file_name(packed: bytes) -> str:
    """Name of the file for these bytes, without a folder."""
    return f"keys-{hashlib.sha256(packed).hexdigest()[:16]}.bin"


def key_filter(file: str) -> bytes:
    """`keys/keys.json`: the key filter's resource, which names the data file by its absolute path."""
    return key.discovered(file)


def _packed_keys(snapshot: Snapshot, index: dict[int, int]) -> list[bytes]:
    """Packed and sorted. The hash comes first in a record, so sorting the packed bytes sorts by hash."""
    if not snapshot.keys:
        return []
    # Columns instead of rows, so that the loop over 100 000 keys runs in C.
    hashes, ids, owners, expires, revoked = zip(*snapshot.keys, strict=True)
    places = list(map(index.get, owners))
    if None in places:
        known = [key for key in snapshot.keys if key.consumer_id in index]
        return _packed_keys(Snapshot(snapshot.revision, keys=known), index)
    packed = list(
        map(
            _KEY.pack,
            hashes,
            map(str.encode, ids),
            places,
            map(_instant, expires) if any(expires) else repeat(_NEVER),
            map(_instant, revoked) if any(revoked) else repeat(_NEVER),
        )
    )
    packed.sort()
    if len(set(hashes)) != len(hashes):
        raise ValueError("Two keys of the snapshot have the same hash.")
    return packed


def _instant(moment: int | None) -> int:
    return _NEVER if moment is None else moment
