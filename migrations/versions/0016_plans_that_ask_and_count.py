"""plans that ask and count"""

import re
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_DEFAULT = "fk__api__default_plan_id__plan"


# With defaults of the database's own: the release before this one still makes plans while this is upgraded.
def _of_plans() -> tuple[sa.Column[Any], ...]:
    return (
        _quota("quota_day"),
        _quota("quota_month"),
        sa.Column("approval", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("terms", sa.Text(), server_default="", nullable=False),
        sa.Column("price", sa.String(length=120), server_default="", nullable=False),
        sa.Column("public", sa.Boolean(), server_default=sa.true(), nullable=False),
    )


def _quota(name: str) -> sa.Column[Any]:
    positive = sa.CheckConstraint(f"{name} IS NULL OR {name} > 0", name=op.f(f"ck__plan__{name}_is_positive"))
    return sa.Column(name, sa.BigInteger(), positive, nullable=True)


def upgrade() -> None:
    for column in _of_plans():
        op.add_column("plan", column)
    op.create_table(
        "plan_team",
        sa.Column("plan_id", sa.Integer(), nullable=False),
        sa.Column("team_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["plan_id"], ["plan.id"], name=op.f("fk__plan_team__plan_id__plan"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["team_id"], ["team.id"], name=op.f("fk__plan_team__team_id__team"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("plan_id", "team_id", name=op.f("pk__plan_team")),
    )
    op.create_index(op.f("ix__plan_team__team_id"), "plan_team", ["team_id"])
    op.add_column("api", sa.Column("default_plan_id", sa.Integer(), nullable=True))
    if op.get_bind().dialect.name == "sqlite":
        _make_anew(f"CONSTRAINT {_DEFAULT} FOREIGN KEY(default_plan_id) REFERENCES plan (id) ON DELETE SET NULL")
    else:
        op.create_foreign_key(op.f(_DEFAULT), "api", "plan", ["default_plan_id"], ["id"], ondelete="SET NULL")
    op.create_index(op.f("ix__api__default_plan_id"), "api", ["default_plan_id"])
    op.create_table(
        "quota_use",
        sa.Column("subscription_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subscription_id", "day", name=op.f("pk__quota_use")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix__quota_use__day"), "quota_use", ["day"])
    op.create_table(
        "quota_notice",
        sa.Column("subscription_id", sa.Integer(), nullable=False),
        sa.Column("period", sa.String(length=5), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("percent", sa.SmallInteger(), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["subscription.id"],
            name=op.f("fk__quota_notice__subscription_id__subscription"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("subscription_id", "period", "starts_on", "percent", name=op.f("pk__quota_notice")),
        sqlite_with_rowid=False,
    )
    untold = sa.text("told_at IS NULL")
    op.create_index(
        "ix__quota_notice__untold", "quota_notice", ["starts_on"], sqlite_where=untold, postgresql_where=untold
    )


def downgrade() -> None:
    op.drop_table("quota_notice")
    op.drop_table("quota_use")
    op.drop_index(op.f("ix__api__default_plan_id"), "api")
    with op.batch_alter_table("api", table_kwargs={"sqlite_autoincrement": True}) as api:
        api.drop_constraint(op.f(_DEFAULT), type_="foreignkey")
        api.drop_column("default_plan_id")
    op.drop_table("plan_team")
    for column in reversed(_of_plans()):
        op.drop_column("plan", column.name)


def _make_anew(key: str) -> None:
    """SQLite cannot add a key to a table that there is: `api` is made anew from its own words."""
    db = op.get_bind()
    said = db.exec_driver_sql("SELECT type, sql FROM sqlite_master WHERE tbl_name = 'api' AND sql IS NOT NULL").all()
    words = next(sql for kind, sql in said if kind == "table").rstrip()
    words, named = re.subn(r'^CREATE TABLE "?api"?', "CREATE TABLE _new_api", words)
    if not (named and words.endswith(")")):
        raise RuntimeError("The table api is not as the revisions before have made it.")
    db.exec_driver_sql(f"{words[:-1]}, {key})")
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
