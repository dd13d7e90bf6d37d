"""A team's upstream secrets: stored, replaced, deleted, never shown."""

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal import config_of, registry
from portal.accounts import Permission, Team
from portal.db import db, utcnow
from portal.errors import Conflict, InUse, Invalid
from portal.registry.models import SecretKind, UpstreamSecret
from portal.vault import Vault
from portal.web import lists
from portal.web.forms.secrets import KINDS, NEW, REPLACING
from portal.web.guards import a_secret, a_team, may, me, requires

bp = Blueprint("secrets", __name__, url_prefix="/settings/teams/<team>/secrets")
bp.add_app_template_filter(KINDS.get, "secret_kind")


@bp.get("")
@requires(Permission.SEE_APIS, a_team)
def index(team: Team) -> ResponseReturnValue:
    session = db.session()
    return render_template(
        "secrets/index.html",
        team=team,
        page=lists.page(session, lists.secrets(team), UpstreamSecret.name, UpstreamSecret.id),
        users=registry.users_of_secrets(session, team),
        kinds=KINDS,
        now=utcnow(),
        may_manage=may(Permission.MANAGE_APIS, team),
        may_delete=may(Permission.MANAGE_TEAM, team),
    )


@bp.route("/new/<any(header, basic, client_certificate):kind>", methods=["GET", "POST"])
@requires(Permission.MANAGE_APIS, a_team)
def new(team: Team, kind: str) -> ResponseReturnValue:
    form = NEW[SecretKind(kind)]()
    if not form.validate_on_submit():
        return render_template("secrets/new.html", team=team, form=form), form.status
    try:
        with db.begin() as session:
            secret = registry.store_secret(
                session,
                team,
                name=form.name.data or "",
                kind=form.kind,
                texts=form.texts(),
                vault=Vault.of(config_of(current_app)),
                by=me(),
            )
    except (Invalid, Conflict) as error:
        status = form.refuse(error)
        return render_template("secrets/new.html", team=team, form=form), status
    flash(f"{secret.name} is stored. Choose it in the document of an API.", "success")
    return redirect(url_for(".index", team=team.slug), 303)


@bp.route("/<secret>", methods=["GET", "POST"])
@requires(Permission.MANAGE_APIS, a_secret)
def replace(secret: UpstreamSecret) -> ResponseReturnValue:
    team = secret.team
    form = REPLACING[secret.kind]()
    status = form.status
    if form.validate_on_submit():
        try:
            with db.begin() as session:
                vault = Vault.of(config_of(current_app))
                registry.replace_secret(session, secret, texts=form.texts(), vault=vault, by=me())
        except Invalid as error:
            status = form.refuse(error)
        else:
            flash(f"{secret.name} is replaced. Gateways use the new value within a second.", "success")
            return redirect(url_for(".index", team=team.slug), 303)
    users = registry.users_of_secrets(db.session(), team).get(secret.name, [])
    return render_template("secrets/replace.html", team=team, secret=secret, form=form, users=users), status


@bp.route("/<secret>/delete", methods=["GET", "POST"])
@requires(Permission.MANAGE_TEAM, a_secret)
def delete(secret: UpstreamSecret) -> ResponseReturnValue:
    team, name = secret.team, secret.name
    wrong, status = None, 200
    if request.method == "POST":
        if request.form.get("confirm", "").strip() == name:
            try:
                with db.begin() as session:
                    registry.delete_secret(session, secret)
            except InUse as error:
                wrong, status = str(error), error.status
            else:
                flash(f"{name} is deleted.", "success")
                return redirect(url_for(".index", team=team.slug), 303)
        else:
            wrong, status = f"This is not {name}. Type it to delete the secret.", 422
    return render_template("secrets/delete.html", team=team, secret=secret, wrong=wrong), status
