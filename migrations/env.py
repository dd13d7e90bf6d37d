"""How revisions are applied: all that are pending in one transaction, on SQLite too.

The database is the one of the settings (`PORTAL_DATABASE_URL`, `PORTAL_DATA_DIR`), or a connection or an address that
code passes in `config.attributes` as `connection` or `url`.
"""

from typing import Any

from alembic import context
from sqlalchemy import Connection, create_engine, text

from portal import migrate, schema
from portal.config import Config
from portal.db import engine_options, engine_url

_LOCK = 7_093_001
"""PostgreSQL's advisory lock: of two that migrate at once, the second waits and finds nothing to do."""


def _migrate(connection: Connection) -> None:
    sqlite = connection.dialect.name == "sqlite"
    if sqlite:
        # Batch mode replaces a table: with foreign keys on, dropping the old one deletes what refers to it. The
        # pragma does nothing inside a transaction, so it is said to the driver, which is in none.
        connection.rollback()
        _driver(connection).execute("PRAGMA foreign_keys=OFF")
        connection = connection.execution_options(sqlite_begin="IMMEDIATE")
    context.configure(
        connection=connection,
        target_metadata=schema.metadata,
        render_as_batch=sqlite,
        transactional_ddl=True,  # SQLite can, since db.py says BEGIN itself
        compare_type=migrate.is_other_type,
        include_name=migrate.is_modelled,
        render_item=_render,
    )
    try:
        # A restore migrates inside its own transaction; everybody else comes with a connection that is in none.
        with connection.begin_nested() if connection.in_transaction() else connection.begin():
            if not sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            context.run_migrations()
            if sqlite and (broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first()):
                raise RuntimeError(f"A revision left a row of {broken[0]} that refers to nothing in {broken[2]}.")
    finally:
        if sqlite:
            _driver(connection).execute("PRAGMA foreign_keys=ON")


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _render(kind: str, item: object, autogen: object) -> str | bool:
    """Our own column type is written as what it is in the database: revisions must outlive our code."""
    if kind == "type" and type(item).__name__ == "UTCDateTime":
        return "sa.DateTime(timezone=True)"
    return False


given = context.config.attributes.get("connection")
if given is not None:
    _migrate(given)
else:
    settings = Config.read()
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    address = engine_url(context.config.attributes.get("url") or settings.database_url)
    engine = create_engine(address, **engine_options(address))
    try:
        with engine.connect() as connection:
            _migrate(connection)
    finally:
        engine.dispose()
