"""What is different between two documents, for those who call the API.

Direction matters: a request may ask for less than before and a response may promise more, never the other way round.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from portal.openapi.comparer import Comparer, Remark
from portal.openapi.exchange import remarks_on
from portal.openapi.references import Look, looking, operation_at, references_in
from portal.openapi.values import Description, Operation

MOST_SENTENCES = 50
"""About one operation."""
_MOST_REMARKS = 1_000


@dataclass(frozen=True, slots=True)
class Change:
    """One operation, as it is afterwards; a removed one as it was."""

    id: str
    method: str
    path: str
    sentences: tuple[str, ...]
    breaking: bool
    reasons: tuple[str, ...] = ()
    """Those of the sentences that say what breaks callers."""
    before_id: str | None = None
    """What the operation was called before; None if it is new. Calls are counted under that one."""


@dataclass(frozen=True, slots=True)
class Changes:
    added: tuple[Change, ...]
    removed: tuple[Change, ...]
    changed: tuple[Change, ...]

    @property
    def breaking(self) -> tuple[Change, ...]:
        return tuple(change for change in (*self.removed, *self.changed) if change.breaking)

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def compare(before: Description, after: Description) -> Changes:
    """Operations are the same where method and path are (whatever their parameters are called), otherwise where the
    id is. The order is that of the documents."""
    pairs, added, removed = _pairs(before, after)
    look_before, look_after = looking(before.tree), looking(after.tree)
    touched = _touched(before.tree, after.tree, look_before, look_after)
    comparer = Comparer(look_before, look_after, touched)
    changed = []
    for old, new in pairs:
        whole = (
            operation_at(before.tree, old.pointer, look_before),
            operation_at(after.tree, new.pointer, look_after),
        )
        if old == new and whole[0] == whole[1] and not (touched and _leads_to(whole[1], touched)):
            continue
        if remarks := _enough(chain(_moves(old, new), remarks_on(*whole, comparer))):
            changed.append(_change(old, new, remarks))
    return Changes(
        tuple(Change(it.id, it.method, it.path, (f"{it.method} {it.path} is new.",), False) for it in added),
        tuple(_removed(operation) for operation in removed),
        tuple(changed),
    )


def _enough(remarks: Iterator[Remark]) -> list[Remark]:
    """Each once. Where more would break callers than is said, nothing that comes later would be."""
    found: dict[Remark, None] = {}
    breaking = 0
    for remark in islice(remarks, _MOST_REMARKS):
        if remark not in found:
            found[remark] = None
            breaking += remark.breaking
            if breaking > MOST_SENTENCES:
                break
    return list(found)


def _pairs(
    before: Description, after: Description
) -> tuple[list[tuple[Operation, Operation]], list[Operation], list[Operation]]:
    by_place = {_place(operation): operation for operation in before.operations}
    pairs: list[tuple[Operation, Operation]] = []
    unmatched = []
    for new in after.operations:
        old = by_place.pop(_place(new), None)
        if old is None:
            unmatched.append(new)
        else:
            pairs.append((old, new))
    by_id = {operation.id: operation for operation in by_place.values()}
    added = []
    for new in unmatched:
        old = by_id.pop(new.id, None)
        if old is None:
            added.append(new)
        else:
            pairs.append((old, new))
    order = {operation.pointer: place for place, operation in enumerate(after.operations)}
    pairs.sort(key=lambda pair: order[pair[1].pointer])
    return pairs, added, [operation for operation in before.operations if by_id.get(operation.id) is operation]


def _place(operation: Operation) -> tuple[str, str]:
    parts = ("{}" if part.startswith("{") and part.endswith("}") else part for part in operation.path.split("/"))
    return operation.method, "/".join(parts)


def _removed(operation: Operation) -> Change:
    sentence = f"{operation.method} {operation.path} is gone."
    return Change(operation.id, operation.method, operation.path, (sentence,), True, (sentence,), operation.id)


def _change(old: Operation, new: Operation, remarks: list[Remark]) -> Change:
    # What breaks comes first: it is what must be read.
    remarks.sort(key=lambda remark: not remark.breaking)
    sentences = [remark.sentence for remark in remarks]
    if len(sentences) > MOST_SENTENCES:
        sentences = [*sentences[:MOST_SENTENCES], "There are more differences."]
    reasons = tuple(remark.sentence for remark in remarks if remark.breaking)[:MOST_SENTENCES]
    return Change(new.id, new.method, new.path, tuple(sentences), bool(reasons), reasons, old.id)


def _moves(old: Operation, new: Operation) -> Iterator[Remark]:
    if _place(old) != _place(new):
        yield Remark(f"It moved from {old.method} {old.path} to {new.method} {new.path}.", True)
    elif old.id != new.id:
        yield Remark(f"Its id was {old.id} and is {new.id}.", False)
    if new.deprecated and not old.deprecated:
        yield Remark("It is deprecated.", False)
    elif old.deprecated and not new.deprecated:
        yield Remark("It is no longer deprecated.", False)
    if (old.summary, old.description) != (new.summary, new.description):
        yield Remark("Its description reads differently.", False)
    if old.tags != new.tags:
        yield Remark("Its tags are others.", False)


def _leads_to(operation: dict[str, Any], touched: set[str]) -> bool:
    return any(name in touched for name in references_in(operation))


def _touched(before: Any, after: Any, look_before: Look, look_after: Look) -> set[str]:
    """The names of parts that are not the same in both documents, or refer to such a part. One walk over each part:
    twenty thousand operations that share their schemas must not walk them twenty thousand times."""
    users: dict[str, list[str]] = {}
    ahead = deque(dict.fromkeys(references_in(after)))
    known, different = set(ahead), deque[str]()
    while ahead:
        name = ahead.popleft()
        part = _part(look_after, name)
        if part != _part(look_before, name):
            different.append(name)
        for used in set(references_in(part)):
            users.setdefault(used, []).append(name)
            if used not in known:
                known.add(used)
                ahead.append(used)
    touched = set(different)
    while different:
        for name in users.get(different.popleft(), ()):
            if name not in touched:
                touched.add(name)
                different.append(name)
    return touched


def _part(look: Look, name: str) -> Any:
    try:
        return look(name)
    except LookupError:
        return None
