"""what APIs say of themselves, who may see them, and how they end"""

import re
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


# With defaults of the database's own: the release before this one still makes APIs while this is upgraded.
def _of_apis() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("visibility", sa.String(length=12), server_default="signed_in", nullable=False),
        sa.Column("deprecated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sunset_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deprecation_message", sa.Text(), server_default="", nullable=False),
        sa.Column("closed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
    )


def upgrade() -> None:
    op.create_table(
        "category",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("slug", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk__category")),
        sa.UniqueConstraint("slug", name=op.f("uq__category__slug")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "openapi_document",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("operation_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk__openapi_document")),
    )
    op.create_table(
        "openapi_part",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sha256"],
            ["openapi_document.sha256"],
            name=op.f("fk__openapi_part__sha256__openapi_document"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("sha256", "name", name=op.f("pk__openapi_part")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "operation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("method", sa.String(length=20), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("deprecated", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sha256"],
            ["openapi_document.sha256"],
            name=op.f("fk__operation__sha256__openapi_document"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk__operation")),
        sa.UniqueConstraint("sha256", "name", name=op.f("uq__operation__sha256_name")),
    )
    op.create_index("ix__operation__sha256_position", "operation", ["sha256", "position"])
    op.create_table(
        "api_viewer",
        sa.Column("api_id", sa.Integer(), nullable=False),
        sa.Column("team_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["api_id"], ["api.id"], name=op.f("fk__api_viewer__api_id__api"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["team_id"], ["team.id"], name=op.f("fk__api_viewer__team_id__team"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("api_id", "team_id", name=op.f("pk__api_viewer")),
    )
    op.create_index(op.f("ix__api_viewer__team_id"), "api_viewer", ["team_id"])
    op.add_column("release", sa.Column("copy_of", sa.Integer(), nullable=True))
    for column in _of_apis():
        op.add_column("api", column)
    _refer({"successor_id": "api", "category_id": "category"})
    op.create_index(op.f("ix__api__category_id"), "api", ["category_id"])


def downgrade() -> None:
    op.drop_index(op.f("ix__api__category_id"), "api")
    with op.batch_alter_table("api", table_kwargs={"sqlite_autoincrement": True}) as api:
        for name, to in (("category_id", "category"), ("successor_id", "api")):
            api.drop_constraint(op.f(f"fk__api__{name}__{to}"), type_="foreignkey")
            api.drop_column(name)
    for column in reversed(_of_apis()):
        op.drop_column("api", column.name)
    op.drop_column("release", "copy_of")
    for table in ("api_viewer", "operation", "openapi_part", "openapi_document", "category"):
        op.drop_table(table)


def _refer(columns: dict[str, str]) -> None:
    """Columns with foreign keys. SQLite cannot add a key to a table: it is made anew from its own words."""
    for name in columns:
        op.add_column("api", sa.Column(name, sa.Integer(), nullable=True))
    keys = {name: op.f(f"fk__api__{name}__{to}") for name, to in columns.items()}
    db = op.get_bind()
    if db.dialect.name != "sqlite":
        for name, to in columns.items():
            op.create_foreign_key(keys[name], "api", to, [name], ["id"], ondelete="SET NULL")
        return
    said = db.exec_driver_sql("SELECT type, sql FROM sqlite_master WHERE tbl_name = 'api' AND sql IS NOT NULL").all()
    words = next(sql for kind, sql in said if kind == "table").rstrip()
    added = "".join(
        f", CONSTRAINT {keys[name]} FOREIGN KEY({name}) REFERENCES {to} (id) ON DELETE SET NULL"
        for name, to in columns.items()
    )
    words, named = re.subn(r'^CREATE TABLE "?api"?', "CREATE TABLE _new_api", words)
    if not (named and words.endswith(")")):
        raise RuntimeError("The table api is not as the revisions before have made it.")
    db.exec_driver_sql(f"{words[:-1]}{added})")
    names = ", ".join(f'"{row[1]}"' for row in db.exec_driver_sql("PRAGMA table_info(api)"))
    db.exec_driver_sql(f"INSERT INTO _new_api ({names}) SELECT {names} FROM api")
    last = db.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'api'").scalar()
    db.exec_driver_sql("DROP TABLE api")
    db.exec_driver_sql("ALTER TABLE _new_api RENAME TO api")
    if last is not None:
        db.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = 'api'")
        db.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES ('api', ?)", (last,))
    for kind, sql in said:
        if kind != "table":
            db.exec_driver_sql(sql)
