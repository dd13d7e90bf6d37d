"""tokens of others"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_NAMED = sa.text("subject IS NOT NULL AND state != 'ended' AND state != 'rejected'")


def upgrade() -> None:
    op.add_column("subscription", sa.Column("subject", sa.String(length=255)))
    op.create_index(
        "uq__subscription__api_id_subject__current",
        "subscription",
        ["api_id", "subject"],
        unique=True,
        sqlite_where=_NAMED,
        postgresql_where=_NAMED,
    )
    op.create_table(
        "token_keys",
        sa.Column("api_id", sa.Integer(), nullable=False),
        sa.Column("url", sa.String(length=500), nullable=False),
        sa.Column("jwks", sa.Text(), server_default="", nullable=False),
        sa.Column("left_out", sa.JSON(), server_default="[]", nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True)),
        sa.Column("tried_at", sa.DateTime(timezone=True)),
        sa.Column("problem", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["api_id"], ["api.id"], name="fk__token_keys__api_id__api", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("api_id", "url", name="pk__token_keys"),
    )


def downgrade() -> None:
    op.drop_table("token_keys")
    op.drop_index("uq__subscription__api_id_subject__current", "subscription")
    op.drop_column("subscription", "subject")
