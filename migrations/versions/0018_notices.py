"""notices"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "notice",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(length=36), nullable=False),
        sa.Column("event", sa.String(length=50), nullable=False),
        sa.Column("team_id", sa.Integer()),
        sa.Column("person_id", sa.Integer()),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("link", sa.String(length=500), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("spread_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("(team_id IS NULL) <> (person_id IS NULL)", name=op.f("ck__notice__told_to_one")),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("fk__notice__team_id__team"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk__notice__person_id__person"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk__notice")),
        sa.UniqueConstraint("public_id", name=op.f("uq__notice__public_id")),
    )
    op.create_index(op.f("ix__notice__team_id"), "notice", ["team_id"])
    op.create_index(op.f("ix__notice__person_id"), "notice", ["person_id"])
    op.create_index(op.f("ix__notice__created_at"), "notice", ["created_at"])


def downgrade() -> None:
    op.drop_table("notice")
