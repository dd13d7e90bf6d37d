"""OpenAPI documents as they were given, and what was understood of them. Stored once, by the hash of their bytes."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base, UTCDateTime, utcnow


class OpenAPIDocument(Base):
    """The bytes that somebody brought. An API's document names one by its hash (`Document.openapi`)."""

    __tablename__ = "openapi_document"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Of the bytes as they came, in hexadecimal."""
    packed: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    """Those bytes, by zlib."""
    size: Mapped[int]
    """Bytes unpacked."""
    facts: Mapped[dict[str, Any]] = mapped_column(JSON)
    """What is known of it as a whole, see `descriptions.Facts`."""
    operation_count: Mapped[int]
    writer: Mapped[str | None] = mapped_column(String(32))
    """Who is still writing its operations and parts; None when they are all there. Nothing may name it before."""
    unnamed_since: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """Since when neither a draft, nor a release, nor an open import is known to name it."""
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)


class OpenAPIPart(Base):
    """A part that references of a document lead to, so that one operation is shown without reading the whole."""

    __tablename__ = "openapi_part"

    sha256: Mapped[str] = mapped_column(ForeignKey("openapi_document.sha256", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    """As `references.py` names it: `/components/schemas/Pet`."""
    content: Mapped[bytes] = mapped_column(LargeBinary)
    """JSON."""

    __table_args__ = ({"sqlite_with_rowid": False},)


class Operation(Base):
    """What an OpenAPI document says can be done: a method and a path template. See `openapi.Operation`."""

    __tablename__ = "operation"

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(ForeignKey("openapi_document.sha256", ondelete="CASCADE"))
    position: Mapped[int]
    """In the order of the document."""
    name: Mapped[str] = mapped_column(String(63))
    """Its stable id, unique within the document: what addresses and roll-ups call it."""
    method: Mapped[str] = mapped_column(String(20))
    path: Mapped[str] = mapped_column(Text)
    summary: Mapped[str] = mapped_column(Text)
    tags: Mapped[list[str]] = mapped_column(JSON)
    deprecated: Mapped[bool] = mapped_column(server_default=false())
    content: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    """The whole operation object (`references.operation_at`) as JSON."""

    __table_args__ = (
        UniqueConstraint("sha256", "name"),
        Index("ix__operation__sha256_position", "sha256", "position"),
    )


class OpenAPIExport(Base):
    """The OpenAPI document of an API with the gateway's address and key, where it takes long to write."""

    __tablename__ = "openapi_export"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    """The hash of all that it is made of, see `exports.key_of`."""
    api_id: Mapped[int] = mapped_column(ForeignKey("api.id", ondelete="CASCADE"), index=True)
    form: Mapped[str] = mapped_column(String(4))
    """`json` or `yaml`."""
    packed: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    """By gzip, as browsers take it."""
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
