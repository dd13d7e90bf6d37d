"""The docs of published APIs in the catalogue, and of drafts for those who own them."""

import gzip
import io
from collections.abc import Iterator

from flask import Blueprint, current_app, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from portal import config_of
from portal.accounts import Permission
from portal.db import db
from portal.registry import exports
from portal.registry.models import Api
from portal.web import curl, problems
from portal.web.docs import pages, stored
from portal.web.docs.source import pointer_of
from portal.web.guards import a_shown_api, an_api, person, requires
from portal.web.markdown import html_of

bp = Blueprint("docs", __name__)
bp.add_app_template_filter(html_of, "markdown")

_SHOWN = "/catalogue/<team>/<slug>/<version>"
_DRAFT = "/apis/<team>/<slug>/<version>/preview"
_MEDIA = {"json": "application/json", "yaml": "application/yaml"}


@bp.get(_SHOWN)
@requires(Permission.SEE_CATALOGUE, a_shown_api)
def show(api: Api) -> ResponseReturnValue:
    return pages.show_overview(_live(api))


@bp.get(f"{_SHOWN}/operations")
@requires(Permission.SEE_CATALOGUE, a_shown_api)
def operations(api: Api) -> ResponseReturnValue:
    return pages.show_operations(_live(api))


@bp.get(f"{_SHOWN}/operations/<operation>")
@requires(Permission.SEE_CATALOGUE, a_shown_api)
def operation(api: Api, operation: str) -> ResponseReturnValue:
    return pages.show_operation(_live(api), operation)


@bp.get(f"{_SHOWN}/schemas/<schema>")
@requires(Permission.SEE_CATALOGUE, a_shown_api)
def schema(api: Api, schema: str) -> ResponseReturnValue:
    return pages.show_schema(_live(api), pointer_of(schema=schema))


@bp.get(f"{_SHOWN}/parts/<path:part>")
@requires(Permission.SEE_CATALOGUE, a_shown_api)
def part(api: Api, part: str) -> ResponseReturnValue:
    """What references lead to outside of the document's schemas."""
    return pages.show_schema(_live(api), pointer_of(part=part))


@bp.get(f"{_SHOWN}/openapi.json")
@requires(Permission.SEE_CATALOGUE, a_shown_api)
def openapi_json(api: Api) -> ResponseReturnValue:
    return _export(api, "json")


@bp.get(f"{_SHOWN}/openapi.yaml")
@requires(Permission.SEE_CATALOGUE, a_shown_api)
def openapi_yaml(api: Api) -> ResponseReturnValue:
    return _export(api, "yaml")


@bp.get(_DRAFT)
@requires(Permission.SEE_APIS, an_api)
def preview(api: Api) -> ResponseReturnValue:
    return pages.show_overview(_draft(api))


@bp.get(f"{_DRAFT}/operations")
@requires(Permission.SEE_APIS, an_api)
def preview_operations(api: Api) -> ResponseReturnValue:
    return pages.show_operations(_draft(api))


@bp.get(f"{_DRAFT}/operations/<operation>")
@requires(Permission.SEE_APIS, an_api)
def preview_operation(api: Api, operation: str) -> ResponseReturnValue:
    return pages.show_operation(_draft(api), operation)


@bp.get(f"{_DRAFT}/schemas/<schema>")
@requires(Permission.SEE_APIS, an_api)
def preview_schema(api: Api, schema: str) -> ResponseReturnValue:
    return pages.show_schema(_draft(api), pointer_of(schema=schema))


@bp.get(f"{_DRAFT}/parts/<path:part>")
@requires(Permission.SEE_APIS, an_api)
def preview_part(api: Api, part: str) -> ResponseReturnValue:
    return pages.show_schema(_draft(api), pointer_of(part=part))


def _export(api: Api, form: exports.Form) -> ResponseReturnValue:
    session = db.session()
    document = exports.live_document(api)
    assert document is not None, "the guard lets published ones in only"
    server = curl.addresses(document, config_of(current_app).gateway_url)[0].rstrip("/")
    key = exports.key_of(api, document, form, server)
    answer = Response(mimetype=_MEDIA[form])
    answer.headers["Vary"] = "Accept-Encoding, Cookie, HX-Request"
    answer.headers["Content-Disposition"] = f'attachment; filename="{api.slug}-{api.version}.openapi.{form}"'
    answer.set_etag(key, weak=True)
    if request.if_none_match.contains_weak(key):
        answer.status_code = 304
        return answer
    if not exports.is_large(session, document, form):
        answer.set_data(exports.write(session, api, document, form, server))
        return answer
    packed = exports.kept(session, key)
    if packed is None or "HX-Request" in request.headers:
        return _being_written(api, form, server, key, is_written=packed is not None)
    if request.accept_encodings["gzip"]:
        answer.headers["Content-Encoding"] = "gzip"
        answer.set_data(packed)
    else:
        answer.response = _unpacked(packed)
    return answer


def _being_written(api: Api, form: exports.Form, server: str, key: str, *, is_written: bool) -> ResponseReturnValue:
    """It is asked for by looking; whoever looks again finds it at the same address."""
    if not is_written:
        with db.begin() as session:
            exports.ask(session, api, form, server, key)
    is_part = "HX-Request" in request.headers
    headers = {"Retry-After": "10"}
    if problems.wants_json() and not is_part:
        message = "It is being written, which may take some minutes. Ask again."
        return jsonify(status=202, message=message), 202, headers
    page = render_template(
        "docs/_being_written.html" if is_part else "docs/being_written.html",
        about=_live(api).about,
        url=stored.address(api, f"docs.openapi_{form}"),
        is_written=is_written,
        job=None if is_written else exports.asked(db.session(), key),
    )
    return page, 202, headers


def _unpacked(packed: bytes) -> Iterator[bytes]:
    with gzip.open(io.BytesIO(packed)) as whole:
        while some := whole.read(1_000_000):
            yield some


def _live(api: Api) -> stored.Stored:
    return stored.live(db.session(), api, person(), config_of(current_app).gateway_url)


def _draft(api: Api) -> stored.Stored:
    return stored.draft(db.session(), api, person(), config_of(current_app).gateway_url)
