"""Settings: me and my teams; all teams to administrators."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from portal import accounts
from portal.accounts import Membership, Permission, Role, Team, throttle
from portal.db import db, utcnow
from portal.errors import Conflict, Invalid, NotFound, TooManyAttempts
from portal.web import lists
from portal.web.forms import Form, slug_from
from portal.web.forms.settings import MemberForm, NameForm, NewTeamForm, RoleForm
from portal.web.guards import a_member, a_team, may, me, requires

bp = Blueprint("settings", __name__, url_prefix="/settings")


@bp.app_template_global()
def settings_tabs(active: str) -> list[tuple[str, str, bool]]:
    """The parts of the settings for the `tabs` macro; `active` is the endpoint of the one that is open."""
    parts = [
        ("Me", "settings.show"),
        ("Notices", "notices.choices"),
        ("Sessions", "sessions.index"),
        ("Access tokens", "access_tokens.index"),
        ("Teams", "settings.teams"),
    ]
    if me().acts_as_administrator:
        parts += [
            ("People", "people.index"),
            ("Installation", "installation.show"),
            ("Status", "health.status"),
            ("Audit trail", "trail.index"),
            ("Back office", "admin.index"),
        ]
    return [(label, url_for(endpoint), endpoint == active) for label, endpoint in parts]


@bp.app_template_global()
def team_tabs(team: Team, active: str) -> list[tuple[str, str, bool]]:
    """The parts of one team for the `tabs` macro."""
    parts = [("Team", "settings.team")]
    if may(Permission.MANAGE_TEAM, team):
        parts += [("Channels", "channels.index"), ("Audit trail", "trail.of_team")]
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
        accounts.rename_person(me(), form.name.data or "")
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
    limits = throttle.new_member(str(me().id), form.email.data or "")
    try:
        with db.begin() as session:
            throttle.attempt(session, limits, now=utcnow())
        with db.begin() as session:
            throttle.succeeded(session, limits)
            member = accounts.add_member(session, team, email=form.email.data or "", role=Role(form.role.data))
    except TooManyAttempts as error:
        form.say("email", str(error))
        page, _ = _team(team, form)
        return page, error.status, {"Retry-After": str(error.seconds)}
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
    with db.begin() as session:
        accounts.change_role(session, member, Role(form.role.data))
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


@bp.post("/teams/<team>/publishing")
@requires(Permission.ADMINISTER, a_team)
def allow_publishing(team: Team) -> ResponseReturnValue:
    allowed = request.form.get("allowed") == "1"
    with db.begin():
        accounts.allow_publishing(team, allowed)
    message = f"{team.name} may publish APIs now." if allowed else f"{team.name} may no longer publish APIs."
    return _back(message, ".team", team=team.slug)


def _team(team: Team, form: MemberForm, status: int = 200, name: NameForm | None = None) -> tuple[str, int]:
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
