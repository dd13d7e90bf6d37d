"""Bringing the schema of a database to what this release needs. The revisions themselves stand in `migrations/`."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData

from portal.errors import Conflict

_FOLDER = Path(__file__).parent.parent / "migrations"


def upgrade(engine: Engine) -> list[str]:
    """Apply what is pending, all or nothing; returns the sentences of the revisions that were applied."""
    waiting = pending(engine)
    if waiting:
        settings = _settings()
        with engine.connect() as connection:
            settings.attributes["connection"] = connection
            command.upgrade(settings, "head")
    return waiting


def pending(engine: Engine) -> list[str]:
    """Sentences of the revisions that `engine` does not have yet, in order.

    Raises Conflict for a database that a newer release has migrated.
    """
    scripts = ScriptDirectory.from_config(_settings())
    with engine.connect() as connection:
        heads = MigrationContext.configure(connection).get_current_heads()
    known = {each.revision for each in scripts.walk_revisions()}
    if strange := sorted(set(heads) - known):
        raise Conflict(
            f"The database has the revision {strange[0]}, which this release of Portico does not know. "
            "Start the release that migrated it, or restore a backup."
        )
    waiting = []
    for script in scripts.walk_revisions():  # newest first
        if script.revision in heads:
            break
        waiting.append(str(script.doc))
    return waiting[::-1]


def differences(engine: Engine, metadata: MetaData) -> list[str]:
    """What the tables of a fully migrated database have that the models have not, and the other way round."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return [repr(each) for each in compare_metadata(context, metadata)]


def _settings() -> AlembicConfig:
    return AlembicConfig(_FOLDER / "alembic.ini")
