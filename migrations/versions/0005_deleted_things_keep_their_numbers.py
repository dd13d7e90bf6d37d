"""deleted things keep their numbers to themselves, people can be deleted, entries of the trail know their team

SQLite gives the number of the newest row again once that row is deleted, and then calls and entries of a deleted
consumer would be told of the next one. AUTOINCREMENT never does; PostgreSQL's sequences never did.
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TABLES = ("team", "membership", "api", "release", "plan", "consumer", "subscription", "key")
_COUNTED = {
    "api": (("call", "api_id"), ("calls_by_operation", "api_id"), ("calls_by_consumer", "api_id")),
    "consumer": (("call", "consumer_id"), ("calls_by_consumer", "consumer_id")),
    "key": (("call", "key_id"), ("calls_by_key", "key_id")),
    "plan": (("call", "plan_id"),),
    "subscription": (("call", "subscription_id"),),
}
"""Where numbers of rows that are deleted already still stand."""


def upgrade() -> None:
    op.add_column("audit_entry", sa.Column("team_id", sa.Integer(), nullable=True))
    op.add_column("person", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(op.f("ix__audit_entry__team_id"), "audit_entry", ["team_id"])
    if op.get_bind().dialect.name == "sqlite":
        for table in _TABLES:
            _replace(table, r"id INTEGER NOT NULL(?: PRIMARY KEY)?", "id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT")
        for table in _TABLES:
            _go_on_after(table)


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for table in _TABLES:
            _replace(table, "id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT", "id INTEGER NOT NULL PRIMARY KEY")
    op.drop_index(op.f("ix__audit_entry__team_id"), "audit_entry")
    op.drop_column("audit_entry", "team_id")
    op.drop_column("person", "deleted_at")


def _replace(table: str, column: str, by: str) -> None:
    """Make the table anew from its own words (https://www.sqlite.org/lang_altertable.html, section 7).

    Alembic's batch mode would lose the CHECK constraints, which it cannot read back.
    """
    db = op.get_bind()
    chosen = "SELECT type, sql FROM sqlite_master WHERE tbl_name = :table AND sql IS NOT NULL"
    said = db.execute(sa.text(chosen), {"table": table}).all()
    words = next(sql for kind, sql in said if kind == "table")
    words = re.sub(rf",\s*CONSTRAINT pk__{table} PRIMARY KEY \(id\)", "", words)
    words, changed = re.subn(rf"\b{column}\b", by, words, count=1)
    words, named = re.subn(rf'^CREATE TABLE "?{table}"?', f"CREATE TABLE _new_{table}", words)
    if not (changed and named):
        raise RuntimeError(f"The table {table} is not as the revisions before have made it.")
    db.exec_driver_sql(words)
    columns = ", ".join(f'"{row[1]}"' for row in db.exec_driver_sql(f"PRAGMA table_info({table})"))
    db.exec_driver_sql(f"INSERT INTO _new_{table} ({columns}) SELECT {columns} FROM {table}")
    db.exec_driver_sql(f"DROP TABLE {table}")
    db.exec_driver_sql(f"ALTER TABLE _new_{table} RENAME TO {table}")
    for kind, sql in said:
        if kind != "table":
            db.exec_driver_sql(sql)


def _go_on_after(table: str) -> None:
    """The next number is beyond all that were ever written down."""
    db = op.get_bind()
    highest = [db.exec_driver_sql(f"SELECT max(id) FROM {table}").scalar()]
    highest += [db.exec_driver_sql(f"SELECT max({id}) FROM {where}").scalar() for where, id in _COUNTED.get(table, ())]
    told = sa.text("SELECT max(thing_id) FROM audit_entry WHERE kind = :kind")
    highest.append(db.execute(told, {"kind": table}).scalar())
    last = max((each for each in highest if each is not None), default=0)
    db.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
    db.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, last))
