"""subscriptions that are asked for"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

CURRENT = sa.text("state != 'ended' AND state != 'rejected'")
IN_USE = sa.text("state != 'ended' AND state != 'rejected' AND state != 'pending'")
NOT_ENDED = sa.text("state != 'ended'")
WAITING = sa.text("state = 'waiting'")


def upgrade() -> None:
    op.add_column("consumer", sa.Column("contacts", sa.JSON(), server_default="[]", nullable=False))
    op.add_column("consumer", sa.Column("attributes", sa.JSON(), server_default="{}", nullable=False))
    op.add_column("subscription", sa.Column("suspended_because", sa.Text(), server_default="", nullable=False))
    op.add_column("subscription", sa.Column("approved_until", sa.DateTime(timezone=True)))
    op.add_column("subscription", sa.Column("noticed_at", sa.DateTime(timezone=True)))
    op.add_column("subscription", sa.Column("ends_without_notice", sa.DateTime(timezone=True)))
    op.drop_index("uq__subscription__consumer_id_api_id__current", "subscription")
    op.drop_index("ix__subscription__api_id__current", "subscription")
    op.create_index(
        "uq__subscription__consumer_id_api_id__current",
        "subscription",
        ["consumer_id", "api_id"],
        unique=True,
        sqlite_where=CURRENT,
        postgresql_where=CURRENT,
    )
    op.create_index(
        "ix__subscription__api_id__in_use",
        "subscription",
        ["api_id", "consumer_id"],
        sqlite_where=IN_USE,
        postgresql_where=IN_USE,
    )
    op.create_index(
        "ix__subscription__ends_at__current",
        "subscription",
        ["ends_at"],
        sqlite_where=CURRENT,
        postgresql_where=CURRENT,
    )
    op.create_table(
        "approval",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("subscription_id", sa.Integer(), nullable=False),
        sa.Column("plan_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("expected_calls", sa.BigInteger(), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_by_id", sa.Integer(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by_id", sa.Integer(), nullable=True),
        sa.Column("words", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["subscription.id"],
            name=op.f("fk__approval__subscription_id__subscription"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["plan_id"], ["plan.id"], name=op.f("fk__approval__plan_id__plan")),
        sa.ForeignKeyConstraint(
            ["asked_by_id"], ["person.id"], name=op.f("fk__approval__asked_by_id__person"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["decided_by_id"], ["person.id"], name=op.f("fk__approval__decided_by_id__person"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk__approval")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix__approval__subscription_id"), "approval", ["subscription_id"])
    op.create_index(op.f("ix__approval__plan_id"), "approval", ["plan_id"])
    op.create_index(
        "uq__approval__subscription_id__waiting",
        "approval",
        ["subscription_id"],
        unique=True,
        sqlite_where=WAITING,
        postgresql_where=WAITING,
    )


def downgrade() -> None:
    op.drop_table("approval")
    # The release before knows one way of being over, and one of going on.
    op.execute("UPDATE subscription SET state = 'ended' WHERE state IN ('rejected', 'pending', 'suspended')")
    op.drop_index("ix__subscription__ends_at__current", "subscription")
    op.drop_index("ix__subscription__api_id__in_use", "subscription")
    op.drop_index("uq__subscription__consumer_id_api_id__current", "subscription")
    op.create_index(
        "uq__subscription__consumer_id_api_id__current",
        "subscription",
        ["consumer_id", "api_id"],
        unique=True,
        sqlite_where=NOT_ENDED,
        postgresql_where=NOT_ENDED,
    )
    op.create_index(
        "ix__subscription__api_id__current",
        "subscription",
        ["api_id", "consumer_id"],
        sqlite_where=NOT_ENDED,
        postgresql_where=NOT_ENDED,
    )
    for column in ("ends_without_notice", "noticed_at", "approved_until", "suspended_because"):
        op.drop_column("subscription", column)
    for column in ("attributes", "contacts"):
        op.drop_column("consumer", column)
