"""where addresses of imports lead"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # With a default of the database's own: the release before this one still brings imports while this is upgraded.
    op.add_column("api_import", sa.Column("led_to", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("api_import", "led_to")
