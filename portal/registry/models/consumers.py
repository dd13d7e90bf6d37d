"""Those who call: consumers, their subscriptions, and what is asked and decided about these."""

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    and_,
    false,
    literal_column,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts import audit
from portal.accounts.models import Person, Team, label_within
from portal.db import NEVER_AGAIN, Base, UTCDateTime, utcnow
from portal.registry.models.apis import Api
from portal.registry.models.plans import Plan
from portal.registry.models.words import words

if TYPE_CHECKING:
    from portal.registry.models.keys import Key


class SubscriptionState(StrEnum):
    """Only what is approved may call. What is rejected or ended is over: the consumer may ask again."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    SUSPENDED = "suspended"
    ENDED = "ended"

    @property
    def is_over(self) -> bool:
        return self in OVER


OVER = (SubscriptionState.REJECTED, SubscriptionState.ENDED)
"""States in which a subscription is the past: the consumer may ask for the same API again."""
_CURRENT = text("state != 'ended' AND state != 'rejected'")
_NAMED = text("subject IS NOT NULL AND state != 'ended' AND state != 'rejected'")
_IN_USE = text("state != 'ended' AND state != 'rejected' AND state != 'pending'")


class ApprovalState(StrEnum):
    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    """Taken back by who asked, or the subscription ended before it was decided."""


class Consumer(Base):
    """An application that calls APIs."""

    __tablename__ = "consumer"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(20), unique=True)
    """`con_` and 16 base32 characters; upstreams see it."""
    team_id: Mapped[int] = mapped_column(ForeignKey("team.id"))
    slug: Mapped[str] = mapped_column(String(63))
    name: Mapped[str] = mapped_column(String(80))
    description: Mapped[str] = mapped_column(Text, default="")
    contacts: Mapped[list[str]] = mapped_column(JSON, default=list, server_default="[]")
    """Whom to ask about it: addresses, names, channels; one line each."""
    attributes: Mapped[dict[str, str]] = mapped_column(JSON, default=dict, server_default="{}")
    """What its team wants to know of it, by name. People call it metadata, a word that SQLAlchemy has taken."""
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    suspended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """Since when none of its keys is let through, whatever they may do otherwise; None while it goes on."""
    everyone: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether it is no application but stands for all who call the team's public APIs (see `registry/everyone.py`)."""

    team: Mapped[Team] = relationship()
    subscriptions: Mapped[list["Subscription"]] = relationship(
        back_populates="consumer", cascade="all, delete-orphan", order_by="Subscription.id.desc()"
    )
    keys: Mapped[list["Key"]] = relationship(
        back_populates="consumer", cascade="all, delete-orphan", order_by="Key.id.desc()"
    )

    __table_args__ = (
        UniqueConstraint("team_id", "slug"),
        # A team's public APIs share one.
        Index(
            "uq__consumer__team_id__everyone",
            "team_id",
            unique=True,
            sqlite_where=text("everyone"),
            postgresql_where=text("everyone"),
        ),
        NEVER_AGAIN,
    )


class Subscription(Base):
    """A consumer's use of one API under a plan."""

    __tablename__ = "subscription"

    id: Mapped[int] = mapped_column(primary_key=True)
    consumer_id: Mapped[int] = mapped_column(ForeignKey("consumer.id", ondelete="CASCADE"))
    api_id: Mapped[int] = mapped_column(ForeignKey("api.id", ondelete="CASCADE"), index=True)
    plan_id: Mapped[int] = mapped_column(ForeignKey("plan.id"), index=True)
    state: Mapped[SubscriptionState] = mapped_column(words(SubscriptionState, 12), default=SubscriptionState.APPROVED)
    starts_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    ends_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """When it stops by itself, or when it was ended."""
    blocked_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """When the quota that is used up begins anew. It is left standing when that has passed."""
    suspended_because: Mapped[str] = mapped_column(Text, default="", server_default="")
    """What the API's team said when it suspended it; empty while it goes on."""
    approved_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """How long the API's team lets it go on; the consumer's team may end it sooner. None is without an end."""
    noticed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """Since when it is under notice for want of calls: it ends at `ends_at` unless a call comes before."""
    ends_without_notice: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """What `ends_at` was before the notice."""
    subject: Mapped[str | None] = mapped_column(String(255))
    """What tokens (JWT) call the consumer at this API, in the claim that the API looks at; None for no tokens."""
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"))

    consumer: Mapped[Consumer] = relationship(back_populates="subscriptions")
    api: Mapped[Api] = relationship()
    plan: Mapped[Plan] = relationship()
    approvals: Mapped[list["Approval"]] = relationship(
        back_populates="subscription", cascade="all, delete-orphan", order_by="Approval.id.desc()"
    )

    __table_args__ = (
        # A consumer may have come and gone many times, but uses an API once at a time.
        Index(
            "uq__subscription__consumer_id_api_id__current",
            "consumer_id",
            "api_id",
            unique=True,
            sqlite_where=_CURRENT,
            postgresql_where=_CURRENT,
        ),
        # A token leads to one consumer.
        Index(
            "uq__subscription__api_id_subject__current",
            "api_id",
            "subject",
            unique=True,
            sqlite_where=_NAMED,
            postgresql_where=_NAMED,
        ),
        # How many use an API stands on every card of the catalogue, which is also sorted by it.
        Index(
            "ix__subscription__api_id__in_use",
            "api_id",
            "consumer_id",
            sqlite_where=_IN_USE,
            postgresql_where=_IN_USE,
        ),
        # The worker looks every minute for what has come to its end.
        Index(
            "ix__subscription__ends_at__current",
            "ends_at",
            sqlite_where=_CURRENT,
            postgresql_where=_CURRENT,
        ),
        NEVER_AGAIN,
    )


APPLICATION = Consumer.everyone.is_(False)
"""Consumers that people have made, and not what stands for all who call without a key."""
CURRENT = and_(
    Subscription.state != literal_column("'ended'"),
    Subscription.state != literal_column("'rejected'"),
)
"""Neither rejected nor ended. Written out, not bound: only so SQLite sees that the partial indexes have all of them."""
IN_USE = and_(CURRENT, Subscription.state != literal_column("'pending'"))
"""Approved, if only to be suspended for a while."""


class Approval(Base):
    """What a consumer's team asks of an API's: to use the API under a plan. It waits until somebody decides.

    The first of a subscription decides over its state; a later one is for another plan or a longer time, and what was
    agreed before goes on meanwhile, and when it is rejected.
    """

    __tablename__ = "approval"

    id: Mapped[int] = mapped_column(primary_key=True)
    subscription_id: Mapped[int] = mapped_column(ForeignKey("subscription.id", ondelete="CASCADE"), index=True)
    plan_id: Mapped[int] = mapped_column(ForeignKey("plan.id"), index=True)
    """The plan that is asked for."""
    state: Mapped[ApprovalState] = mapped_column(words(ApprovalState, 12), default=ApprovalState.WAITING)
    purpose: Mapped[str] = mapped_column(Text, default="")
    expected_calls: Mapped[int | None] = mapped_column(BigInteger)
    """A day, as far as who asks can tell."""
    asked_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    asked_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"))
    decided_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    decided_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"))
    words: Mapped[str] = mapped_column(Text, default="")
    """What who decided says about it; the reason of a rejection."""

    subscription: Mapped[Subscription] = relationship(back_populates="approvals")
    plan: Mapped[Plan] = relationship()
    asked_by: Mapped[Person | None] = relationship(foreign_keys=[asked_by_id])
    decided_by: Mapped[Person | None] = relationship(foreign_keys=[decided_by_id])

    __table_args__ = (
        # One thing at a time is asked for a subscription; and how many wait is counted on every page.
        Index(
            "uq__approval__subscription_id__waiting",
            "subscription_id",
            unique=True,
            sqlite_where=text("state = 'waiting'"),
            postgresql_where=text("state = 'waiting'"),
        ),
        NEVER_AGAIN,
    )


def _word_for_consumer(action: str, changes: audit.Changes) -> str:
    match changes:
        case {"suspended_at": [_, since]} if action == "changed":
            return "suspended" if since else "resumed"
        case {"team_id": _} if action == "changed":
            return "moved"
    return action


def _word_for_subscription(action: str, changes: audit.Changes) -> str:
    before, state = changes.get("state", [None, None])
    match action, state:
        case "created", SubscriptionState.PENDING.value:
            return "asked for"
        case "created", _:
            return "subscribed"
        case "changed", SubscriptionState.APPROVED.value:
            return "approved" if before == SubscriptionState.PENDING.value else "resumed"
        case "changed", str():
            return state
    match changes:
        case {"plan_id": _} if action == "changed":
            return "changed plan"
        case {"noticed_at": [_, since]} if action == "changed":
            return "given notice" if since else "notice withdrawn"
    return action


def _word_for_approval(action: str, changes: audit.Changes) -> str:
    state = changes.get("state", [None, None])[1]
    return "asked" if action == "created" else state if action == "changed" and state else action


def _name_of_subscription(it: Subscription) -> str:
    consumer = audit.parent(it, "consumer")
    return f"{label_within(consumer.team, consumer.slug)} to {it.api.label}"


audit.watch(
    Consumer,
    label=lambda consumer: label_within(consumer.team, consumer.slug),
    team=lambda consumer: consumer.team_id,
    word=_word_for_consumer,
    # Who is to be asked is a person: the trail, which forgets nothing, says only that it changed.
    hidden={"contacts"},
    unseen={"created_at"},
)


audit.watch(
    Subscription,
    label=_name_of_subscription,
    team=lambda it: audit.parent(it, "consumer").team_id,
    word=_word_for_subscription,
    # It may name a person: the trail, which forgets nothing, says only that it changed.
    hidden={"subject"},
    unseen={"starts_at", "created_by_id", "ends_without_notice", "blocked_until"},
)
# The subscription is told of in the trail of the consumer's team, what is asked and decided in that of the API's.
audit.watch(
    Approval,
    label=lambda it: _name_of_subscription(audit.parent(it, "subscription")),
    team=lambda it: audit.parent(it, "subscription").api.team_id,
    word=_word_for_approval,
    unseen={"asked_at", "asked_by_id", "decided_at", "decided_by_id"},
)
