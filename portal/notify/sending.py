"""What waits for channels, sent: one receiver at a time by each thread that calls `turn`, and no receiver by two.

A dead receiver costs one thread ten seconds now and then: after some failures in a row it is left alone for longer and
longer, and whatever waits for others is sent meanwhile.
"""

import json
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, or_, select, update
from sqlalchemy.orm import Session

from portal.accounts import audit
from portal.config import Config
from portal.db import db, utcnow
from portal.notify import backoff
from portal.notify.masking import MOST_BYTES, masked
from portal.notify.models import Attempt, Channel, ChannelKind, Delivery, DeliveryState, Receiver
from portal.notify.notices import tell
from portal.notify.queue import next_due
from portal.notify.signing import SigningSecret, headers
from portal.outbound.addresses import AddressRules
from portal.outbound.guarded import NotReached, shown
from portal.outbound.post import Answered, post
from portal.vault import Unreadable, Vault

log = logging.getLogger(__name__)

SECONDS = 10.0
"""The longest that one attempt takes, name and answer included."""
_LEASE = timedelta(seconds=60)
"""How long a claim holds. A worker that died gives the receiver back by saying nothing for so long."""
_AT_ONCE = 20
"""Deliveries to one receiver before the others have their turn."""
_GONE = 410

_chance = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class _Sent:
    """One attempt as it went. `error` is "" where it went well."""

    milliseconds: int = 0
    status: int | None = None
    answer: str = ""
    error: str = ""
    wish: timedelta = timedelta()
    is_gone: bool = False


@dataclass(frozen=True, slots=True)
class _Letter:
    """A delivery, read out of the database to be sent without it."""

    id: int
    message_id: str
    kind: ChannelKind
    body: bytes
    shown: str
    sealed: bytes
    before_until: datetime | None


def turn(config: Config, rules: AddressRules, by: str, clock: Callable[[], datetime] = utcnow) -> bool:
    """Send what waits for the receiver that has been due for longest. False when none is due."""
    if _due(db.session(), clock()) is None:  # looked at without a writing transaction: mostly there is nothing
        db.session.rollback()
        return False
    db.session.rollback()
    with db.begin() as session:
        channel_id = _claim(session, by, clock())
    if channel_id is None:
        return True  # another was faster; there may be more
    try:
        for _ in range(_AT_ONCE):
            with db.begin() as session:
                letter = _next(session, channel_id, by, clock())
            if letter is None:
                break
            sent = _send(config, rules, letter, clock())
            with db.begin() as session:
                audit.act_as(session, audit.Actor(by="worker"))
                _note(session, channel_id, letter.id, sent, clock())
            if sent.error:
                break
    finally:
        db.session.rollback()
        with db.begin() as session:
            _release(session, channel_id, by)
    return True


def _due(session: Session, now: datetime) -> int | None:
    return session.scalar(
        select(Receiver.channel_id)
        .join(Receiver.channel)
        .where(Channel.paused_at.is_(None), *_free(now))
        .order_by(Receiver.due_at, Receiver.channel_id)
        .limit(1)
    )


def _free(now: datetime) -> tuple[Any, ...]:
    return (
        Receiver.due_at <= now,
        or_(Receiver.blocked_until.is_(None), Receiver.blocked_until <= now),
        or_(Receiver.claimed_until.is_(None), Receiver.claimed_until <= now),
    )


def _claim(session: Session, by: str, now: datetime) -> int | None:
    found = _due(session, now)
    if found is None:
        return None
    this = update(Receiver).where(Receiver.channel_id == found, *_free(now))
    values = {"claimed_by": by, "claimed_until": now + _LEASE}
    return found if _changed(session, this.values(values)) else None


def _next(session: Session, channel_id: int, by: str, now: datetime) -> _Letter | None:
    """What is due for longest, if the claim still holds; the claim begins anew with it."""
    own = update(Receiver).where(Receiver.channel_id == channel_id, Receiver.claimed_by == by)
    if not _changed(session, own.values(claimed_until=now + _LEASE)):
        return None
    row = session.execute(
        select(Delivery, Channel)
        .join(Delivery.channel)
        .where(
            Delivery.channel_id == channel_id,
            Delivery.state == DeliveryState.WAITING,
            Delivery.next_at <= now,
            Channel.paused_at.is_(None),
        )
        .order_by(Delivery.next_at, Delivery.id)
        .limit(1)
    ).first()
    if row is None:
        return None
    delivery, channel = row
    body = delivery.body.encode()
    return _Letter(
        delivery.id, delivery.message_id, channel.kind, body, channel.shown, channel.sealed, channel.before_until
    )


def _send(config: Config, rules: AddressRules, letter: _Letter, now: datetime) -> _Sent:
    """Outside of any transaction. Raises nothing: what nobody has thought of counts as a failure, too, and is not tried
    again at once."""
    began = time.monotonic()
    try:
        sent = _attempt(config, rules, letter, now)
    except Unreadable as error:
        sent = _Sent(error=str(error))
    except Exception as error:
        log.exception("Delivery %d could not be sent", letter.id)
        sent = _Sent(error=f"The portal could not send it ({type(error).__name__}); its log says more.")
    return replace(sent, milliseconds=round((time.monotonic() - began) * 1000))


def _attempt(config: Config, rules: AddressRules, letter: _Letter, now: datetime) -> _Sent:
    kept = json.loads(Vault.of(config).open(letter.sealed))
    signed = {"content-type": "application/json"}
    if letter.kind is ChannelKind.WEBHOOK:
        valid = [SigningSecret(kept["secret"])]
        if kept["before"] and letter.before_until is not None and letter.before_until > now:
            valid.append(SigningSecret(kept["before"]))
        signed |= headers(valid, letter.message_id, int(now.timestamp()), letter.body)
    try:
        answered = post(kept["url"], rules, data=letter.body, headers=signed, seconds=SECONDS, most_bytes=MOST_BYTES)
    except NotReached as error:
        # The sentence has the whole path, and in that of a chat lies the right to write to it.
        return _Sent(error=str(error).replace(shown(kept["url"]), letter.shown))
    return _Sent(
        status=answered.status,
        answer=masked(answered.head, [kept["url"], kept.get("secret", ""), kept.get("before", "")]),
        error=_wrong(answered),
        wish=backoff.wish(answered.retry_after, now),
        is_gone=answered.status == _GONE,
    )


def _wrong(answered: Answered) -> str:
    """A sentence; "" for what counts as taken."""
    status = answered.status
    if 200 <= status < 300:
        return ""
    if status == _GONE:
        return "It answers with status 410: it is gone, and wants nothing more. The channel is paused."
    if 300 <= status < 400:
        return f"It answers with status {status}, which leads elsewhere. Change the address to the one it leads to."
    return f"It answers with status {status}."


def _note(session: Session, channel_id: int, delivery_id: int, sent: _Sent, now: datetime) -> None:
    delivery = session.get(Delivery, delivery_id, with_for_update=True)
    receiver = session.get(Receiver, channel_id, with_for_update=True)
    if delivery is None or receiver is None:
        return  # the channel was deleted meanwhile
    at = now - timedelta(milliseconds=sent.milliseconds)
    session.add(
        Attempt(
            delivery_id=delivery_id,
            at=at,
            milliseconds=sent.milliseconds,
            status=sent.status,
            answer=sent.answer,
            error=sent.error,
        )
    )
    delivery.tries += 1
    if not sent.error:
        delivery.state, delivery.finished_at = DeliveryState.DELIVERED, now
        receiver.failures, receiver.failing_since, receiver.told_at = 0, None, None
        receiver.blocked_until, receiver.delivered_at = None, now
        return
    receiver.failures += 1
    receiver.failing_since = receiver.failing_since or now
    receiver.blocked_until = now + max(sent.wish, backoff.block(receiver.failures, chance=_chance))
    delivery.next_at = now + max(sent.wish, backoff.pause(delivery.tries, chance=_chance))
    if sent.is_gone or delivery.next_at - backoff.GIVEN_UP_AFTER > delivery.waiting_since:
        delivery.state, delivery.finished_at = DeliveryState.GIVEN_UP, now
        _tell_owners(session, receiver, sent, now)
    if sent.is_gone:
        receiver.channel.paused_at = receiver.channel.paused_at or now
    # What waited behind it all the time.
    session.execute(
        update(Delivery)
        .where(
            Delivery.channel_id == channel_id,
            Delivery.state == DeliveryState.WAITING,
            Delivery.waiting_since < now - backoff.GIVEN_UP_AFTER,
        )
        .values(state=DeliveryState.GIVEN_UP, finished_at=now)
    )


def _tell_owners(session: Session, receiver: Receiver, sent: _Sent, now: datetime) -> None:
    """Once, until it goes well again."""
    if receiver.told_at is not None:
        return
    receiver.told_at = now
    channel = receiver.channel
    what = "It says that it is gone, and is paused." if sent.is_gone else "What is three days old is given up."
    tell(
        session,
        "channel.failing",
        teams=[channel.team],
        subject=f"The channel {channel.name} takes no messages",
        text=f"The channel {channel.name} of {channel.team.name} ({channel.shown}) takes no messages since "
        f"{receiver.failing_since:%Y-%m-%d %H:%M} UTC. {what}\n\nThe last attempt: {sent.error}\n\n"
        "What was given up can be sent anew from the page of the channel.",
        link=f"/settings/teams/{channel.team.slug}/channels/{channel.name}",
        data={"channel": channel.name, "status": sent.status},
    )


def _release(session: Session, channel_id: int, by: str) -> None:
    """When its next turn is. The row is held first: who queues something meanwhile waits, and then sets it anew."""
    receiver = session.get(Receiver, channel_id, with_for_update=True)
    if receiver is not None and receiver.claimed_by == by:
        receiver.due_at = next_due(session, channel_id)
        receiver.claimed_by = receiver.claimed_until = None


def _changed(session: Session, statement: Any) -> bool:
    return cast("CursorResult[Any]", session.execute(statement)).rowcount > 0
