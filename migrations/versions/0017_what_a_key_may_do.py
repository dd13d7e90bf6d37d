"""what a key may do, and which key it came after"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


# With defaults of the database's own: the release before this one still issues keys while this is upgraded.
def _of_keys() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("leaked", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("found_at", sa.Text(), server_default="", nullable=False),
        sa.Column("read_only", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("addresses", sa.JSON(), server_default="[]", nullable=False),
        sa.Column("predecessor_id", sa.Integer(), nullable=True),
        sa.Column("unrotated_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expiry_told", sa.Integer(), nullable=True),
    )


def upgrade() -> None:
    for column in _of_keys():
        op.add_column("key", column)
    living, set_ = sa.text("revoked_at IS NULL"), sa.text("expires_at IS NOT NULL")
    op.create_index(
        "uq__key__predecessor_id__living",
        "key",
        ["predecessor_id"],
        unique=True,
        sqlite_where=living,
        postgresql_where=living,
    )
    op.create_index("ix__key__expires_at__set", "key", ["expires_at"], sqlite_where=set_, postgresql_where=set_)
    op.create_table(
        "key_subscription",
        sa.Column("key_id", sa.Integer(), nullable=False),
        sa.Column("subscription_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["key_id"], ["key.id"], name=op.f("fk__key_subscription__key_id__key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key_id", "subscription_id", name=op.f("pk__key_subscription")),
    )
    op.create_table(
        "key_operation",
        sa.Column("key_id", sa.Integer(), nullable=False),
        sa.Column("api_id", sa.Integer(), nullable=False),
        sa.Column("method", sa.String(length=20), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["key_id"], ["key.id"], name=op.f("fk__key_operation__key_id__key"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["api_id"], ["api.id"], name=op.f("fk__key_operation__api_id__api"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key_id", "api_id", "method", "path", name=op.f("pk__key_operation")),
    )
    op.create_index(op.f("ix__key_operation__api_id"), "key_operation", ["api_id"])
    op.create_table(
        "key_lineage",
        sa.Column("key_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("lineage_id", sa.Integer(), nullable=False),
        sa.Column("consumer_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["consumer_id"], ["consumer.id"], name=op.f("fk__key_lineage__consumer_id__consumer"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk__key_lineage")),
    )
    op.create_index(op.f("ix__key_lineage__lineage_id"), "key_lineage", ["lineage_id"])
    op.create_index(op.f("ix__key_lineage__consumer_id"), "key_lineage", ["consumer_id"])
    op.create_table(
        "key_use",
        sa.Column("key_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk__key_use")),
        sqlite_with_rowid=False,
    )
    # Rows say it to the microsecond, and are found by their key one by one; of keys that have none left the days do.
    op.execute(
        "INSERT INTO key_use (key_id, last_at) SELECT id, last_at FROM "
        '(SELECT id, (SELECT max(at) FROM "call" WHERE key_id = key.id) AS last_at FROM key) AS found '
        "WHERE last_at IS NOT NULL"
    )
    op.execute(
        "INSERT INTO key_use (key_id, last_at) SELECT key_id, max(at) * 1000000 FROM calls_by_key "
        "WHERE level IN (3600, 86400) AND key_id IN (SELECT id FROM key) "
        "AND key_id NOT IN (SELECT key_id FROM key_use) GROUP BY key_id"
    )


def downgrade() -> None:
    for table in ("key_use", "key_lineage", "key_operation", "key_subscription"):
        op.drop_table(table)
    op.drop_index("ix__key__expires_at__set", "key")
    op.drop_index("uq__key__predecessor_id__living", "key")
    for column in reversed(_of_keys()):
        op.drop_column("key", column.name)
