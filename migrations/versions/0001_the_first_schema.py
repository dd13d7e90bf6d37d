"""the first schema"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    op.create_table(
        "call",
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("request_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("api_id", sa.Integer(), nullable=True),
        sa.Column("release", sa.Integer(), nullable=True),
        sa.Column("consumer_id", sa.Integer(), nullable=True),
        sa.Column("subscription_id", sa.Integer(), nullable=True),
        sa.Column("key_id", sa.Integer(), nullable=True),
        sa.Column("plan_id", sa.Integer(), nullable=True),
        sa.Column("method", sa.String(length=20), nullable=True),
        sa.Column("host", sa.String(length=255), nullable=True),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("flags", sa.String(length=60), nullable=True),
        sa.Column("details", sa.String(length=200), nullable=True),
        sa.Column("bytes_in", sa.BigInteger(), nullable=False),
        sa.Column("bytes_out", sa.BigInteger(), nullable=False),
        sa.Column("total_us", sa.BigInteger(), nullable=True),
        sa.Column("upstream_us", sa.BigInteger(), nullable=True),
        sa.Column("address", sa.String(length=45), nullable=True),
        sa.Column("user_agent", sa.String(length=300), nullable=True),
        sa.Column("target", sa.String(length=100), nullable=True),
        sa.Column("attempts", sa.SmallInteger(), nullable=True),
        sa.Column("trace_id", sa.LargeBinary(length=16), nullable=True),
        sa.Column("client_request_id", sa.String(length=100), nullable=True),
        sa.Column("node", sa.String(length=253), nullable=False),
        sa.Column("source", sa.String(length=10), nullable=False),
        sa.PrimaryKeyConstraint("at", "id", name="pk__call"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix__call__api_id_at", "call", ["api_id", "at"])
    op.create_index(
        "ix__call__at__failures",
        "call",
        ["at"],
        unique=False,
        sqlite_where=sa.text("status >= 400"),
        postgresql_where=sa.text("status >= 400"),
    )
    op.create_index("ix__call__consumer_id_at", "call", ["consumer_id", "at"])
    op.create_index("ix__call__key_id_at", "call", ["key_id", "at"])
    op.create_table(
        "calls_by_consumer",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("consumer_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("api_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("status", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("bytes_in", sa.BigInteger(), nullable=False),
        sa.Column("bytes_out", sa.BigInteger(), nullable=False),
        sa.Column("latency", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(
            "level", "at", "consumer_id", "api_id", "status", "reason", name="pk__calls_by_consumer"
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "calls_by_key",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("status", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("bytes_in", sa.BigInteger(), nullable=False),
        sa.Column("bytes_out", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("level", "at", "key_id", "status", "reason", name="pk__calls_by_key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "calls_by_operation",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("api_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("operation", sa.String(length=63), nullable=False),
        sa.Column("status", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("bytes_in", sa.BigInteger(), nullable=False),
        sa.Column("bytes_out", sa.BigInteger(), nullable=False),
        sa.Column("latency", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(
            "level", "at", "api_id", "operation", "status", "reason", name="pk__calls_by_operation"
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "calls_in_all",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("status", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("bytes_in", sa.BigInteger(), nullable=False),
        sa.Column("bytes_out", sa.BigInteger(), nullable=False),
        sa.Column("latency", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "at", "status", "reason", name="pk__calls_in_all"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "job",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=50), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("every", sa.Integer(), nullable=True),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("claimed_by", sa.String(length=300), nullable=True),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk__job"),
    )
    op.create_index(
        "ix__job__run_at__open",
        "job",
        ["run_at"],
        unique=False,
        sqlite_where=sa.text("failed_at IS NULL"),
        postgresql_where=sa.text("failed_at IS NULL"),
    )
    op.create_index(
        "uq__job__kind__periodic",
        "job",
        ["kind"],
        unique=True,
        sqlite_where=sa.text("every IS NOT NULL"),
        postgresql_where=sa.text("every IS NOT NULL"),
    )
    op.create_table(
        "log_position",
        sa.Column("node", sa.String(length=253), nullable=False),
        sa.Column("file", sa.String(length=50), nullable=False),
        sa.Column("head", sa.LargeBinary(length=32), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node", "file", name="pk__log_position"),
    )
    op.create_table(
        "misread_line",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("node", sa.String(length=253), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("line", sa.LargeBinary(), nullable=False),
        sa.Column("error", sa.String(length=200), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk__misread_line"),
    )
    op.create_index("ix__misread_line__at", "misread_line", ["at"])
    op.create_table(
        "node",
        sa.Column("name", sa.String(length=253), nullable=False),
        sa.Column("instance_id", sa.String(length=36), nullable=False),
        sa.Column("envoy_version", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("problems", sa.JSON(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("publish_ms", sa.Integer(), nullable=True),
        sa.Column("log_waiting", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk__node"),
    )
    op.create_table(
        "person",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("password", sa.String(length=255), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("fs_uniquifier", sa.String(length=64), nullable=False),
        sa.Column("is_administrator", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk__person"),
        sa.UniqueConstraint("email", name="uq__person__email"),
        sa.UniqueConstraint("fs_uniquifier", name="uq__person__fs_uniquifier"),
    )
    op.create_table(
        "revision",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.CheckConstraint("id = 1", name="ck__revision__one_row"),
        sa.PrimaryKeyConstraint("id", name="pk__revision"),
    )
    op.create_table(
        "throttle",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("free_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk__throttle"),
    )
    op.create_index("ix__throttle__at", "throttle", ["at"])
    op.create_table(
        "team",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("slug", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=True),
        sa.Column("may_publish", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("person_id IS NULL OR NOT may_publish", name="ck__team__personal_team_does_not_publish"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk__team__person_id__person"),
        sa.PrimaryKeyConstraint("id", name="pk__team"),
        sa.UniqueConstraint("person_id", name="uq__team__person_id"),
        sa.UniqueConstraint("slug", name="uq__team__slug"),
    )
    live_release = sa.ForeignKeyConstraint(
        ["live_release_id"], ["release.id"], name="fk__api__live_release_id__release"
    )
    op.create_table(
        "api",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team_id", sa.Integer(), nullable=False),
        sa.Column("slug", sa.String(length=63), nullable=False),
        sa.Column("version", sa.String(length=30), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("draft", sa.JSON(), nullable=False),
        sa.Column("draft_number", sa.Integer(), nullable=False),
        sa.Column("draft_changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("draft_changed_by_id", sa.Integer(), nullable=True),
        sa.Column("live_release_id", sa.Integer(), nullable=True),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["draft_changed_by_id"],
            ["person.id"],
            name="fk__api__draft_changed_by_id__person",
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name="fk__api__team_id__team"),
        # APIs and releases refer to each other. SQLite takes that at once and could not add it later.
        *([live_release] if sqlite else []),
        sa.PrimaryKeyConstraint("id", name="pk__api"),
        sa.UniqueConstraint("team_id", "slug", "version", name="uq__api__team_id_slug_version"),
    )
    op.create_table(
        "consumer",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(length=20), nullable=False),
        sa.Column("team_id", sa.Integer(), nullable=False),
        sa.Column("slug", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name="fk__consumer__team_id__team"),
        sa.PrimaryKeyConstraint("id", name="pk__consumer"),
        sa.UniqueConstraint("public_id", name="uq__consumer__public_id"),
        sa.UniqueConstraint("team_id", "slug", name="uq__consumer__team_id_slug"),
    )
    op.create_table(
        "membership",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team_id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column(
            "role",
            sa.Enum("developer", "publisher", "owner", name="role", native_enum=False, length=12),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name="fk__membership__person_id__person", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name="fk__membership__team_id__team", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk__membership"),
        sa.UniqueConstraint("team_id", "person_id", name="uq__membership__team_id_person_id"),
    )
    op.create_index("ix__membership__person_id", "membership", ["person_id"])
    op.create_table(
        "plan",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team_id", sa.Integer(), nullable=False),
        sa.Column("slug", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("per_second", sa.Integer(), nullable=True),
        sa.Column("per_second_burst", sa.Integer(), nullable=True),
        sa.Column("per_minute", sa.Integer(), nullable=True),
        sa.Column("per_minute_burst", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("per_minute IS NULL OR per_minute > 0", name="ck__plan__per_minute_is_positive"),
        sa.CheckConstraint("per_second IS NULL OR per_second > 0", name="ck__plan__per_second_is_positive"),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name="fk__plan__team_id__team"),
        sa.PrimaryKeyConstraint("id", name="pk__plan"),
        sa.UniqueConstraint("team_id", "slug", name="uq__plan__team_id_slug"),
    )
    op.create_table(
        "api_plan",
        sa.Column("api_id", sa.Integer(), nullable=False),
        sa.Column("plan_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["api_id"], ["api.id"], name="fk__api_plan__api_id__api", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["plan_id"], ["plan.id"], name="fk__api_plan__plan_id__plan", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("api_id", "plan_id", name="pk__api_plan"),
    )
    op.create_index("ix__api_plan__plan_id", "api_plan", ["plan_id"])
    op.create_table(
        "key",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(length=12), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("consumer_id", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(length=80), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by_id", sa.Integer(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["consumer_id"], ["consumer.id"], name="fk__key__consumer_id__consumer", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["created_by_id"], ["person.id"], name="fk__key__created_by_id__person", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name="pk__key"),
        sa.UniqueConstraint("public_id", name="uq__key__public_id"),
        sa.UniqueConstraint("sha256", name="uq__key__sha256"),
    )
    op.create_index("ix__key__consumer_id", "key", ["consumer_id"])
    op.create_table(
        "mount",
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("path", sa.String(length=200), nullable=False),
        sa.Column("api_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["api_id"], ["api.id"], name="fk__mount__api_id__api", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("host", "path", name="pk__mount"),
    )
    op.create_index("ix__mount__api_id", "mount", ["api_id"])
    op.create_table(
        "release",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("api_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_by_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["api_id"], ["api.id"], name="fk__release__api_id__api", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["published_by_id"], ["person.id"], name="fk__release__published_by_id__person", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name="pk__release"),
        sa.UniqueConstraint("api_id", "number", name="uq__release__api_id_number"),
    )
    op.create_table(
        "sample",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("team_id", sa.Integer(), nullable=True),
        sa.Column("api_id", sa.Integer(), nullable=True),
        sa.Column("plan_id", sa.Integer(), nullable=True),
        sa.Column("consumer_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("id = 1", name="ck__sample__one_row"),
        sa.ForeignKeyConstraint(["api_id"], ["api.id"], name="fk__sample__api_id__api", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(
            ["consumer_id"], ["consumer.id"], name="fk__sample__consumer_id__consumer", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["plan_id"], ["plan.id"], name="fk__sample__plan_id__plan", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name="fk__sample__team_id__team", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk__sample"),
    )
    op.create_table(
        "subscription",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("consumer_id", sa.Integer(), nullable=False),
        sa.Column("api_id", sa.Integer(), nullable=False),
        sa.Column("plan_id", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum("approved", "ended", name="subscriptionstate", native_enum=False, length=12),
            nullable=False,
        ),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["api_id"], ["api.id"], name="fk__subscription__api_id__api", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["consumer_id"], ["consumer.id"], name="fk__subscription__consumer_id__consumer", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["created_by_id"], ["person.id"], name="fk__subscription__created_by_id__person", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["plan_id"], ["plan.id"], name="fk__subscription__plan_id__plan"),
        sa.PrimaryKeyConstraint("id", name="pk__subscription"),
    )
    op.create_index("ix__subscription__api_id", "subscription", ["api_id"])
    op.create_index("ix__subscription__plan_id", "subscription", ["plan_id"])
    op.create_index(
        "uq__subscription__consumer_id_api_id__current",
        "subscription",
        ["consumer_id", "api_id"],
        unique=True,
        sqlite_where=sa.text("state != 'ended'"),
        postgresql_where=sa.text("state != 'ended'"),
    )
    if not sqlite:
        op.create_foreign_key("fk__api__live_release_id__release", "api", "release", ["live_release_id"], ["id"])
    op.execute("INSERT INTO revision (id, n) VALUES (1, 0)")


def downgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint("fk__api__live_release_id__release", "api")
    op.drop_index(
        "uq__subscription__consumer_id_api_id__current",
        table_name="subscription",
        sqlite_where=sa.text("state != 'ended'"),
        postgresql_where=sa.text("state != 'ended'"),
    )
    op.drop_index("ix__subscription__plan_id", table_name="subscription")
    op.drop_index("ix__subscription__api_id", table_name="subscription")
    op.drop_table("subscription")
    op.drop_table("sample")
    op.drop_table("release")
    op.drop_index("ix__mount__api_id", table_name="mount")
    op.drop_table("mount")
    op.drop_index("ix__key__consumer_id", table_name="key")
    op.drop_table("key")
    op.drop_index("ix__api_plan__plan_id", table_name="api_plan")
    op.drop_table("api_plan")
    op.drop_table("plan")
    op.drop_index("ix__membership__person_id", table_name="membership")
    op.drop_table("membership")
    op.drop_table("consumer")
    op.drop_table("api")
    op.drop_table("team")
    op.drop_index("ix__throttle__at", table_name="throttle")
    op.drop_table("throttle")
    op.drop_table("revision")
    op.drop_table("person")
    op.drop_table("node")
    op.drop_index("ix__misread_line__at", table_name="misread_line")
    op.drop_table("misread_line")
    op.drop_table("log_position")
    op.drop_index(
        "uq__job__kind__periodic",
        table_name="job",
        sqlite_where=sa.text("every IS NOT NULL"),
        postgresql_where=sa.text("every IS NOT NULL"),
    )
    op.drop_index(
        "ix__job__run_at__open",
        table_name="job",
        sqlite_where=sa.text("failed_at IS NULL"),
        postgresql_where=sa.text("failed_at IS NULL"),
    )
    op.drop_table("job")
    op.drop_table("calls_in_all")
    op.drop_table("calls_by_operation")
    op.drop_table("calls_by_key")
    op.drop_table("calls_by_consumer")
    op.drop_index("ix__call__key_id_at", table_name="call")
    op.drop_index("ix__call__consumer_id_at", table_name="call")
    op.drop_index(
        "ix__call__at__failures",
        table_name="call",
        sqlite_where=sa.text("status >= 400"),
        postgresql_where=sa.text("status >= 400"),
    )
    op.drop_index("ix__call__api_id_at", table_name="call")
    op.drop_table("call")
