"""What plans say of single operations."""

from sqlalchemy import CheckConstraint, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts import audit
from portal.accounts.models import label_within
from portal.db import NEVER_AGAIN, Base
from portal.registry.models.apis import Api
from portal.registry.models.plans import Plan


class PlanOperation(Base):
    """How often each subscription under a plan may call one operation of an API, beside all that the plan says."""

    __tablename__ = "plan_operation"

    id: Mapped[int] = mapped_column(primary_key=True)
    """Names the buckets at the gateway, so that it stays when the numbers change."""
    plan_id: Mapped[int] = mapped_column(ForeignKey("plan.id", ondelete="CASCADE"))
    api_id: Mapped[int] = mapped_column(ForeignKey("api.id", ondelete="CASCADE"), index=True)
    operation: Mapped[str] = mapped_column(String(63))
    """Its stable id. The live release may have no such operation any more; the limit waits until one comes back."""
    per_second: Mapped[int | None]
    per_second_burst: Mapped[int | None]
    """Calls that may come at once; None stands for one second's worth."""
    per_minute: Mapped[int | None]
    per_minute_burst: Mapped[int | None]

    plan: Mapped[Plan] = relationship(back_populates="operations")
    api: Mapped[Api] = relationship()

    __table_args__ = (
        UniqueConstraint("plan_id", "api_id", "operation"),
        CheckConstraint("per_second IS NOT NULL OR per_minute IS NOT NULL", name="is_limited"),
        CheckConstraint("per_second IS NULL OR per_second > 0", name="per_second_is_positive"),
        CheckConstraint("per_minute IS NULL OR per_minute > 0", name="per_minute_is_positive"),
        NEVER_AGAIN,
    )


audit.watch(
    PlanOperation,
    label=lambda it: f"{it.operation} of {it.api.label} under {_plan_of(it)}",
    team=lambda it: audit.parent(it, "plan").team_id,
    unseen={"plan_id", "api_id", "operation"},
)


def _plan_of(limit: PlanOperation) -> str:
    plan = audit.parent(limit, "plan")
    return label_within(plan.team, plan.slug)
