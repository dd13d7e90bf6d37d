"""Revisions: they make what the models say, keep what is stored, and fail as a whole."""

import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, column, create_engine, insert, inspect, select, table, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

import portal
from portal import migrate, schema
from portal.accounts import Person
from portal.db import Base, engine_options, engine_url
from portal.errors import Conflict
from portal.registry.models import Api, Import, Key, KeyKind, Mount, Plan, Subscription, Visibility
from tests import factories

MIGRATIONS = Path(__file__).parent.parent / "migrations"
VERSIONS = sorted((MIGRATIONS / "versions").glob("*.py"))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A database with nothing in it."""
    if request.param == "sqlite":
        address = engine_url(f"sqlite:///{tmp_path / 'empty.sqlite3'}")
    else:
        address = engine_url(request.getfixturevalue("postgres_url"))
    engine = create_engine(address, **engine_options(address))
    yield engine
    engine.dispose()


class TestUpgrade:
    def test_migrated_tables_are_those_of_the_models(self, empty):
        done = migrate.upgrade(empty)

        assert len(done) == len(VERSIONS)
        assert migrate.differences(empty, schema.metadata) == []
        assert migrate.pending(empty) == []
        assert migrate.upgrade(empty) == []

    def test_there_is_one_revision_row_from_the_start(self, empty):
        migrate.upgrade(empty)

        with empty.connect() as connection:
            assert connection.execute(text("SELECT id, n FROM revision")).all() == [(1, 0)]

    def test_foreign_keys_are_those_of_the_models(self, empty):
        # SQLite's tables are made with them, PostgreSQL's partly later: a cycle cannot be made at once.
        migrate.upgrade(empty)

        found = {
            (table, tuple(key["constrained_columns"]), key["referred_table"])
            for table in inspect(empty).get_table_names()
            for key in inspect(empty).get_foreign_keys(table)
        }
        wanted = {
            (table.name, tuple(constraint.column_keys), constraint.referred_table.name)
            for table in schema.metadata.tables.values()
            for constraint in table.foreign_key_constraints
        }
        assert found == wanted

    def test_numbers_of_deleted_things_are_not_given_again(self, empty):
        migrate.upgrade(empty)
        with Session(empty) as session:
            team = factories.team(session)
            consumer = factories.consumer(session, team=team)
            key, _ = factories.key(session, consumer)
            gone = consumer.id, key.id
            session.delete(consumer)
            session.commit()
            consumer = factories.consumer(session, team=team)
            key, _ = factories.key(session, consumer)
            session.commit()

            assert consumer.id > gone[0]
            assert key.id > gone[1]

    def test_a_database_of_before_keeps_its_rows_and_rules_and_goes_on_after_its_calls(self, tmp_path):
        address = engine_url(f"sqlite:///{tmp_path / 'before.sqlite3'}")
        engine = create_engine(address, **engine_options(address))
        upgrade_to(engine, "0002")
        with engine.begin() as connection:
            for statement in BEFORE_0005:
                connection.execute(text(statement))

        migrate.upgrade(engine)

        with engine.connect() as connection:
            assert connection.execute(text("SELECT id, slug FROM team")).all() == [(3, "kept")]
            assert connection.execute(text("SELECT id, consumer_id FROM key")).all() == [(4, 5)]
            sequence = dict(connection.execute(text("SELECT name, seq FROM sqlite_sequence")).all())
        assert (sequence["consumer"], sequence["key"], sequence["team"]) == (5, 77, 3)
        for broken in ("UPDATE plan SET per_second = 0", "UPDATE consumer SET team_id = 404"):
            with engine.begin() as connection, pytest.raises(IntegrityError):
                connection.execute(text(broken))
        engine.dispose()

    def test_a_database_of_a_newer_release_is_refused(self, empty):
        migrate.upgrade(empty)
        with empty.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

        with pytest.raises(Conflict, match="revision 9999, which this release of Portico does not know"):
            migrate.pending(empty)


class TestWhatAPIsSay:
    def test_apis_of_before_are_as_they_were_and_the_release_before_goes_on(self, empty):
        upgrade_to(empty, "0007")
        with empty.begin() as connection:
            for statement in BEFORE_0008:
                connection.execute(text(statement), {"at": BEFORE["created_at"], "yes": True, "no": False})

        migrate.upgrade(empty)

        with Session(empty) as session:
            api = session.get_one(Api, 5)
            assert (api.label, api.state, api.visibility) == ("kept/orders/v1", "paused", Visibility.SIGNED_IN)
            assert (api.deprecated_at, api.closed, api.category, api.viewers) == (None, False, None, [])
            assert [(each.number, each.copy_of, each.document) for each in api.releases] == [(1, None, {"name": "It"})]
            assert [plan.slug for plan in api.plans] == ["gold"]
            assert session.scalars(select(Mount.path)).all() == ["/orders/v1"]
            assert session.scalars(select(Subscription.api_id)).all() == [5]
        with empty.begin() as connection:
            connection.execute(text(AN_API.format("77", "'later'")), {"at": BEFORE["created_at"], "no": False})
            connection.execute(text("DELETE FROM api WHERE id = 77"))
        if empty.dialect.name == "sqlite":
            with empty.begin() as connection:
                connection.execute(text(AN_API.format("NULL", "'last'")), {"at": BEFORE["created_at"], "no": False})
                assert connection.scalar(text("SELECT id FROM api WHERE slug = 'last'")) == 78
                assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
        for broken in (
            "UPDATE api SET successor_id = 404",
            "UPDATE api SET category_id = 404",
            "UPDATE release SET api_id = 404",
            "UPDATE api SET live_release_id = 404",
            "UPDATE mount SET api_id = 404",
        ):
            with empty.begin() as connection, pytest.raises(IntegrityError):
                connection.execute(text(broken))

    def test_numbers_of_apis_that_were_deleted_before_are_not_given_again(self, tmp_path):
        address = engine_url(f"sqlite:///{tmp_path / 'before.sqlite3'}")
        engine = create_engine(address, **engine_options(address))
        upgrade_to(engine, "0007")
        with engine.begin() as connection:
            for statement in (*BEFORE_0008, AN_API.format("90", "'gone'"), "DELETE FROM api WHERE id = 90"):
                connection.execute(text(statement), {"at": BEFORE["created_at"], "yes": True, "no": False})

        migrate.upgrade(engine)

        with engine.begin() as connection:
            connection.execute(text(AN_API.format("NULL", "'new'")), {"at": BEFORE["created_at"], "no": False})
            assert connection.scalar(text("SELECT id FROM api WHERE slug = 'new'")) == 91
        engine.dispose()


AN_API = (
    "INSERT INTO api (id, team_id, slug, version, name, draft, draft_number, draft_changed_at, paused, created_at)"
    " VALUES ({}, 3, {}, 'v1', 'It', '{{}}', 1, :at, :no, :at)"
)
"""As the release before 0008 makes one, which may still run."""
BEFORE_0008 = (
    "INSERT INTO team (id, slug, name, may_publish, created_at) VALUES (3, 'kept', 'Kept', :yes, :at)",
    "INSERT INTO plan (id, team_id, slug, name, description, per_second, created_at)"
    " VALUES (1, 3, 'gold', 'Gold', '', 5, :at)",
    "INSERT INTO consumer (id, public_id, team_id, slug, name, description, created_at)"
    " VALUES (5, 'con_a', 3, 'shop', 'Shop', '', :at)",
    AN_API.format("5", "'orders'"),
    "INSERT INTO release (id, api_id, number, document, note, published_at)"
    " VALUES (8, 5, 1, '{\"name\": \"It\"}', '', :at)",
    "UPDATE api SET live_release_id = 8, paused = :yes",
    "INSERT INTO mount (host, path, api_id) VALUES ('*', '/orders/v1', 5)",
    "INSERT INTO api_plan (api_id, plan_id) VALUES (5, 1)",
    "INSERT INTO subscription (id, consumer_id, api_id, plan_id, state, starts_at)"
    " VALUES (2, 5, 5, 1, 'approved', :at)",
)


class TestSubscriptionsThatAreAskedFor:
    def test_those_of_before_go_on_and_a_consumer_may_ask_again_after_a_rejection(self, empty):
        upgrade_to(empty, "0014")
        with empty.begin() as connection:
            for statement in BEFORE_0008:
                connection.execute(text(statement), {"at": BEFORE["created_at"], "yes": True, "no": False})

        migrate.upgrade(empty)

        with Session(empty) as session:
            (use,) = session.scalars(select(Subscription))
            assert (use.state, use.approved_until, use.noticed_at, use.approvals) == ("approved", None, None, [])
            assert (use.consumer.contacts, use.consumer.attributes) == ([], {})
        again = "INSERT INTO subscription (consumer_id, api_id, plan_id, state, starts_at) VALUES (5, 5, 1, '{}', :at)"
        for state in ("approved", "pending"):
            with empty.begin() as connection, pytest.raises(IntegrityError):
                connection.execute(text(again.format(state)), {"at": BEFORE["created_at"]})
        with empty.begin() as connection:
            connection.execute(text("UPDATE subscription SET state = 'rejected'"))
            connection.execute(text(again.format("pending")), {"at": BEFORE["created_at"]})


class TestOperationsOfCalls:
    def test_calls_of_before_have_none_and_who_called_which_api_is_known(self, empty):
        upgrade_to(empty, "0008")
        now = int(datetime.now(UTC).timestamp())
        hour = now - now % 3_600
        yesterday = hour - 86_400
        with empty.begin() as connection:
            connection.execute(text(CALL_OF_BEFORE), {"at": now * 1_000_000, "id": b"x" * 16})
            for level, at, consumer, api, status, calls in [
                (3_600, hour, 5, 7, 200, 3),
                (3_600, yesterday, 5, 7, 200, 4),
                (3_600, yesterday, 5, 7, 404, 1),
                (3_600, yesterday, 0, 7, 401, 9),
                (3_600, yesterday, 5, 0, 404, 9),
                (3_600, hour - 40 * 86_400, 5, 7, 200, 9),
                (86_400, yesterday - yesterday % 86_400, 5, 7, 200, 9),
            ]:
                connection.execute(
                    text(
                        "INSERT INTO calls_by_consumer (level, at, consumer_id, api_id, status, reason, calls,"
                        " bytes_in, bytes_out, latency)"
                        " VALUES (:level, :at, :consumer, :api, :status, 'ok', :calls, 0, 0, :none)"
                    ),
                    {"level": level, "at": at, "consumer": consumer, "api": api, "status": status, "calls": calls}
                    | {"none": b""},
                )

        migrate.upgrade(empty)

        with empty.begin() as connection:
            connection.execute(text(CALL_OF_BEFORE), {"at": now * 1_000_000 + 1, "id": b"y" * 16})
            assert connection.execute(text("SELECT operation FROM call")).all() == [("",), ("",)]
            assert connection.execute(text("SELECT * FROM calls_by_consumer_operation ORDER BY at")).all() == [
                (yesterday - yesterday % 86_400, 7, "", 5, 5, yesterday),
                (hour - hour % 86_400, 7, "", 5, 3, hour),
            ]


class TestWhatKeysMayDo:
    def test_keys_of_before_may_do_everything_and_when_they_were_used_is_known(self, empty):
        upgrade_to(empty, "0014")
        at = BEFORE["created_at"]
        day = 1_779_000_000 - 1_779_000_000 % 86_400
        with empty.begin() as connection:
            for statement in (*BEFORE_0008, "UPDATE api SET live_release_id = NULL"):
                connection.execute(text(statement), {"at": at, "yes": True, "no": False})
            for number in (1, 2, 3):
                connection.execute(text(KEY_OF_BEFORE), {"id": number, "name": f"k{number}", "hash": bytes([number])})
            connection.execute(
                text(CALL_OF_BEFORE.replace("(at,", "(key_id, at,").replace("(:at", "(1, :at")),
                {"at": 1_779_000_123_456_789, "id": b"x" * 16},
            )
            for key in (1, 2, 77):
                connection.execute(
                    text(
                        "INSERT INTO calls_by_key (level, at, key_id, status, reason, calls, bytes_in, bytes_out)"
                        " VALUES (86400, :at, :key, 200, 'ok', 1, 1, 1)"
                    ),
                    {"at": day, "key": key},
                )

        migrate.upgrade(empty)

        with empty.begin() as connection:
            connection.execute(text(KEY_OF_BEFORE), {"id": 4, "name": "k4", "hash": b"4"})
            used = connection.execute(text("SELECT key_id, last_at FROM key_use ORDER BY key_id")).all()
        assert used == [(1, 1_779_000_123_456_789), (2, day * 1_000_000)]
        with Session(empty) as session:
            keys = session.scalars(select(Key).order_by(Key.id)).all()
            assert [(key.read_only, key.addresses, key.predecessor_id, key.leaked) for key in keys] == [
                (False, [], None, False)
            ] * 4
            assert not any(key.chosen_subscriptions or key.chosen_operations for key in keys)
            # A key has one successor that lives.
            keys[1].predecessor_id = keys[2].predecessor_id = 1
            keys[1].revoked_at = at
            session.flush()
            keys[3].predecessor_id = 1
            with pytest.raises(IntegrityError):
                session.flush()


KEY_OF_BEFORE = (
    'INSERT INTO "key" (id, public_id, sha256, consumer_id, label, created_at)'
    " VALUES (:id, :name, :hash, 5, '', '2026-11-01 10:00:00+00:00')"
)
"""As the release before 0017 issues one, which may still run."""
CALL_OF_BEFORE = """INSERT INTO call (at, id, request_id, status, reason, bytes_in, bytes_out, node, source)
    VALUES (:at, 1, :id, 200, 'ok', 0, 0, 'one', 'gateway')"""
"""As the release before stores it, which may still run."""

BEFORE = {
    "id": 1,
    "email": "mika@portico.example",
    "name": "Mika",
    "password": "!",
    "active": True,
    "fs_uniquifier": "u" * 32,
    "is_administrator": False,
    "created_at": datetime(2026, 5, 17, 12, tzinfo=UTC),
}
"""A person as the first release knew them."""


class TestAddressesOfImports:
    def test_those_of_before_led_nowhere_else_and_the_release_before_goes_on(self, empty):
        upgrade_to(empty, "0019")
        values = {"at": BEFORE["created_at"], "yes": True}
        with empty.begin() as connection:
            connection.execute(text(BEFORE_0008[0]), values)
            connection.execute(text(IMPORT_OF_BEFORE.format(1)), values)

        migrate.upgrade(empty)

        with Session(empty) as session:
            session.execute(text(IMPORT_OF_BEFORE.format(2)), values)
            found = session.scalars(select(Import).order_by(Import.id)).all()
            assert [(each.led_to, each.fetched_from) for each in found] == [("", "https://pets.example/a.yaml")] * 2


class TestOtherWaysToAuthenticate:
    def test_keys_and_consumers_of_before_are_of_the_usual_kind_and_the_release_before_goes_on(self, empty):
        upgrade_to(empty, "0020")
        with empty.begin() as connection:
            connection.execute(text(BEFORE_0008[0]), {"at": BEFORE["created_at"], "yes": True})
            connection.execute(text(CONSUMER_OF_BEFORE), {"at": BEFORE["created_at"]})
            connection.execute(text(KEY_OF_BEFORE), {"id": 1, "name": "a" * 12, "hash": b"a" * 32})

        migrate.upgrade(empty)

        with Session(empty) as session:
            session.execute(text(KEY_OF_BEFORE), {"id": 2, "name": "b" * 12, "hash": b"b" * 32})
            assert [key.kind.value for key in session.scalars(select(Key))] == ["key", "key"]
            assert [key.consumer.everyone for key in session.scalars(select(Key))] == [False, False]

    def test_what_the_release_before_does_not_know_goes_with_the_way_back(self, empty):
        migrate.upgrade(empty)
        with Session(empty) as session:
            team = factories.team(session)
            factories.plan(session, team=team, slug="visitors")
            public = {"public": {"plan": "visitors"}}
            factories.api(session, team=team, live=True, path="/public", authentication=public)
            consumer = factories.consumer(session, team=team)
            kept, _ = factories.key(session, consumer)
            factories.key(session, consumer, kind=KeyKind.BASIC)
            session.commit()
            numbers = consumer.id, kept.id

        settings = AlembicConfig(MIGRATIONS / "alembic.ini")
        settings.set_main_option("script_location", str(MIGRATIONS))
        with empty.connect() as connection:
            settings.attributes["connection"] = connection
            command.downgrade(settings, "0020")
            connection.commit()

        with empty.connect() as connection:
            assert connection.scalars(text("SELECT id FROM consumer")).all() == [numbers[0]]
            assert connection.scalars(text('SELECT id FROM "key"')).all() == [numbers[1]]
            assert connection.scalars(text("SELECT id FROM subscription")).all() == []


CONSUMER_OF_BEFORE = (
    "INSERT INTO consumer (id, public_id, team_id, slug, name, description, created_at)"
    " VALUES (5, 'con_a', 3, 'shop', 'Shop', '', :at)"
)
IMPORT_OF_BEFORE = (
    "INSERT INTO api_import (id, team_id, source, source_name, state, percent, step, turn, error, size, created_at,"
    " changed_at) VALUES ({}, 3, 'address', 'https://pets.example/a.yaml', 'applied', 100, '', 1, '', 9, :at, :at)"
)


class TestLimitsOfOperations:
    def test_plans_of_before_limit_none_and_the_release_before_goes_on(self, empty):
        upgrade_to(empty, "0020")
        values = {"at": BEFORE["created_at"], "yes": True}
        with empty.begin() as connection:
            connection.execute(text(BEFORE_0008[0]), values)
            connection.execute(text(PLAN_OF_BEFORE.format("gold")), values)

        migrate.upgrade(empty)

        with Session(empty) as session:
            session.execute(text(PLAN_OF_BEFORE.format("silver")), values)
            plans = session.scalars(select(Plan).order_by(Plan.slug)).all()
            assert [(each.slug, each.per_second, each.operations) for each in plans] == [
                ("gold", 5, []),
                ("silver", 5, []),
            ]


PLAN_OF_BEFORE = (
    "INSERT INTO plan (team_id, slug, name, description, per_second, created_at) VALUES (3, '{}', 'Gold', '', 5, :at)"
)


class TestConfirmedAddresses:
    def test_people_who_were_there_before_count_as_confirmed(self, empty):
        script = ScriptDirectory.from_config(AlembicConfig(MIGRATIONS / "alembic.ini"))
        apply_until(empty, str(script.get_revision("0003").down_revision))
        with empty.begin() as connection:
            # Without the columns that came later, whose defaults a model adds by itself.
            known = (column(name, Person.__table__.c[name].type) for name in BEFORE)
            connection.execute(insert(table("person", *known)).values(BEFORE))

        migrate.upgrade(empty)

        with Session(empty) as session:
            person = session.scalars(select(Person)).one()
            assert person.confirmed_at == person.created_at == BEFORE["created_at"]
            assert not person.must_change_password


class TestEnvironment:
    """How `env.py` applies revisions, with revisions of the test's own."""

    def test_replacing_a_table_keeps_what_refers_to_it(self, empty, tmp_path):
        apply(empty, tmp_path, FIRST)
        with empty.begin() as connection:
            connection.execute(text("INSERT INTO parent (id, name) VALUES (1, 'kept')"))
            connection.execute(text("INSERT INTO child (id, parent_id) VALUES (1, 1)"))

        apply(empty, tmp_path, FIRST, BATCH)

        with empty.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM child")).scalar() == 1
            assert connection.execute(text("SELECT name, age FROM parent")).all() == [("kept", 7)]

    def test_a_revision_that_fails_leaves_nothing_behind(self, empty, tmp_path):
        apply(empty, tmp_path, FIRST)

        with pytest.raises(ZeroDivisionError):
            apply(empty, tmp_path, FIRST, BROKEN)

        assert "half_made" not in inspect(empty).get_table_names()
        with empty.connect() as connection:
            assert connection.execute(text("SELECT version_num FROM alembic_version")).all() == [("one",)]

    def test_foreign_keys_hold_again_afterwards(self, empty, tmp_path):
        apply(empty, tmp_path, FIRST)

        with empty.connect() as connection, pytest.raises(IntegrityError, match=r"(?i)foreign key"):
            connection.execute(text("INSERT INTO child (id, parent_id) VALUES (1, 404)"))

    def test_a_revision_that_breaks_a_reference_is_refused(self, tmp_path):
        address = engine_url(f"sqlite:///{tmp_path / 'broken.sqlite3'}")
        engine = create_engine(address, **engine_options(address))
        apply(engine, tmp_path, FIRST)

        with pytest.raises(RuntimeError, match="row of child that refers to nothing in parent"):
            apply(engine, tmp_path, FIRST, DANGLING)

        with engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM child")).scalar() == 0
        engine.dispose()


class TestRevisions:
    @pytest.mark.parametrize("path", VERSIONS, ids=lambda path: path.stem)
    def test_it_was_read_before_it_was_kept(self, path):
        said = path.read_text()

        assert re.fullmatch(r"[0-9a-z]+_[a-z0-9_]+", path.stem)
        assert "Take these three sentences out" not in said
        assert "please adjust" not in said

    def test_every_model_is_in_the_schema(self):
        for module in pkgutil.walk_packages(portal.__path__, "portal."):
            importlib.import_module(module.name)

        modules = {mapper.class_.__module__ for mapper in Base.registry.mappers}
        assert {each for each in modules if each.startswith("portal.")} - loaded_by_schema() == set()


def loaded_by_schema() -> set[str]:
    """The modules of models that importing `portal.schema` alone brings, found in a fresh interpreter."""
    program = (
        "import portal.schema; from portal.db import Base;"
        "print(*{mapper.class_.__module__ for mapper in Base.registry.mappers})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def apply_until(engine: Engine, revision: str) -> None:
    """Our own revisions up to this one."""
    settings = AlembicConfig(MIGRATIONS / "alembic.ini")
    with engine.connect() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, revision)


def apply(engine: Engine, folder: Path, *revisions: str) -> None:
    """Run env.py with these revisions instead of ours."""
    for number, revision in enumerate(revisions):
        (folder / f"{number}.py").write_text(revision)
    settings = AlembicConfig(MIGRATIONS / "alembic.ini")
    settings.set_main_option("version_locations", str(folder))
    with engine.connect() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")


def upgrade_to(engine: Engine, revision: str) -> None:
    settings = AlembicConfig(MIGRATIONS / "alembic.ini")
    settings.set_main_option("script_location", str(MIGRATIONS))
    with engine.connect() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, revision)


NOW = "'2026-11-01 10:00:00'"
BEFORE_0005 = (
    f"INSERT INTO team (id, slug, name, may_publish, created_at) VALUES (3, 'kept', 'Kept', 1, {NOW})",
    "INSERT INTO plan (id, team_id, slug, name, description, per_second, created_at)"
    f" VALUES (1, 3, 'gold', 'Gold', '', 5, {NOW})",
    "INSERT INTO consumer (id, public_id, team_id, slug, name, description, created_at)"
    f" VALUES (5, 'con_a', 3, 'shop', 'Shop', '', {NOW})",
    "INSERT INTO key (id, public_id, sha256, consumer_id, label, created_at)"
    f" VALUES (4, 'abcdefghijkl', x'00', 5, '', {NOW})",
    # Calls of a key that was deleted before.
    "INSERT INTO calls_by_key (level, at, key_id, status, reason, calls, bytes_in, bytes_out)"
    " VALUES (60, 1, 77, 200, 'ok', 1, 1, 1)",
)

HEAD = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = {}, {}
branch_labels = depends_on = None
def upgrade():
"""
FIRST = HEAD.format("'one'", None) + (
    "    op.create_table('parent', sa.Column('id', sa.Integer, primary_key=True), sa.Column('name', sa.String(20)))\n"
    "    op.create_table('child', sa.Column('id', sa.Integer, primary_key=True),\n"
    "        sa.Column('parent_id', sa.Integer, sa.ForeignKey('parent.id', ondelete='CASCADE')))\n"
)
BATCH = HEAD.format("'two'", "'one'") + (
    "    with op.batch_alter_table('parent', recreate='always' if op.get_bind().dialect.name == 'sqlite' else 'auto')"
    " as batch:\n"
    "        batch.add_column(sa.Column('age', sa.Integer, server_default='7'))\n"
)
DANGLING = HEAD.format("'two'", "'one'") + "    op.execute('INSERT INTO child (id, parent_id) VALUES (1, 404)')\n"
BROKEN = HEAD.format("'two'", "'one'") + (
    "    op.create_table('half_made', sa.Column('id', sa.Integer, primary_key=True))\n    1 / 0\n"
)
