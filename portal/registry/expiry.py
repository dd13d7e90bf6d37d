"""Keys that expire soon: their teams are told 30 days, 7 days and a day before, once each."""

from collections import defaultdict
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, joinedload

from portal import notify
from portal.registry.models import Consumer, Key

DAYS = (30, 7, 1)
_MOST_TOLD = 50
"""Keys named in one notice."""
_AT_ONCE = 1_000


def known_from_birth(expires_at: datetime | None, now: datetime) -> int | None:
    """What whoever chose this expiry just now knows already: a key that is to live for an hour needs no notice."""
    return None if expires_at is None else _within(expires_at - now)


def tell_expiring(session: Session, *, now: datetime) -> int:
    """Tell teams of keys that have come closer to their end than a notice before; of how many keys. The marker is
    written with the notice, so that nobody hears it twice. Call it until it returns 0."""
    chosen = (
        select(Key)
        .where(
            Key.expires_at > now,
            Key.expires_at <= now + timedelta(days=DAYS[0]),
            Key.revoked_at.is_(None),
            or_(
                Key.expiry_told.is_(None),
                *((Key.expiry_told > days) & (Key.expires_at <= now + timedelta(days=days)) for days in DAYS[1:]),
            ),
        )
        .options(joinedload(Key.consumer).joinedload(Consumer.team))
        .order_by(Key.expires_at, Key.id)
        .limit(_AT_ONCE)
        .with_for_update(of=Key, skip_locked=True)
    )
    found: dict[tuple[int, int], list[Key]] = defaultdict(list)
    for key in session.scalars(chosen):
        assert key.expires_at is not None
        days = _within(key.expires_at - now)
        assert days is not None
        key.expiry_told = days
        found[key.consumer.team_id, days].append(key)
    for (team_id, days), keys in found.items():
        _tell(session, team_id, days, keys)
    return sum(map(len, found.values()))


def _within(left: timedelta) -> int | None:
    """The closest notice that is due when so much time is left."""
    return min((days for days in DAYS if left <= timedelta(days=days)), default=None)


def _tell(session: Session, team_id: int, days: int, keys: list[Key]) -> None:
    within = "a day" if days == 1 else f"{days} days"
    first = keys[0]
    subject = (
        f"A key of {first.consumer.name} expires within {within}"
        if len(keys) == 1
        else f"{len(keys)} keys expire within {within}"
    )
    successors = set(
        session.scalars(
            select(Key.predecessor_id).where(Key.predecessor_id.in_([key.id for key in keys]), Key.revoked_at.is_(None))
        )
    )
    lines = [_line(key, key.id in successors) for key in keys[:_MOST_TOLD]]
    if len(keys) > _MOST_TOLD:
        lines.append(f"and {len(keys) - _MOST_TOLD} more")
    one = len({key.consumer_id for key in keys}) == 1
    consumer = first.consumer
    link = f"/consumers/{consumer.team.slug}/{consumer.slug}/keys" if one else "/consumers"
    if len(keys) == 1:
        link += f"/{first.public_id}"
    expire = "This key expires" if len(keys) == 1 else "These keys expire"
    text = "\n".join(
        [
            f"{expire} within {within}. Calls are refused from then on. Rotation makes a successor with the "
            "same rights; a later expiry can be chosen, too.",
            "",
            *lines,
        ]
    )
    data = [
        {
            "consumer": f"{key.consumer.team.slug}/{key.consumer.slug}",
            "key": key.public_id,
            "label": key.label,
            "expires_at": key.expires_at and key.expires_at.isoformat(),
        }
        for key in keys[:_MOST_TOLD]
    ]
    notify.tell(
        session,
        "key.expiring",
        teams=[team_id],
        subject=subject,
        text=text,
        link=link,
        data={"within_days": days, "keys": data, "more": max(0, len(keys) - _MOST_TOLD)},
    )


def _line(key: Key, has_successor: bool) -> str:
    label = f" “{key.label}”" if key.label else ""
    rotated = "; it has a successor" if has_successor else ""
    return f"{key.consumer.name}: {key.shown}{label}, {key.expires_at:%Y-%m-%d %H:%M} UTC{rotated}"
