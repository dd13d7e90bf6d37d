"""OpenAPI documents that are written once"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "openapi_export",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("api_id", sa.Integer(), nullable=False),
        sa.Column("form", sa.String(length=4), nullable=False),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["api_id"], ["api.id"], name=op.f("fk__openapi_export__api_id__api"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk__openapi_export")),
    )
    op.create_index(op.f("ix__openapi_export__api_id"), "openapi_export", ["api_id"])


def downgrade() -> None:
    op.drop_table("openapi_export")
