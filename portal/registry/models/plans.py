"""Plans."""

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    true,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts import audit
from portal.accounts.models import Team, label_within
from portal.db import NEVER_AGAIN, Base, UTCDateTime, utcnow
from portal.registry.models.apis import Api, api_plan

if TYPE_CHECKING:
    from portal.registry.models.plan_operations import PlanOperation


plan_team = Table(
    "plan_team",
    Base.metadata,
    Column("plan_id", ForeignKey("plan.id", ondelete="CASCADE"), primary_key=True),
    Column("team_id", ForeignKey("team.id", ondelete="CASCADE"), primary_key=True, index=True),
)
"""Which teams beside its own may choose a plan that is not public."""


class Plan(Base):
    """Limits and quotas that a subscription has. Changes are live at once."""

    __tablename__ = "plan"

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("team.id"))
    slug: Mapped[str] = mapped_column(String(63))
    name: Mapped[str] = mapped_column(String(80))
    description: Mapped[str] = mapped_column(Text, default="")
    per_second: Mapped[int | None]
    per_second_burst: Mapped[int | None]
    """Calls that may come at once; None stands for one second's worth."""
    per_minute: Mapped[int | None]
    per_minute_burst: Mapped[int | None]
    quota_day: Mapped[int | None] = mapped_column(BigInteger)
    """Calls that may reach the upstream on a day of `PORTAL_QUOTA_TIMEZONE`; None for any number."""
    quota_month: Mapped[int | None] = mapped_column(BigInteger)
    """The same in a month of the calendar."""
    approval: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether a subscription under it waits until the API's team has decided."""
    terms: Mapped[str] = mapped_column(Text, default="", server_default="")
    """Markdown; shown where one subscribes."""
    price: Mapped[str] = mapped_column(String(120), default="", server_default="")
    """What it costs, in words. Nothing here counts money."""
    public: Mapped[bool] = mapped_column(default=True, server_default=true())
    """Whether everybody who may subscribe to the API may choose it; otherwise only `chosen` and its own team."""
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    team: Mapped[Team] = relationship()
    apis: Mapped[list[Api]] = relationship(secondary=api_plan, back_populates="plans", order_by="Api.name")
    chosen: Mapped[list[Team]] = relationship(secondary=plan_team, order_by="Team.name")
    """The teams that may choose it beside its own, where it is not public."""
    operations: Mapped[list["PlanOperation"]] = relationship(
        back_populates="plan", cascade="all, delete-orphan", order_by="PlanOperation.id"
    )
    """Which operations have limits of their own."""

    __table_args__ = (
        UniqueConstraint("team_id", "slug"),
        CheckConstraint("per_second IS NULL OR per_second > 0", name="per_second_is_positive"),
        CheckConstraint("per_minute IS NULL OR per_minute > 0", name="per_minute_is_positive"),
        CheckConstraint("quota_day IS NULL OR quota_day > 0", name="quota_day_is_positive"),
        CheckConstraint("quota_month IS NULL OR quota_month > 0", name="quota_month_is_positive"),
        NEVER_AGAIN,
    )


audit.watch(
    Plan,
    label=lambda plan: label_within(plan.team, plan.slug),
    team=lambda plan: plan.team_id,
    unseen={"created_at"},
    lists={"chosen": lambda team: team.slug},
)
