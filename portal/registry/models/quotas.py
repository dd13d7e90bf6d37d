"""What is counted for quotas, and told of them."""

from datetime import date, datetime

from sqlalchemy import (
    BigInteger,
    Date,
    ForeignKey,
    Index,
    SmallInteger,
    String,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base, UTCDateTime


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
