"""The docs of published APIs in the catalogue, and of drafts for those who own them."""

from flask import Blueprint, current_app, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from portal import config_of, registry
from portal.accounts import Permission
from portal.db import db
from portal.registry.models import Api, Consumer
from portal.web import lists
from portal.web.docs import exports, pages, stored
from portal.web.docs.source import pointer_of
from portal.web.guards import a_shown_api, an_api, me, person, requires, teams_for
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


@bp.get(f"{_SHOWN}/subscribe")
@requires(Permission.SEE_CATALOGUE, a_shown_api)
def subscribe(api: Api) -> ResponseReturnValue:
    """Which consumer is it for? What follows is the subscription of that consumer."""
    session = db.session()
    teams = {team.id for team in me().teams}
    page = lists.page(session, lists.consumers(me(), q=lists.query(), team=""), Consumer.name, Consumer.id)
    current = lists.by_consumer(lists.subscriptions_of(session, page.rows, api))
    return render_template(
        "docs/subscribe.html",
        about=_live(api).about,
        api=api,
        page=page,
        q=lists.query(),
        current=current,
        may_make=bool(teams and teams_for(Permission.MANAGE_CONSUMERS)),
    )


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
    assert api.live_release is not None, "the guard lets published ones in only"
    document = registry.read_document(api.live_release.document)
    gateway_url = config_of(current_app).gateway_url
    answer = Response(mimetype=_MEDIA[form])
    answer.set_etag(exports.key_of(api, document, form, gateway_url))
    # Whoever keeps a copy asks each time whether they may still see it.
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.headers["Content-Disposition"] = f'inline; filename="{api.slug}-{api.version}.openapi.{form}"'
    if request.if_none_match.contains_weak(answer.get_etag()[0] or ""):
        answer.status_code = 304
        return answer
    answer.set_data(exports.write(db.session(), api, document, form, gateway_url))
    return answer


def _live(api: Api) -> stored.Stored:
    return stored.live(db.session(), api, person(), config_of(current_app).gateway_url)


def _draft(api: Api) -> stored.Stored:
    return stored.draft(db.session(), api, person(), config_of(current_app).gateway_url)
