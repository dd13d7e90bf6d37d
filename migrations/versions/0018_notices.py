"""notices"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def _moment(name: str, *, nullable: bool = True) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _refers(table: str, to: str, *, ondelete: str = "CASCADE", name: str = "") -> sa.ForeignKeyConstraint:
    column = name or f"{to}_id"
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=f"fk__{table}__{column}__{to}", ondelete=ondelete)


def upgrade() -> None:
    op.create_table(
        "notice",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(length=36), nullable=False),
        sa.Column("event", sa.String(length=50), nullable=False),
        sa.Column("team_id", sa.Integer()),
        sa.Column("person_id", sa.Integer()),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("link", sa.String(length=500), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        _moment("created_at", nullable=False),
        _moment("spread_at"),
        sa.CheckConstraint("(team_id IS NULL) <> (person_id IS NULL)", name=op.f("ck__notice__told_to_one")),
        _refers("notice", "team"),
        _refers("notice", "person"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk__notice")),
        sa.UniqueConstraint("public_id", name=op.f("uq__notice__public_id")),
    )
    op.create_index(op.f("ix__notice__team_id"), "notice", ["team_id"])
    op.create_index(op.f("ix__notice__person_id"), "notice", ["person_id"])
    op.create_index(op.f("ix__notice__created_at"), "notice", ["created_at"])

    op.create_table(
        "notice_copy",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("notice_id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        _moment("read_at"),
        _refers("notice_copy", "notice"),
        _refers("notice_copy", "person"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk__notice_copy")),
        sa.UniqueConstraint("notice_id", "person_id", name=op.f("uq__notice_copy__notice_id_person_id")),
    )
    op.create_index("ix__notice_copy__person_id_id", "notice_copy", ["person_id", "id"])
    op.create_index(
        "ix__notice_copy__person_id__unread",
        "notice_copy",
        ["person_id"],
        sqlite_where=sa.text("read_at IS NULL"),
        postgresql_where=sa.text("read_at IS NULL"),
    )

    op.create_table(
        "notice_choice",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("event", sa.String(length=50), nullable=False),
        sa.Column("way", sa.String(length=12), nullable=False),
        sa.Column("wanted", sa.Boolean(), nullable=False),
        _refers("notice_choice", "person"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk__notice_choice")),
        sa.UniqueConstraint("person_id", "event", "way", name=op.f("uq__notice_choice__person_id_event_way")),
    )

    op.create_table(
        "channel",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("shown", sa.String(length=300), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        _moment("before_until"),
        _moment("paused_at"),
        _moment("created_at", nullable=False),
        sa.Column("created_by_id", sa.Integer()),
        _refers("channel", "team"),
        _refers("channel", "person", ondelete="SET NULL", name="created_by_id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk__channel")),
        sa.UniqueConstraint("team_id", "name", name=op.f("uq__channel__team_id_name")),
        sqlite_autoincrement=True,
    )

    op.create_table(
        "receiver",
        sa.Column("channel_id", sa.Integer(), nullable=False),
        _moment("due_at"),
        _moment("blocked_until"),
        sa.Column("claimed_by", sa.String(length=300)),
        _moment("claimed_until"),
        sa.Column("failures", sa.Integer(), nullable=False),
        _moment("failing_since"),
        _moment("told_at"),
        _moment("delivered_at"),
        _refers("receiver", "channel"),
        sa.PrimaryKeyConstraint("channel_id", name=op.f("pk__receiver")),
    )
    op.create_index(op.f("ix__receiver__due_at"), "receiver", ["due_at"])

    op.create_table(
        "delivery",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.String(length=36), nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("notice_id", sa.Integer()),
        sa.Column("event", sa.String(length=50), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        _moment("waiting_since", nullable=False),
        _moment("next_at", nullable=False),
        _moment("created_at", nullable=False),
        _moment("finished_at"),
        _refers("delivery", "channel"),
        _refers("delivery", "notice", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk__delivery")),
        sa.UniqueConstraint("channel_id", "message_id", name=op.f("uq__delivery__channel_id_message_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix__delivery__channel_id_id", "delivery", ["channel_id", "id"])
    op.create_index(op.f("ix__delivery__notice_id"), "delivery", ["notice_id"])
    op.create_index(op.f("ix__delivery__created_at"), "delivery", ["created_at"])
    op.create_index(
        "ix__delivery__channel_id_next_at__waiting",
        "delivery",
        ["channel_id", "next_at"],
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )

    op.create_table(
        "delivery_attempt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("delivery_id", sa.Integer(), nullable=False),
        _moment("at", nullable=False),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        _refers("delivery_attempt", "delivery"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk__delivery_attempt")),
    )
    op.create_index(op.f("ix__delivery_attempt__delivery_id"), "delivery_attempt", ["delivery_id"])


def downgrade() -> None:
    for table in ("delivery_attempt", "delivery", "receiver", "channel", "notice_choice", "notice_copy", "notice"):
        op.drop_table(table)
