"""What the portal promises, as rows."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    Enum,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal import vault
from portal.accounts import audit
from portal.accounts.models import Person, Team, label_within
from portal.db import NEVER_AGAIN, Base, UTCDateTime, utcnow


class SubscriptionState(StrEnum):
    """Pending, rejected and suspended come with approval; until then a subscription is approved or ended."""

    APPROVED = "approved"
    ENDED = "ended"


class SecretKind(StrEnum):
    """How an upstream wants to be convinced."""

    HEADER = "header"
    BASIC = "basic"
    CLIENT_CERTIFICATE = "client_certificate"


def _words(kind: type[StrEnum], length: int) -> Enum:
    """A column of these words, as text that a later release may add to."""
    return Enum(
        kind,
        native_enum=False,
        create_constraint=False,
        length=length,
        values_callable=lambda words: [word.value for word in words],
    )


class Revision(Base):
    """One row. `n` grows with every change that a node must know; nodes compare it with what they serve."""

    __tablename__ = "revision"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    n: Mapped[int]

    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)


api_plan = Table(
    "api_plan",
    Base.metadata,
    Column("api_id", ForeignKey("api.id", ondelete="CASCADE"), primary_key=True),
    Column("plan_id", ForeignKey("plan.id", ondelete="CASCADE"), primary_key=True, index=True),
)
"""Which plans an API offers."""


class Api(Base):
    """An upstream service that a team offers through the gateway, in one version."""

    __tablename__ = "api"

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("team.id"))
    slug: Mapped[str] = mapped_column(String(63))
    version: Mapped[str] = mapped_column(String(30))
    name: Mapped[str] = mapped_column(String(80))
    """The draft's name, kept here for lists."""
    draft: Mapped[dict[str, Any]] = mapped_column(JSON)
    """A `document.Document` as JSON."""
    draft_number: Mapped[int] = mapped_column(default=1)
    """Grows with every saved draft; a form carries the one that it was filled from."""
    draft_changed_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    draft_changed_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"))
    live_release_id: Mapped[int | None] = mapped_column(
        ForeignKey("release.id", use_alter=True, name="fk__api__live_release_id__release")
    )
    """None keeps the API out of every gateway."""
    paused: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    team: Mapped[Team] = relationship()
    draft_changed_by: Mapped[Person | None] = relationship()
    live_release: Mapped["Release | None"] = relationship(foreign_keys=live_release_id, post_update=True)
    releases: Mapped[list["Release"]] = relationship(
        back_populates="api",
        foreign_keys="Release.api_id",
        cascade="all, delete-orphan",
        order_by="Release.number.desc()",
    )
    plans: Mapped[list["Plan"]] = relationship(secondary=api_plan, back_populates="apis", order_by="Plan.name")

    __table_args__ = (UniqueConstraint("team_id", "slug", "version"), NEVER_AGAIN)

    @property
    def label(self) -> str:
        return f"{self.team.slug}/{self.slug}/{self.version}"

    @property
    def state(self) -> str:
        """`draft`, `published` or `paused`."""
        if self.live_release_id is None:
            return "draft"
        return "paused" if self.paused else "published"

    @property
    def has_unpublished_changes(self) -> bool:
        return self.live_release is None or self.live_release.document != self.draft


class Mount(Base):
    """Where a live API is served. One row a host and path, so that two publishers at once cannot both have it."""

    __tablename__ = "mount"

    host: Mapped[str] = mapped_column(String(253), primary_key=True)
    """A host name, or `*` for every host that no API has for itself."""
    path: Mapped[str] = mapped_column(String(200), primary_key=True)
    """`/` for a host mount."""
    api_id: Mapped[int] = mapped_column(ForeignKey("api.id", ondelete="CASCADE"), index=True)

    api: Mapped[Api] = relationship()


class Release(Base):
    """An immutable numbered copy of an API's document that was published."""

    __tablename__ = "release"

    id: Mapped[int] = mapped_column(primary_key=True)
    api_id: Mapped[int] = mapped_column(ForeignKey("api.id", ondelete="CASCADE"))
    number: Mapped[int]
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
    note: Mapped[str] = mapped_column(Text, default="")
    published_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    published_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"))

    api: Mapped[Api] = relationship(back_populates="releases", foreign_keys=api_id)
    published_by: Mapped[Person | None] = relationship()

    __table_args__ = (UniqueConstraint("api_id", "number"), NEVER_AGAIN)


class Plan(Base):
    """Limits that a subscription has. Changes are live at once."""

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
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    team: Mapped[Team] = relationship()
    apis: Mapped[list[Api]] = relationship(secondary=api_plan, back_populates="plans", order_by="Api.name")

    __table_args__ = (
        UniqueConstraint("team_id", "slug"),
        CheckConstraint("per_second IS NULL OR per_second > 0", name="per_second_is_positive"),
        CheckConstraint("per_minute IS NULL OR per_minute > 0", name="per_minute_is_positive"),
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
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    team: Mapped[Team] = relationship()
    subscriptions: Mapped[list["Subscription"]] = relationship(
        back_populates="consumer", cascade="all, delete-orphan", order_by="Subscription.id.desc()"
    )
    keys: Mapped[list["Key"]] = relationship(
        back_populates="consumer", cascade="all, delete-orphan", order_by="Key.id.desc()"
    )

    __table_args__ = (UniqueConstraint("team_id", "slug"), NEVER_AGAIN)


class Subscription(Base):
    """A consumer's use of one API under a plan."""

    __tablename__ = "subscription"

    id: Mapped[int] = mapped_column(primary_key=True)
    consumer_id: Mapped[int] = mapped_column(ForeignKey("consumer.id", ondelete="CASCADE"))
    api_id: Mapped[int] = mapped_column(ForeignKey("api.id", ondelete="CASCADE"), index=True)
    plan_id: Mapped[int] = mapped_column(ForeignKey("plan.id"), index=True)
    state: Mapped[SubscriptionState] = mapped_column(_words(SubscriptionState, 12), default=SubscriptionState.APPROVED)
    starts_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    ends_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """When it stops by itself, or when it was ended."""
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"))

    consumer: Mapped[Consumer] = relationship(back_populates="subscriptions")
    api: Mapped[Api] = relationship()
    plan: Mapped[Plan] = relationship()

    __table_args__ = (
        # A consumer may have come and gone many times, but uses an API once at a time.
        Index(
            "uq__subscription__consumer_id_api_id__current",
            "consumer_id",
            "api_id",
            unique=True,
            sqlite_where=text("state != 'ended'"),
            postgresql_where=text("state != 'ended'"),
        ),
        NEVER_AGAIN,
    )


class Key(Base):
    """A credential of a consumer. The secret itself is shown once and stored nowhere."""

    __tablename__ = "key"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(12), unique=True)
    """The 12 base62 characters after `pco_`; safe to show."""
    sha256: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    """SHA-256 of the whole token as ASCII."""
    consumer_id: Mapped[int] = mapped_column(ForeignKey("consumer.id", ondelete="CASCADE"), index=True)
    label: Mapped[str] = mapped_column(String(80), default="")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"))
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    consumer: Mapped[Consumer] = relationship(back_populates="keys")
    created_by: Mapped[Person | None] = relationship()

    __table_args__ = (NEVER_AGAIN,)

    def state_at(self, now: datetime) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


class UpstreamSecret(Base):
    """What a team's upstreams ask of the gateway. Documents name it; only nodes open it."""

    __tablename__ = "upstream_secret"

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("team.id"))
    name: Mapped[str] = mapped_column(String(63))
    kind: Mapped[SecretKind] = mapped_column(_words(SecretKind, 20))
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    """A JSON object of texts, see `secrets.py`, sealed by the vault."""
    edition: Mapped[str] = mapped_column(String(16))
    """New with every value that is stored, so that nodes notice a replaced one without opening it."""
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """When a client certificate ends."""
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"))
    replaced_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    replaced_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"))

    team: Mapped[Team] = relationship()
    created_by: Mapped[Person | None] = relationship(foreign_keys=created_by_id)
    replaced_by: Mapped[Person | None] = relationship(foreign_keys=replaced_by_id)

    __table_args__ = (UniqueConstraint("team_id", "name"),)


def _word_for_api(action: str, changes: audit.Changes) -> str:
    match changes:
        case {"paused": [_, paused]} if action == "changed":
            return "paused" if paused else "resumed"
        case {"plans": _} if action == "changed" and len(changes) == 1:
            return "changed offer"
        case {"draft_number": _} if action == "changed":
            return "changed draft"
    return action


def _word_for_key(action: str, changes: audit.Changes) -> str:
    if action == "changed" and changes.get("revoked_at", [None, None])[1]:
        return "revoked"
    return "issued" if action == "created" else action


def _word_for_subscription(action: str, changes: audit.Changes) -> str:
    if action == "changed" and changes.get("state", [None, None])[1] == SubscriptionState.ENDED.value:
        return "ended"
    return "subscribed" if action == "created" else action


def _name_of_subscription(it: Subscription) -> str:
    consumer = audit.parent(it, "consumer")
    return f"{label_within(consumer.team, consumer.slug)} to {it.api.label}"


audit.watch(
    Api,
    label=lambda api: api.label,
    team=lambda api: api.team_id,
    word=_word_for_api,
    # What goes live is told by the release, and by `unpublish`.
    unseen={"draft_changed_at", "draft_changed_by_id", "live_release_id", "created_at"},
    lists={"plans": lambda plan: plan.slug},
)
audit.watch(
    Release,
    label=lambda release: f"{audit.parent(release, 'api').label} release {release.number}",
    team=lambda release: audit.parent(release, "api").team_id,
    word=lambda action, _changes: "published" if action == "created" else action,
    hidden={"document"},
    unseen={"published_at", "published_by_id"},
)
audit.watch(
    Plan, label=lambda plan: label_within(plan.team, plan.slug), team=lambda plan: plan.team_id, unseen={"created_at"}
)
audit.watch(
    Consumer,
    label=lambda consumer: label_within(consumer.team, consumer.slug),
    team=lambda consumer: consumer.team_id,
    unseen={"created_at"},
)
audit.watch(
    Subscription,
    label=_name_of_subscription,
    team=lambda it: audit.parent(it, "consumer").team_id,
    word=_word_for_subscription,
    unseen={"starts_at", "created_by_id"},
)
audit.watch(
    Key,
    label=lambda key: f"pco_{key.public_id}",
    team=lambda key: audit.parent(key, "consumer").team_id,
    word=_word_for_key,
    unseen={"sha256", "created_at", "created_by_id"},
)
audit.watch(
    UpstreamSecret,
    label=lambda secret: label_within(secret.team, secret.name),
    team=lambda secret: secret.team_id,
    hidden={"sealed"},
    unseen={"edition", "created_at", "created_by_id", "replaced_at", "replaced_by_id"},
)
vault.keeps(UpstreamSecret.sealed)
