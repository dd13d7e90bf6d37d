"""limits of operations"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "plan_operation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("plan_id", sa.Integer(), nullable=False),
        sa.Column("api_id", sa.Integer(), nullable=False),
        sa.Column("operation", sa.String(length=63), nullable=False),
        *(
            sa.Column(name, sa.Integer(), nullable=True)
            for name in ("per_second", "per_second_burst", "per_minute", "per_minute_burst")
        ),
        sa.CheckConstraint(
            "per_second IS NOT NULL OR per_minute IS NOT NULL", name=op.f("ck__plan_operation__is_limited")
        ),
        sa.CheckConstraint(
            "per_second IS NULL OR per_second > 0", name=op.f("ck__plan_operation__per_second_is_positive")
        ),
        sa.CheckConstraint(
            "per_minute IS NULL OR per_minute > 0", name=op.f("ck__plan_operation__per_minute_is_positive")
        ),
        sa.ForeignKeyConstraint(
            ["plan_id"], ["plan.id"], name=op.f("fk__plan_operation__plan_id__plan"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["api_id"], ["api.id"], name=op.f("fk__plan_operation__api_id__api"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk__plan_operation")),
        sa.UniqueConstraint(
            "plan_id", "api_id", "operation", name=op.f("uq__plan_operation__plan_id_api_id_operation")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix__plan_operation__api_id"), "plan_operation", ["api_id"])


def downgrade() -> None:
    op.drop_table("plan_operation")
