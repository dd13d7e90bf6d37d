"""Documents that somebody brings: to make an API of, or to bring one up to date."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts.models import Person, Team
from portal.db import NEVER_AGAIN, Base, UTCDateTime, utcnow
from portal.registry.models.apis import Api
from portal.registry.models.words import words


class ImportSource(StrEnum):
    FILE = "file"
    PASTE = "paste"
    ADDRESS = "address"


class ImportState(StrEnum):
    WAITING = "waiting"
    READING = "reading"
    READY = "ready"
    """Understood, and shown to people who decide."""
    REFUSED = "refused"
    """It could not be understood; `error` says why."""
    CANCELLED = "cancelled"
    APPLIED = "applied"
    DISCARDED = "discarded"


OPEN = (ImportState.WAITING, ImportState.READING, ImportState.READY)
"""States that something still comes of."""


class Import(Base):
    """An OpenAPI document on its way to an API: brought, read, looked at, then applied or discarded."""

    __tablename__ = "api_import"

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("team.id", ondelete="CASCADE"), index=True)
    api_id: Mapped[int | None] = mapped_column(ForeignKey("api.id", ondelete="CASCADE"), index=True)
    """The API that it is for. None while it is for a new one; once that is made, it stands here."""
    made_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"))
    source: Mapped[ImportSource] = mapped_column(words(ImportSource, 12))
    source_name: Mapped[str] = mapped_column(Text, default="")
    """The name of the file, or the address as it was given; empty for what was pasted."""
    led_to: Mapped[str] = mapped_column(Text, default="", server_default="")
    """Where that address led by redirects, without the query: signed addresses keep their secret there. Else empty."""
    state: Mapped[ImportState] = mapped_column(words(ImportState, 12), default=ImportState.WAITING)
    percent: Mapped[int] = mapped_column(default=0)
    step: Mapped[str] = mapped_column(String(100), default="")
    """What is being done with it, in words."""
    turn: Mapped[int] = mapped_column(default=0)
    """Grows whenever somebody begins to read it. Who reads on an older turn has been overtaken."""
    error: Mapped[str] = mapped_column(Text, default="")
    size: Mapped[int]
    """Bytes unpacked."""
    packed: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    """The bytes that were brought, by zlib, until they are understood and kept as an `OpenAPIDocument`."""
    sha256: Mapped[str | None] = mapped_column(String(64), index=True)
    """The `OpenAPIDocument` that it was understood as. No foreign key: what is over may outlive the document."""
    compared_with: Mapped[str | None] = mapped_column(String(64))
    """The one that the API had when `changes` were found."""
    changes: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    """What it changes for callers, see `imports.changes_as_json`. None where there was nothing to compare with."""
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    changed_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    """When its state last became another."""

    team: Mapped[Team] = relationship()
    api: Mapped[Api | None] = relationship()
    made_by: Mapped[Person | None] = relationship()

    __table_args__ = (Index("ix__api_import__state_changed_at", "state", "changed_at"), NEVER_AGAIN)

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def is_being_read(self) -> bool:
        return self.state in (ImportState.WAITING, ImportState.READING)

    @property
    def fetched_from(self) -> str:
        """The address that it came from in the end, or ""."""
        return (self.led_to or self.source_name) if self.source is ImportSource.ADDRESS else ""
