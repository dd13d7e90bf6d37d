"""Is it alive, is it ready, how does it do: for supervisors, administrators and Prometheus."""

import hmac
import ipaddress
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import orjson
from flask import Blueprint, current_app, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from portal import __version__, config_of, doctor, gateway, jobs
from portal.accounts import Permission
from portal.config import Config
from portal.db import db, utcnow
from portal.errors import NotSignedIn
from portal.jobs import Job
from portal.registry.models import Revision
from portal.traffic import series
from portal.traffic.models import Call, MisreadLine, instant
from portal.traffic.scope import Scope
from portal.traffic.window import Window
from portal.web.guards import requires
from portal.web.problems import wants_json

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@requires(Permission.PUBLIC)
def alive() -> ResponseReturnValue:
    return jsonify(status="ok")


@bp.get("/readyz")
@requires(Permission.PUBLIC)
def ready() -> ResponseReturnValue:
    """503 while the database does not answer or has no schema."""
    try:
        found = db.session.scalar(select(Revision.n))
    except SQLAlchemyError:
        found = None
    return jsonify(status="unavailable" if found is None else "ok"), 503 if found is None else 200


@bp.get("/status")
@requires(Permission.ADMINISTER)
def status() -> ResponseReturnValue:
    """How the installation does, as JSON or as a page. A database that is away answers 503, like everywhere."""
    session, now = db.session(), utcnow()
    looked = doctor.last(session, now=now)
    findings = [*doctor.glance(config_of(current_app), session), *looked.findings]
    found = facts(session, now)
    if wants_json():
        examined = {"findings": [asdict(each) for each in findings], "examined_at": looked.at}
        return current_app.response_class(orjson.dumps(found | examined), mimetype="application/json")
    return render_template("gateway/status.html", status=found, findings=findings, looked=looked)


@bp.post("/status/examine")
@requires(Permission.ADMINISTER)
def examine() -> ResponseReturnValue:
    """Have the worker take a closer look now: it takes up to a minute, and this process may see another machine."""
    with db.begin() as session:
        doctor.ask(session, now=utcnow())
    flash("The worker is asked to look at the installation.", "success")
    return redirect(url_for(".status"), 303)


@bp.get("/metrics")
@requires(Permission.PUBLIC)
def metrics() -> ResponseReturnValue:
    """Gauges in Prometheus' text format, for who has the token or asks from this machine. Raises NotSignedIn."""
    if not _may_measure(config_of(current_app)):
        raise NotSignedIn("Send PORTAL_METRICS_TOKEN as a bearer token, or ask from the portal's own machine.")
    text = "".join(_gauges(db.session(), utcnow()))
    return current_app.response_class(text, content_type="text/plain; version=0.0.4; charset=utf-8")


def facts(session: Session, now: datetime) -> dict[str, Any]:
    """How the installation does, in numbers; `doctor` says what is wrong with it."""
    nodes = gateway.nodes(session)
    covered = gateway.coverage(session)
    newest = session.scalar(select(func.max(Call.at)))
    return {
        "version": __version__,
        "database": session.get_bind().dialect.name,
        "revision": covered.revision,
        "live_on": covered.live_on,
        "nodes": [asdict(node) for node in nodes],
        "ingest": {
            "waiting_bytes": sum(node.log_waiting for node in nodes) if nodes else None,
            "newest_call_at": instant(newest) if newest else None,
            "misread_lines_24h": _misread(session, now),
        },
        "worker": _worker(session, now),
    }


def _worker(session: Session, now: datetime) -> dict[str, Any]:
    """When it last did something periodic, and what it has not done that it should have."""
    return {
        "last_turn_at": jobs.last_turn(session, now=now),
        "jobs_due": _count(session, Job.failed_at.is_(None), Job.claimed_by.is_(None), Job.run_at <= now),
        "jobs_given_up": _count(session, Job.failed_at.is_not(None)),
    }


def _gauges(session: Session, now: datetime) -> list[str]:
    covered = gateway.coverage(session)
    nodes = gateway.nodes(session)
    counts = series.totals(session, Scope(everything=True), Window.last("1h", now)).counts
    worker = _worker(session, now)
    return [
        _gauge("portico_info", "The version that answers.", {f'{{version="{__version__}"}}': 1}),
        _gauge("portico_revision", "What nodes have to serve.", {"": covered.revision}),
        _gauge("portico_nodes", "Nodes that are not stopped.", {"": covered.of}),
        _gauge("portico_nodes_live", "Nodes that are there and serve this revision.", {"": covered.live_on}),
        _gauge(
            "portico_log_waiting_bytes",
            "Access log that is not stored as calls yet.",
            {f'{{node="{_escaped(node.name)}"}}': node.log_waiting for node in nodes},
        ),
        _gauge(
            "portico_calls_last_hour",
            "Calls stored of the last 60 minutes, by class of status.",
            {
                '{class="2xx"}': counts.ok,
                '{class="3xx"}': counts.redirected,
                '{class="4xx"}': counts.client_errors,
                '{class="429"}': counts.limited,
                '{class="5xx"}': counts.server_errors,
                '{class="none"}': counts.other,
            },
        ),
        _gauge("portico_misread_lines_last_day", "Log lines that were not a call.", {"": _misread(session, now)}),
        _gauge("portico_jobs_due", "Jobs that wait for a worker.", {"": worker["jobs_due"]}),
        _gauge("portico_jobs_given_up", "Jobs that failed for good.", {"": worker["jobs_given_up"]}),
    ]


def _gauge(name: str, says: str, values: dict[str, int]) -> str:
    lines = [f"# HELP {name} {says}", f"# TYPE {name} gauge"]
    return "\n".join([*lines, *(f"{name}{labels} {value}" for labels, value in values.items())]) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _misread(session: Session, now: datetime) -> int:
    since = now - timedelta(days=1)
    return int(session.scalar(select(func.sum(MisreadLine.count)).where(MisreadLine.at > since)) or 0)


def _count(session: Session, *conditions: Any) -> int:
    return session.scalar(select(func.count()).select_from(Job).where(*conditions)) or 0


def _may_measure(config: Config) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if config.metrics_token and scheme.lower() == "bearer":
        return hmac.compare_digest(token.strip().encode(), config.metrics_token.encode())
    # Behind a proxy of this machine that nobody has told the portal of, everybody comes from loopback.
    forwarded = {"X-Forwarded-For", "X-Real-Ip", "Forwarded"} & {name.title() for name, _ in request.headers}
    if forwarded and not config.trusted_hops:
        return False
    try:
        return ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False
