"""The rows of nodes: a node claims its name and reports, pages read."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, or_, select, update
from sqlalchemy.orm import Session

from portal.db import utcnow
from portal.errors import Conflict
from portal.gateway.models import Node
from portal.registry.models import Revision
from portal.traffic import logfiles
from portal.traffic.models import LogPosition

SILENT = timedelta(seconds=15)
"""A node reports every 3 s; after this long nobody knows what it does."""
_SERVING = {"serving", "troubled"}
FREE = timedelta(seconds=60)
"""After so much silence another machine may have the name."""


class NodeNameTaken(Conflict):
    def __init__(self, name: str, seen_at: datetime) -> None:
        super().__init__(
            f"Another machine runs the node {name}; it last reported at {seen_at:%H:%M:%S} UTC. "
            "Stop that one, or give this one another name with PORTAL_NODE_NAME."
        )


@dataclass(frozen=True, slots=True)
class NodeProblem:
    api: str
    """Label of the API; empty for a problem of the node as a whole."""
    sentence: str


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node as a page shows it."""

    name: str
    state: str
    """`starting`, `serving`, `troubled`, `down`, `stopped` or `silent`."""
    sentence: str
    revision: int
    is_current: bool
    """Whether it serves what is published now, as far as anybody knows."""
    problems: tuple[NodeProblem, ...]
    envoy_version: str
    started_at: datetime
    seen_at: datetime
    published_at: datetime | None
    publish_ms: int | None
    log_waiting: int
    """Bytes of access log that are not stored as calls yet."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """`revision n live on k of m`. Stopped nodes serve nobody and do not count."""

    revision: int
    live_on: int
    of: int

    def __str__(self) -> str:
        return f"revision {self.revision} live on {self.live_on} of {self.of}"


def nodes(session: Session) -> list[NodeView]:
    """All nodes by name."""
    now = utcnow()
    revision = session.scalar(select(Revision.n)) or 0
    return [_view(row, revision, now) for row in session.scalars(select(Node).order_by(Node.name))]


def coverage(session: Session, revision: int | None = None) -> Coverage:
    """Of what is published now, or of an earlier `revision`."""
    newest = session.scalar(select(Revision.n)) or 0
    asked = newest if revision is None else min(revision, newest)
    counted = [node for node in nodes(session) if node.state != "stopped"]
    serving = [node for node in counted if node.state in _SERVING and node.revision >= asked]
    return Coverage(asked, len(serving), len(counted))


def claim(connection: Connection, name: str, instance_id: str, **values: Any) -> None:
    """Make the name ours. Raises NodeNameTaken while another machine holds it."""
    now = utcnow()
    values |= {"instance_id": instance_id, "started_at": now, "seen_at": now}
    # Who was seen long after now was seen before a clock went back, and nobody knows when.
    long_ago = or_(Node.seen_at < now - FREE, Node.seen_at > now + FREE)
    free = or_(Node.instance_id == instance_id, Node.state == "stopped", long_ago)
    if connection.execute(update(Node).where(Node.name == name, free).values(**values)).rowcount:
        return
    seen_at = connection.scalar(select(Node.seen_at).where(Node.name == name))
    if seen_at is not None:
        raise NodeNameTaken(name, seen_at)
    connection.execute(insert(Node).values(name=name, **values))


def report(connection: Connection, name: str, instance_id: str, **values: Any) -> None:
    """Say how it goes. Raises NodeNameTaken when another machine has taken the name meanwhile."""
    now = utcnow()
    mine = update(Node).where(Node.name == name, Node.instance_id == instance_id)
    if not connection.execute(mine.values(seen_at=now, **values)).rowcount:
        claim(connection, name, instance_id, **values)  # the row is gone, as after a restored backup


def log_waiting(connection: Connection, name: str, log_path: Path) -> int:
    """Bytes of the node's access log that are not stored as calls yet."""
    statement = select(LogPosition.file, LogPosition.offset).where(LogPosition.node == name)
    stored = {file: offset for file, offset in connection.execute(statement)}
    return sum(max(0, file.size - stored.get(file.identity, 0)) for file in logfiles.in_order(log_path))


def _view(row: Node, revision: int, now: datetime) -> NodeView:
    state, sentence = row.state, row.sentence
    if state != "stopped" and row.seen_at < now - SILENT:
        seconds = int((now - row.seen_at).total_seconds())
        ago = f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
        state = "silent"
        sentence = f"Nothing was heard from it for {ago}. It may still serve revision {row.revision}."
    elif state != "stopped" and row.seen_at > now + SILENT:
        state = "silent"
        sentence = (
            f"It last reported at {row.seen_at:%Y-%m-%d %H:%M} UTC, which is yet to come: a clock went back, or the "
            f"two machines' clocks differ. It may still serve revision {row.revision}."
        )
    return NodeView(
        name=row.name,
        state=state,
        sentence=sentence,
        revision=row.revision,
        is_current=row.revision >= revision and state in _SERVING,
        problems=tuple(NodeProblem(**problem) for problem in row.problems),
        envoy_version=row.envoy_version,
        started_at=row.started_at,
        seen_at=row.seen_at,
        published_at=row.published_at,
        publish_ms=row.publish_ms,
        log_waiting=row.log_waiting,
    )
