"""imports of OpenAPI documents"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("openapi_document", sa.Column("writer", sa.String(length=32), nullable=True))
    op.add_column("openapi_document", sa.Column("unnamed_since", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "api_import",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team_id", sa.Integer(), nullable=False),
        sa.Column("api_id", sa.Integer(), nullable=True),
        sa.Column("made_by_id", sa.Integer(), nullable=True),
        sa.Column("source", sa.String(length=12), nullable=False),
        sa.Column("source_name", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(length=100), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("packed", sa.LargeBinary(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("compared_with", sa.String(length=64), nullable=True),
        sa.Column("changes", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["api_id"], ["api.id"], name=op.f("fk__api_import__api_id__api"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["made_by_id"], ["person.id"], name=op.f("fk__api_import__made_by_id__person"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["team_id"], ["team.id"], name=op.f("fk__api_import__team_id__team"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk__api_import")),
        sqlite_autoincrement=True,
    )
    for column in ("api_id", "sha256", "team_id"):
        op.create_index(op.f(f"ix__api_import__{column}"), "api_import", [column])
    op.create_index("ix__api_import__state_changed_at", "api_import", ["state", "changed_at"])


def downgrade() -> None:
    op.drop_table("api_import")
    op.drop_column("openapi_document", "unnamed_since")
    op.drop_column("openapi_document", "writer")
