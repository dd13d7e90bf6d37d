"""Settings: me and my teams; for administrators people, all teams, the installation."""

from dataclasses import fields
from typing import Any

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_security import hash_password
from werkzeug.wrappers import Response

from portal import accounts, config_of, letters, registry, sample
from portal.accounts import Membership, Permission, Person, Role, Team
from portal.db import db
from portal.errors import Conflict, InUse, Invalid, NotFound
from portal.web import lists
from portal.web.forms import Form, slug_from
from portal.web.forms.settings import MemberForm, NameForm, NewPersonForm, NewTeamForm, RoleForm
from portal.web.guards import a_member, a_person, a_team, may, me, requires

bp = Blueprint("settings", __name__, url_prefix="/settings")


@bp.app_template_global()
def settings_tabs(active: str) -> list[tuple[str, str, bool]]:
    """The parts of the settings for the `tabs` macro; `active` is the endpoint of the one that is open."""
    parts = [("Me", "settings.show"), ("Sessions", "sessions.index"), ("Teams", "settings.teams")]
    if me().is_administrator:
        parts += [
            ("People", "settings.people"),
            ("Installation", "settings.installation"),
            ("Audit trail", "trail.index"),
            ("Back office", "admin.index"),
        ]
    return [(label, url_for(endpoint), endpoint == active) for label, endpoint in parts]


@bp.app_template_global()
def team_tabs(team: Team, active: str) -> list[tuple[str, str, bool]]:
    """The parts of one team for the `tabs` macro."""
    parts = [("Team", "settings.team")]
    if may(Permission.MANAGE_TEAM, team):
        parts.append(("Audit trail", "trail.of_team"))
    return [(label, url_for(endpoint, team=team.slug), endpoint == active) for label, endpoint in parts]


def _back(message: str, endpoint: str, **parts: Any) -> Response:
    flash(message, "success")
    return redirect(url_for(endpoint, **parts), 303)


@bp.route("", methods=["GET", "POST"])
@requires(Permission.SIGNED_IN)
def show() -> ResponseReturnValue:
    form = NameForm(obj=me())
    if not form.validate_on_submit():
        return render_template("settings/me.html", form=form, person=me()), form.status
    with db.begin():
        me().name = form.name.data or ""
    return _back("Your name is saved.", ".show")


@bp.get("/teams")
@requires(Permission.SIGNED_IN)
def teams() -> ResponseReturnValue:
    """Own teams; all teams of several to administrators, with their publishing right."""
    q = lists.query()
    page = lists.page(db.session(), lists.teams(me(), q=q), Team.name, Team.id)
    return render_template("settings/teams.html", page=page, q=q, roles=lists.roles_of(me()), form=Form())


@bp.route("/teams/new", methods=["GET", "POST"])
@requires(Permission.SIGNED_IN)
def new_team() -> ResponseReturnValue:
    form = NewTeamForm()
    if not form.validate_on_submit():
        return render_template("settings/new_team.html", form=form), form.status
    try:
        with db.begin() as session:
            slug = slug_from(form.slug, form.name)
            team = accounts.create_team(session, slug=slug, name=form.name.data or "", owner=me())
    except (Invalid, Conflict) as error:
        status = form.refuse(error)
        return render_template("settings/new_team.html", form=form), status
    return _back(f"{team.name} is made, and you own it.", ".team", team=team.slug)


@bp.get("/teams/<team>")
@requires(Permission.SEE_TEAM, a_team)
def team(team: Team) -> ResponseReturnValue:
    return _team(team, MemberForm(formdata=None))


@bp.post("/teams/<team>/members")
@requires(Permission.MANAGE_TEAM, a_team)
def add_member(team: Team) -> ResponseReturnValue:
    form = MemberForm()
    if not form.validate_on_submit():
        return _team(team, form, form.status)
    try:
        with db.begin() as session:
            member = accounts.add_member(session, team, email=form.email.data or "", role=Role(form.role.data))
    except (Conflict, NotFound) as error:
        # Nobody of that address is a mistake in the form, not a missing page.
        status = form.refuse(error)
        return _team(team, form, 422 if isinstance(error, NotFound) else status)
    return _back(f"{member.person.name} is a member of {team.name} now.", ".team", team=team.slug)


@bp.post("/teams/<team>/members/<int:member>/role")
@requires(Permission.MANAGE_TEAM, a_member)
def change_role(member: Membership) -> ResponseReturnValue:
    form = RoleForm()
    if not form.validate_on_submit():
        raise Invalid({"role": "Choose developer, publisher or owner."})
    with db.begin():
        accounts.change_role(member, Role(form.role.data))
    return _back(f"{member.person.name} is {form.role.data} of {member.team.name} now.", ".team", team=member.team.slug)


@bp.route("/teams/<team>/members/<int:member>/remove", methods=["GET", "POST"])
@requires(Permission.MANAGE_TEAM, a_member)
def remove_member(member: Membership) -> ResponseReturnValue:
    team, name = member.team, member.person.name
    if request.method == "GET":
        return render_template("settings/remove_member.html", member=member, team=team, form=Form())
    with db.begin() as session:
        accounts.remove_member(session, member)
    flash(f"{name} is no longer a member of {team.name}.", "success")
    target = url_for(".team", team=team.slug) if may(Permission.SEE_TEAM, team) else url_for(".teams")
    return redirect(target, 303)


@bp.post("/teams/<team>/name")
@requires(Permission.MANAGE_TEAM, a_team)
def rename_team(team: Team) -> ResponseReturnValue:
    form = NameForm()
    if not form.validate_on_submit():
        return _team(team, MemberForm(formdata=None), form.status, form)
    with db.begin():
        accounts.rename_team(team, form.name.data or "")
    return _back(f"The team is called {team.name} now.", ".team", team=team.slug)


@bp.route("/teams/<team>/delete", methods=["GET", "POST"])
@requires(Permission.MANAGE_TEAM, a_team)
def delete_team(team: Team) -> ResponseReturnValue:
    wrong, status = None, 200
    if request.method == "POST":
        if request.form.get("confirm", "").strip() == team.slug:
            name = team.name
            try:
                with db.begin() as session:
                    registry.delete_team(session, team)
            except (Conflict, InUse) as error:
                wrong, status = str(error), error.status
            else:
                return _back(f"{name} is deleted.", ".teams")
        else:
            wrong, status = f"This is not {team.slug}. Type it to delete the team.", 422
    owned = registry.belongings(db.session(), team)
    return render_template("settings/delete_team.html", team=team, wrong=wrong, owned=owned), status


@bp.post("/teams/<team>/publishing")
@requires(Permission.ADMINISTER, a_team)
def allow_publishing(team: Team) -> ResponseReturnValue:
    allowed = request.form.get("allowed") == "1"
    with db.begin():
        accounts.allow_publishing(team, allowed)
    message = f"{team.name} may publish APIs now." if allowed else f"{team.name} may no longer publish APIs."
    return _back(message, ".team", team=team.slug)


def _team(team: Team, form: MemberForm, status: int = 200, name: NameForm | None = None) -> ResponseReturnValue:
    page = render_template(
        "settings/team.html",
        team=team,
        members=lists.members(db.session(), team),
        form=form,
        name_form=name or NameForm(formdata=None, obj=team),
        role_form=RoleForm(formdata=None),
        may_manage=may(Permission.MANAGE_TEAM, team),
        person=me(),
    )
    return page, status


@bp.get("/people")
@requires(Permission.ADMINISTER)
def people() -> ResponseReturnValue:
    q = lists.query()
    page = lists.page(db.session(), lists.people(q=q), Person.name, Person.id)
    return render_template("settings/people.html", page=page, q=q)


@bp.route("/people/new", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def new_person() -> ResponseReturnValue:
    form = NewPersonForm()
    if not form.validate_on_submit():
        return render_template("settings/new_person.html", form=form), form.status
    password = accounts.new_password()
    password_hash = hash_password(password)
    try:
        with db.begin() as session:
            somebody = accounts.create_person(
                session,
                email=form.email.data or "",
                name=form.name.data or "",
                password_hash=password_hash,
                is_administrator=form.is_administrator.data,
            )
            accounts.audit.record(session, "shown password", somebody)
    except Conflict as error:
        status = form.refuse(error)
        return render_template("settings/new_person.html", form=form), status
    return render_template("settings/password_once.html", somebody=somebody, password=password, made=True), 201


@bp.get("/people/<int:person>")
@requires(Permission.ADMINISTER, a_person)
def somebody(somebody: Person) -> ResponseReturnValue:
    return render_template("settings/somebody.html", somebody=somebody, form=Form(), is_me=somebody == me())


@bp.post("/people/<int:person>/administrator")
@requires(Permission.ADMINISTER, a_person)
def change_administrator(somebody: Person) -> ResponseReturnValue:
    wanted = request.form.get("administrator") == "1"
    with db.begin() as session:
        if wanted:
            accounts.appoint(somebody)
        else:
            accounts.dismiss(session, somebody)
    message = f"{somebody.name} is {'an' if wanted else 'no longer an'} administrator."
    if not me().is_administrator:
        return _back(message, ".show")
    return _back(message, ".somebody", person=somebody.id)


@bp.route("/people/<int:person>/active", methods=["GET", "POST"])
@requires(Permission.ADMINISTER, a_person)
def change_active(somebody: Person) -> ResponseReturnValue:
    if request.method == "GET":
        return render_template(
            "settings/confirm_person.html",
            somebody=somebody,
            title=f"Deactivate {somebody.name}",
            text="They are signed out everywhere and cannot sign in until you activate them again. "
            "Keys of their teams go on working.",
            button="Deactivate",
            name="active",
            value="0",
        )
    wanted = request.form.get("active") == "1"
    with db.begin() as session:
        if wanted:
            accounts.activate(somebody)
        else:
            accounts.deactivate(session, somebody)
    state = "may sign in again" if wanted else "is deactivated and signed out everywhere"
    return _back(f"{somebody.name} {state}.", ".somebody", person=somebody.id)


@bp.route("/people/<int:person>/password", methods=["GET", "POST"])
@requires(Permission.ADMINISTER, a_person)
def reset_password(somebody: Person) -> ResponseReturnValue:
    if request.method == "GET":
        return render_template(
            "settings/confirm_person.html",
            somebody=somebody,
            title=f"Reset the password of {somebody.name}",
            text="The password that they have stops working and they are signed out everywhere. "
            "The new one is shown to you once.",
            button="Reset password",
        )
    password = accounts.new_password()
    password_hash = hash_password(password)
    with db.begin() as session:
        accounts.set_password(somebody, password_hash)
        letters.password_changed(session, somebody)
        accounts.audit.record(session, "shown password", somebody)
    return render_template("settings/password_once.html", somebody=somebody, password=password, made=False), 201


@bp.route("/people/<int:person>/second-factor", methods=["GET", "POST"])
@requires(Permission.ADMINISTER, a_person)
def take_off_second_factor(somebody: Person) -> ResponseReturnValue:
    if request.method == "GET":
        return render_template(
            "settings/confirm_person.html",
            somebody=somebody,
            title=f"Take the second factor off {somebody.name}",
            text="Their password alone signs them in until they set up another one. Their recovery codes stop working.",
            button="Take second factor off",
        )
    with db.begin():
        accounts.second_factor.take_off(somebody)
    return _back(f"{somebody.name} signs in with the password alone now.", ".somebody", person=somebody.id)


@bp.get("/installation")
@requires(Permission.ADMINISTER)
def installation() -> ResponseReturnValue:
    config = config_of(current_app)
    rows = []
    for each in fields(config):
        value = getattr(config, each.name)
        is_default = value == each.default
        if each.metadata["secret"]:
            shown = "not set" if is_default or not value else "set"
        else:
            shown = {True: "1", False: "0"}.get(value, str(value)) if isinstance(value, bool) else str(value)
        rows.append((f"PORTAL_{each.name.upper()}", shown, each.metadata["says"], is_default))
    return render_template("settings/installation.html", rows=rows, has_sample=sample.exists(db.session()), form=Form())


@bp.route("/installation/sample/remove", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def remove_sample() -> ResponseReturnValue:
    if request.method == "GET":
        return render_template("settings/remove_sample.html", form=Form())
    with db.begin() as session:
        sample.remove(session)
    return _back("The sample is removed. It does not come back.", ".installation")
