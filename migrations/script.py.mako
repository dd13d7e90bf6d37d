"""${message}

Safe under the previous release's code: it still runs while this is applied. So: add a column as nullable or with a
server default, drop one a release after its last reader went, rename by adding and copying. Schema and data in
revisions of their own. Take these three sentences out when you have made sure.
"""

import sqlalchemy as sa
from alembic import op
${imports + "\n" if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
