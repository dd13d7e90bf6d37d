import json
import os
import re
import sqlite3
import stat
import subprocess
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from portal import backup, migrate, schema
from portal.backup import CannotBackUp, CannotRestore
from portal.config import KEPT_SECRETS, Config
from portal.traffic.models import Call
from portal.vault import Unreadable, Vault
from tests import factories
from tests.backup.conftest import Installation, touched
from tests.web import logged

PORTAL = Path(backup.__file__).parent.parent


def names(path: Path) -> list[str]:
    with tarfile.open(path) as tar:
        return tar.getnames()


class TestBackup:
    def test_it_has_the_database_the_secrets_and_says_what_it_is(self, new, tmp_path):
        made = backup.backup(new("a").fill().config, tmp_path / "b.tar.gz", version="9.9")

        assert names(made.path) == ["manifest.json", "database", "encryption_keys", "secret_key"]
        with tarfile.open(made.path) as tar:
            said = json.load(tar.extractfile("manifest.json"))
        assert (said["portico"], said["schema"]) == ("9.9", max(migrate.revisions()))
        assert stat.S_IMODE(made.path.stat().st_mode) == 0o600

    def test_secrets_may_stay_at_home(self, new, tmp_path):
        made = backup.backup(new("a").fill().config, tmp_path / "b.tar.gz", version="1", secrets=False)

        assert names(made.path) == ["manifest.json", "database"]

    def test_a_file_that_is_there_is_not_replaced(self, new, tmp_path):
        (tmp_path / "b.tar.gz").write_text("mine")

        with pytest.raises(CannotBackUp, match="exists already"):
            backup.backup(new("a").fill().config, tmp_path / "b.tar.gz", version="1")

        assert (tmp_path / "b.tar.gz").read_text() == "mine"
        assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["b.tar.gz"]

    def test_a_database_without_schema_has_nothing_to_keep(self, new, tmp_path):
        with pytest.raises(CannotBackUp):
            backup.backup(new("a").config, tmp_path / "b.tar.gz", version="1")

        assert not (tmp_path / "b.tar.gz").exists()

    def test_every_generated_secret_is_in_it(self):
        made = {name for path in PORTAL.rglob("*.py") for name in re.findall(r'kept_secret\(.+, "', path.read_text())}

        found = {
            name
            for path in PORTAL.rglob("*.py")
            for name in re.findall(r'kept_secret\([^"\n]+"([a-z_]+)"\)', path.read_text())
        }
        assert len(found) >= len(made) > 0
        assert found == set(KEPT_SECRETS)


@pytest.mark.postgres
class TestClientPrograms:
    @pytest.fixture
    def config(self, postgres_url, tmp_path):
        installation = Installation(Config(data_dir=tmp_path / "a", database_url=postgres_url))
        migrate.upgrade(installation.engine)
        installation.stop()
        return installation.config

    def test_missing_ones_are_named_with_their_package(self, config, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr("portal.backup.postgres._DEBIAN", tmp_path)

        with pytest.raises(CannotBackUp, match=r"pg_dump is needed .* postgresql-client"):
            backup.backup(config, tmp_path / "b.tar.gz", version="1")

    def test_those_older_than_the_server_are_told(self, config, tmp_path, monkeypatch):
        old = tmp_path / "pg_dump"
        old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6'\n")
        old.chmod(0o700)
        monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
        monkeypatch.setattr("portal.backup.postgres._DEBIAN", tmp_path / "none")

        with pytest.raises(CannotBackUp, match=r"The server is PostgreSQL \d+, and pg_dump here is 9"):
            backup.backup(config, tmp_path / "b.tar.gz", version="1")


class TestRestore:
    @pytest.fixture
    def made(self, new, tmp_path):
        """A backup and what was in it."""
        source = new("a").fill()
        path = backup.backup(source.config, tmp_path / "b.tar.gz", version="1").path
        contents = source.contents()
        source.stop()
        return path, contents, source

    def test_into_an_empty_folder_every_table_comes_back(self, new, made):
        path, contents, source = made
        target = new("c")

        done = backup.restore(target.stop().config, path, version="1")

        found = target.contents()
        assert {name: rows for name, rows in found.items() if name != "revision"} == {
            name: rows for name, rows in contents.items() if name != "revision"
        }
        assert sum(map(len, found.values())) > 20
        assert (done.kept, done.migrated) == (None, [])
        assert touched(target.engine) > touched(source.engine)
        for secret in KEPT_SECRETS:
            here = target.config.data_dir / secret
            assert here.read_text() == (source.config.data_dir / secret).read_text()
            assert stat.S_IMODE(here.stat().st_mode) == 0o600

    def test_what_is_restored_works_like_the_original(self, new, made):
        """Triggers, sequences and constraints came along."""
        target = new("c")
        backup.restore(target.stop().config, made[0], version="1")

        with Session(target.engine) as session:
            factories.api(session, live=True)
            session.commit()
        with pytest.raises(Exception, match="only ever added to"), target.engine.begin() as connection:
            connection.execute(text("DELETE FROM audit_entry"))
        assert migrate.pending(target.engine) == []

    def test_data_is_not_replaced_unasked(self, new, made):
        target = new("c").fill().stop()
        before = target.contents()
        target.stop()

        with pytest.raises(CannotRestore, match="--replace"):
            backup.restore(target.config, made[0], version="1")

        assert target.contents() == before

    def test_data_is_kept_in_a_file_before_it_is_replaced(self, new, made):
        target = new("c").fill()
        before, number = target.contents(), touched(target.engine)
        target.stop()

        done = backup.restore(target.config, made[0], version="1", replace=True)

        assert target.contents()["person"] == made[1]["person"] != before["person"]
        assert touched(target.engine) > number
        target.stop()
        backup.restore(target.config, done.kept, version="1", replace=True)
        assert target.contents()["person"] == before["person"]

    def test_both_sets_of_encryption_keys_open_afterwards(self, new, made):
        path, _, source = made
        target = new("c").fill().stop()
        theirs, ours = Vault.of(source.config).seal(b"theirs"), Vault.of(target.config).seal(b"ours")
        with pytest.raises(Unreadable):
            Vault.of(target.config).open(theirs)

        backup.restore(target.config, path, version="1", replace=True)

        vault = Vault.of(target.config)
        assert (vault.open(theirs), vault.open(ours)) == (b"theirs", b"ours")

    def test_an_open_database_is_left_alone(self, new, made):
        target = new("c").fill()
        before = target.contents()
        with target.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            with pytest.raises(CannotRestore, match="Stop the portal"):
                backup.restore(target.config, made[0], version="1", replace=True)

        assert target.contents() == before

    def test_a_backup_of_an_older_schema_is_migrated(self, new, tmp_path):
        source, target = new("a"), new("c")
        settings = AlembicConfig(PORTAL.parent / "migrations" / "alembic.ini")
        with source.engine.connect() as connection:
            settings.attributes["connection"] = connection
            command.upgrade(settings, "0001")
        with source.engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO team (slug, name, may_publish, created_at) "
                    "VALUES ('old', 'Old', true, '2026-01-02 03:04:05')"
                )
            )
        path = backup.backup(source.config, tmp_path / "b.tar.gz", version="1").path

        done = backup.restore(target.stop().config, path, version="1")

        assert len(done.migrated) == len(migrate.revisions()) - 1
        assert migrate.differences(target.engine, schema.metadata) == []
        with target.engine.connect() as connection:
            assert connection.execute(text("SELECT slug FROM team")).all() == [("old",)]

    def test_one_of_a_newer_schema_is_refused_by_name(self, new, made):
        path = rewritten(made[0], schema="9999", portico="7.0")

        with pytest.raises(CannotRestore, match=r"made by Portico 7\.0, whose schema 9999"):
            backup.restore(new("c").stop().config, path, version="1")

    def test_nothing_changes_when_a_migration_fails(self, new, made):
        """The backup says that it is older than it is, so the migration meets tables that are there."""
        target = new("c").fill()
        before = target.contents()
        target.stop()
        path = rewritten(made[0], before=mislabelled)

        with pytest.raises(Exception, match="audit_entry"):
            backup.restore(target.config, path, version="1", replace=True)

        assert target.contents() == before

    def test_a_backup_of_the_other_kind_is_refused(self, new, made):
        other = "postgresql" if new("c").engine.dialect.name == "sqlite" else "sqlite"

        with pytest.raises(CannotRestore, match="Set PORTAL_DATABASE_URL"):
            backup.restore(new("d").stop().config, rewritten(made[0], database=other), version="1")


class TestCallsAfterARestore:
    """Calls and the position in the log are of one transaction, so they come back together."""

    @pytest.fixture
    def source(self, new):
        return new("a").fill()

    def test_calls_that_came_after_the_backup_are_read_once_more_from_the_log(self, source, tmp_path):
        path = backup.backup(source.config, tmp_path / "b.tar.gz", version="1").path
        logged.store(source.engine, source.config.data_dir, logged.line(), logged.line())
        stored = calls(source)
        source.stop()

        backup.restore(source.config, path, version="1", replace=True)

        assert len(calls(source)) == len(stored) - 2
        logged.store(source.engine, source.config.data_dir)
        assert calls(source) == stored
        logged.store(source.engine, source.config.data_dir, logged.line())
        assert len(calls(source)) == len(stored) + 1

    def test_a_log_that_was_copied_to_the_new_machine_is_not_read_twice(self, source, new, tmp_path):
        path = backup.backup(source.config, tmp_path / "b.tar.gz", version="1").path
        stored = calls(source)
        target = new("c").stop()
        (target.config.data_dir / "access.log").write_bytes(source.log.read_bytes())

        backup.restore(target.config, path, version="1")
        logged.store(target.engine, target.config.data_dir)

        assert calls(target) == stored
        logged.store(target.engine, target.config.data_dir, logged.line())
        assert len(calls(target)) == len(stored) + 1

    def test_a_fresh_log_on_the_new_machine_is_read_from_its_beginning(self, source, new, tmp_path):
        path = backup.backup(source.config, tmp_path / "b.tar.gz", version="1").path
        target = new("c").stop()

        backup.restore(target.config, path, version="1")
        logged.store(target.engine, target.config.data_dir, logged.line(), logged.line())

        assert len(calls(target)) == len(calls(source)) + 2


class TestDamage:
    @pytest.fixture
    def source(self, tmp_path):
        return Installation(Config(data_dir=tmp_path / "a")).fill()

    @pytest.fixture
    def target(self, tmp_path):
        return Installation(Config(data_dir=tmp_path / "c")).fill().stop()

    @pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.99])
    def test_a_file_that_ends_early_is_refused(self, source, target, tmp_path, share):
        whole = backup.backup(source.config, tmp_path / "b.tar.gz", version="1").path.read_bytes()
        (tmp_path / "short.tar.gz").write_bytes(whole[: int(len(whole) * share)])

        refused(target, tmp_path / "short.tar.gz", "damaged or no backup")

    def test_a_changed_database_is_refused(self, source, target, tmp_path):
        path = backup.backup(source.config, tmp_path / "b.tar.gz", version="1").path

        refused(target, rewritten(path, after=lambda folder: flip(folder / "database")), "damaged or no backup")

    def test_a_database_that_was_damaged_before_it_was_packed_is_refused(self, source, target, tmp_path):
        path = backup.backup(source.config, tmp_path / "b.tar.gz", version="1").path

        refused(target, rewritten(path, before=lambda folder, _: flip(folder / "database")), "is damaged")

    def test_names_that_lead_elsewhere_are_refused(self, source, target, tmp_path):
        path = backup.backup(source.config, tmp_path / "b.tar.gz", version="1").path
        with tarfile.open(path) as tar:
            tar.extractall(tmp_path / "x", filter="data")
        with tarfile.open(tmp_path / "bad.tar.gz", "w:gz") as tar:
            tar.add(tmp_path / "x" / "manifest.json", "manifest.json")
            tar.add(tmp_path / "x" / "database", "../database")

        refused(target, tmp_path / "bad.tar.gz", "damaged or no backup")

    def test_what_is_not_there_is_said(self, target, tmp_path):
        refused(target, tmp_path / "none.tar.gz", "is not there")

    def test_a_damaged_database_can_be_replaced_and_is_kept_as_it_was(self, source, target, tmp_path):
        path = backup.backup(source.config, tmp_path / "b.tar.gz", version="1").path
        file = target.config.data_dir / "portico.sqlite3"
        with sqlite3.connect(file) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
        connection.close()
        file.write_bytes(b"not a database at all" * 1_000)

        done = backup.restore(target.config, path, version="1", replace=True)

        assert done.kept.read_bytes() == b"not a database at all" * 1_000
        assert target.contents()["person"] == source.contents()["person"]


class TestWhileOthersWrite:
    def test_the_copy_is_of_one_moment(self, tmp_path):
        """Two tables grow in step in each transaction: in every backup they are in step, and nobody waits for it."""
        source = Installation(Config(data_dir=tmp_path / "a")).fill()
        with source.engine.begin() as connection:
            for name in ("one", "two"):
                connection.exec_driver_sql(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, filler TEXT)")
            connection.exec_driver_sql(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
                "INSERT INTO one SELECT i, hex(randomblob(100)) FROM n"
            )
            connection.exec_driver_sql("INSERT INTO two SELECT id, '' FROM one")
        written, over = [], threading.Event()

        def write() -> None:
            engine = source.engine.execution_options(sqlite_begin="IMMEDIATE")
            while not over.is_set():
                with engine.begin() as connection:
                    for name in ("one", "two"):
                        connection.exec_driver_sql(f"INSERT INTO {name} (filler) VALUES (hex(randomblob(500)))")
                written.append(1)

        writer = threading.Thread(target=write)
        writer.start()
        counts = []
        try:
            for n in range(5):
                seen = len(written)
                path = backup.backup(source.config, tmp_path / f"{n}.tar.gz", version="1").path
                counts.append((counts_of(path, tmp_path / str(n)), len(written) - seen))
        finally:
            over.set()
            writer.join()

        assert all(one == two for (one, two), _ in counts)
        assert all(during > 0 for _, during in counts)


def counts_of(path: Path, folder: Path) -> tuple[int, int]:
    with tarfile.open(path) as tar:
        tar.extract("database", folder, filter="data")
    connection = sqlite3.connect(folder / "database")
    one, two = (connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("one", "two"))
    connection.close()
    return one, two


def calls(installation: Installation) -> list[Any]:
    with installation.engine.connect() as connection:
        return sorted(connection.execute(select(Call.at, Call.request_id)).all())


def refused(target: Installation, path: Path, sentence: str) -> None:
    before = target.contents()
    target.stop()
    with pytest.raises(CannotRestore, match=sentence):
        backup.restore(target.config, path, version="1", replace=True)
    assert target.contents() == before
    assert not list(target.config.data_dir.glob(".portico-*"))


def flip(path: Path) -> None:
    """Pages in the middle that are others' now."""
    body = bytearray(path.read_bytes())
    middle = len(body) // 2
    body[middle : middle + 20_000] = os.urandom(20_000)
    path.write_bytes(body)


def rewritten(path: Path, *, before=None, after=None, **manifest) -> Path:
    """The same backup with something changed, `before` or `after` its sums are made."""
    folder = path.with_name(f"{path.name}-changed")
    with tarfile.open(path) as tar:
        tar.extractall(folder, filter="data")
    said = json.loads((folder / "manifest.json").read_text())
    if before:
        before(folder, said)
        said["files"] = {
            name: subprocess.run(["sha256sum", folder / name], capture_output=True, text=True, check=True).stdout[:64]
            for name in said["files"]
        }
    (folder / "manifest.json").write_text(json.dumps(said | manifest))
    if after:
        after(folder)
    changed = path.with_name(f"changed-{path.name}")
    with tarfile.open(changed, "w:gz") as tar:
        for name in ("manifest.json", *said["files"]):
            tar.add(folder / name, name)
    return changed


def mislabelled(folder: Path, said: dict) -> None:
    """As if it had only the first revision."""
    database = folder / "database"
    if said["database"] == "sqlite":
        connection = sqlite3.connect(database)
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
        connection.commit()
        connection.close()
    else:
        database.write_bytes(
            re.sub(rb"(COPY public.alembic_version .*\n)\w+\n", rb"\g<1>0001\n", database.read_bytes())
        )
    said["schema"] = "0001"
