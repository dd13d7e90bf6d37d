"""What an API's tokens are verified with, where its document names an address."""

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base, UTCDateTime


class TokenKeys(Base):
    """The key set (JWKS) of one address, for one API whose draft or live release names it. The last good set stays."""

    __tablename__ = "token_keys"

    api_id: Mapped[int] = mapped_column(ForeignKey("api.id", ondelete="CASCADE"), primary_key=True)
    url: Mapped[str] = mapped_column(String(500), primary_key=True)
    jwks: Mapped[str] = mapped_column(Text, default="", server_default="")
    """As Envoy gets it; empty until it was fetched once."""
    left_out: Mapped[list[str]] = mapped_column(JSON, default=list, server_default="[]")
    """Keys of the set that the gateway cannot use, in sentences."""
    fetched_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """When the set was last fetched and could be read."""
    tried_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    problem: Mapped[str] = mapped_column(Text, default="", server_default="")
    """Why the last attempt brought nothing, in a sentence; empty where it did."""
