"""The gateway: its nodes, what is wrong with them, and what Envoy gets. For administrators."""

from dataclasses import dataclass
from datetime import timedelta

import orjson
from flask import Blueprint, current_app, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal import config_of, gateway
from portal.accounts import Permission, Team
from portal.db import db, utcnow
from portal.errors import NotFound
from portal.gateway import NodeView
from portal.registry.models import Api
from portal.traffic.models import Call, MisreadLine, instant
from portal.web.guards import requires

bp = Blueprint("gateway", __name__, url_prefix="/gateway")

_MOST_PROBLEMS = 50
"""Shown at once, of APIs: thousands with one cause, such as a name server that is away, say no more than fifty."""

_LONGEST_SHOWN = 200_000
"""Bytes of JSON that a page still shows; a browser gets slow with more, so it is offered for download."""

_MEANINGS = {
    "bootstrap.json": "What Envoy is started with; changes with the settings.",
    "lds/lds.json": "The listener: address, order of the filters, access log. Never changes while Envoy runs.",
    "rds/rds.json": "The routes: which path or host belongs to which API.",
    "cds/cds.json": "The clusters: upstreams, timeouts, TLS.",
    "limits/limits.json": "The limits of the plans.",
    "jwt/jwt.json": "What APIs ask of tokens (JWT), and the public keys to verify them with.",
    "operations/operations.json": "The limits of operations under plans.",
    "overall/overall.json": "The overall limits of APIs.",
    "keys/keys.json": "The key filter, which names the file of key data.",
    "data/keys.bin": "The key data. Only how much of it: it holds hashes.",
}


@dataclass(frozen=True, slots=True)
class File:
    name: str
    meaning: str
    size: int


@dataclass(frozen=True, slots=True)
class ApiProblem:
    sentence: str
    nodes: str
    apis: list[tuple[str, str]]
    """Name and address of each, "" for one that is gone. A host that is away is one problem of all that use it."""


@bp.get("")
@requires(Permission.ADMINISTER)
def show() -> ResponseReturnValue:
    """The page, or only what changes of it when it refreshes itself."""
    session, now = db.session(), utcnow()
    nodes = gateway.nodes(session)
    newest = session.scalar(select(func.max(Call.at)))
    yesterday = now - timedelta(days=1)
    return render_template(
        "gateway/_live.html" if "HX-Request" in request.headers else "gateway/show.html",
        nodes=nodes,
        coverage=gateway.coverage(session),
        most_problems=_MOST_PROBLEMS,
        in_clear=config_of(current_app).in_clear,
        api_problems=_api_problems(session, nodes),
        node_problems=[(node.name, each.sentence) for node in nodes for each in node.problems if not each.api],
        waiting=sum(node.log_waiting for node in nodes),
        newest_call=instant(newest) if newest else None,
        misread=session.scalar(select(func.sum(MisreadLine.count)).where(MisreadLine.at > yesterday)) or 0,
        misread_last=session.scalar(select(MisreadLine).order_by(MisreadLine.at.desc()).limit(1)),
        updated_at=now,
    )


@bp.get("/files")
@requires(Permission.ADMINISTER)
def files() -> ResponseReturnValue:
    rows = [File(name, meaning_of(name), len(content)) for name, content in envoy_files(db.session()).items()]
    return render_template("gateway/files.html", files=rows)


@bp.get("/files/<path:name>")
@requires(Permission.ADMINISTER)
def file(name: str) -> ResponseReturnValue:
    """One file as a page, or by `?download=1` as it is."""
    content = envoy_files(db.session()).get(name)
    if content is None:
        raise NotFound(f"Envoy gets no file {name[:100]}. Choose one from the list.")
    if "download" in request.args:
        kind = "application/json" if name.endswith(".json") else "text/plain"
        response = current_app.response_class(content, mimetype=kind)
        response.headers.set("Content-Disposition", "attachment", filename=name.replace("/", "-"))
        return response
    text = _pretty(content) if len(content) <= _LONGEST_SHOWN else None
    return render_template("gateway/file.html", file=File(name, meaning_of(name), len(content)), text=text)


def meaning_of(name: str) -> str:
    return _MEANINGS.get(name, "")


def envoy_files(session: Session) -> dict[str, bytes]:
    """Made anew from the registry, so it is what the next publish brings. With 3 000 APIs it takes a second."""
    snapshot = gateway.read_snapshot(session.connection())
    return gateway.what_envoy_gets(snapshot, gateway.place_of(config_of(current_app)))


def _pretty(content: bytes) -> str:
    try:
        return orjson.dumps(orjson.loads(content), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return content.decode(errors="replace")


def _api_problems(session: Session, nodes: list[NodeView]) -> list[ApiProblem]:
    said: dict[tuple[str, str], list[str]] = {}
    for node in nodes:
        for problem in node.problems:
            if problem.api:
                said.setdefault((problem.api, problem.sentence), []).append(node.name)
    names = _names(session, {label for label, _ in said})
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for (label, sentence), where in sorted(said.items()):
        api = (names.get(label, label), _address(label) if label in names else "")
        found.setdefault((sentence, ", ".join(where)), []).append(api)
    return [ApiProblem(sentence, where, apis) for (sentence, where), apis in found.items()]


def _address(label: str) -> str:
    team, slug, version = label.split("/")
    return url_for("apis.show", team=team, slug=slug, version=version)


def _names(session: Session, labels: set[str]) -> dict[str, str]:
    """Label -> name of those APIs that exist."""
    teams = {label.partition("/")[0] for label in labels}
    rows = session.execute(
        select(Team.slug, Api.slug, Api.version, Api.name).join(Api.team).where(Team.slug.in_(teams))
    )
    return {label: name for team, slug, version, name in rows if (label := f"{team}/{slug}/{version}") in labels}
