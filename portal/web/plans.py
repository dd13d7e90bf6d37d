"""Plans: the limits that subscriptions are under."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal import registry
from portal.accounts import Permission
from portal.db import db
from portal.errors import Conflict, Forbidden, InUse, Invalid
from portal.registry.models import Consumer, Plan
from portal.web import lists
from portal.web.forms import choices, slug_from
from portal.web.forms.plans import NewPlanForm, PlanForm, in_words
from portal.web.guards import a_plan, may, me, requires, teams_for

bp = Blueprint("plans", __name__, url_prefix="/plans")
bp.add_app_template_filter(in_words, "limits")


@bp.get("")
@requires(Permission.SIGNED_IN)
def index() -> ResponseReturnValue:
    asked = {"q": lists.query(), "team": lists.query("team")}
    session = db.session()
    return render_template(
        "plans/index.html",
        page=lists.page(session, lists.plans(me(), **asked), Plan.name, Plan.id),
        asked=asked,
        without=lists.without,
        teams=list(session.scalars(lists.visible_teams(me()))),
        may_make=bool(teams_for(Permission.MANAGE_APIS)),
    )


@bp.route("/new", methods=["GET", "POST"])
@requires(Permission.SIGNED_IN)
def new() -> ResponseReturnValue:
    teams = teams_for(Permission.MANAGE_APIS)
    if not teams:
        if request.method == "POST":
            raise Forbidden("None of your teams may have plans. Ask an administrator for the publishing right.")
        return render_template("plans/new_refused.html")
    form = NewPlanForm()
    form.team.choices = choices({team.slug: team.name for team in teams})
    if request.method == "GET" and any(team.slug == lists.query("team") for team in teams):
        form.team.data = lists.query("team")
    if not form.validate_on_submit():
        return render_template("plans/new.html", form=form), form.status
    team = next(team for team in teams if team.slug == form.team.data)
    try:
        with db.begin() as session:
            slug = slug_from(form.slug, form.name)
            plan = registry.create_plan(session, team, slug=slug, **form.limits())
    except (Invalid, Conflict) as error:
        status = form.refuse(error)
        return render_template("plans/new.html", form=form), status
    flash(f"{plan.name} is made. Offer it on the plans page of an API.", "success")
    return redirect(url_for(".show", team=team.slug, plan=plan.slug), 303)


@bp.get("/<team>/<plan>")
@requires(Permission.SEE_APIS, a_plan)
def show(plan: Plan) -> ResponseReturnValue:
    return _page(plan, PlanForm(obj=plan))


@bp.post("/<team>/<plan>")
@requires(Permission.MANAGE_APIS, a_plan)
def change(plan: Plan) -> ResponseReturnValue:
    form = PlanForm()
    if not form.validate_on_submit():
        return _page(plan, form, form.status)
    try:
        with db.begin() as session:
            before = in_words(plan)
            registry.change_plan(session, plan, **form.limits())
            changed = in_words(plan) != before
    except Invalid as error:
        return _page(plan, form, form.refuse(error))
    flash(f"{plan.name} is saved." + (" The new limits hold within a second." if changed else ""), "success")
    return redirect(url_for(".show", team=plan.team.slug, plan=plan.slug), 303)


@bp.route("/<team>/<plan>/delete", methods=["GET", "POST"])
@requires(Permission.MANAGE_TEAM, a_plan)
def delete(plan: Plan) -> ResponseReturnValue:
    wrong, status = None, 200
    if request.method == "POST":
        if request.form.get("confirm", "").strip() == plan.slug:
            name = plan.name
            try:
                with db.begin() as session:
                    registry.delete_plan(session, plan)
            except InUse as error:
                wrong, status = str(error), error.status
            else:
                flash(f"{name} is deleted.", "success")
                return redirect(url_for(".index"), 303)
        else:
            wrong, status = f"This is not {plan.slug}. Type it to delete the plan.", 422
    return render_template("plans/delete.html", plan=plan, wrong=wrong), status


def _page(plan: Plan, form: PlanForm, status: int = 200) -> ResponseReturnValue:
    session = db.session()
    users = lists.page(session, lists.users_of(plan), Consumer.name, Consumer.id)
    page = render_template(
        "plans/show.html",
        plan=plan,
        form=form,
        users=users,
        subscriptions=[s for s in lists.subscriptions_of(session, users.rows) if s.plan_id == plan.id],
        may_manage=may(Permission.MANAGE_APIS, plan.team),
        may_delete=may(Permission.MANAGE_TEAM, plan.team),
    )
    return page, status
