"""The audit trail: every change of what people decide, and every showing of a secret. Only ever added to.

A change is noticed where it is written: whatever a verb adds, changes or deletes through the session of a watched model
becomes an entry of the same transaction. What changes no row, such as a sign-in, is `record`ed by who does it.

    audit.watch(Plan, label=lambda plan: plan.name, hidden={"sha256"})    once, beside the model
    audit.act_as(session, Actor(person.id, person.name, address))         once a request
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any

from sqlalchemy import JSON, BigInteger, Integer, String, event, insert, inspect
from sqlalchemy.orm import Mapped, Session, mapped_column
from sqlalchemy.orm.unitofwork import UOWTransaction

from portal.db import Base, UTCDateTime, utcnow

_HIDDEN = "…"
"""Stands for a value that the trail must not hold: that it changed is said, what it was is not."""
_LONGEST = 500
_MOST_CHANGES = 100


class AuditEntry(Base):
    """One thing that somebody did. Has no foreign keys: the trail outlives what it tells about.

    The database itself refuses to change or delete a row (migration 0002).
    """

    __tablename__ = "audit_entry"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    person_id: Mapped[int | None] = mapped_column(Integer, index=True)
    """Who did it; None for what no person did, such as a command or a job. The name is looked up, never stored."""
    by: Mapped[str] = mapped_column(String(40))
    """How: `page`, `command line`, `worker`, …"""
    address: Mapped[str | None] = mapped_column(String(45))
    action: Mapped[str] = mapped_column(String(40))
    """`created`, `changed`, `deleted`, or a word of `record`'s callers, such as `signed in`."""
    kind: Mapped[str] = mapped_column(String(40), index=True)
    """What it was done to, as its table is named."""
    thing_id: Mapped[int | None] = mapped_column(Integer)
    label: Mapped[str] = mapped_column(String(200))
    """What the thing was called then."""
    changes: Mapped[dict[str, list[Any]]] = mapped_column(JSON)
    """Field -> [before, after]; a field inside a document is named by its path, such as `draft.upstream.retries`."""


@dataclass(frozen=True, slots=True)
class Actor:
    person_id: int | None = None
    by: str = "command line"
    address: str | None = None


@dataclass(frozen=True, slots=True)
class _Watched:
    label: Callable[[Any], str]
    hidden: frozenset[str]
    unseen: frozenset[str]


_watched: dict[type, _Watched] = {}


def watch(
    model: type[Base], *, label: Callable[[Any], str], hidden: Collection[str] = (), unseen: Collection[str] = ()
) -> None:
    """From now on changes of this model are entries. `hidden` columns are secret or personal: that they changed is
    said, their values are not. `unseen` columns are bookkeeping: alone they make no entry."""
    _watched[model] = _Watched(label, frozenset(hidden), frozenset(unseen))
    for column in model.__table__.columns:
        # Without this a value that was not read before it is replaced would not be known.
        event.listen(getattr(model, column.name), "set", _look_away, active_history=True)


def _look_away(_thing: Any, _value: Any, _old: Any, _initiator: Any) -> None:
    """Only listening makes SQLAlchemy load the old value."""


def act_as(session: Session, actor: Actor) -> None:
    """Whose the changes of this session are. Without it they are the command line's."""
    session.info["actor"] = actor


def record(session: Session, action: str, thing: Any, **details: Any) -> None:
    """Something happened to `thing`, a watched row, that changes nothing in it: `record(session, "signed in", person)`.

    `details` must hold no secret.
    """
    changes = {name: [None, _plain(value)] for name, value in details.items()}
    session.execute(insert(AuditEntry), [_entry(session, action, thing, changes)])


@event.listens_for(Session, "after_flush")
def _notice(session: Session, _context: UOWTransaction) -> None:
    entries = [
        _entry(session, action, thing, changes)
        for things, action in ((session.new, "created"), (session.dirty, "changed"), (session.deleted, "deleted"))
        for thing in things
        if type(thing) in _watched
        for changes in [dict(_changes(thing, action))]
        if changes
    ]
    if entries:
        session.connection().execute(insert(AuditEntry), entries)


def _entry(session: Session, action: str, thing: Any, changes: dict[str, list[Any]]) -> dict[str, Any]:
    actor: Actor = session.info.get("actor", Actor())
    return {
        "at": utcnow(),
        "person_id": actor.person_id,
        "by": actor.by,
        "address": actor.address,
        "action": action,
        "kind": thing.__tablename__,
        "thing_id": getattr(thing, "id", None),
        "label": _watched[type(thing)].label(thing)[:200],
        "changes": changes,
    }


def _changes(thing: Any, action: str) -> Iterator[tuple[str, list[Any]]]:
    rules = _watched[type(thing)]
    for column in inspect(type(thing)).column_attrs:
        name = column.key
        if name == "id" or name in rules.unseen:
            continue
        before, after = _values(thing, name, action)
        if before == after:
            continue
        if name in rules.hidden:
            yield name, [before and _HIDDEN, after and _HIDDEN]
        else:
            yield from _differences(name, before, after)


def _values(thing: Any, name: str, action: str) -> tuple[Any, Any]:
    history = inspect(thing).attrs[name].history
    kept = history.unchanged[0] if history.unchanged else None
    if action == "created":
        return None, history.added[0] if history.added else kept
    if action == "deleted":
        return history.deleted[0] if history.deleted else kept, None
    if not history.has_changes():
        return None, None
    return history.deleted[0] if history.deleted else None, history.added[0] if history.added else None


def _differences(name: str, before: Any, after: Any) -> Iterator[tuple[str, list[Any]]]:
    """Of documents, path by path; of anything else, the two values."""
    if isinstance(before, dict | None) and isinstance(after, dict | None):
        old, new = before or {}, after or {}
        names = sorted(old.keys() | new.keys())
        found = (each for key in names for each in _differences(f"{name}.{key}", old.get(key), new.get(key)))
        for count, each in enumerate(found):
            if count == _MOST_CHANGES:
                return
            yield each
    elif before != after:
        yield name, [_plain(before), _plain(after)]


def _plain(value: Any) -> Any:
    """As JSON takes it, and no longer than one reads."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime | date):
        return value.isoformat()
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
