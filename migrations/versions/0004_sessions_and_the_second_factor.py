"""sessions and the second factor"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sign_in",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("uniquifier", sa.String(length=64), nullable=False),
        sa.Column("is_remembered", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.Column("user_agent", sa.String(length=300), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk__sign_in__person_id__person"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk__sign_in")),
        sa.UniqueConstraint("token_hash", name=op.f("uq__sign_in__token_hash")),
    )
    op.create_index(op.f("ix__sign_in__person_id"), "sign_in", ["person_id"])
    op.add_column("person", sa.Column("tf_primary_method", sa.String(length=64), nullable=True))
    op.add_column("person", sa.Column("tf_totp_secret", sa.String(length=300), nullable=True))
    op.add_column("person", sa.Column("tf_last_step", sa.Integer(), nullable=True))
    op.add_column("person", sa.Column("mf_recovery_codes", sa.JSON(), nullable=True))


def downgrade() -> None:
    for column in ("mf_recovery_codes", "tf_last_step", "tf_totp_secret", "tf_primary_method"):
        op.drop_column("person", column)
    op.drop_table("sign_in")
