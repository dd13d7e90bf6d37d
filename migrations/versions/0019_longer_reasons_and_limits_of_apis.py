"""longer reasons and limits of APIs"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_REASONS = ("call", "calls_by_operation", "calls_by_consumer", "calls_by_key", "calls_in_all")


def upgrade() -> None:
    op.add_column("api", sa.Column("overall_per_second", sa.Integer()))
    _make_reasons(24)


def downgrade() -> None:
    _make_reasons(20)
    op.drop_column("api", "overall_per_second")


def _make_reasons(length: int) -> None:
    # SQLite keeps texts of any length, whatever it was told, and would write each table anew.
    if op.get_context().dialect.name == "postgresql":
        for table in _REASONS:
            op.alter_column(table, "reason", type_=sa.String(length=length))
