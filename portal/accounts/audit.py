"""The audit trail: every change of what people decide, and every showing of a secret. Only ever added to.

A change is noticed where it is written: whatever a verb adds, changes or deletes through the session of a watched model
becomes an entry of the same transaction. What changes no row, such as a sign-in, is `record`ed by who does it.

    audit.watch(Plan, label=lambda plan: plan.name, hidden={"sha256"})    once, beside the model
    audit.act_as(session, Actor(person.id, person.name, address))         once a request
"""

from collections.abc import Callable, Collection, Iterator, Mapping
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
    """`created`, `changed`, `deleted`, a better word of the model's for it, or one of `record`'s callers."""
    kind: Mapped[str] = mapped_column(String(40), index=True)
    """What it was done to, as its table is named."""
    thing_id: Mapped[int | None] = mapped_column(Integer)
    label: Mapped[str] = mapped_column(String(200))
    """What the thing was called then. People stand in it by number: `person 7`."""
    team_id: Mapped[int | None] = mapped_column(Integer, index=True)
    """Whose thing it was: the team's owners may read the entry."""
    changes: Mapped[dict[str, list[Any]]] = mapped_column(JSON)
    """Field -> [before, after]; a field inside a document is named by its path, such as `draft.upstream.retries`."""


@dataclass(frozen=True, slots=True)
class Actor:
    person_id: int | None = None
    by: str = "command line"
    address: str | None = None


Changes = dict[str, list[Any]]
"""Field -> [before, after]."""
Word = Callable[[str, Changes], str]
"""From `created`, `changed` or `deleted` and the changes to the word that people use for it."""


@dataclass(frozen=True, slots=True)
class _Watched:
    label: Callable[[Any], str]
    team: Callable[[Any], int | None]
    word: Word
    hidden: Callable[[Any], Collection[str]]
    unseen: frozenset[str]
    lists: Mapping[str, Callable[[Any], str]]


_watched: dict[type, _Watched] = {}


def watch(
    model: type[Base],
    *,
    label: Callable[[Any], str],
    team: Callable[[Any], int | None] = lambda _thing: None,
    word: Word = lambda action, _changes: action,
    hidden: Callable[[Any], Collection[str]] | Collection[str] = (),
    unseen: Collection[str] = (),
    lists: Mapping[str, Callable[[Any], str]] | None = None,
) -> None:
    """From now on changes of this model are entries.

    `team` says whose thing it is. `hidden` columns are secret or personal, of this model or of one row of it: that
    they changed is said, their values are not. `unseen` columns are bookkeeping: alone they make no entry. `lists` are
    many-to-many relations, with what each of their members is called.
    """
    by_row = hidden if callable(hidden) else lambda _thing: hidden
    _watched[model] = _Watched(label, team, word, by_row, frozenset(unseen), lists or {})
    for column in model.__table__.columns:
        # Without this a value that was not read before it is replaced would not be known.
        event.listen(getattr(model, column.name), "set", _look_away, active_history=True)


def parent(thing: Any, relation: str) -> Any:
    """What `thing` belongs to, or did until it was taken out of that one's list just now."""
    found = getattr(thing, relation)
    return inspect(thing).attrs[relation].history.deleted[0] if found is None else found


def watched() -> list[type]:
    return list(_watched)


def _look_away(_thing: Any, _value: Any, _old: Any, _initiator: Any) -> None:
    """Only listening makes SQLAlchemy load the old value."""


def act_as(session: Session, actor: Actor) -> None:
    """Whose the changes of this session are. Without it they are the command line's."""
    session.info["actor"] = actor


def record(session: Session, action: str, thing: Any, **details: Any) -> None:
    """Something happened to `thing` that changes nothing in it: `record(session, "signed in", person)`.

    `thing` is a watched row, or a watched model where no row is known. `details` must hold no secret.
    """
    session.flush()  # a row that is new has no id before, and what came first stands first
    changes = {name: [None, _plain(value)] for name, value in details.items()}
    session.execute(insert(AuditEntry), [_entry(session, action, thing, changes)])


@event.listens_for(Session, "after_flush")
def _notice(session: Session, context: UOWTransaction) -> None:
    # Rows that go because no list holds them any more stand in the flush's own plan only, not in `session.deleted`.
    gone = [state.obj() for state, (is_deleted, _) in context.states.items() if is_deleted]
    entries = [
        _entry(session, _watched[type(thing)].word(action, changes), thing, changes)
        for things, action in ((session.new, "created"), (session.dirty, "changed"), (gone, "deleted"))
        for thing in things
        if type(thing) in _watched and (action == "deleted" or thing not in gone)
        for changes in [dict(_changes(thing, action))]
        if changes
    ]
    if entries:
        session.connection().execute(insert(AuditEntry), entries)


def _entry(session: Session, action: str, thing: Any, changes: Changes) -> dict[str, Any]:
    actor: Actor = session.info.get("actor", Actor())
    rules = None if isinstance(thing, type) else _watched[type(thing)]
    return {
        "at": utcnow(),
        "person_id": actor.person_id,
        "by": actor.by,
        "address": actor.address,
        "action": action,
        "kind": thing.__tablename__,
        "thing_id": rules and thing.id,
        "label": rules.label(thing)[:200] if rules else "",
        "team_id": rules and rules.team(thing),
        "changes": changes,
    }


def _changes(thing: Any, action: str) -> Iterator[tuple[str, list[Any]]]:
    rules = _watched[type(thing)]
    hidden = rules.hidden(thing)
    for column in inspect(type(thing)).column_attrs:
        name = column.key
        if name == "id" or name in rules.unseen:
            continue
        before, after = _values(thing, name, action)
        if before == after:
            continue
        if name in hidden:
            yield name, [before and _HIDDEN, after and _HIDDEN]
        else:
            yield from _differences(name, before, after)
    for name, called in rules.lists.items():
        added, unchanged, deleted = inspect(thing).attrs[name].history
        if added or deleted:
            yield name, [_listed(called, unchanged, deleted), _listed(called, unchanged, added)]


def _listed(called: Callable[[Any], str], *members: Collection[Any] | None) -> str:
    return _plain(", ".join(sorted(called(each) for some in members for each in some or ())))  # type: ignore[no-any-return]


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
