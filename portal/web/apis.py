"""APIs: the list, one API, its document, what it offers and who uses it.

`releases.py`, `lifecycle.py`, `visibility.py` and `versions.py` have its other parts, on the same addresses.
"""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from portal import config_of, letters, registry
from portal.accounts import Permission, Team
from portal.db import db
from portal.errors import BadRequest, Changed, Conflict, Forbidden, Invalid, NameTaken
from portal.registry import Difference, Document, descriptions, mounts
from portal.registry.models import Api, Consumer, OpenAPIDocument
from portal.web import curl, lists
from portal.web.forms import Form
from portal.web.forms.access import shuts_out
from portal.web.forms.apis import DocumentForm, NewAPIForm, OverallLimitForm, with_targets
from portal.web.guards import an_api, may, me, requires, teams_for

bp = Blueprint("apis", __name__, url_prefix="/apis")

STATES = ("draft", "published", "paused", "deprecated", "retired")


@bp.app_template_global()
def api_tabs(api: Api, active: str) -> list[tuple[str, str, bool]]:
    """The parts of one API for the `tabs` macro; `active` is the endpoint of the one that is open."""
    parts = [
        ("Overview", "apis.show"),
        ("Document", "apis.document"),
        ("Operations", "imports.operations"),
        ("Releases", "apis.releases"),
        ("Lifecycle", "apis.lifecycle"),
        ("Plans", "apis.plans"),
        ("Subscribers", "apis.subscribers"),
    ]
    if may(Permission.SEE_API_CALLS, api.team):
        parts.append(("Traffic", "traffic.api"))
    return [(label, address(api, endpoint), endpoint == active) for label, endpoint in parts]


def address(api: Api, endpoint: str = "apis.show", **more: Any) -> str:
    return url_for(endpoint, team=api.team.slug, slug=api.slug, version=api.version, **more)


def openapi_links(api: Api, names: Mapping[str, str]) -> dict[str, str]:
    """Where the operations of these OpenAPI documents are listed, by what people call them: those of old releases are
    nowhere."""
    live = api.live_release.document.get("openapi") if api.live_release else None
    shown = {live: address(api, "docs.operations"), api.draft.get("openapi"): address(api, "imports.operations")}
    return {name: shown[digest] for digest, name in names.items() if digest in shown}


def back(api: Api, message: str, endpoint: str = "apis.show") -> Response:
    return back_to(address(api, endpoint), message)


def back_to(url: str, message: str) -> Response:
    flash(message, "success")
    return redirect(url, 303)


@bp.get("")
@requires(Permission.SIGNED_IN)
def index() -> ResponseReturnValue:
    asked = {"q": lists.query(), "team": lists.query("team"), "state": lists.query("state")}
    session = db.session()
    return render_template(
        "apis/index.html",
        page=lists.page(session, lists.apis(me(), **asked), Api.name, Api.id),
        asked=asked,
        without=lists.without,
        teams=list(session.scalars(lists.visible_teams(me()))),
        states=STATES,
        may_register=bool(teams_for(Permission.MANAGE_APIS)),
        address=address,
    )


@bp.route("/new", methods=["GET", "POST"])
@requires(Permission.SIGNED_IN)
def new() -> ResponseReturnValue:
    teams = teams_for(Permission.MANAGE_APIS)
    if not teams:
        if request.method == "POST":
            raise Forbidden("None of your teams may publish APIs. Ask an administrator for the right.")
        return render_template("apis/new_refused.html")
    form = with_targets(NewAPIForm)
    form.choose_among({team: registry.secrets_of(db.session(), team) for team in teams})
    if request.method == "GET" and any(team.slug == lists.query("team") for team in teams):
        form.team.data = lists.query("team")
    if request.method == "GET" or form.was_reshaped:
        return _registration(form, teams), form.status
    publish = "publish" in request.form
    form.validate_on_submit()
    try:
        document = form.document()
        check_tls(document, None)
    except Invalid as error:
        form.refuse_more(error)
    team = next((team for team in teams if team.slug == form.team.data), None)
    if form.errors or team is None:
        _say_what_is_taken(form, team, publish)
        return _registration(form, teams), form.status
    try:
        with db.begin() as session:
            api = registry.create_api(
                session, team, slug=form.slug.data, version=form.version.data, document=document, by=me()
            )
            if publish:
                session.flush()  # publishing reads the row again
                registry.publish(session, api, by=me(), expected=api.draft_number)
    except (Invalid, Conflict) as error:
        status = form.refuse(error)
        return _registration(form, teams), status
    _warn_of_own_address(document)
    return back(api, f"{api.name} is published." if publish else f"{api.name} is a draft. Publish it to let calls in.")


def _say_what_is_taken(form: NewAPIForm, team: Team | None, publish: bool) -> None:
    """Beside what else is wrong: who has mended that is not to be told the next thing."""
    session = db.session()
    if team is not None and not {"slug", "version"} & form.errors.keys():
        try:
            registry.require_free_name(session, team, form.slug.data or "", form.version.data or "")
        except NameTaken as taken:
            form.refuse(taken)
    for place, host, path in (("path", "*", form.served_at), ("host", form.host.data, "/")):
        is_asked = publish and host and path and place not in form.errors
        if is_asked and (met := mounts.taken(session, host or "", path or "", by=me())):
            form.refuse(met)


def _registration(form: NewAPIForm, teams: list[Team]) -> str:
    return render_template(
        "apis/new.html",
        form=form,
        secret_teams=teams,
        may_switch_off_tls=me().acts_as_administrator,
        shuts_out=form.shuts_out(request.remote_addr),
    )


@bp.get("/<team>/<slug>/<version>")
@requires(Permission.SEE_APIS, an_api)
def show(api: Api) -> ResponseReturnValue:
    live = registry.read_document(api.live_release.document) if api.live_release else None
    shown = live or registry.read_document(api.draft)
    gateway_url = config_of(current_app).gateway_url
    session = db.session()
    source = session.get(OpenAPIDocument, api.draft.get("openapi") or "")
    return render_template(
        "apis/show.html",
        api=api,
        document=shown,
        openapi=source,
        openapi_facts=source and descriptions.facts_of(source),
        most_warnings=50,
        addresses=curl.addresses(shown, gateway_url),
        commands=curl.commands(shown, gateway_url) if live else [],
        subscribers=lists.page(session, lists.subscribers(api, q=""), Consumer.name, Consumer.id),
        may_manage=may(Permission.MANAGE_APIS, api.team),
        may_delete=may(Permission.MANAGE_TEAM, api.team),
        versions=registry.siblings(db.session(), api)[:20],
        address=address,
    )


@bp.get("/<team>/<slug>/<version>/document")
@requires(Permission.SEE_APIS, an_api)
def document(api: Api) -> ResponseReturnValue:
    if not may(Permission.MANAGE_APIS, api.team):
        draft = registry.read_document(api.draft)
        names = registry.openapi_names(db.session(), [draft.openapi])
        facts = registry.facts(draft, names)
        return render_template(
            "apis/document_read.html", api=api, facts=facts, links=openapi_links(api, names), address=address
        )
    form = _document_form(api)
    form.number.data = str(api.draft_number)
    return _editor(api, form)


@bp.post("/<team>/<slug>/<version>/document")
@requires(Permission.MANAGE_APIS, an_api)
def save_document(api: Api) -> ResponseReturnValue:
    form = _document_form(api)
    if form.was_reshaped:
        return _editor(api, form, form.status)
    form.validate_on_submit()
    try:
        typed = form.document()
        check_tls(typed, registry.read_document(api.draft))
    except Invalid as error:
        form.refuse_more(error)
    if form.errors:
        return _editor(api, form, form.status)
    try:
        with db.begin() as session:
            check_tls(typed, registry.read_document(api.draft))
            registry.save_draft(session, api, typed, by=me(), expected=draft_number(form))
    except Changed as error:
        stored = registry.read_document(api.draft)
        names = registry.openapi_names(db.session(), (typed.openapi, stored.openapi))
        theirs = registry.differences(typed, stored, names)
        return _editor(api, form, form.refuse(error), theirs)
    except Invalid as error:
        return _editor(api, form, form.refuse(error))
    _warn_of_own_address(typed)
    return back(api, f"Draft {api.draft_number} of {api.name} is saved. Publish it to make it live.")


def _warn_of_own_address(document: Document) -> None:
    if said := shuts_out(document.addresses, request.remote_addr):
        flash(said, "warning")


def _document_form(api: Api) -> Any:
    return with_targets(DocumentForm, api.draft).offer(registry.secrets_of(db.session(), api.team), api.draft)


def _editor(
    api: Api, form: DocumentForm, status: int = 200, theirs: list[Difference] | None = None
) -> ResponseReturnValue:
    """`theirs`: how the stored draft differs from what was typed, when somebody else saved in between."""
    page = render_template(
        "apis/document.html",
        api=api,
        form=form,
        theirs=theirs,
        shuts_out=form.shuts_out(request.remote_addr),
        secret_teams=[api.team],
        may_switch_off_tls=me().acts_as_administrator,
        address=address,
    )
    return page, status


@bp.get("/<team>/<slug>/<version>/plans")
@requires(Permission.SEE_APIS, an_api)
def plans(api: Api) -> ResponseReturnValue:
    return _plans(api, OverallLimitForm(obj=api))


@bp.post("/<team>/<slug>/<version>/limit")
@requires(Permission.MANAGE_APIS, an_api)
def limit(api: Api) -> ResponseReturnValue:
    form = OverallLimitForm()
    if not form.validate_on_submit():
        return _plans(api, form, form.status)
    try:
        with db.begin() as session:
            registry.limit_api(session, api, overall_per_second=form.overall_per_second.data)
    except Invalid as error:
        return _plans(api, form, form.refuse(error))
    rate = api.overall_per_second
    held = f"lets {rate:,} {'call' if rate == 1 else 'calls'} a second through" if rate else "has no overall limit"
    return back(api, f"{api.name} {held}, on each node within a second.", "apis.plans")


def _plans(api: Api, form: OverallLimitForm, status: int = 200) -> ResponseReturnValue:
    page = render_template(
        "apis/plans.html",
        api=api,
        form=form,
        plans=list(db.session.scalars(lists.plans_of(api.team))),
        may_manage=may(Permission.MANAGE_APIS, api.team),
        address=address,
    )
    return page, status


@bp.post("/<team>/<slug>/<version>/plans")
@requires(Permission.MANAGE_APIS, an_api)
def offer(api: Api) -> ResponseReturnValue:
    chosen = set(request.form.getlist("plan"))
    with db.begin() as session:
        theirs = session.scalars(lists.plans_of(api.team))
        offered = [plan for plan in theirs if plan.slug in chosen]
        # A default that was ticked off with its plan says nothing.
        default = next((plan for plan in offered if plan.slug == request.form.get("default")), None)
        registry.offer_plans(session, api, offered, default=default)
    count = len(api.plans)
    return back(api, f"{api.name} offers {count} {'plan' if count == 1 else 'plans'}.", "apis.plans")


@bp.route("/<team>/<slug>/<version>/delete", methods=["GET", "POST"])
@requires(Permission.MANAGE_TEAM, an_api)
def delete(api: Api) -> ResponseReturnValue:
    wrong = None
    if request.method == "POST":
        if request.form.get("confirm", "").strip() == api.slug:
            name = api.name
            with db.begin() as session:
                lost = registry.delete_api(session, api)
                letters.apis_deleted(session, [(loss.team, loss.uses) for loss in lost], by=me())
            flash(f"{name} is deleted. Callers get 404 within a second.", "success")
            return redirect(url_for(".index"), 303)
        wrong = f"This is not {api.slug}. Type it to delete the API."
    current = len(registry.subscribers(db.session(), api))
    page = render_template("apis/delete.html", api=api, current=current, wrong=wrong, address=address)
    return page, 422 if wrong else 200


def draft_number(form: Form) -> int:
    """The draft that the person looked at; "Save mine over it" names the one that was shown beside theirs."""
    number = request.form.get("over") or form["number"].data or ""
    if not number.isdecimal() or len(number) > 9:
        raise BadRequest("This form does not say which draft it is about. Open the page again.")
    return int(number)


def check_tls(document: Document, stored: Document | None) -> None:
    """Switching certificate checks off is an administrator's act; others may keep it for the same targets only."""
    if document.upstream.tls_verify or me().acts_as_administrator:
        return
    kept = stored is not None and not stored.upstream.tls_verify
    if not (kept and stored is not None and stored.upstream.targets == document.upstream.targets):
        raise Invalid({"upstream.tls_verify": "Only administrators may switch this off. Ask one, or leave it on."})
