"""Plans, and those who call: consumers, subscriptions, keys."""

from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    false,
    literal_column,
    text,
    true,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts import audit
from portal.accounts.models import Person, Team, label_within
from portal.db import NEVER_AGAIN, Base, UTCDateTime, utcnow
from portal.registry.models.apis import Api, api_plan
from portal.registry.models.words import words

if TYPE_CHECKING:
    from portal.registry.models.plan_operations import PlanOperation


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


class KeyKind(StrEnum):
    """How a credential is shown. The gateway takes each only where the API asks for its kind."""

    KEY = "key"
    BASIC = "basic"
    """User name and password, in `Authorization: Basic`."""


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


plan_team = Table(
    "plan_team",
    Base.metadata,
    Column("plan_id", ForeignKey("plan.id", ondelete="CASCADE"), primary_key=True),
    Column("team_id", ForeignKey("team.id", ondelete="CASCADE"), primary_key=True, index=True),
)
"""Which teams beside its own may choose a plan that is not public."""


class Plan(Base):
    """Limits and quotas that a subscription has. Changes are live at once."""

    __tablename__ = "plan"

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("team.id"))
    slug: Mapped[str] = mapped_column(String(63))
    name: Mapped[str] = mapped_column(String(80))
    description: Mapped[str] = mapped_column(Text, default="")
    per_second: Mapped[int | None]
    per_second_burst: Mapped[int | None]
    """Calls that may come at once; None stands for one second's worth."""
    per_minute: Mapped[int | None]
    per_minute_burst: Mapped[int | None]
    quota_day: Mapped[int | None] = mapped_column(BigInteger)
    """Calls that may reach the upstream on a day of `PORTAL_QUOTA_TIMEZONE`; None for any number."""
    quota_month: Mapped[int | None] = mapped_column(BigInteger)
    """The same in a month of the calendar."""
    approval: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether a subscription under it waits until the API's team has decided."""
    terms: Mapped[str] = mapped_column(Text, default="", server_default="")
    """Markdown; shown where one subscribes."""
    price: Mapped[str] = mapped_column(String(120), default="", server_default="")
    """What it costs, in words. Nothing here counts money."""
    public: Mapped[bool] = mapped_column(default=True, server_default=true())
    """Whether everybody who may subscribe to the API may choose it; otherwise only `chosen` and its own team."""
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    team: Mapped[Team] = relationship()
    apis: Mapped[list[Api]] = relationship(secondary=api_plan, back_populates="plans", order_by="Api.name")
    chosen: Mapped[list[Team]] = relationship(secondary=plan_team, order_by="Team.name")
    """The teams that may choose it beside its own, where it is not public."""
    operations: Mapped[list["PlanOperation"]] = relationship(
        back_populates="plan", cascade="all, delete-orphan", order_by="PlanOperation.id"
    )
    """Which operations have limits of their own."""

    __table_args__ = (
        UniqueConstraint("team_id", "slug"),
        CheckConstraint("per_second IS NULL OR per_second > 0", name="per_second_is_positive"),
        CheckConstraint("per_minute IS NULL OR per_minute > 0", name="per_minute_is_positive"),
        CheckConstraint("quota_day IS NULL OR quota_day > 0", name="quota_day_is_positive"),
        CheckConstraint("quota_month IS NULL OR quota_month > 0", name="quota_month_is_positive"),
        NEVER_AGAIN,
    )


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


class QuotaUse(Base):
    """How many calls of a subscription reached the upstream on a day. Written by ingest, in whatever order lines come.

    Without a foreign key, as all that is counted: a call that is stored late may be of a subscription that is gone.
    """

    __tablename__ = "quota_use"

    subscription_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    day: Mapped[date] = mapped_column(Date, primary_key=True, index=True)
    """In `PORTAL_QUOTA_TIMEZONE`, as it was when the call was counted."""
    calls: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = ({"sqlite_with_rowid": False},)


class QuotaNotice(Base):
    """That a subscription's people are told how much of a quota is used: once for each share of each period."""

    __tablename__ = "quota_notice"

    subscription_id: Mapped[int] = mapped_column(ForeignKey("subscription.id", ondelete="CASCADE"), primary_key=True)
    period: Mapped[str] = mapped_column(String(5), primary_key=True)
    """`day` or `month`."""
    starts_on: Mapped[date] = mapped_column(Date, primary_key=True)
    percent: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    told_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """None while the worker has it before it."""

    __table_args__ = (
        Index(
            "ix__quota_notice__untold",
            "starts_on",
            sqlite_where=text("told_at IS NULL"),
            postgresql_where=text("told_at IS NULL"),
        ),
        {"sqlite_with_rowid": False},
    )


class Key(Base):
    """A credential of a consumer. The secret itself is shown once and stored nowhere."""

    __tablename__ = "key"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(12), unique=True)
    """The 12 base62 characters after `pco_` or `pcb_`; safe to show."""
    kind: Mapped[KeyKind] = mapped_column(words(KeyKind, 8), default=KeyKind.KEY, server_default=KeyKind.KEY.value)
    sha256: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    """SHA-256 of the whole token as ASCII; of `user:password` for the kind `basic`."""
    consumer_id: Mapped[int] = mapped_column(ForeignKey("consumer.id", ondelete="CASCADE"), index=True)
    label: Mapped[str] = mapped_column(String(80), default="")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"))
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    leaked: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether it was revoked because somebody had found it where it must not be."""
    found_at: Mapped[str] = mapped_column(Text, default="", server_default="")
    """Where that was, in the words of who reported it."""
    read_only: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether it may only GET, HEAD and OPTIONS."""
    addresses: Mapped[list[str]] = mapped_column(JSON, default=list, server_default="[]")
    """Networks that it may be used from, as `10.0.0.0/8` and `2001:db8::/32`; empty for everywhere."""
    predecessor_id: Mapped[int | None] = mapped_column(Integer)
    """The key that it came after by rotation. No foreign key: the number outlives that key (see `KeyLineage`)."""
    unrotated_expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """For a key with a successor: when it would have expired without one."""
    expiry_told: Mapped[int | None] = mapped_column(Integer)
    """Its team was told that it expires within so many days; None before the first notice."""

    consumer: Mapped[Consumer] = relationship(back_populates="keys")
    created_by: Mapped[Person | None] = relationship()
    chosen_subscriptions: Mapped[list["KeySubscription"]] = relationship(
        cascade="all, delete-orphan", order_by="KeySubscription.subscription_id"
    )
    """What it is limited to; none for every subscription of its consumer."""
    chosen_operations: Mapped[list["KeyOperation"]] = relationship(
        cascade="all, delete-orphan", order_by="KeyOperation.api_id, KeyOperation.path, KeyOperation.method"
    )
    """What it is limited to of the APIs that they name; of other APIs it may do everything."""

    __table_args__ = (
        # A key has one successor at a time. Who revokes that one may make another.
        Index(
            "uq__key__predecessor_id__living",
            "predecessor_id",
            unique=True,
            sqlite_where=text("revoked_at IS NULL"),
            postgresql_where=text("revoked_at IS NULL"),
        ),
        # Who looks for keys that expire soon, or long ago, passes by those that never do.
        Index(
            "ix__key__expires_at__set",
            "expires_at",
            sqlite_where=text("expires_at IS NOT NULL"),
            postgresql_where=text("expires_at IS NOT NULL"),
        ),
        NEVER_AGAIN,
    )

    @property
    def beginning(self) -> str:
        """What of it may be shown: `pco_…` without what follows, or the user name."""
        return f"{'pcb' if self.kind is KeyKind.BASIC else 'pco'}_{self.public_id}"

    @property
    def shown(self) -> str:
        """The same, so that it is seen that more follows."""
        return self.beginning + (":…" if self.kind is KeyKind.BASIC else "_…")

    def state_at(self, now: datetime) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


class KeySubscription(Base):
    """One of the subscriptions that a key is limited to."""

    __tablename__ = "key_subscription"

    key_id: Mapped[int] = mapped_column(ForeignKey("key.id", ondelete="CASCADE"), primary_key=True)
    subscription_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    """No foreign key: a key without rows here may use every subscription, so its last row must not go with an API."""


class KeyOperation(Base):
    """One of the operations that a key is limited to, where it calls their API."""

    __tablename__ = "key_operation"

    key_id: Mapped[int] = mapped_column(ForeignKey("key.id", ondelete="CASCADE"), primary_key=True)
    api_id: Mapped[int] = mapped_column(ForeignKey("api.id", ondelete="CASCADE"), primary_key=True, index=True)
    method: Mapped[str] = mapped_column(String(20), primary_key=True)
    path: Mapped[str] = mapped_column(Text, primary_key=True)
    """A template, as the API's OpenAPI document has it: `/pets/{id}`."""


class KeyLineage(Base):
    """Which keys came after one another by rotation. Rows stay when their keys are buried, so that calls of long ago
    still count for the successor."""

    __tablename__ = "key_lineage"

    key_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    lineage_id: Mapped[int] = mapped_column(Integer, index=True)
    """The number of the first key of all."""
    consumer_id: Mapped[int] = mapped_column(ForeignKey("consumer.id", ondelete="CASCADE"), index=True)


def _word_for_key(action: str, changes: audit.Changes) -> str:
    if action == "changed" and changes.get("revoked_at", [None, None])[1]:
        return "revoked"
    return "issued" if action == "created" else action


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
    Plan,
    label=lambda plan: label_within(plan.team, plan.slug),
    team=lambda plan: plan.team_id,
    unseen={"created_at"},
    lists={"chosen": lambda team: team.slug},
)
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
audit.watch(
    Key,
    label=lambda key: key.beginning,
    team=lambda key: audit.parent(key, "consumer").team_id,
    word=_word_for_key,
    unseen={"sha256", "created_at", "created_by_id", "unrotated_expires_at", "expiry_told"},
    lists={
        "chosen_subscriptions": lambda chosen: f"subscription {chosen.subscription_id}",
        "chosen_operations": lambda chosen: f"{chosen.method} {chosen.path} of API {chosen.api_id}",
    },
)
