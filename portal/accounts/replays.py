"""Answers that are kept so that what was asked for twice happens once (`Idempotency-Key`).

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from datetime import datetime, timedelta

from sqlalchemy import JSON, ForeignKey, LargeBinary, String, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from portal.db import Base, UTCDateTime
from portal.errors import PortalError

KEPT = timedelta(hours=24)


class UsedDifferently(PortalError):
    """The key was sent with something else before."""

    status = 422

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key came with another request before, so nothing was done. Send a new key with a new one."
        )


class Replay(Base):
    """What was answered to the first request with this key."""

    __tablename__ = "replay"

    token_id: Mapped[int] = mapped_column(ForeignKey("access_token.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(100), primary_key=True)
    """As the client chose it."""
    asked: Mapped[bytes] = mapped_column(LargeBinary(32))
    """SHA-256 of method, address and body: another request under the same key is a mistake."""
    at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    status: Mapped[int]
    headers: Mapped[dict[str, str]] = mapped_column(JSON)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    """Without what is shown once only."""


def find(session: Session, token_id: int, key: str, asked: bytes, *, now: datetime) -> Replay | None:
    """The answer that was given before. Raises UsedDifferently."""
    row = session.get(Replay, (token_id, key))
    if row is None or row.at < now - KEPT:
        return None
    if row.asked != asked:
        raise UsedDifferently()
    return row


def claim(session: Session, token_id: int, key: str, asked: bytes, *, now: datetime) -> Replay | None:
    """The answer that was given before, or None: then `keep` the one that will be given, in this transaction.

    Who comes a moment later waits here on PostgreSQL, and at the beginning of the transaction on SQLite. Raises
    UsedDifferently; IntegrityError when both came at once, and then asking again finds the answer of the first.
    """
    kept = find(session, token_id, key, asked, now=now)
    if kept is not None:
        return kept
    session.execute(delete(Replay).where(Replay.token_id == token_id, Replay.key == key))  # one that is too old
    session.add(Replay(token_id=token_id, key=key, asked=asked, at=now, status=0, headers={}, body=b""))
    session.flush()
    return None


def keep(session: Session, token_id: int, key: str, status: int, headers: dict[str, str], body: bytes) -> None:
    row = session.scalars(select(Replay).where(Replay.token_id == token_id, Replay.key == key)).one()
    row.status, row.headers, row.body = status, headers, body


def sweep(session: Session, *, now: datetime) -> int:
    """Delete those that are too old; how many."""
    done = session.execute(delete(Replay).where(Replay.at < now - KEPT))
    return int(done.rowcount)  # type: ignore[attr-defined]
