"""What upstreams ask of the gateway."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal import vault
from portal.accounts import audit
from portal.accounts.models import Person, Team, label_within
from portal.db import Base, UTCDateTime, utcnow
from portal.registry.models.words import words


class SecretKind(StrEnum):
    """How an upstream wants to be convinced."""

    HEADER = "header"
    BASIC = "basic"
    CLIENT_CERTIFICATE = "client_certificate"


class UpstreamSecret(Base):
    """What a team's upstreams ask of the gateway. Documents name it; only nodes open it."""

    __tablename__ = "upstream_secret"

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("team.id"))
    name: Mapped[str] = mapped_column(String(63))
    kind: Mapped[SecretKind] = mapped_column(words(SecretKind, 20))
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


audit.watch(
    UpstreamSecret,
    label=lambda secret: label_within(secret.team, secret.name),
    team=lambda secret: secret.team_id,
    hidden={"sealed"},
    unseen={"edition", "created_at", "created_by_id", "replaced_at", "replaced_by_id"},
)
vault.keeps(UpstreamSecret.sealed)
