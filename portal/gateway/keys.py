"""The key data file: what the key filter searches for every call, packed so that it can be mapped and never parsed.

All numbers are little-endian. A file is

    header        64 bytes   magic, CRC-32 of all that follows, counts of the tables in this order
    keys          64 each    sorted by SHA-256, so that the filter finds one by binary search; user names with passwords
                             are among them, and one without an id for each public API
    consumers     32 each    sorted by id; each names its range in the table of subscriptions
    subscriptions 40 each    sorted by consumer and API
    plans         32 each    sorted by id; those with limits or quotas, of which answers tell
    restrictions  40 each    what a key may not do, named by keys as their place + 1; each names its ranges of the rest:
    subjects      40 each    sorted by SHA-256 of API and subject; each names its consumer and subscription by place
    networks6     32 each    first and last address, in the order in which they are sent; sorted and apart
    operations    16 each    API and place in the texts
    networks4      8 each    first and last address, as numbers; sorted and apart
    chosen         4 each    ids of subscriptions
    limited       16 each    sorted by plan and API: which operations have limits there, see `operation_limits.py`
    texts          1 each    `GET /pets/\\1`: method and path template, without percent-encoding; and those of `limited`

`filters/key_data.lua` holds the reader's half of these layouts; `_VERSION` changes with them. The file's name carries a
hash of its content, so a file that Envoy has mapped is never written again, and Envoy hears of new data by the changed
name in the filter's own resource. That resource holds the script too: an Envoy that an older or newer Portico has left
running works with that one's script and data until it is given both anew, and never with one of each.
"""

import hashlib
import ipaddress
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import repeat
from operator import attrgetter

from portal.gateway import operation_limits
from portal.gateway.filters import key
from portal.gateway.ir import Key, Restriction, Snapshot, Subscription
from portal.gateway.templates import template_of

_VERSION = 3
_MAGIC = b"PORTICO" + bytes([_VERSION])
_HEADER = struct.Struct("<8s13I4x")
_KEY = struct.Struct("<32s12sIqII")
_CONSUMER = struct.Struct("<20sIII")
_SUBSCRIPTION = struct.Struct("<IIIIqqq")
_PLAN = struct.Struct("<IIIIQQ")
_RESTRICTION = struct.Struct("<9I4x")
_SUBJECT = struct.Struct("<32sII")
_NETWORK6 = struct.Struct("16s16s")
_OPERATION = struct.Struct("<III4x")
_NETWORK4 = struct.Struct("<II")
_CHOSEN = struct.Struct("<I")
_LIMITED = struct.Struct("<4I")
_NEVER = 2**63 - 1
_NEVER_REVOKED = 2**32 - 1
_STANDINGS = {"approved": 0, "suspended": 1, "pending": 2}
"""The better first: of two subscriptions that could let a call through, callers hear of the better one."""
_READ_ONLY, _SUBSCRIPTIONS, _ADDRESSES = 1, 2, 4
"""Said apart from the tables: a key whose list holds nothing that can be understood must not be let through by all."""


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
        consumers.append(_CONSUMER.pack(consumer.public_id.encode("ascii"), first, count, bool(consumer.suspended)))
    plans = [
        _PLAN.pack(
            plan.id,
            plan.per_second or 0,
            plan.per_minute or 0,
            plan.per_minute_burst or plan.per_minute or 0,
            plan.quota_day or 0,
            plan.quota_month or 0,
        )
        for plan in sorted(snapshot.plans, key=attrgetter("id"))
        if plan.per_second or plan.per_minute or plan.quota_day or plan.quota_month
    ]
    restrictions = _Restrictions(snapshot.restrictions)
    keys = _packed_keys(replace(snapshot, keys=[*snapshot.keys, *_of_everyone(snapshot)]), index, restrictions)
    subjects = _packed_subjects(snapshot, index, subscriptions)
    limited = [
        _LIMITED.pack(plan, api, *restrictions.text_of(text))
        for (plan, api), text in sorted(operation_limits.texts(snapshot).items())
    ]
    rest = b"".join(
        [
            *keys,
            *consumers,
            *(
                _SUBSCRIPTION.pack(api, id_, plan, _STANDINGS[standing], starts, _instant(ends), blocked_until or 0)
                for id_, _, api, plan, starts, ends, standing, blocked_until in subscriptions
            ),
            *plans,
            *restrictions.rows(),
            *subjects,
            *restrictions.packed(),
            *limited,
            restrictions.texts(),
        ]
    )
    *of_keys, texts = restrictions.counts()
    counts = (
        *(len(keys), len(consumers), len(subscriptions), len(plans), len(restrictions.rows()), len(subjects)),
        *(*of_keys, len(limited), texts),
    )
    return _HEADER.pack(_MAGIC, zlib.crc32(rest), *counts) + rest


def key_file_name(packed: bytes) -> str:
    """Name of the file for these bytes, without a folder."""
    return f"keys-{hashlib.sha256(packed).hexdigest()[:16]}.bin"


def key_filter(file: str) -> bytes:
    """`keys/keys.json`: the key filter's resource, which names the data file by its absolute path."""
    return key.discovered(file)


def _of_everyone(snapshot: Snapshot) -> list[Key]:
    """What the filter looks up for a call to a public API instead of a key. Nothing that a client sends has this hash:
    what it hashes begins with `pco_` or `pcb_`."""
    return [
        Key(hashlib.sha256(f"everyone of API {api_id:034}".encode("ascii")).digest(), "", consumer_id, None, None)
        for api_id, consumer_id in sorted({(each.api_id, each.consumer_id) for each in snapshot.everyone()})
    ]


def _packed_keys(snapshot: Snapshot, index: dict[int, int], restrictions: "_Restrictions") -> list[bytes]:
    """Packed and sorted. The hash comes first in a record, so sorting the packed bytes sorts by hash."""
    if not snapshot.keys:
        return []
    # Columns instead of rows, so that the loop over 100 000 keys runs in C.
    hashes, ids, owners, expires, revoked, numbers = zip(*snapshot.keys, strict=True)
    places = list(map(index.get, owners))
    if None in places:
        known = [key for key in snapshot.keys if key.consumer_id in index]
        return _packed_keys(replace(snapshot, keys=known), index, restrictions)
    packed = list(
        map(
            _KEY.pack,
            hashes,
            map(str.encode, ids),
            places,
            map(_instant, expires) if any(expires) else repeat(_NEVER),
            map(_revoked, revoked) if any(revoked) else repeat(_NEVER_REVOKED),
            map(restrictions.places.get, numbers, repeat(0)) if snapshot.restrictions else repeat(0),
        )
    )
    packed.sort()
    if len(set(hashes)) != len(hashes):
        raise ValueError("Two keys of the snapshot have the same hash.")
    return packed


def subject_digest(api_id: int, subject: str) -> bytes:
    """What a subject is found by; `token.lua` makes the same of a claim."""
    return hashlib.sha256(f"{api_id}\n{subject}".encode()).digest()


def _packed_subjects(
    snapshot: Snapshot, index: Mapping[int, int], subscriptions: Sequence[Subscription]
) -> list[bytes]:
    """Packed and sorted. Of two consumers that claim one name neither has it."""
    if not snapshot.subjects:
        return []
    places = {row.id: place for place, row in enumerate(subscriptions)}
    found: dict[bytes, bytes | None] = {}
    for number, text in snapshot.subjects:
        place = places.get(number)
        if place is None or (owner := index.get(subscriptions[place].consumer_id)) is None:
            continue
        digest = subject_digest(subscriptions[place].api_id, text)
        found[digest] = None if digest in found else _SUBJECT.pack(digest, owner, place)
    return sorted(packed for packed in found.values() if packed is not None)


def _instant(moment: int | None) -> int:
    return _NEVER if moment is None else moment


def _revoked(moment: int | None) -> int:
    return _NEVER_REVOKED if moment is None else min(moment, _NEVER_REVOKED)


class _Restrictions:
    """Their tables; equal restrictions, such as those of a key and its successor, stand there once."""

    def __init__(self, restrictions: Mapping[int, Restriction]) -> None:
        self._rows: list[bytes] = []
        self._networks6: list[bytes] = []
        self._operations: list[bytes] = []
        self._networks4: list[bytes] = []
        self._chosen: list[bytes] = []
        self._texts: dict[str, tuple[int, int]] = {}
        self._text = bytearray()
        tidy = {number: _sorted(each) for number, each in restrictions.items()}
        distinct = sorted(set(tidy.values()), key=_order)
        for each in distinct:
            self._add(each)
        at = {each: place for place, each in enumerate(distinct, 1)}
        self.places = {number: at[each] for number, each in tidy.items()}
        """Number of the key -> place + 1."""

    def counts(self) -> tuple[int, ...]:
        """Of the tables that its rows name."""
        return *map(len, self._tables()), len(self._text)

    def rows(self) -> list[bytes]:
        """The table of restrictions itself."""
        return self._rows

    def packed(self) -> list[bytes]:
        return [row for table in self._tables() for row in table]

    def texts(self) -> bytes:
        """To be asked for last: `text_of` adds to them."""
        return bytes(self._text)

    def _tables(self) -> tuple[list[bytes], ...]:
        return self._networks6, self._operations, self._networks4, self._chosen

    def _add(self, restriction: Restriction) -> None:
        flags = _READ_ONLY * restriction.read_only
        flags |= _SUBSCRIPTIONS * bool(restriction.subscriptions) | _ADDRESSES * bool(restriction.addresses)
        v4, v6 = _ranges(restriction.addresses)
        self._rows.append(
            _RESTRICTION.pack(
                flags,
                *_added(self._chosen, map(_CHOSEN.pack, restriction.subscriptions)),
                *_added(
                    self._operations,
                    (
                        _OPERATION.pack(api, *self.text_of(template_of(method, path)))
                        for api, method, path in restriction.operations
                    ),
                ),
                *_added(self._networks4, (_NETWORK4.pack(first, last) for first, last in v4)),
                *_added(self._networks6, (_NETWORK6.pack(first, last) for first, last in v6)),
            )
        )

    def text_of(self, text: str) -> tuple[int, int]:
        """Where it begins in the texts, and how many bytes it has."""
        if text not in self._texts:
            encoded = text.encode("utf-8", "surrogatepass")
            self._texts[text] = len(self._text), len(encoded)
            self._text += encoded
        return self._texts[text]


def _added(table: list[bytes], rows: Iterable[bytes]) -> tuple[int, int]:
    """Where they begin in the table, and how many they are."""
    first = len(table)
    table += rows
    return first, len(table) - first


def _sorted(restriction: Restriction) -> Restriction:
    return Restriction(
        tuple(sorted(set(restriction.subscriptions))),
        bool(restriction.read_only),
        tuple(sorted(set(restriction.operations))),
        tuple(sorted(set(restriction.addresses))),
    )


def _order(restriction: Restriction) -> tuple[object, ...]:
    return restriction.subscriptions, restriction.read_only, restriction.operations, restriction.addresses


@lru_cache(maxsize=20_000)
def _ranges(networks: tuple[str, ...]) -> tuple[list[tuple[int, int]], list[tuple[bytes, bytes]]]:
    """First and last addresses of IPv4 and of IPv6. What is no network lets nobody in."""
    v4: list[tuple[int, int]] = []
    v6: list[tuple[int, int]] = []
    for text in networks:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            continue
        first, last = int(network[0]), int(network[-1])
        if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
            v4.append((first & _NEVER_REVOKED, last & _NEVER_REVOKED))
        else:
            (v4 if network.version == 4 else v6).append((first, last))
    return _apart(v4), [(first.to_bytes(16), last.to_bytes(16)) for first, last in _apart(v6)]


_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
"""IPv4 addresses as IPv6 writes them."""


def _apart(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(last, found[-1][1])
        else:
            found.append((first, last))
    return found
