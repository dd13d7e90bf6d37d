"""Keys, what they may do, and which came after which."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    JSON,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts import audit
from portal.accounts.models import Person
from portal.db import NEVER_AGAIN, Base, UTCDateTime, utcnow
from portal.registry.models.consumers import Consumer
from portal.registry.models.words import words


class KeyKind(StrEnum):
    """How a credential is shown. The gateway takes each only where the API asks for its kind."""

    KEY = "key"
    BASIC = "basic"
    """User name and password, in `Authorization: Basic`."""


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
