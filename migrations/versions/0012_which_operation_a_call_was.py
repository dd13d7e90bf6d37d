"""which operation a call was

Who called which API in the last 31 days is known from the hours; which operation it was is not.
"""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A default that is a constant: both databases note it once, instead of writing millions of rows anew.
    op.add_column("call", sa.Column("operation", sa.String(length=63), server_default="", nullable=False))
    op.create_table(
        "calls_by_consumer_operation",
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("api_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("operation", sa.String(length=63), nullable=False),
        sa.Column("consumer_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "at", "api_id", "operation", "consumer_id", name=op.f("pk__calls_by_consumer_operation")
        ),
        sqlite_with_rowid=False,
    )
    since = int((datetime.now(UTC) - timedelta(days=31)).timestamp())
    op.execute(
        "INSERT INTO calls_by_consumer_operation (at, api_id, operation, consumer_id, calls, last_at) "
        "SELECT at - at % 86400, api_id, '', consumer_id, sum(calls), max(at) FROM calls_by_consumer "
        f"WHERE level = 3600 AND at >= {since - since % 86_400} AND consumer_id <> 0 AND api_id <> 0 "
        "GROUP BY at - at % 86400, api_id, consumer_id"
    )


def downgrade() -> None:
    op.drop_table("calls_by_consumer_operation")
    op.drop_column("call", "operation")
