"""what published APIs are found by"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


# The tables are filled from the releases by the worker, or by `flask search reindex`: the words that are made of texts
# change with the program, and what is looked for must be cut as what was indexed.
def upgrade() -> None:
    op.create_table(
        "catalogue_entry",
        sa.Column("api_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("release_id", sa.Integer(), nullable=False),
        sa.Column("made_by", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=80), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("openapi", sa.String(length=64), nullable=True),
        sa.Column("words", sa.Text().with_variant(TSVECTOR(), "postgresql"), nullable=True),
        sa.ForeignKeyConstraint(
            ["api_id"], ["api.id"], name=op.f("fk__catalogue_entry__api_id__api"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("api_id", name=op.f("pk__catalogue_entry")),
    )
    op.create_table(
        "catalogue_operation",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sha256"],
            ["openapi_document.sha256"],
            name=op.f("fk__catalogue_operation__sha256__openapi_document"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("sha256", "position", name=op.f("pk__catalogue_operation")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix__catalogue_entry__words", "catalogue_entry", ["words"], postgresql_using="gin")
    op.create_index(
        "ix__subscription__api_id__current",
        "subscription",
        ["api_id", "consumer_id"],
        sqlite_where=sa.text("state != 'ended'"),
        postgresql_where=sa.text("state != 'ended'"),
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE VIRTUAL TABLE catalogue_word USING fts5(name, labels, text, operations, "
            "tokenize='ascii', detail='column', columnsize=0, prefix='1 2 3 4')"
        )
        op.execute(
            "CREATE TRIGGER catalogue_word_goes AFTER DELETE ON catalogue_entry "
            "BEGIN DELETE FROM catalogue_word WHERE rowid = old.api_id; END"
        )


def downgrade() -> None:
    op.drop_index("ix__subscription__api_id__current", "subscription")
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE catalogue_word")
    op.drop_table("catalogue_entry")
    op.drop_table("catalogue_operation")
