"""Imports: an OpenAPI document is brought, looked at, and becomes an API or brings one up to date."""

from typing import Any

from flask import Blueprint, Flask, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from portal import config_of, gateway, reading, registry
from portal.accounts import Permission, Team
from portal.db import db
from portal.errors import BadRequest, Changed, Conflict, Forbidden, Invalid, PathTaken, Unreadable
from portal.outbound.fetch import NotFetched
from portal.registry import descriptions, imports, mounts
from portal.registry.merging import meetings, merged
from portal.registry.models import Api, Import, ImportSource, ImportState, OpenAPIDocument
from portal.web import described
from portal.web.apis import address
from portal.web.forms.imports import ACCEPTED, ImportedAPIForm, MergeForm, NewSourceForm, SourceForm, with_choices
from portal.web.guards import an_api, an_import, may, me, requires, teams_for
from portal.web.intake import takes_file, unread

bp = Blueprint("imports", __name__)

MOST_WARNINGS = 50
SHOWN = 20
"""Operations and changes that a preview shows before it leads to the whole list."""


def most_bytes(app: Flask) -> int:
    return config_of(app).import_limit * 1_000_000


@bp.route("/apis/import", methods=["GET", "POST"])
@requires(Permission.SIGNED_IN)
@takes_file("file", most_bytes)
def new() -> ResponseReturnValue:
    teams = teams_for(Permission.MANAGE_APIS)
    if not teams:
        if request.method == "POST":
            raise Forbidden("None of your teams may publish APIs. Ask an administrator for the right.")
        return render_template("apis/new_refused.html")
    form = NewSourceForm()
    form.choose_among(teams)
    if request.method == "GET" and any(team.slug == request.args.get("team") for team in teams):
        form.team.data = request.args["team"]
    if unread():
        return _too_large_page(form, api=None, team_count=len(teams))
    if form.validate_on_submit():
        team = next(team for team in teams if team.slug == form.team.data)
        if answer := _bring(form, team, None):
            return answer
    return _source_page(form, api=None, team_count=len(teams))


@bp.route("/apis/<team>/<slug>/<version>/import", methods=["GET", "POST"])
@requires(Permission.MANAGE_APIS, an_api)
@takes_file("file", most_bytes)
def again(api: Api) -> ResponseReturnValue:
    form = SourceForm()
    if unread():
        return _too_large_page(form, api=api, team_count=1)
    form.offer(described.last_address(db.session(), api))
    if form.validate_on_submit() and (answer := _bring(form, api.team, api)):
        return answer
    return _source_page(form, api=api, team_count=1)


@bp.get("/imports/<int:import_id>")
@requires(Permission.MANAGE_APIS, an_import)
def show(imported: Import) -> ResponseReturnValue:
    if imported.state is not ImportState.READY:
        return render_template("imports/state.html", imported=imported, address=address)
    if imported.api is not None:
        return _merge_page(imported, imported.api, _merge_form(imported, imported.api))
    form = ImportedAPIForm()
    form.fill(imports.proposal_of(db.session(), imported))
    return _new_page(imported, form)


@bp.get("/imports/<int:import_id>/progress")
@requires(Permission.MANAGE_APIS, an_import)
def progress(imported: Import) -> ResponseReturnValue:
    """A fragment for the page that polls it; once there is something else to see, that page."""
    if not imported.is_being_read or "HX-Request" not in request.headers:
        return redirect(url_for(".show", import_id=imported.id), 303)
    return render_template("imports/_progress.html", imported=imported)


@bp.post("/imports/<int:import_id>")
@requires(Permission.MANAGE_APIS, an_import)
def apply(imported: Import) -> ResponseReturnValue:
    if imported.state is not ImportState.READY:
        flash("This import is over. Nothing was changed by what you sent.", "warning")
        return _to(imported)
    return _create(imported) if imported.api is None else _merge(imported, imported.api)


@bp.post("/imports/<int:import_id>/again")
@requires(Permission.MANAGE_APIS, an_import)
def compare(imported: Import) -> ResponseReturnValue:
    try:
        with db.begin() as session:
            imports.compare_again(session, imported)
    except Conflict as error:
        flash(str(error), "warning")
    return _to(imported)


@bp.post("/imports/<int:import_id>/cancel")
@requires(Permission.MANAGE_APIS, an_import)
def cancel(imported: Import) -> ResponseReturnValue:
    try:
        with db.begin() as session:
            imports.cancel(session, imported)
    except Conflict as error:
        flash(str(error), "info")
    return _to(imported)


@bp.post("/imports/<int:import_id>/discard")
@requires(Permission.MANAGE_APIS, an_import)
def discard(imported: Import) -> ResponseReturnValue:
    try:
        with db.begin() as session:
            imports.discard(session, imported)
    except Conflict as error:
        flash(str(error), "warning")
        return _to(imported)
    flash("The import is discarded. Nothing was changed.", "success")
    return redirect(address(imported.api) if imported.api else url_for("apis.index"), 303)


@bp.get("/imports/<int:import_id>/operations")
@requires(Permission.MANAGE_APIS, an_import)
def its_operations(imported: Import) -> ResponseReturnValue:
    found = described.operations(db.session(), imported.sha256 or "")
    return render_template("imports/operations.html", imported=imported, found=found, address=address)


@bp.get("/imports/<int:import_id>/changes")
@requires(Permission.MANAGE_APIS, an_import)
def changes(imported: Import) -> ResponseReturnValue:
    found = described.changes(imported.changes)
    callers = _callers(imported, {row["before_id"] for row in found.rows if row["breaking"]})
    return render_template("imports/changes.html", imported=imported, found=found, callers=callers, address=address)


@bp.get("/apis/<team>/<slug>/<version>/operations")
@requires(Permission.SEE_APIS, an_api)
def operations(api: Api) -> ResponseReturnValue:
    return _operations_page(api)


def _operations_page(api: Api) -> str:
    digest = api.draft.get("openapi") or ""
    live = api.live_release.document.get("openapi") if api.live_release else None
    return render_template(
        "apis/operations.html",
        api=api,
        found=described.operations(db.session(), digest),
        has_document=bool(digest),
        is_live=live == digest,
        may_manage=may(Permission.MANAGE_APIS, api.team),
        address=address,
    )


@bp.get("/apis/<team>/<slug>/<version>/openapi")
@requires(Permission.SEE_APIS, an_api)
def original(api: Api) -> ResponseReturnValue:
    """The OpenAPI document of the draft, byte for byte as it was brought: a file, never a page."""
    digest = api.draft.get("openapi")
    data = descriptions.bytes_of(db.session(), digest) if digest else None
    if data is None:
        return _operations_page(api)  # which says that there is none, and how one comes
    kind = "json" if data.lstrip()[:1] in (b"{", b"[") else "yaml"
    answer = Response(data, mimetype="text/plain")
    answer.headers["Content-Disposition"] = f'attachment; filename="{api.slug}-{api.version}.openapi.{kind}"'
    answer.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return answer


def _bring(form: SourceForm, team: Team, api: Api | None) -> ResponseReturnValue | None:
    """Where to go on; None when the form now says what was wrong."""
    try:
        source, name, data = form.brought(most_bytes(current_app))
        led_to = ""
        if source is ImportSource.ADDRESS:
            rules = gateway.rules_of(config_of(current_app))
            db.session.rollback()  # no transaction is held open for as long as others take to answer
            fetched = described.document_at(name, rules, most_bytes=most_bytes(current_app))
            led_to, data = fetched.led_to, fetched.data
        number = reading.bring(team, api=api, source=source, source_name=name, led_to=led_to, data=data, by=me())
    except Unreadable as error:
        form.say(form.place_of_document(), str(error))
    except NotFetched as error:
        form.say("address", str(error))
    except Invalid as error:
        form.refuse(error)
    else:
        return redirect(url_for(".show", import_id=number), 303)
    return None


def _too_large_page(form: SourceForm, *, api: Api | None, team_count: int) -> ResponseReturnValue:
    form.say(
        "text" if unread() == "text" else "file",
        f"What you sent is far above {most_bytes(current_app) / 1e6:,.0f} MB, which is the most here. It was not read, "
        "so that nothing you had filled in is left. Bring a smaller document.",
    )
    return _source_page(form, api=api, team_count=team_count, status=413)


def _source_page(form: SourceForm, *, api: Api | None, team_count: int, status: int = 0) -> ResponseReturnValue:
    teams = [api.team_id] if api else [team.id for team in teams_for(Permission.MANAGE_APIS)]
    page = render_template(
        "imports/source.html",
        form=form,
        api=api,
        opened=imports.open_of(db.session(), teams, api=api),
        team_count=team_count,
        accepted=ACCEPTED,
        limit=config_of(current_app).import_limit,
        address=address,
    )
    return page, status or form.status


def _create(imported: Import) -> ResponseReturnValue:
    form = ImportedAPIForm()
    publish = "publish" in request.form
    is_well_formed = form.validate_on_submit()
    try:
        document = form.document(imported.sha256 or "")
    except Invalid as error:
        return _new_page(imported, form, form.refuse_more(error))
    if not is_well_formed:
        return _new_page(imported, form)
    try:
        with db.begin() as session:
            api = imports.create(
                session, imported, document, slug=form.slug.data or "", version=form.version.data or "", by=me()
            )
            if publish:
                session.flush()  # publishing reads the row again
                registry.publish(session, api, by=me(), expected=api.draft_number)
    except (Invalid, Conflict) as error:
        return _new_page(imported, form, form.refuse(error))
    flash(f"{api.name} is published." if publish else f"{api.name} is a draft. Publish it to let calls in.", "success")
    return redirect(address(api), 303)


def _new_page(imported: Import, form: ImportedAPIForm, status: int = 0) -> ResponseReturnValue:
    session = db.session()
    proposal = imports.proposal_of(session, imported)
    taken = mounts.taken(session, "*", form.path.data, by=me()) if form.path.data and not form.path.errors else None
    page = render_template(
        "imports/new.html",
        imported=imported,
        form=form,
        proposal=proposal,
        twin=described.twin(session, imported.team, form.slug.data or "", form.version.data or ""),
        taken=taken,
        **_of_document(imported),
    )
    return page, status or form.status


def _merge_form(imported: Import, api: Api) -> Any:
    session = db.session()
    draft = registry.read_document(api.draft)
    found = meetings(imports.base_of(session, api), draft, imports.proposal_of(session, imported))
    return with_choices(found, api.draft_number)


def _merge(imported: Import, api: Api) -> ResponseReturnValue:
    form = _merge_form(imported, api)
    publish = "publish" in request.form
    if not form.validate_on_submit():
        return _merge_page(imported, api, form)
    try:
        theirs = imports.proposal_of(db.session(), imported)
        values = merged(registry.read_document(api.draft), theirs, form.chosen(), imported.sha256 or "")
        document = registry.read_document(values, typed=True)
        with db.begin() as session:
            imports.apply(session, imported, document, by=me(), expected=_number(form))
            if publish:
                session.flush()  # publishing reads the row again
                registry.publish(session, api, by=me(), expected=api.draft_number, note=form.note.data or "")
    except Changed as error:
        who = str(error).partition(" while ")[0]
        fresh = _merge_form(imported, api)
        fresh.number.data = str(api.draft_number)
        fresh.say("", f"{who} since you opened this page. Nothing was applied. What follows is about the new draft.")
        return _merge_page(imported, api, fresh, error.status)
    except PathTaken as error:
        form.say("", f"{error} Apply it without publishing, and change the path in the document.")
        return _merge_page(imported, api, form, error.status)
    except (Invalid, Conflict) as error:
        form.say("", str(error))
        return _merge_page(imported, api, form, error.status)
    done = (
        "is published" if publish else f"has the new document in draft {api.draft_number}. Publish it to make it live"
    )
    flash(f"{api.name} {done}.", "success")
    return redirect(address(api), 303)


def _merge_page(imported: Import, api: Api, form: MergeForm, status: int = 0) -> ResponseReturnValue:
    found = described.changes(imported.changes, most=SHOWN)
    page = render_template(
        "imports/merge.html",
        imported=imported,
        api=api,
        form=form,
        is_stale=imports.is_stale(imported),
        is_same=imported.sha256 == api.draft.get("openapi"),
        found=found,
        callers=_callers(imported, set((imported.changes or {}).get("broken", ()))),
        address=address,
        **_of_document(imported),
    )
    return page, status or form.status


def _of_document(imported: Import) -> dict[str, Any]:
    session = db.session()
    row = session.get_one(OpenAPIDocument, imported.sha256)
    return {
        "row": row,
        "facts": descriptions.facts_of(row),
        "first_operations": described.first_operations(session, row.sha256, SHOWN),
        "most_warnings": MOST_WARNINGS,
    }


def _callers(imported: Import, names: set[str]) -> dict[str, list[described.CallerShown]]:
    """Who called these operations of the import's API within 30 days, by the operation's name."""
    api = imported.api
    if api is None or not names or not may(Permission.SEE_API_CALLS, api.team):
        return {}
    return described.callers(db.session(), api, names)


def _number(form: MergeForm) -> int:
    number = form.number.data or ""
    if not number.isdecimal() or len(number) > 9:
        raise BadRequest("This form does not say which draft it is about. Open the page again.")
    return int(number)


def _to(imported: Import) -> Response:
    return redirect(url_for(".show", import_id=imported.id), 303)
