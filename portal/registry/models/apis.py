"""APIs, where they are served, and what was published of them."""

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, Column, ForeignKey, String, Table, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts import audit
from portal.accounts.models import Person, Team
from portal.db import NEVER_AGAIN, Base, UTCDateTime, utcnow
from portal.registry.models.words import words

if TYPE_CHECKING:
    from portal.registry.models.plans import Plan


class Visibility(StrEnum):
    """Who may know of a published API beside its own team."""

    PUBLIC = "public"
    """Everybody, where the installation shows its catalogue to strangers; otherwise who is signed in."""
    SIGNED_IN = "signed_in"
    CHOSEN = "chosen"
    """The teams in `api_viewer`."""
    TEAM = "team"
    """Nobody else."""


api_plan = Table(
    "api_plan",
    Base.metadata,
    Column("api_id", ForeignKey("api.id", ondelete="CASCADE"), primary_key=True),
    Column("plan_id", ForeignKey("plan.id", ondelete="CASCADE"), primary_key=True, index=True),
)
"""Which plans an API offers."""

api_viewer = Table(
    "api_viewer",
    Base.metadata,
    Column("api_id", ForeignKey("api.id", ondelete="CASCADE"), primary_key=True),
    Column("team_id", ForeignKey("team.id", ondelete="CASCADE"), primary_key=True, index=True),
)
"""Which teams beside its own may see an API whose visibility is `chosen`."""


class Api(Base):
    """An upstream service that a team offers through the gateway, in one version."""

    __tablename__ = "api"

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("team.id"))
    slug: Mapped[str] = mapped_column(String(63))
    version: Mapped[str] = mapped_column(String(30))
    name: Mapped[str] = mapped_column(String(80))
    """The draft's name, kept here for lists."""
    draft: Mapped[dict[str, Any]] = mapped_column(JSON)
    """A `document.Document` as JSON."""
    draft_number: Mapped[int] = mapped_column(default=1)
    """Grows with every saved draft; a form carries the one that it was filled from."""
    draft_changed_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    draft_changed_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"))
    live_release_id: Mapped[int | None] = mapped_column(
        ForeignKey("release.id", use_alter=True, name="fk__api__live_release_id__release")
    )
    """None keeps the API out of every gateway."""
    paused: Mapped[bool] = mapped_column(default=False)
    visibility: Mapped[Visibility] = mapped_column(
        words(Visibility, 12), default=Visibility.SIGNED_IN, server_default=Visibility.SIGNED_IN.value
    )
    deprecated_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """Since when callers are told to move on, or from when on they will be."""
    sunset_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """When the owner means to retire it. Nothing happens by itself then."""
    successor_id: Mapped[int | None] = mapped_column(ForeignKey("api.id", ondelete="SET NULL"))
    deprecation_message: Mapped[str] = mapped_column(Text, default="", server_default="")
    closed: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Takes no new subscriptions; those that exist go on."""
    retired_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """Since when every call is answered with 410. The release and the mounts stay."""
    overall_per_second: Mapped[int | None]
    """Calls that one node lets through to the upstream, of all subscriptions together; None for any number."""
    category_id: Mapped[int | None] = mapped_column(ForeignKey("category.id", ondelete="SET NULL"), index=True)
    default_plan_id: Mapped[int | None] = mapped_column(ForeignKey("plan.id", ondelete="SET NULL"), index=True)
    """Of the plans on offer the one that is chosen for who chooses none."""
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    team: Mapped[Team] = relationship()
    draft_changed_by: Mapped[Person | None] = relationship()
    live_release: Mapped["Release | None"] = relationship(foreign_keys=live_release_id, post_update=True)
    successor: Mapped["Api | None"] = relationship(remote_side="Api.id", foreign_keys=successor_id)
    viewers: Mapped[list[Team]] = relationship(secondary=api_viewer, order_by="Team.name")
    """The teams that may see it beside its own, where `visibility` is `chosen`."""
    category: Mapped["Category | None"] = relationship()
    releases: Mapped[list["Release"]] = relationship(
        back_populates="api",
        foreign_keys="Release.api_id",
        cascade="all, delete-orphan",
        order_by="Release.number.desc()",
    )
    plans: Mapped[list["Plan"]] = relationship(secondary=api_plan, back_populates="apis", order_by="Plan.name")
    default_plan: Mapped["Plan | None"] = relationship(foreign_keys=default_plan_id)

    __table_args__ = (UniqueConstraint("team_id", "slug", "version"), NEVER_AGAIN)

    @property
    def label(self) -> str:
        return f"{self.team.slug}/{self.slug}/{self.version}"

    @property
    def state(self) -> str:
        """`draft`, `published`, `paused`, `deprecated` or `retired`."""
        if self.live_release_id is None:
            return "draft"
        if self.retired_at is not None:
            return "retired"
        if self.paused:
            return "paused"
        return "deprecated" if self.deprecated_at is not None else "published"

    @property
    def is_public(self) -> bool:
        """Whether its live release asks for no key."""
        live = self.live_release
        return live is not None and bool((live.document.get("authentication") or {}).get("public"))

    @property
    def has_unpublished_changes(self) -> bool:
        return self.live_release is None or self.live_release.document != self.draft


class Category(Base):
    """A shelf of the catalogue, which administrators put up."""

    __tablename__ = "category"

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(63), unique=True)
    name: Mapped[str] = mapped_column(String(80))
    description: Mapped[str] = mapped_column(Text, default="")
    position: Mapped[int] = mapped_column(default=0)
    """Shelves stand in this order, then by name."""
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    __table_args__ = (NEVER_AGAIN,)


class Mount(Base):
    """Where a live API is served. One row a host and path, so that two publishers at once cannot both have it."""

    __tablename__ = "mount"

    host: Mapped[str] = mapped_column(String(253), primary_key=True)
    """A host name, or `*` for every host that no API has for itself."""
    path: Mapped[str] = mapped_column(String(200), primary_key=True)
    """`/` for a host mount."""
    api_id: Mapped[int] = mapped_column(ForeignKey("api.id", ondelete="CASCADE"), index=True)

    api: Mapped[Api] = relationship()


class Release(Base):
    """An immutable numbered copy of an API's document that was published."""

    __tablename__ = "release"

    id: Mapped[int] = mapped_column(primary_key=True)
    api_id: Mapped[int] = mapped_column(ForeignKey("api.id", ondelete="CASCADE"))
    number: Mapped[int]
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
    copy_of: Mapped[int | None]
    """The number of the release that this one brought back."""
    note: Mapped[str] = mapped_column(Text, default="")
    published_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    published_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"))

    api: Mapped[Api] = relationship(back_populates="releases", foreign_keys=api_id)
    published_by: Mapped[Person | None] = relationship()

    __table_args__ = (UniqueConstraint("api_id", "number"), NEVER_AGAIN)


_OFFER = {"plans", "default_plan_id"}


def _word_for_api(action: str, changes: audit.Changes) -> str:
    match changes:
        case {"paused": [_, paused]} if action == "changed":
            return "paused" if paused else "resumed"
        case {"plans": _} | {"default_plan_id": _} if action == "changed" and changes.keys() <= _OFFER:
            return "changed offer"
        case {"retired_at": [before, _]} if action == "changed":
            return "retired" if before is None else "revived"
        case {"deprecated_at": [None, _]} if action == "changed":
            return "deprecated"
        case {"deprecated_at": [_, None]} if action == "changed":
            return "no longer deprecated"
        case {"sunset_at": _} | {"successor_id": _} | {"deprecation_message": _} if action == "changed":
            return "changed deprecation"
        case {"closed": [_, closed]} if action == "changed":
            return "closed" if closed else "reopened"
        case {"visibility": _} | {"viewers": _} if action == "changed":
            return "changed visibility"
        case {"overall_per_second": _} if action == "changed" and len(changes) == 1:
            return "changed overall limit"
        case {"category_id": _} if action == "changed" and len(changes) == 1:
            return "changed category"
        case {"draft_number": _} if action == "changed":
            return "changed draft"
    return action


audit.watch(
    Api,
    label=lambda api: api.label,
    team=lambda api: api.team_id,
    word=_word_for_api,
    # What goes live is told by the release, and by `unpublish`.
    unseen={"draft_changed_at", "draft_changed_by_id", "live_release_id", "created_at"},
    lists={"plans": lambda plan: plan.slug, "viewers": lambda team: team.slug},
)
audit.watch(
    Release,
    label=lambda release: f"{audit.parent(release, 'api').label} release {release.number}",
    team=lambda release: audit.parent(release, "api").team_id,
    word=lambda action, _changes: "published" if action == "created" else action,
    hidden={"document"},
    unseen={"published_at", "published_by_id"},
)
audit.watch(Category, label=lambda category: category.slug, unseen={"created_at"})
