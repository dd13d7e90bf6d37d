"""The docs of published APIs in the catalogue, and of drafts for those who own them."""

import gzip
import io
from collections.abc import Callable, Iterator
from functools import partial

from flask import Blueprint, current_app, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from portal import config_of, registry
from portal.accounts import Permission
from portal.db import db
from portal.registry import exports
from portal.registry.models import Api
from portal.web import curl, problems
from portal.web.docs import pages, stored
from portal.web.docs.source import About, pointer_of
from portal.web.guards import a_shown_api, an_api, person, requires
from portal.web.markdown import html_of

bp = Blueprint("docs", __name__)
bp.add_app_template_filter(html_of, "markdown")

_SHOWN = "/catalogue/<team>/<slug>/<version>"
_DRAFT = "/apis/<team>/<slug>/<version>/preview"
_MEDIA: dict[exports.Form, str] = {"json": "application/json", "yaml": "application/yaml"}

Show = Callable[..., ResponseReturnValue]
_PAGES: tuple[tuple[str, str, Show], ...] = (
    ("show", "", pages.show_overview),
    ("operations", "/operations", pages.show_operations),
    ("operation", "/operations/<operation>", lambda source, operation: pages.show_operation(source, operation)),
    ("schemas", "/schemas", pages.show_schemas),
    ("schema", "/schemas/<schema>", lambda source, schema: pages.show_schema(source, pointer_of(schema=schema))),
    # What references lead to outside of the document's schemas.
    ("part", "/parts/<path:part>", lambda source, part: pages.show_schema(source, pointer_of(part=part))),
)
"""Name, address below the API's, and what shows it of a source."""


def _export(api: Api, *, form: exports.Form, is_draft: bool) -> ResponseReturnValue:
    session = db.session()
    document = registry.read_document(api.draft) if is_draft else exports.live_document(api)
    assert document is not None, "the guard lets published ones in only"
    server = curl.addresses(document, config_of(current_app).gateway_url)[0].rstrip("/")
    key = exports.key_of(api, document, form, server)
    what = "draft.openapi" if is_draft else "openapi"
    answer = Response(mimetype=_MEDIA[form])
    answer.headers["Vary"] = "Accept-Encoding, Cookie, HX-Request"
    answer.headers["Content-Disposition"] = f'attachment; filename="{api.slug}-{api.version}.{what}.{form}"'
    answer.set_etag(key, weak=True)
    if request.if_none_match.contains_weak(key):
        answer.status_code = 304
        return answer
    if not exports.is_large(session, document, form):
        answer.set_data(exports.write(session, api, document, form, server))
        return answer
    packed = exports.kept(session, key)
    if packed is None or "HX-Request" in request.headers:
        if packed is None:
            # It is asked for by looking; whoever looks again finds it at the same address.
            with db.begin() as writing:
                exports.ask(writing, api, form, server, key)
        return _being_written(_source(api, is_draft).about, pages.here(), key, is_written=packed is not None)
    if request.accept_encodings["gzip"]:
        answer.headers["Content-Encoding"] = "gzip"
        answer.set_data(packed)
    else:
        answer.response = _unpacked(packed)
    return answer


def _being_written(about: About, url: str, key: str, *, is_written: bool) -> ResponseReturnValue:
    is_part = "HX-Request" in request.headers
    headers = {"Retry-After": "10"}
    if problems.wants_json() and not is_part:
        message = "It is being written, which may take some minutes. Ask again."
        return jsonify(status=202, message=message), 202, headers
    page = render_template(
        "docs/_being_written.html" if is_part else "docs/being_written.html",
        about=about,
        url=url,
        is_written=is_written,
        job=None if is_written else exports.asked(db.session(), key),
    )
    return page, 202, headers


def _unpacked(packed: bytes) -> Iterator[bytes]:
    with gzip.open(io.BytesIO(packed)) as whole:
        while some := whole.read(1_000_000):
            yield some


def _source(api: Api, is_draft: bool) -> stored.Stored:
    read = stored.draft if is_draft else stored.live
    return read(db.session(), api, person(), config_of(current_app).gateway_url)


def _add(address: str, name: str, view: Show, *, is_draft: bool) -> None:
    if is_draft:
        guarded = requires(Permission.SEE_APIS, an_api)(view)
        bp.add_url_rule(_DRAFT + address, "preview" if name == "show" else f"preview_{name}", guarded)
    else:
        bp.add_url_rule(_SHOWN + address, name, requires(Permission.SEE_CATALOGUE, a_shown_api)(view))


def _page(show: Show, is_draft: bool) -> Show:
    def page(api: Api, **below: str) -> ResponseReturnValue:
        return show(_source(api, is_draft), **below)

    return page


for _is_draft in (False, True):
    for _name, _below, _show in _PAGES:
        _add(_below, _name, _page(_show, _is_draft), is_draft=_is_draft)
    for _form in _MEDIA:
        _add(
            f"/openapi.{_form}",
            f"openapi_{_form}",
            partial(_export, form=_form, is_draft=_is_draft),
            is_draft=_is_draft,
        )
