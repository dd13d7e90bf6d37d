"""confirmed addresses and invitations"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("person", sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True))
    # Nobody who could sign in until now has to confirm anything.
    op.execute("UPDATE person SET confirmed_at = created_at")
    op.create_table(
        "invitation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("nonce", sa.String(length=43), nullable=False),
        sa.Column("invited_by_id", sa.Integer(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["invited_by_id"],
            ["person.id"],
            name=op.f("fk__invitation__invited_by_id__person"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk__invitation")),
        sa.UniqueConstraint("email", name=op.f("uq__invitation__email")),
    )


def downgrade() -> None:
    op.drop_table("invitation")
    op.drop_column("person", "confirmed_at")
