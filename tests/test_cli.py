"""`flask …`, as somebody types it."""

import os
import re

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import run, sample, schema
from portal.accounts import Person
from portal.accounts.audit import AuditEntry
from portal.config import Config
from portal.gateway import claims
from portal.registry.models import UpstreamSecret
from portal.registry.secrets import open_secret
from portal.vault import Unreadable, Vault, kept_columns
from tests import factories


@pytest.fixture
def flask(app):
    """Types a command; the answer has `exit_code` and `output`."""
    runner = app.test_cli_runner()

    def type_in(*words: str, **more):
        return runner.invoke(args=list(words), **more)

    return type_in


def sign_in_works(client, email: str, password: str) -> bool:
    answer = client.post("/sign-in", data={"email": email, "password": password})
    return answer.status_code in {302, 303}


class TestUserCreate:
    def test_the_password_is_shown_once_and_signs_in(self, flask, session, client):
        answer = flask("user", "create", "Nora@Portico.example", "--name", "Nora New")

        assert answer.exit_code == 0, answer.output
        found = re.fullmatch(r"(\S+) can sign in with the password (\S{16})\n", answer.stdout)
        assert found is not None
        person = session.scalars(select(Person).where(Person.name == "Nora New")).one()
        assert (person.email, person.is_administrator) == (found[1], False)
        assert [team.is_personal for team in person.teams] == [True]
        assert found[2] not in person.password
        assert sign_in_works(client, found[1], found[2])
        assert not person.must_change_password, "whoever reads this terminal owns the account"

    def test_an_administrator_has_every_right(self, flask, session):
        assert flask("user", "create", "root@portico.example", "--administrator").exit_code == 0

        person = session.scalars(select(Person)).one()
        assert (person.name, person.is_administrator) == ("root", True)

    def test_a_password_of_ones_own_is_not_repeated(self, flask, session, client):
        typed = "a long enough one"
        answer = flask("user", "create", "nora@portico.example", "--ask", input=f"{typed}\n{typed}\n")

        assert answer.exit_code == 0, answer.output
        assert typed not in answer.output
        assert sign_in_works(client, "nora@portico.example", typed)
        assert not session.scalars(select(Person)).one().must_change_password

    @pytest.mark.parametrize("weak", ["short", "qwertyuiop", "nora@portico.example"])
    def test_a_weak_password_is_refused(self, flask, session, weak):
        answer = flask("user", "create", "nora@portico.example", "--ask", input=f"{weak}\n{weak}\n")

        assert answer.exit_code == 1
        assert ("10 characters or more" in answer.output) == (weak == "short")
        assert ("would guess" in answer.output) == (weak != "short")
        assert session.scalars(select(Person)).all() == []

    @pytest.mark.parametrize(
        ("email", "sentence"),
        [("nobody", "nobody is not an e-mail address"), ("taken@portico.example", "has an account")],
    )
    def test_an_address_that_cannot_be_is_refused_in_a_sentence(self, flask, session, email, sentence):
        factories.person(session, email="taken@portico.example")
        session.commit()

        answer = flask("user", "create", email)

        assert answer.exit_code == 1
        assert answer.output.startswith("Error: ")
        assert sentence in answer.output


class TestUserReset:
    def test_the_new_password_signs_in_and_old_sessions_end(self, flask, session, client):
        person = factories.person(session, email="olga@portico.example")
        other = factories.person(session)
        session.commit()
        before = {each.id: (each.password, each.fs_uniquifier) for each in (person, other)}

        answer = flask("user", "reset", "OLGA@portico.example")

        assert answer.exit_code == 0, answer.output
        session.rollback()
        assert person.fs_uniquifier != before[person.id][1]
        assert (other.password, other.fs_uniquifier) == before[other.id]
        assert sign_in_works(client, "olga@portico.example", answer.stdout.split()[-1])
        assert not person.must_change_password, "whoever reads this terminal owns the account"

    def test_a_stranger_is_named(self, flask):
        answer = flask("user", "reset", "nobody@portico.example")

        assert answer.exit_code == 1
        assert "Nobody here signs in as nobody@portico.example." in answer.output


class TestDatabase:
    @pytest.fixture
    def empty(self, engine):
        schema.metadata.drop_all(engine)
        return engine

    @pytest.mark.usefixtures("empty")
    def test_upgrade_brings_it_to_this_release(self, flask):
        before, done, after, again = (
            flask("db", "check"),
            flask("db", "upgrade"),
            flask("db", "check"),
            flask("db", "upgrade"),
        )

        assert (before.exit_code, "migrations wait" in before.output) == (1, True)
        assert done.output.startswith("Migrated: ")
        assert (after.exit_code, again.output) == (0, "Nothing to migrate.\n")

    @pytest.mark.usefixtures("empty")
    def test_a_table_that_was_changed_by_hand_is_found(self, flask, engine):
        flask("db", "upgrade")
        with engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE team ADD COLUMN motto TEXT")

        answer = flask("db", "check")

        assert answer.exit_code == 1
        assert "motto" in answer.output


class TestSampleRemove:
    def test_it_is_gone_and_then_there_is_none(self, flask, session):
        person = factories.person(session)
        sample.create(session, "http://127.0.0.1:18123", person)
        session.commit()

        first, second = flask("sample", "remove"), flask("sample", "remove")

        assert (first.output, second.output) == ("The sample is gone.\n", "There is no sample.\n")
        session.rollback()
        assert not sample.exists(session)


class TestSearchReindex:
    def test_everything_published_is_indexed_anew(self, flask, session):
        for _ in range(2):
            factories.api(session, live=True)
        factories.api(session)
        session.commit()

        answer = flask("search", "reindex")

        assert (answer.exit_code, answer.output) == (0, "2 published APIs are indexed.\n")


class TestSecretsRotate:
    @pytest.fixture
    def stored(self, session, config):
        """Three secrets, sealed with the installation's keys."""
        team = factories.team(session)
        for n in range(3):
            factories.upstream_secret(session, team=team, vault=Vault.of(config), texts={"value": f"hush-{n}"})
        session.commit()

    def opened(self, session, vault):
        session.rollback()
        sealed = session.scalars(select(UpstreamSecret.sealed).order_by(UpstreamSecret.id)).all()
        return [open_secret(each, vault)["value"] for each in sealed]

    def test_a_new_key_seals_everything_and_the_older_one_can_be_taken_away(self, flask, session, config, stored):
        file = config.data_dir / "encryption_keys"
        (older,) = file.read_text().split()

        answer = flask("secrets", "rotate")

        assert answer.exit_code == 0, answer.output
        assert answer.output.startswith("3 secrets are sealed with a new key.")
        newest, kept = file.read_text().splitlines()
        assert kept == older
        assert newest not in answer.output
        assert file.stat().st_mode & 0o777 == 0o600
        assert self.opened(session, Vault([newest])) == ["hush-0", "hush-1", "hush-2"]
        with pytest.raises(Unreadable):
            self.opened(session, Vault([older]))

        file.write_text(newest + "\n")
        assert self.opened(session, Vault.of(config)) == ["hush-0", "hush-1", "hush-2"]
        assert flask("secrets", "rotate").exit_code == 0
        assert len(list(config.data_dir.glob("*encryption_keys*"))) == 1, "no draft is left"

    def test_one_that_no_key_opens_leaves_all_as_they_were(self, flask, session, config, stored):
        lost = factories.upstream_secret(session, team=factories.team(session), vault=Vault(["l" * 40]))
        session.commit()
        before = session.scalars(select(UpstreamSecret.sealed)).all()

        answer = flask("secrets", "rotate")

        assert answer.exit_code == 1
        assert f"row {lost.id} of upstream_secret cannot be read" in answer.output
        session.rollback()
        assert session.scalars(select(UpstreamSecret.sealed)).all() == before

    def test_nothing_stored_is_nothing_to_do(self, flask):
        assert flask("secrets", "rotate").output.startswith("0 secrets are sealed")


class TestSecretsRotateWithASetting:
    NEW, OLD = "n" * 40, "o" * 40

    @pytest.fixture
    def config(self, tmp_path):
        return Config(data_dir=tmp_path / "var", encryption_keys=(self.NEW, self.OLD))

    def test_the_first_key_seals_everything(self, flask, session, config):
        factories.upstream_secret(session, team=factories.team(session), vault=Vault([self.OLD]))
        session.commit()

        answer = flask("secrets", "rotate")

        assert answer.output.startswith("1 secret is sealed with the first key of PORTAL_ENCRYPTION_KEYS.")
        session.rollback()
        assert open_secret(session.scalars(select(UpstreamSecret.sealed)).one(), Vault([self.NEW])) == {"value": "hush"}
        assert not (config.data_dir / "encryption_keys").exists()


def test_rotation_forgets_no_column_that_holds_sealed_values():
    named = {
        f"{table.name}.{column.name}"
        for table in schema.metadata.tables.values()
        for column in table.columns
        if column.name.startswith("sealed") or column.name.endswith("_sealed")
    }

    assert named
    assert named <= kept_columns()


class TestBackupAndRestore:
    @pytest.fixture
    def empty(self, engine):
        schema.metadata.drop_all(engine)
        return engine

    def test_there_and_back(self, flask, empty, tmp_path):
        file = str(tmp_path / "b.tar.gz")
        flask("db", "upgrade")
        flask("user", "create", "nora@portico.example")

        made = flask("backup", file)
        refused = flask("restore", file)
        flask("user", "create", "late@portico.example")
        empty.dispose()
        done = flask("restore", file, "--replace")

        assert (made.exit_code, refused.exit_code, done.exit_code) == (0, 1, 0), made.output + done.output
        assert "keep it as safe as a password" in made.output
        assert "With --replace" in refused.output
        assert "What was there before is in" in done.output
        with Session(empty) as session:
            assert session.scalars(select(Person.email)).all() == ["nora@portico.example"]

    def test_both_stand_in_the_trail_of_the_database_that_they_leave(self, flask, empty, tmp_path):
        file = str(tmp_path / "b.tar.gz")
        flask("db", "upgrade")
        flask("user", "create", "nora@portico.example")
        flask("backup", file)
        with Session(empty) as session:
            (made,) = session.scalars(select(AuditEntry).where(AuditEntry.kind == "revision"))
        empty.dispose()

        flask("restore", file, "--replace")

        with Session(empty) as session:
            (restored,) = session.scalars(select(AuditEntry).where(AuditEntry.kind == "revision"))
        assert (made.action, made.by, made.changes) == (
            "backed up",
            "command line",
            {"file": [None, "b.tar.gz"], "with_secrets": [None, True]},
        )
        assert (restored.action, restored.by, restored.person_id) == ("restored", "command line", None)
        assert sorted(restored.changes) == ["file", "made_at", "replaced"]

    def test_a_database_that_takes_no_entry_is_backed_up_all_the_same(self, flask, empty, tmp_path):
        flask("db", "upgrade")
        with empty.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE audit_entry RENAME TO away")
        empty.dispose()

        made = flask("backup", str(tmp_path / "b.tar.gz"))

        assert made.exit_code == 0
        assert (tmp_path / "b.tar.gz").exists()
        assert "no such table" in made.stderr

    def test_not_while_it_runs(self, flask, empty, config, tmp_path):
        flask("db", "upgrade")
        flask("backup", str(tmp_path / "b.tar.gz"))

        with run.alone(config):
            answer = flask("restore", str(tmp_path / "b.tar.gz"))

        assert answer.exit_code == 1
        assert "runs in" in answer.output

    def test_not_while_a_node_runs(self, flask, empty, config, tmp_path):
        flask("db", "upgrade")
        flask("backup", str(tmp_path / "b.tar.gz"))
        lock, _ = claims.take_folder(config.gateway_dir)

        answer = flask("restore", str(tmp_path / "b.tar.gz"))

        os.close(lock)
        assert answer.exit_code == 1
        assert "Another node already runs" in answer.output
