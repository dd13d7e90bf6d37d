import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import create_engine

from portal import doctor, migrate, schema
from portal.db import engine_options, engine_url, utcnow
from portal.gateway.models import Node
from portal.jobs import Job
from portal.programs import free_port
from portal.traffic.models import MisreadLine


@pytest.fixture
def whole(engine):
    """A database that was made by the migrations."""
    schema.metadata.drop_all(engine)
    migrate.upgrade(engine)
    return engine


def said(config, engine, about: str) -> str:
    found = [each for each in doctor.examine(replace(config, gateway_port=free_port()), engine) if each.about == about]
    assert all(each.sentence and each.remedy for each in found)
    return " ".join(each.sentence for each in found)


class TestExamine:
    def test_a_fresh_installation_lacks_only_its_gateway(self, config, whole):
        found = doctor.examine(replace(config, gateway_port=free_port()), whole)

        assert [each.about for each in found] == ["gateway"]
        assert "No gateway answers" in found[0].sentence

    def test_passwords_in_clear_are_told(self, config, whole):
        assert "without TLS" in said(replace(config, bind="0.0.0.0"), whole, "settings")

    def test_a_folder_that_others_read_is_told(self, config, whole):
        config.data_dir.chmod(0o755)

        assert "Others on this machine can read" in said(config, whole, "folder")

    def test_waiting_migrations_are_told(self, config, engine):
        schema.metadata.drop_all(engine)

        assert "migrations wait" in said(config, engine, "database")

    def test_a_database_that_is_away_is_told_without_its_password(self, config, whole):
        url = engine_url(f"postgresql://portico:hush@127.0.0.1:{free_port()}/none")
        away = create_engine(url, **engine_options(url))

        sentence = said(config, away, "database")

        assert "does not answer" in sentence
        assert "hush" not in sentence

    def test_nodes_and_work_that_stand_still_are_told(self, config, whole, session):
        long_ago = utcnow() - timedelta(hours=1)
        session.add_all(
            [
                Node(name="lost", instance_id="i", state="serving", seen_at=long_ago),
                Job(kind="a", payload={}, run_at=long_ago, failed_at=long_ago),
                Job(kind="b", payload={}, run_at=long_ago),
                MisreadLine(node="lost", at=utcnow(), line=b"x", error="no", count=7),
            ]
        )
        session.commit()

        assert "Node lost: Nothing was heard from it" in said(config, whole, "gateway")
        assert "7 lines" in said(config, whole, "gateway")
        work = said(config, whole, "worker")
        assert "1 jobs were given up" in work
        assert "more than 15 minutes" in work


class TestCommand:
    def test_it_ends_with_1_and_speaks_json_too(self, app, config, whole):
        config.data_dir.chmod(0o755)
        runner = app.test_cli_runner()

        plain, machine = runner.invoke(args=["doctor"]), runner.invoke(args=["doctor", "--json"])

        assert (plain.exit_code, machine.exit_code) == (1, 1)
        assert "chmod 700" in plain.output
        assert "folder" in {each["about"] for each in json.loads(machine.output)}


@pytest.mark.postgres
def test_a_migrated_postgresql_is_well(config, postgres_url, tmp_path):
    config.data_dir.mkdir(mode=0o700)
    engine = create_engine(engine_url(postgres_url))
    assert "migrations wait" in said(config, engine, "database")

    migrate.upgrade(engine)

    assert said(config, engine, "database") == ""
    engine.dispose()
