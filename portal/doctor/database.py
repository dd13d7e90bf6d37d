"""The database: whether it answers, has this release's schema, is whole, and keeps no more than it should."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from portal.config import Config
from portal.db import utcnow
from portal.doctor.finding import Finding
from portal.errors import PortalError
from portal.traffic import retention

_MOST_APART = timedelta(seconds=5)
_ARREARS = timedelta(days=1)


def asked(engine: Engine, ask: Callable[[Session], Iterable[Finding]]) -> list[Finding]:
    """What `ask` finds in a database of this release's schema; else why it could not be asked. Raises nothing."""
    from portal import migrate  # Alembic takes 8 MB, which web workers never need

    try:
        if waiting := migrate.pending(engine):
            remedy = "Make a backup, then apply `flask db upgrade`. Until then nothing else in it is looked at."
            return [Finding("database", f"{len(waiting)} migrations wait.", remedy)]
        with Session(engine) as session:
            return list(ask(session))
    except PortalError as error:
        return [Finding("database", str(error), "Until then nothing else in it is looked at.")]
    except SQLAlchemyError as error:
        why = str(getattr(error, "orig", None) or error).partition("\n")[0].rstrip(".")
        return [
            Finding("database", f"The database does not answer: {why}.", "Start it, or correct PORTAL_DATABASE_URL.")
        ]


def of_file(session: Session) -> Iterator[Finding]:
    """Reads the whole SQLite file."""
    if session.get_bind().dialect.name == "sqlite" and (said := session.scalar(text("PRAGMA quick_check(1)"))) != "ok":
        yield Finding("database", f"The SQLite file is damaged: {said}.", "Restore a backup with --replace.")


def of_server(session: Session) -> Iterator[Finding]:
    if session.get_bind().dialect.name == "sqlite":
        return
    theirs: datetime = session.scalars(select(func.clock_timestamp())).one()
    apart = abs(theirs - utcnow())
    if apart > _MOST_APART:
        yield Finding(
            "database",
            f"The clocks of this machine and of the database are {apart.total_seconds():.0f} s apart.",
            "Let both follow a time server: limits, expiry and charts go by them.",
        )
    most = int(session.scalar(text("SHOW max_connections")) or 0)
    used = session.scalar(text("SELECT count(*) FROM pg_stat_activity")) or 0
    if used > most * 0.9:
        yield Finding(
            "database", f"{used} of {most} connections of PostgreSQL are in use.", "Raise its max_connections."
        )


def of_tables(config: Config, session: Session, now: datetime) -> Iterator[Finding]:
    if retention.in_arrears(session, now=now - _ARREARS, call_days=config.call_days):
        yield Finding(
            "database",
            "Calls or charts that should have gone more than a day ago are still kept.",
            "The worker takes them away: see that it runs, and that nothing else writes without a pause.",
        )
