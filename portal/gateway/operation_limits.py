"""Limits of operations as the key filter needs them: which calls are which limited operation. Pure.

Of each plan and API one text, a line for each operation:

    <id of the limit> <per second> <its burst> <per minute> <its burst> <operation> <method> <template>

in the order of the OpenAPI document, numbers 0 where there is no such limit. Beside the limited operations stand those
that describe some of the same calls, with the id 0: a call is the operation that describes it best, limited or not, as
ingest finds it (`traffic/operations.py`). `filters/operations.lua` reads it.
"""

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

from portal.gateway.ir import Operation, OperationLimit, Snapshot
from portal.gateway.templates import NOTHING, REST, VARIABLE, template_of

Pair = tuple[int, int]
"""Ids of a plan and an API."""


def texts(snapshot: Snapshot) -> dict[Pair, str]:
    """Of the plans and APIs that limit an operation which is there."""
    limits: defaultdict[Pair, list[OperationLimit]] = defaultdict(list)
    for each in snapshot.operation_limits:
        limits[each.plan_id, each.api_id].append(each)
    found = {
        pair: _text(snapshot.operations.get(pair[1], ()), tuple(sorted(some, key=lambda each: each.operation)))
        for pair, some in limits.items()
    }
    return {pair: text for pair, text in found.items() if text}


@lru_cache(maxsize=1_000)
def _text(operations: tuple[Operation, ...], limits: tuple[OperationLimit, ...]) -> str:
    by_name = {each.operation: each for each in limits}
    templates = [(each, template) for each in operations if (template := _template(each)) is not None]
    limited = [(_asked_by(each), _segments(template)) for each, template in templates if each.name in by_name]
    lines = []
    for each, template in templates:
        limit = by_name.get(each.name)
        if limit is not None:
            numbers = (
                *(limit.per_second or 0, _most(limit.per_second, limit.per_second_burst)),
                *(limit.per_minute or 0, _most(limit.per_minute, limit.per_minute_burst)),
            )
            lines.append(f"{limit.id} {' '.join(map(str, numbers))} {each.name} {template}\n")
        elif _is_rival(each, template, limited):
            lines.append(f"0 0 0 0 0 - {template}\n")
    return "".join(lines) if limited else ""


def _template(operation: Operation) -> str | None:
    template = template_of(operation.method.upper(), operation.path)
    return None if template == NOTHING or "\n" in template else template


def _most(rate: int | None, burst: int | None) -> int:
    return burst or rate or 0


def _asked_by(operation: Operation) -> str:
    method = operation.method.upper()
    return "GET" if method == "HEAD" else method


def _segments(template: str) -> list[str]:
    segments = template.partition(" ")[2].split("/")[1:]
    return segments[:-1] if len(segments) > 1 and not segments[-1] else segments


def _is_rival(operation: Operation, template: str, limited: Iterable[tuple[str, list[str]]]) -> bool:
    method, segments = _asked_by(operation), _segments(template)
    return any(method == its and _overlap(segments, others) for its, others in limited)


def _overlap(one: list[str], other: list[str]) -> bool:
    """Whether some path may fit both. In doubt it does, which costs the key filter a little memory."""
    if len(one) != len(other) and REST not in (one[-1], other[-1]):
        return False
    for a, b in zip(one, other, strict=False):
        if REST in (a, b):
            return True
        if a != b and VARIABLE not in a and VARIABLE not in b:
            return False
    return len(one) == len(other)
