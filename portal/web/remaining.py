"""Who still uses an API: its subscriptions, each with the last call, and who calls without one."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from portal.registry.models import IN_USE, Api, Consumer, Subscription
from portal.traffic.callers import LOOKED_BACK, Caller, callers


@dataclass(frozen=True, slots=True)
class Remaining:
    consumer_id: int
    consumer: Consumer | None
    """None for one that was deleted since it called."""
    plan: str | None
    """Of its current subscription; None when it has none any more, so that its calls are refused."""
    calls: int
    """In the last 30 days."""
    last: datetime | None

    @property
    def name(self) -> str:
        return self.consumer.name if self.consumer is not None else "a deleted consumer"

    @property
    def place(self) -> tuple[int, str, int]:
        """What they are sorted by: whoever called last, in minutes, comes first, then by name. No two have the same."""
        return -(int(self.last.timestamp()) // 60) if self.last else 0, self.name.lower(), self.consumer_id


def remaining(session: Session, api: Api, now: datetime, *, with_calls: bool) -> list[Remaining]:
    """All of them, in the order of their `place`. Without `with_calls` only who is subscribed."""
    called: dict[int, Caller] = {}
    if with_calls:
        called = {each.consumer_id: each for each in callers(session, api.id, None, now - LOOKED_BACK)}
    current = session.scalars(
        select(Subscription)
        .where(Subscription.api_id == api.id, IN_USE)
        .options(joinedload(Subscription.plan), joinedload(Subscription.consumer).joinedload(Consumer.team))
    )
    found = [
        _row(each.consumer_id, each.consumer, each.plan.name, called.pop(each.consumer_id, None)) for each in current
    ]
    others = select(Consumer).where(Consumer.id.in_(list(called))).options(joinedload(Consumer.team))
    there = {each.id: each for each in session.scalars(others)}
    found += [_row(consumer_id, there.get(consumer_id), None, call) for consumer_id, call in called.items()]
    return sorted(found, key=lambda each: each.place)


def _row(consumer_id: int, consumer: Consumer | None, plan: str | None, call: Caller | None) -> Remaining:
    return Remaining(consumer_id, consumer, plan, call.calls if call else 0, call.last if call else None)
