"""What a developer has, for Home: own consumers with the keys that are used most, their quotas, and what was asked for.

Calls are those of a week and today, since the days are few enough to be read at every refresh.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flask import url_for
from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from portal.registry.models import Consumer, Key, Subscription, SubscriptionState
from portal.traffic.allowances import Allowance
from portal.traffic.models import DAY, ByKey
from portal.traffic.scope import Scope
from portal.web import lists, quotas

ROWS = 8
DAYS = 7
_KEYS = 3
"""Keys of a consumer that are named."""
_QUOTAS = 2


@dataclass(frozen=True, slots=True)
class OwnKey:
    key: Key
    calls: int


@dataclass(frozen=True, slots=True)
class OwnConsumer:
    consumer: Consumer
    url: str
    calls: int
    """With any of its keys."""
    keys: list[OwnKey]
    """Those that work and are used most."""
    more_keys: int
    subscriptions: int
    quotas: list[tuple[Subscription, Allowance]]
    """Those of which the greatest part is used."""
    waiting: list[Subscription]
    """For a decision."""


@dataclass(frozen=True, slots=True)
class Own:
    rows: list[OwnConsumer]
    """Those that called most, then the others by name."""
    of: int

    @property
    def more(self) -> int:
        return self.of - len(self.rows)


def own(session: Session, scope: Scope, now: datetime) -> Own | None:
    """None for who has no consumer, and for administrators, who see everybody's in the other tables."""
    if scope.everything or not scope.consumer_ids:
        return None
    used = _calls_by_key(session, scope.consumer_ids, now)
    calls: dict[int, int] = {}
    for consumer_id, _key_id, count in used:
        calls[consumer_id] = calls.get(consumer_id, 0) + count
    busiest = sorted(calls, key=lambda id_: -calls[id_])[:ROWS]
    consumers, of = _consumers(session, scope, busiest)
    if not consumers:
        return None  # all are deleted: their calls are what is left of them
    by_key = {key_id: count for _, key_id, count in used}
    named = _keys(session, consumers, by_key, now)
    alive = lists.active_keys(session, consumers, now)
    subscriptions = lists.subscriptions_of(session, consumers)
    by_consumer, allowances = lists.by_consumer(subscriptions), quotas.of(session, subscriptions)
    rows = []
    for consumer in consumers:
        keys = named.get(consumer.id, [])
        theirs = by_consumer.get(consumer.id, [])
        waiting = [each for each in theirs if each.state is SubscriptionState.PENDING]
        limited = [(each, it) for each in theirs if each not in waiting for it in allowances.get(each.id, [])]
        rows.append(
            OwnConsumer(
                consumer=consumer,
                url=url_for("consumers.show", team=consumer.team.slug, consumer=consumer.slug),
                calls=calls.get(consumer.id, 0),
                keys=[OwnKey(key, by_key.get(key.id, 0)) for key in keys],
                more_keys=max(0, alive.get(consumer.id, 0) - len(keys)),
                subscriptions=len(theirs),
                quotas=sorted(limited, key=lambda pair: -(pair[1].percent or 0))[:_QUOTAS],
                waiting=waiting,
            )
        )
    return Own(rows, of)


def _calls_by_key(session: Session, consumer_ids: Collection[int], now: datetime) -> list[tuple[int, int, int]]:
    """Number of a consumer, of its key, and calls with it; the key that is used most first."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [int((today - timedelta(days=back)).timestamp()) for back in range(DAYS + 1)]
    # As a set of keys and not as a join, which would read the days of everybody's keys.
    theirs = select(Key.id).where(Key.consumer_id.in_(consumer_ids))
    used = (
        select(ByKey.key_id, func.sum(ByKey.calls).label("calls"))
        .where(ByKey.level == DAY, ByKey.at.in_(days), ByKey.key_id.in_(theirs))
        .group_by(ByKey.key_id)
        .subquery()
    )
    rows = session.execute(
        select(Key.consumer_id, used.c.key_id, used.c.calls)
        .join(Key, Key.id == used.c.key_id)
        .order_by(used.c.calls.desc(), used.c.key_id)
    )
    return [(consumer_id, key_id, int(calls)) for consumer_id, key_id, calls in rows]


def _consumers(session: Session, scope: Scope, busiest: list[int]) -> tuple[list[Consumer], int]:
    """The busiest in their order, filled up by name, and how many there are in all."""
    rank = {id_: place for place, id_ in enumerate(busiest)}
    chosen = (
        select(Consumer, func.count().over())
        .where(Consumer.id.in_(scope.consumer_ids))
        .options(joinedload(Consumer.team))
        .order_by(Consumer.id.not_in(busiest), func.lower(Consumer.name), Consumer.id)
        .limit(ROWS)
    )
    rows = session.execute(chosen).all()
    found = [consumer for consumer, _ in rows]
    return sorted(found, key=lambda each: rank.get(each.id, len(rank))), rows[0][1] if rows else 0


def _keys(
    session: Session, consumers: Collection[Consumer], calls: dict[int, int], now: datetime
) -> dict[int, list[Key]]:
    """Some keys of each that work: those that are used most, then the newest."""
    numbered = (
        select(
            Key.id,
            func.row_number()
            .over(partition_by=Key.consumer_id, order_by=(Key.id.not_in(list(calls)[:_MOST_RANKED]), Key.id.desc()))
            .label("place"),
        )
        .where(
            Key.consumer_id.in_([consumer.id for consumer in consumers]),
            Key.revoked_at.is_(None),
            Key.expires_at.is_(None) | (Key.expires_at > now),
        )
        .subquery()
    )
    found: dict[int, list[Key]] = {}
    for key in session.scalars(select(Key).join(numbered, numbered.c.id == Key.id).where(numbered.c.place <= _KEYS)):
        found.setdefault(key.consumer_id, []).append(key)
    return {id_: sorted(keys, key=lambda key: (-calls.get(key.id, 0), -key.id)) for id_, keys in found.items()}


_MOST_RANKED = 500
"""Keys whose use decides which are named: those that are used most of all."""
