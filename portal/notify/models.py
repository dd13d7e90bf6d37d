"""What people are told, as rows."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts.models import Person, Team
from portal.db import Base, UTCDateTime, utcnow


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
