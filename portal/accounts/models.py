"""People, teams, and who belongs where."""

from datetime import datetime
from enum import StrEnum

from flask_security import UserMixin
from sqlalchemy import JSON, CheckConstraint, Enum, ForeignKey, String, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts import audit
from portal.db import NEVER_AGAIN, Base, UTCDateTime, utcnow


class Role(StrEnum):
    """What a member may do in a team; each includes the one before."""

    DEVELOPER = "developer"
    PUBLISHER = "publisher"
    OWNER = "owner"


class Person(UserMixin, Base):
    """Somebody who signs in. Column names that Flask-Security reads are its own (`active`, `fs_uniquifier`)."""

    __tablename__ = "person"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    """Normalised by Flask-Security; the name to sign in with."""
    name: Mapped[str] = mapped_column(String(80))
    password: Mapped[str] = mapped_column(String(255))
    """The argon2 hash."""
    must_change_password: Mapped[bool] = mapped_column(default=False, server_default=false())
    """It was made for them and somebody else has seen it: it opens nothing but the page that changes it."""
    active: Mapped[bool] = mapped_column(default=True)
    fs_uniquifier: Mapped[str] = mapped_column(String(64), unique=True)
    """What the session cookie names; changing it signs the person out everywhere."""
    is_administrator: Mapped[bool] = mapped_column(default=False)
    confirmed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """When the address was known to be theirs: by a mailed link, or because an administrator gave it."""
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    tf_primary_method: Mapped[str | None] = mapped_column(String(64))
    """`authenticator` with a second factor. This and the next belong to Flask-Security."""
    tf_totp_secret: Mapped[str | None] = mapped_column(String(300))
    """What codes are computed from, sealed."""
    tf_last_step: Mapped[int | None]
    """The time step (RFC 6238) of the last code that was used; no earlier one is taken."""
    mf_recovery_codes: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """Those that are left, each sealed."""
    deleted_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """Since then the row is nobody's, and only says that somebody made or did what refers to it."""

    memberships: Mapped[list["Membership"]] = relationship(back_populates="person", cascade="all, delete-orphan")

    roles: tuple[str, ...] = ()  # type: ignore[assignment]
    """Flask-Security's own roles, which are not used: rights come from memberships (rights.py)."""

    is_narrowed = False
    """Somebody acts for them with less than their rights: an access token without the scope for an administrator's. It
    is true of one request, and stored nowhere."""

    @property
    def acts_as_administrator(self) -> bool:
        """Whether they may now what administrators may. What is allowed is decided by this, never by the column."""
        return self.is_administrator and not self.is_narrowed

    @property
    def has_second_factor(self) -> bool:
        return bool(self.tf_primary_method and self.tf_totp_secret)

    @property
    def teams(self) -> list["Team"]:
        """Own teams, the personal one first, then by name."""
        return sorted((m.team for m in self.memberships), key=lambda team: (team.person_id is None, team.name.lower()))


class Team(Base):
    """Owns consumers and, where an administrator lets it publish, APIs and plans."""

    __tablename__ = "team"

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(63), unique=True)
    name: Mapped[str] = mapped_column(String(80))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"), unique=True)
    """Whose personal team this is; None for a team of several."""
    may_publish: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    memberships: Mapped[list["Membership"]] = relationship(back_populates="team", cascade="all, delete-orphan")

    __table_args__ = (
        CheckConstraint("person_id IS NULL OR NOT may_publish", name="personal_team_does_not_publish"),
        NEVER_AGAIN,
    )

    @property
    def is_personal(self) -> bool:
        return self.person_id is not None


class Membership(Base):
    __tablename__ = "membership"

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("team.id", ondelete="CASCADE"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    role: Mapped[Role] = mapped_column(
        Enum(Role, native_enum=False, length=12, values_callable=lambda roles: [role.value for role in roles])
    )

    team: Mapped[Team] = relationship(back_populates="memberships", lazy="joined", innerjoin=True)
    person: Mapped[Person] = relationship(back_populates="memberships")

    __table_args__ = (UniqueConstraint("team_id", "person_id"), NEVER_AGAIN)


def _word_for_person(action: str, changes: audit.Changes) -> str:
    match changes:
        case {"deleted_at": _} if action == "changed":
            return "deleted"
        case {"active": [_, active]} if action == "changed":
            return "activated" if active else "deactivated"
        case {"is_administrator": [_, given]} if action == "changed":
            return "made administrator" if given else "dismissed as administrator"
        case {"password": _} if action == "changed" and changes.keys() <= {"password", "confirmed_at"}:
            return "changed password"
    return action


def _word_for_team(action: str, changes: audit.Changes) -> str:
    if action == "changed" and "may_publish" in changes:
        return "allowed to publish" if changes["may_publish"][1] else "no longer allowed to publish"
    return action


def label_within(team: Team, slug: str) -> str:
    """`payments/orders`; the slug of a personal team is made of somebody's address and stays out of the trail."""
    return slug if team.is_personal else f"{team.slug}/{slug}"


def _name_of(team: Team) -> str:
    return f"personal team of person {team.person_id}" if team.is_personal else team.slug


class Invitation(Base):
    """Somebody who may make an account, though sign-up may be closed. It is gone once it was accepted or withdrawn."""

    __tablename__ = "invitation"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    nonce: Mapped[str] = mapped_column(String(43))
    """Stands in the newest link, signed."""
    invited_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"))
    sent_at: Mapped[datetime] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    invited_by: Mapped[Person | None] = relationship()


# Names and addresses of people are theirs: the trail says only that they changed.
audit.watch(
    Person,
    label=lambda person: f"person {person.id}",
    word=_word_for_person,
    hidden={"email", "name", "password", "tf_totp_secret", "mf_recovery_codes"},
    unseen={"fs_uniquifier", "created_at", "tf_last_step", "must_change_password"},
)
audit.watch(
    Team,
    label=_name_of,
    team=lambda team: team.id,
    word=_word_for_team,
    hidden=lambda team: {"slug", "name"} if team.is_personal else (),
    unseen={"created_at"},
)
audit.watch(
    Membership,
    label=lambda membership: f"person {membership.person_id} in {_name_of(audit.parent(membership, 'team'))}",
    team=lambda membership: membership.team_id,
    word=lambda action, _changes: {"created": "added", "deleted": "removed", "changed": "changed role"}[action],
)
audit.watch(
    Invitation,
    label=lambda invitation: f"invitation {invitation.id}",
    hidden={"email", "nonce"},
    unseen={"created_at"},
)
