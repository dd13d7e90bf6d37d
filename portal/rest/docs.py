"""The docs of the REST API, on the same pages as those of published APIs."""

from functools import cache

import orjson
from flask import Blueprint, current_app, url_for
from flask.typing import ResponseReturnValue

from portal import __version__, config_of, openapi
from portal.accounts import Permission
from portal.registry.document import KeyPlace
from portal.rest.description import document
from portal.rest.route import ROOT
from portal.web import docs
from portal.web.guards import requires

bp = Blueprint("rest_docs", __name__, url_prefix="/rest-api")


@bp.get("")
@requires(Permission.SIGNED_IN)
def show() -> ResponseReturnValue:
    return docs.show_overview(_source())


@bp.get("/operations")
@requires(Permission.SIGNED_IN)
def operations() -> ResponseReturnValue:
    return docs.show_operations(_source())


@bp.get("/operations/<rest_operation>")
@requires(Permission.SIGNED_IN)
def operation(rest_operation: str) -> ResponseReturnValue:
    return docs.show_operation(_source(), rest_operation)


@bp.get("/schemas")
@requires(Permission.SIGNED_IN)
def schemas() -> ResponseReturnValue:
    return docs.show_schemas(_source())


@bp.get("/schemas/<rest_schema>")
@requires(Permission.SIGNED_IN)
def schema(rest_schema: str) -> ResponseReturnValue:
    return docs.show_schema(_source(), docs.pointer_of(schema=rest_schema))


@bp.get("/parts/<path:rest_part>")
@requires(Permission.SIGNED_IN)
def part(rest_part: str) -> ResponseReturnValue:
    return docs.show_schema(_source(), docs.pointer_of(part=rest_part))


def _source() -> docs.Described:
    base = url_for("rest_docs.show")
    source = _read(config_of(current_app).url, base)
    source.about = docs.About(
        name="REST API",
        version=__version__,
        base=base,
        addresses=(f"{config_of(current_app).url}{ROOT}",),
        key=KeyPlace(place="bearer", name="Authorization"),
        credential="token",
        variable="PORTICO_TOKEN",
        crumbs=(
            docs.Link("Settings", url_for("settings.show")),
            docs.Link("Access tokens", url_for("access_tokens.index")),
        ),
        exports=(docs.Link("JSON", url_for("rest.openapi")),),
    )
    return source


@cache
def _read(url: str, base: str) -> docs.Described:
    """Once for each process: it does not change while one runs."""
    about = docs.About(name="", version="", base=base, addresses=(), key=None)
    return docs.Described(about, openapi.read(orjson.dumps(document(url))))
