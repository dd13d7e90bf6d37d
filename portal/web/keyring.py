"""What pages show of keys: how each is used, what it may do in sentences, how a rotation stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, joinedload, selectinload

from portal import registry
from portal.registry.key_words import sentences
from portal.registry.models import Consumer, Key
from portal.registry.rotation import QUIET
from portal.traffic import usage
from portal.traffic.models import KeyUse
from portal.traffic.usage import LastUse
from portal.web import format

FIRST = 8
"""Keys on the consumer's own page."""
_SOON = timedelta(days=30)
_DAYS = 30


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key in a list. `state` is `active`, `expiring` (within 30 days), `rotating`, `expired` or `revoked`."""

    key: Key
    state: str
    last_used: datetime | None
    calls: int
    """In the last 30 days."""
    may: str
    """What it may do less than its consumer, as a sentence; "" for nothing less."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """The newest keys of a consumer that work."""

    rows: list[KeyRow]
    count: int
    """Of all its keys, also those that are dead."""
    working: int
    has_called: bool


@dataclass(frozen=True, slots=True)
class Generation:
    """One key of a lineage. `key` is None for one that is buried."""

    key: Key | None
    state: str
    last_use: LastUse | None
    today: int
    """Calls of the last 24 hours."""
    share: float | None
    """Of those of the whole lineage."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """How far clients have come over from a key to its successor."""

    old: Key
    new: Key
    last_use: LastUse | None
    """Of the old key."""
    is_safe: bool
    """No call with the old key for 24 hours."""
    is_over: bool
    """The old key works no more."""


@dataclass(frozen=True, slots=True)
class Usage:
    """How a key and those before it were used."""

    generations: list[Generation]
    """The newest first."""
    days: list[tuple[datetime, dict[int, int]]]
    month: int
    """Calls of the last 30 days, of the whole lineage."""
    last_use: LastUse | None
    rotation: Rotation | None


def keyring(session: Session, consumer: Consumer, now: datetime) -> Keyring:
    alive = (Key.revoked_at.is_(None), or_(Key.expires_at.is_(None), Key.expires_at > now))
    count, working = session.execute(
        select(func.count(), func.count().filter(*alive)).where(Key.consumer_id == consumer.id)
    ).one()
    chosen = select(Key).where(Key.consumer_id == consumer.id, *alive).options(*SHOWN).order_by(Key.id.desc())
    keys = session.scalars(chosen.limit(FIRST)).all()
    has_called = session.scalar(
        select(KeyUse.key_id).join(Key, Key.id == KeyUse.key_id).where(Key.consumer_id == consumer.id).limit(1)
    )
    return Keyring(rows(session, keys, now), count, working, has_called is not None)


SHOWN = (joinedload(Key.created_by), selectinload(Key.chosen_subscriptions), selectinload(Key.chosen_operations))
"""What a list reads of its keys, all at once."""


def rows(session: Session, keys: Sequence[Key], now: datetime) -> list[KeyRow]:
    """A few statements, however many keys."""
    ids = [key.id for key in keys]
    last = usage.last_uses(session, ids)
    calls = usage.calls_of(session, ids, now - timedelta(days=_DAYS - 1), now)
    rotating = set(
        session.scalars(select(Key.predecessor_id).where(Key.predecessor_id.in_(ids), Key.revoked_at.is_(None)))
    )
    said = sentences(session, keys)
    return [
        KeyRow(
            key,
            state_of(key, now, is_rotating=key.id in rotating),
            last[key.id].at if key.id in last else None,
            calls.get(key.id, 0),
            said[key.id],
        )
        for key in keys
    ]


def state_of(key: Key, now: datetime, *, is_rotating: bool) -> str:
    state = key.state_at(now)
    if state == "active" and is_rotating:
        return "rotating"
    return "expiring" if state == "active" and key.expires_at is not None and key.expires_at <= now + _SOON else state


def usage_of(session: Session, key: Key, now: datetime) -> Usage:
    """Of the key's whole lineage."""
    ids = registry.lineage(session, key)
    keys = {each.id: each for each in session.scalars(select(Key).where(Key.id.in_(ids)))}
    last = usage.last_uses(session, ids)
    today = usage.calls_of(session, ids, now - timedelta(hours=24), now)
    days = usage.by_day(session, ids, _DAYS, now)
    in_all = sum(today.values())
    rotated = {each.predecessor_id for each in keys.values() if each.revoked_at is None}
    generations = [
        Generation(
            keys.get(number),
            state_of(keys[number], now, is_rotating=number in rotated) if number in keys else "deleted",
            last.get(number),
            today.get(number, 0),
            today.get(number, 0) / in_all if in_all else None,
        )
        for number in reversed(ids)
    ]
    return Usage(
        generations,
        days,
        sum(sum(calls.values()) for _, calls in days),
        last.get(key.id),
        _rotation(session, key, last, now),
    )


def _rotation(session: Session, key: Key, last: Mapping[int, LastUse], now: datetime) -> Rotation | None:
    """That in which this key is the old one, else that in which it is the new one; None when it is in none."""
    if key.revoked_at is not None:
        return None
    new = registry.living_successor(session, key)
    old = key if new is not None else session.get(Key, key.predecessor_id) if key.predecessor_id else None
    if old is None or old.revoked_at is not None:
        return None
    used = last.get(old.id)
    is_over = old.state_at(now) != "active"
    if is_over and old is not key:
        return None  # it has come to its end by itself, which is no news on the page of the new one
    return Rotation(old, new or key, used, used is None or used.at < now - QUIET, is_over)


def told_of_rotation(rotation: Rotation, now: datetime) -> str:
    """The sentence that says whether the old key may go."""
    if rotation.last_use is None:
        return "Safe to revoke: it was never used."
    if rotation.is_safe:
        return f"Safe to revoke: no calls for 24 h. The last one was {format.when(rotation.last_use.at, now)}."
    place = f" from {rotation.last_use.address}" if rotation.last_use.address else ""
    agent = f" by {rotation.last_use.user_agent}" if rotation.last_use.user_agent else ""
    return f"Still in use: the last call was {format.when(rotation.last_use.at, now)}{place}{agent}."
