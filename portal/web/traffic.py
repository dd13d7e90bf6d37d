"""Charts of what passed through: everything one may see, one API, one consumer."""

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal.accounts import Permission
from portal.db import db, utcnow
from portal.errors import NotFound
from portal.registry.models import Api, Consumer
from portal.traffic.filters import NO_OPERATION
from portal.traffic.scope import Scope
from portal.web import figures, operations, scopes, windows
from portal.web.guards import a_consumer, an_api, me, requires
from portal.web.windows import View

bp = Blueprint("traffic", __name__)


@bp.get("/traffic")
@requires(Permission.SIGNED_IN)
def show() -> ResponseReturnValue:
    """All that the person may see, narrowed by `api` and `consumer` of the query string."""
    if "" in request.args.values():
        kept: dict[str, Any] = {name: request.args.get(name) or None for name in ("window", "api", "consumer")}
        return redirect(url_for("traffic.show", **kept), 303)
    session = db.session()
    scope = scopes.scope_of(session, me())
    api, consumer = (request.args.get(name, "").replace("\0", "").strip() for name in ("api", "consumer"))
    narrow = scope
    if api:
        found = scopes.find_api(session, scope, api)
        narrow = narrow.narrowed(api_id=_found(found, "API", api))
    if consumer:
        narrow = narrow.narrowed(
            consumer_id=_found(scopes.find_consumer(session, scope, consumer), "consumer", consumer)
        )
    return _answer(
        "traffic/show.html",
        narrow,
        api=api or None,
        consumer=consumer or None,
        apis=scopes.suggest_apis(session, scope),
        consumers=scopes.suggest_consumers(session, scope),
    )


@bp.get("/apis/<team>/<slug>/<version>/traffic")
@requires(Permission.SEE_API_CALLS, an_api)
def api(api: Api) -> ResponseReturnValue:
    """Of all operations, which a table tells apart, or of the one that `operation` of the query string names."""
    session = db.session()
    scope = scopes.scope_of(session, me()).narrowed(api_id=api.id)
    name = request.args.get("operation", "").replace("\0", "").strip()[:63]
    if not name:
        return _answer("traffic/api.html", scope, api=api.label, subject=api, operation=None)
    if name == NO_OPERATION:
        return _answer("traffic/api.html", scope.narrowed(operation=""), api=api.label, subject=api, operation=name)
    return _answer(
        "traffic/api.html",
        scope.narrowed(operation=name),
        api=api.label,
        subject=api,
        operation=name,
        described=operations.name_operations(session, api, [name])[name],
    )


@bp.get("/consumers/<team>/<consumer>/traffic")
@requires(Permission.MANAGE_CONSUMERS, a_consumer)
def consumer(consumer: Consumer) -> ResponseReturnValue:
    scope = scopes.scope_of(db.session(), me()).narrowed(consumer_id=consumer.id)
    return _answer("traffic/consumer.html", scope, consumer=f"{consumer.team.slug}/{consumer.slug}", subject=consumer)


def _answer(
    page: str,
    scope: Scope,
    *,
    api: str | None = None,
    consumer: str | None = None,
    operation: str | None = None,
    subject: Api | Consumer | None = None,
    **more: object,
) -> ResponseReturnValue:
    """The page, or only its figures when it refreshes itself."""
    session, now = db.session(), utcnow()
    preset, window = windows.read_window(session, request.args.get("window"), now)
    with_all = request.args.get("operations") == "all"
    view = View(preset, window, api, consumer, operation, with_all)
    of = subject if isinstance(subject, Api) else None
    shown = figures.figures(session, scope, view, with_reasons=True, rows=15, of=of)
    here = dict(request.view_args or {}) or {"api": api, "consumer": consumer}
    here |= {"operation": operation, "operations": "all" if with_all else None}
    urls = {name: url_for(request.endpoint or "", **here, window=name) for name in windows.PRESETS}
    live = "HX-Request" in request.headers
    return render_template(
        "traffic/_figures.html" if live else page,
        figures=shown,
        view=view,
        api=api,
        consumer=consumer,
        operation=operation,
        subject=subject,
        windows=urls,
        updated_at=now,
        **more,
    )


def _found(id_: int | None, thing: str, label: str) -> int:
    if id_ is None:
        raise NotFound(f"There is no {thing} {label} whose calls you may see. Choose one from the list.")
    return id_
