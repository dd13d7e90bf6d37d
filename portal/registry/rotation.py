"""Rotation: a key gets a successor with the same rights, and goes on for as long as its clients need to change over.

pco_A  works until …  ──►  pco_B          one living successor at a time; B may be rotated on at any time
revoke A: the rotation ends early         revoke B: it is undone, and A keeps its former expiry
"""

from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from portal import notify
from portal.accounts.models import Person
from portal.bearer import Token
from portal.db import utcnow
from portal.errors import Conflict, Invalid
from portal.registry import keys
from portal.registry.keys import Restrictions
from portal.registry.models import Key, KeyLineage

QUIET = timedelta(hours=24)
"""After so long without a call the old key is safe to revoke."""


def rotate(
    session: Session,
    key: Key,
    *,
    by: Person | None,
    stays_until: datetime | None,
    expires_at: datetime | None,
    label: str | None = None,
    public_id: str | None = None,
) -> tuple[Key, Token]:
    """The successor, whose token must be shown now.

    The old key works until `stays_until`, but no longer than it would have; None revokes it at once, because it leaked.
    `expires_at` is the successor's own. Raises Conflict for a key that is revoked or has a living successor, Invalid
    for instants that have passed.
    """
    now = utcnow()
    session.flush()  # or what this transaction has changed in it would be read over
    # On PostgreSQL a second rotation waits here for the first, and then sees its successor.
    session.refresh(key, with_for_update=True)
    if key.revoked_at is not None:
        raise Conflict(f"The key {key.shown} was revoked on {key.revoked_at:%Y-%m-%d %H:%M} UTC. Issue another one.")
    if (other := keys.living_successor(session, key)) is not None:
        raise Conflict(
            f"The key {key.shown} is being rotated already: its successor is {other.shown}. Rotate "
            "that one, or revoke it to undo the rotation."
        )
    if stays_until is not None and stays_until <= now:
        raise Invalid({"stays_until": "This time has passed. Choose a later one, or revoke the old key at once."})
    successor, token = keys.issue(
        session,
        key.consumer,
        by=by,
        label=key.label if label is None else label,
        expires_at=expires_at,
        restrictions=Restrictions.of(key),
        predecessor=key,
        public_id=public_id,
        kind=key.kind,
    )
    _remember(session, key, successor)
    if stays_until is None:
        keys.revoke(session, key, leaked=True)
    else:
        former = key.expires_at
        keys.set_expiry(session, key, stays_until if former is None else min(former, stays_until))
        key.unrotated_expires_at = former
    consumer = key.consumer
    goes = "It leaked and is revoked." if key.revoked_at else f"It works until {key.expires_at:%Y-%m-%d %H:%M} UTC."
    notify.tell(
        session,
        "key.rotated",
        teams=[consumer.team_id],
        subject=f"A key of {consumer.name} has a successor",
        text=f"{keys.named(key)} was rotated. {goes} Its successor {keys.named(successor)} has the same rights.",
        link=f"/consumers/{consumer.team.slug}/{consumer.slug}/keys/{successor.public_id}",
        data={
            "consumer": f"{consumer.team.slug}/{consumer.slug}",
            "key": key.public_id,
            "successor": successor.public_id,
            "leaked": key.leaked,
        },
        but=by,
    )
    return successor, token


def same_lifetime(key: Key, now: datetime) -> datetime | None:
    """When a successor expires that lives for as long as this key was to live; None for never."""
    expires_at = key.unrotated_expires_at or key.expires_at
    return expires_at and now + max(expires_at - key.created_at, timedelta(days=1))


def lineage(session: Session, key: Key) -> list[int]:
    """The numbers of all keys that came before or after one another with this one, the oldest first. Some may be
    buried; a key that was never rotated stands there alone."""
    mine = select(KeyLineage.lineage_id).where(KeyLineage.key_id == key.id).scalar_subquery()
    found = session.scalars(select(KeyLineage.key_id).where(KeyLineage.lineage_id == mine).order_by(KeyLineage.key_id))
    return list(found) or [key.id]


def follow(session: Session, key: Key, predecessor: Key) -> None:
    """`key` came after `predecessor` by a rotation elsewhere. Expiries stay as they are.

    Raises Conflict when another key that is not revoked came after it.
    """
    session.flush()  # for the numbers of both
    if key.predecessor_id == predecessor.id:
        return
    other = keys.living_successor(session, predecessor)
    if key.revoked_at is None and other is not None:
        raise Conflict(
            f"The key pco_{predecessor.public_id}_… has another successor here, pco_{other.public_id}_…. Revoke it."
        )
    key.predecessor_id = predecessor.id
    _remember(session, predecessor, key)


def _remember(session: Session, key: Key, successor: Key) -> None:
    def line_of(one: Key) -> int | None:
        return session.scalar(select(KeyLineage.lineage_id).where(KeyLineage.key_id == one.id))

    first, theirs = line_of(key), line_of(successor)
    if first is None:
        first = key.id
        session.add(KeyLineage(key_id=key.id, lineage_id=first, consumer_id=key.consumer_id))
    if theirs is None:
        session.add(KeyLineage(key_id=successor.id, lineage_id=first, consumer_id=key.consumer_id))
    else:
        session.execute(update(KeyLineage).where(KeyLineage.lineage_id == theirs).values(lineage_id=first))
