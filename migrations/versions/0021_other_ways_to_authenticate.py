"""other ways to authenticate"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # With defaults of the database's own: the release before this one still makes keys while this is upgraded.
    op.add_column("key", sa.Column("kind", sa.String(8), server_default="key", nullable=False))
    op.add_column("consumer", sa.Column("everyone", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index(
        "uq__consumer__team_id__everyone",
        "consumer",
        ["team_id"],
        unique=True,
        sqlite_where=sa.text("everyone"),
        postgresql_where=sa.text("everyone"),
    )


def downgrade() -> None:
    # What the release before this one would take for keys and applications of the usual kind.
    # SQLite deletes nothing along while a schema is changed.
    for table in ("key_operation", "key_subscription"):
        op.execute(f"DELETE FROM {table} WHERE key_id IN (SELECT id FROM \"key\" WHERE kind = 'basic')")
    op.execute("DELETE FROM \"key\" WHERE kind = 'basic'")
    op.execute("DELETE FROM subscription WHERE consumer_id IN (SELECT id FROM consumer WHERE everyone)")
    op.execute("DELETE FROM consumer WHERE everyone")
    op.drop_index("uq__consumer__team_id__everyone", "consumer")
    op.drop_column("consumer", "everyone")
    op.drop_column("key", "kind")
