"""suspended consumers and used-up quotas"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("consumer", sa.Column("suspended_at", sa.DateTime(timezone=True)))
    op.add_column("subscription", sa.Column("blocked_until", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("subscription", "blocked_until")
    op.drop_column("consumer", "suspended_at")
