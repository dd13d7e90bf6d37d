"""Bringing the schema of a database to what this release needs. The revisions themselves stand in `migrations/`."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData, String

from portal.errors import Conflict

_FOLDER = Path(__file__).parent.parent / "migrations"
_INDEX = "catalogue_word"


def upgrade(engine: Engine) -> list[str]:
    """Apply what is pending, all or nothing; returns the sentences of the revisions that were applied."""
    waiting = pending(engine)
    if waiting:
        with engine.connect() as connection:
            _apply(connection)
    return waiting


def upgrade_within(connection: Connection) -> list[str]:
    """The same as part of the transaction that `connection` is in. PostgreSQL only."""
    waiting = _pending(connection)
    if waiting:
        _apply(connection)
    return waiting


def pending(engine: Engine) -> list[str]:
    """Sentences of the revisions that `engine` does not have yet, in order.

    Raises Conflict for a database that a newer release has migrated.
    """
    with engine.connect() as connection:
        return _pending(connection)


def revisions() -> set[str]:
    """The names of all revisions that this release knows."""
    return {each.revision for each in ScriptDirectory.from_config(_settings()).walk_revisions()}


def _pending(connection: Connection) -> list[str]:
    scripts = ScriptDirectory.from_config(_settings())
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
        context = MigrationContext.configure(
            connection, opts={"compare_type": is_other_type, "include_name": is_modelled}
        )
        return [repr(each) for each in compare_metadata(context, metadata)]


def is_modelled(name: str | None, kind: str = "table", _parents: Any = None) -> bool:
    """Whether a table is one of the models'. SQLite's full-text index is none, nor is what that keeps itself in."""
    return kind != "table" or not (name or "").startswith(_INDEX)


def is_other_type(given: Any, _in_database: object, _in_model: object, stored: object, modelled: object) -> bool | None:
    """None leaves it to Alembic. SQLite pays no heed to the length of a text, so a longer one needs no new table."""
    both_texts = isinstance(stored, String) and type(modelled) is String
    return False if both_texts and given.dialect.name == "sqlite" else None


def _apply(connection: Connection) -> None:
    settings = _settings()
    settings.attributes["connection"] = connection
    command.upgrade(settings, "head")


def _settings() -> AlembicConfig:
    return AlembicConfig(_FOLDER / "alembic.ini")
