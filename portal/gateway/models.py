"""Nodes, as rows. A node writes its own row and nobody else's; pages only read."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base, UTCDateTime, utcnow


class Node(Base):
    """A machine that runs Envoy for this installation."""

    __tablename__ = "node"

    name: Mapped[str] = mapped_column(String(253), primary_key=True)
    instance_id: Mapped[str] = mapped_column(String(36))
    """Kept in the node's data folder: what tells a restart from a second machine of the same name."""
    envoy_version: Mapped[str] = mapped_column(String(40), default="")
    state: Mapped[str] = mapped_column(String(12), default="starting")
    """`starting`, `serving`, `troubled` (serves, with problems), `down` (Envoy does not answer) or `stopped`."""
    sentence: Mapped[str] = mapped_column(Text, default="")
    """What the state means, for people."""
    problems: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    """`{"api": label or "", "sentence": …}`, everything that keeps this node from serving what is published."""
    revision: Mapped[int] = mapped_column(BigInteger, default=0)
    """The revision that it has acted on; 0 for none yet."""
    started_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    seen_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    published_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """When `revision` went live here."""
    publish_ms: Mapped[int | None]
    """From noticing `revision` to Envoy's acting on it."""
    log_waiting: Mapped[int] = mapped_column(BigInteger, default=0)
    """Bytes of Envoy's access log that are not stored as calls yet."""
