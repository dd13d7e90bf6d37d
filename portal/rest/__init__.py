"""The REST API, `/api/v1`: the verbs of the pages for programs, with the same permissions, as JSON.

A route is declared once (`route.py`). Its view (`serving.py`) and its part of the OpenAPI document (`description.py`)
are made from that. A file for each resource; a new one joins `_ROOMS`.
"""

from typing import Any

from flask import Blueprint, Flask, current_app

from portal import config_of
from portal.accounts import Permission
from portal.rest import (
    apis,
    approvals,
    asking,
    audit,
    calls,
    catalogue,
    categories,
    channels,
    consumers,
    docs,
    drafts,
    gateway,
    imports,
    installation,
    invitations,
    keys,
    leaks,
    lifecycle,
    me,
    members,
    notices,
    operations,
    people,
    plans,
    publishing,
    quotas,
    releases,
    secrets,
    serving,
    subscribers,
    subscriptions,
    teams,
    token_keys,
    traffic,
    versions,
    visibility,
)
from portal.rest.description import document
from portal.rest.route import ROOT, ROUTES
from portal.web.guards import requires

__all__ = ["document", "set_up"]

_ROOMS = (
    me,
    notices,
    teams,
    members,
    channels,
    apis,
    drafts,
    operations,
    releases,
    publishing,
    versions,
    lifecycle,
    token_keys,
    visibility,
    imports,
    catalogue,
    categories,
    plans,
    secrets,
    consumers,
    subscriptions,
    quotas,
    keys,
    leaks,
    subscribers,
    approvals,
    calls,
    traffic,
    gateway,
    installation,
    audit,
    people,
    invitations,
)
"""Those that declare routes."""


def set_up(app: Flask) -> None:
    """After the pages, whose errors and headers it shares."""
    bp = Blueprint("rest", __name__, url_prefix=ROOT)
    for route in ROUTES:
        bp.add_url_rule(route.path, route.name, serving.view_of(route), methods=[route.method])
    bp.add_url_rule("/openapi.json", "openapi", _openapi, methods=["GET"])
    bp.add_url_rule("", "root", _openapi, methods=["GET"])
    bp.after_request(asking.tell_rate)
    app.extensions["csrf"].exempt(bp)  # there are no cookies here that somebody else's page could use
    app.register_blueprint(bp)
    app.register_blueprint(docs.bp)


@requires(Permission.PUBLIC)
def _openapi() -> Any:
    return document(config_of(current_app).url)
