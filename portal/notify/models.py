"""What people and their programs are told, and how far that has come, as rows."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Enum,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal import vault
from portal.accounts import audit
from portal.accounts.models import Person, Team, label_within
from portal.db import NEVER_AGAIN, Base, UTCDateTime, utcnow


def _words(kind: type[StrEnum]) -> Enum:
    return Enum(kind, native_enum=False, length=12, values_callable=lambda words: [word.value for word in words])


class Notice(Base):
    """Something that has happened, told to one team or to one person."""

    __tablename__ = "notice"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(36), unique=True)
    """`msg_` and 32 hexadecimal digits: the same however often it is delivered."""
    event: Mapped[str] = mapped_column(String(50))
    team_id: Mapped[int | None] = mapped_column(ForeignKey("team.id", ondelete="CASCADE"), index=True)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    subject: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(Text)
    link: Mapped[str] = mapped_column(String(500), default="")
    """A path of this portal, or ""."""
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    """What programs are told besides."""
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow, index=True)
    spread_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """When it was handed on to everybody whom it concerns."""

    team: Mapped[Team | None] = relationship()
    person: Mapped[Person | None] = relationship()

    __table_args__ = (CheckConstraint("(team_id IS NULL) <> (person_id IS NULL)", name="told_to_one"),)


class NoticeCopy(Base):
    """One person's copy of a notice, in their list."""

    __tablename__ = "notice_copy"

    id: Mapped[int] = mapped_column(primary_key=True)
    notice_id: Mapped[int] = mapped_column(ForeignKey("notice.id", ondelete="CASCADE"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"))
    read_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    notice: Mapped[Notice] = relationship(lazy="joined", innerjoin=True)

    __table_args__ = (
        UniqueConstraint("notice_id", "person_id"),
        Index("ix__notice_copy__person_id_id", "person_id", "id"),
        # How many are unread stands on every page.
        Index(
            "ix__notice_copy__person_id__unread",
            "person_id",
            sqlite_where=text("read_at IS NULL"),
            postgresql_where=text("read_at IS NULL"),
        ),
    )


class Way(StrEnum):
    """How a person is told of an event."""

    PORTAL = "portal"
    MAIL = "mail"


class NoticeChoice(Base):
    """That somebody wants to be told of an event in one way, or not. Without a row it is as `EVENTS` says."""

    __tablename__ = "notice_choice"

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"))
    event: Mapped[str] = mapped_column(String(50))
    way: Mapped[Way] = mapped_column(_words(Way))
    wanted: Mapped[bool]

    __table_args__ = (UniqueConstraint("person_id", "event", "way"),)


class ChannelKind(StrEnum):
    WEBHOOK = "webhook"
    """A signed message for a program, in the form of the Standard Webhooks specification."""
    CHAT = "chat"
    """A text for people, as Slack's incoming webhooks take it, and Mattermost's and others'."""


class Channel(Base):
    """Where a team has its notices sent besides."""

    __tablename__ = "channel"

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("team.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(63))
    kind: Mapped[ChannelKind] = mapped_column(_words(ChannelKind))
    events: Mapped[list[str]] = mapped_column(JSON)
    """Words of `EVENTS`, sorted."""
    shown: Mapped[str] = mapped_column(String(300))
    """Scheme and host of the address: the rest of it may be a secret."""
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    """A JSON object: `url`, and for webhooks `secret`, and `before`, which is the secret before that one or ""."""
    before_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """Until when the secret before the present one signs, too."""
    paused_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """Since when nothing is sent, and what happens is not kept for later."""
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"))

    team: Mapped[Team] = relationship()
    created_by: Mapped[Person | None] = relationship()
    receiver: Mapped["Receiver"] = relationship(back_populates="channel", cascade="all, delete-orphan")

    __table_args__ = (UniqueConstraint("team_id", "name"), NEVER_AGAIN)


class Receiver(Base):
    """How it goes with a channel: when its turn is, who has it now, since when it fails. The worker's to write."""

    __tablename__ = "receiver"

    channel_id: Mapped[int] = mapped_column(ForeignKey("channel.id", ondelete="CASCADE"), primary_key=True)
    due_at: Mapped[datetime | None] = mapped_column(UTCDateTime, index=True)
    """When something is to be sent to it, or tried again; None while nothing waits."""
    blocked_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """Until then it is left alone, because it fails or has asked for it."""
    claimed_by: Mapped[str | None] = mapped_column(String(300))
    claimed_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    failures: Mapped[int] = mapped_column(default=0)
    """Attempts that failed since the last one that went well."""
    failing_since: Mapped[datetime | None] = mapped_column(UTCDateTime)
    told_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """When the owners were told that it fails; None again when it goes well."""
    delivered_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """When it last took something."""

    channel: Mapped[Channel] = relationship(back_populates="receiver")


class DeliveryState(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given up"


class Delivery(Base):
    """One message to one channel, as it is sent each time."""

    __tablename__ = "delivery"

    id: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[str] = mapped_column(String(36))
    """The `public_id` of the notice, or one like it: receivers know by it what they had before."""
    channel_id: Mapped[int] = mapped_column(ForeignKey("channel.id", ondelete="CASCADE"))
    notice_id: Mapped[int | None] = mapped_column(ForeignKey("notice.id", ondelete="SET NULL"), index=True)
    """None for a test, and when the notice is gone."""
    event: Mapped[str] = mapped_column(String(50))
    body: Mapped[str] = mapped_column(Text)
    state: Mapped[DeliveryState] = mapped_column(_words(DeliveryState), default=DeliveryState.WAITING)
    tries: Mapped[int] = mapped_column(default=0)
    """Attempts since `waiting_since`."""
    waiting_since: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    """When it was made, or last sent anew by hand."""
    next_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow, index=True)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    channel: Mapped[Channel] = relationship()
    attempts: Mapped[list["Attempt"]] = relationship(
        back_populates="delivery", cascade="all, delete-orphan", passive_deletes=True, order_by="Attempt.id.desc()"
    )

    __table_args__ = (
        # A notice is handed to a channel once, however often the worker begins anew.
        UniqueConstraint("channel_id", "message_id"),
        Index("ix__delivery__channel_id_id", "channel_id", "id"),
        Index(
            "ix__delivery__channel_id_next_at__waiting",
            "channel_id",
            "next_at",
            sqlite_where=text("state = 'waiting'"),
            postgresql_where=text("state = 'waiting'"),
        ),
        NEVER_AGAIN,
    )


class Attempt(Base):
    """One time that a delivery was tried, and what was answered."""

    __tablename__ = "delivery_attempt"

    id: Mapped[int] = mapped_column(primary_key=True)
    delivery_id: Mapped[int] = mapped_column(ForeignKey("delivery.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    milliseconds: Mapped[int]
    status: Mapped[int | None]
    """Of the answer; None where there was none."""
    answer: Mapped[str] = mapped_column(Text, default="")
    """Its first 2 kB as text, with what may be secret made unreadable."""
    error: Mapped[str] = mapped_column(Text, default="")
    """A sentence; "" where it went well."""

    delivery: Mapped[Delivery] = relationship(back_populates="attempts")


def _word_for_channel(action: str, changes: audit.Changes) -> str:
    if action == "changed" and "paused_at" in changes:
        return "paused" if changes["paused_at"][1] else "resumed"
    if action == "changed" and "before_until" in changes and "sealed" in changes:
        return "rotated secret"
    return action


audit.watch(
    Channel,
    label=lambda channel: label_within(channel.team, channel.name),
    team=lambda channel: channel.team_id,
    word=_word_for_channel,
    hidden={"sealed"},
    unseen={"created_at", "created_by_id"},
)
vault.keeps(Channel.sealed)
