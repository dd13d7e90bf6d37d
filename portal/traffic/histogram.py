"""Histograms of microseconds: fixed logarithmic buckets, sparse, and merged by writing one after the other.

Bucket b holds the values v with 1.04^b <= v < 1.04^(b+1); 0 counts as 1. A quantile is told as the bucket's harmonic
middle, which is at most 2 % away from every value in it. Bucket 1023 is also for all that is larger (8 000 years).

A histogram is a bag of 16-bit words, little-endian, in any order. A word adds to one bucket:

    bits 6–15  the bucket
    bits 3–5   e
    bits 0–2   d - 1           and what it adds is d * 8^e, d from 1 to 8

so a count is a number in base 8 with the digits 1 to 8, and most buckets need one or two words. Because words only
add, `a + b` is the histogram of both, and SQL can merge without reading: `latency = latency || excluded.latency`.
`compact` writes the words of such a concatenation anew, as few as there can be.
"""

import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import ceil, log

BUCKETS = 1_024
GROWTH = 1.04
PER_E = 1 / log(GROWTH)

_ADDS = [((word & 7) + 1) * 8 ** (word >> 3 & 7) for word in range(64)]
_LARGEST = 8**8
_ONE = [(b << 6).to_bytes(2, "little") for b in range(BUCKETS)]
_LIMITS = [GROWTH**b for b in range(BUCKETS)]
_LISTED = 65_536
"""Most calls take less microseconds than this, and looking a bucket up costs a third of its logarithm."""


def _listed() -> "array[int]":
    found = array("H", [0])
    for b in range(BUCKETS):
        until = ceil(_LIMITS[b + 1])
        found.extend([b] * (min(until, _LISTED) - len(found)))
        if until >= _LISTED:
            break
    return found


_BUCKETS_OF = _listed()


def bucket(value: int) -> int:
    """The bucket of a value; negative ones count as 1."""
    if value < _LISTED:
        return _BUCKETS_OF[value] if value > 0 else 0
    b = min(int(log(value) * PER_E), BUCKETS - 1)
    # The logarithm may be off by its last bit at a bucket's edge.
    if value < _LIMITS[b]:
        return b - 1
    return b


def encode(counts: Mapping[int, int]) -> bytes:
    """`counts` maps buckets to how many values they hold."""
    words = array("H")
    for b, count in sorted(counts.items()):
        _append(words, b, count)
    return _bytes(words)


def of_buckets(buckets: Sequence[int]) -> bytes:
    """The histogram of some values, given by their buckets."""
    if len(buckets) > 16:
        return encode(Counter(buckets))
    # Of few values most have a bucket of their own, and a word that adds 1 needs no counting.
    return b"".join([_ONE[b] for b in buckets])


def decode(histogram: bytes) -> Counter[int]:
    """Buckets and their counts. Raises ValueError when the bytes are not whole words."""
    words = array("H")
    words.frombytes(histogram)
    if sys.byteorder == "big":
        words.byteswap()
    counts: Counter[int] = Counter()
    # Many histograms in one repeat the same words: counting those in C leaves few for Python.
    for word, times in Counter(words).items():
        counts[word >> 6] += _ADDS[word & 63] * times
    return counts


def compact(histogram: bytes) -> bytes:
    return encode(decode(histogram))


def quantiles(histogram: bytes, shares: Iterable[float]) -> tuple[int, list[float | None]]:
    """How many values there are, and for each share from 0 to 1 the value that so many are not above.

    The values are None when the histogram is empty.
    """
    counts = decode(histogram)
    total = counts.total()
    if not total:
        return 0, [None for _ in shares]
    ordered = sorted(counts.items())
    return total, [_at_rank(ordered, share * (total - 1)) for share in shares]


def _at_rank(ordered: list[tuple[int, int]], rank: float) -> float:
    seen = 0
    for b, amount in ordered:
        seen += amount
        if seen > rank:
            return _middle(b)
    return _middle(ordered[-1][0])


def _middle(b: int) -> float:
    # Not rounded: half a microsecond is more than 2 % of the smallest values.
    return 2 * _LIMITS[b] * GROWTH / (1 + GROWTH) if b else 1.0


def _append(words: "array[int]", b: int, count: int) -> None:
    base = b << 6
    while count > _LARGEST:
        words.append(base | 63)
        count -= _LARGEST
    exponent = 0
    while count:
        count, digit = divmod(count - 1, 8)
        words.append(base | exponent << 3 | digit)
        exponent += 1


def _bytes(words: "array[int]") -> bytes:
    if sys.byteorder == "big":
        words.byteswap()
    return words.tobytes()
