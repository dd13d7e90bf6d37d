"""The queue of what is to be sent to channels: messages come in here, `sending.py` takes them out."""

import secrets
from datetime import datetime

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from portal.db import utcnow
from portal.notify.bodies import Message, body
from portal.notify.models import Channel, Delivery, DeliveryState, Receiver


def new_message_id() -> str:
    return f"msg_{secrets.token_hex(16)}"


def queue(
    session: Session, channel: Channel, message: Message, *, message_id: str, notice_id: int | None = None
) -> Delivery:
    """It is there for the worker when the caller's transaction commits."""
    now = utcnow()
    delivery = Delivery(
        message_id=message_id,
        channel_id=channel.id,
        notice_id=notice_id,
        event=message.event,
        body=body(channel.kind, message),
        waiting_since=now,
        next_at=now,
    )
    session.add(delivery)
    session.flush()  # who asks for the receiver's turn has its message in the table first
    wake(session, channel.id, now)
    return delivery


def wake(session: Session, channel_id: int, now: datetime) -> None:
    """Something waits for this receiver from now on."""
    later = or_(Receiver.due_at.is_(None), Receiver.due_at > now)
    session.execute(update(Receiver).where(Receiver.channel_id == channel_id, later).values(due_at=now))


def next_due(session: Session, channel_id: int) -> datetime | None:
    """When the first of what waits is to be sent, or tried again."""
    return session.scalar(
        select(func.min(Delivery.next_at)).where(
            Delivery.channel_id == channel_id, Delivery.state == DeliveryState.WAITING
        )
    )
