"""Nodes as they report, the worker, and what the two leave undone."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal import gateway, jobs
from portal.doctor.envoy import wrong_version
from portal.doctor.finding import Finding
from portal.jobs import Job
from portal.traffic.models import MisreadLine

_LONG_LOG = 64 * 1024 * 1024
_LATE = timedelta(minutes=10)


def findings(session: Session, now: datetime) -> Iterator[Finding]:
    yield from _nodes(session)
    yield from _worker(session, now)
    misread = session.scalar(select(func.sum(MisreadLine.count)).where(MisreadLine.at > now - timedelta(days=1)))
    if misread:
        yield Finding(
            "gateway", f"{misread} lines of the gateway's log were no calls in 24 hours.", "The back office has why."
        )


def _nodes(session: Session) -> Iterator[Finding]:
    for node in gateway.nodes(session):
        if node.state in {"down", "silent", "troubled"}:
            yield Finding("gateway", f"Node {node.name}: {node.sentence}", "The gateway's page lists its problems.")
        elif node.state == "serving" and not node.is_current:
            yield Finding(
                "gateway", f"Node {node.name} is behind: it serves revision {node.revision}.", "Look at its log."
            )
        if node.state != "stopped":
            yield from wrong_version(node.envoy_version, f"Envoy of node {node.name}")
        if node.log_waiting > _LONG_LOG:
            yield Finding(
                "gateway",
                f"{node.log_waiting / 1e6:,.0f} MB of the log of node {node.name} are not stored as calls yet.",
                "Wait, if it shrinks; otherwise the node's log says what is in the way.",
            )


def _worker(session: Session, now: datetime) -> Iterator[Finding]:
    if not session.scalar(select(func.count()).select_from(Job).where(Job.every.is_not(None))):
        yield Finding("worker", "No worker has run here yet.", "Start it with `make run` or `flask worker run`.")
    late = session.scalar(select(func.min(Job.run_at)).where(Job.failed_at.is_(None), Job.run_at < now - _LATE))
    if late:
        held = session.scalar(select(func.count()).select_from(Job).where(Job.claimed_until > now))
        turn = jobs.last_turn(session, now=now)
        seen = f"The worker last did something at {_moment(turn)}." if turn else "No worker is seen at work."
        yield Finding(
            "worker",
            f"Work waits that was due at {_moment(late)}. {'The worker is at other work.' if held else seen}",
            "Wait, if the list of due jobs gets shorter; the back office has them."
            if held
            else "Start the worker with `flask worker run`.",
        )
    given_up = session.scalar(select(func.count()).select_from(Job).where(Job.failed_at.is_not(None)))
    if given_up:
        counted = "1 job was" if given_up == 1 else f"{given_up:,} jobs were"
        yield Finding("worker", f"{counted} given up.", "The back office has each with its error.")
    failing = select(Job).where(Job.failed_at.is_(None), Job.error.is_not(None)).order_by(Job.kind, Job.id.desc())
    said: set[str] = set()
    for job in session.scalars(failing.limit(500)):
        if job.kind not in said:
            said.add(job.kind)
            yield Finding(
                "mail" if job.kind == "mail" else "worker",
                f"The job {job.kind} fails and is tried again: {str(job.error).rstrip('.')[:300]}.",
                "The back office has when it is tried next.",
            )


def _moment(at: datetime) -> str:
    return f"{at:%H:%M} UTC on {at:%d %B}"
