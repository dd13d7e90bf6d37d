"""Plans: limits, quotas and terms that subscriptions are under."""

import hashlib
from dataclasses import dataclass

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal import registry
from portal.accounts import Permission, Team
from portal.db import db, utcnow
from portal.errors import Conflict, Forbidden, InUse, Invalid
from portal.registry.models import Consumer, Plan
from portal.registry.operation_limits import NUMBERS, are_stricter
from portal.registry.operation_limits import check as check_operations
from portal.registry.plans import checked, is_stricter
from portal.traffic.foresight import Foresight, foresee
from portal.traffic.foresight_operations import OperationForesight, foresee_operations
from portal.web import lists, plan_operations, quotas
from portal.web.forms import choices, slug_from
from portal.web.forms.operation_limits import OperationsForm, with_operations
from portal.web.forms.plans import NewPlanForm, PlanForm, in_words, limit_in_words
from portal.web.guards import a_plan, may, me, requires, teams_for

bp = Blueprint("plans", __name__, url_prefix="/plans")
bp.add_app_template_filter(in_words, "limits")
bp.add_app_template_filter(limit_in_words, "limit")
bp.add_app_template_filter(plan_operations.odd_limit, "odd_limit")
quotas.set_up(bp)


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
    form.teams.choices = choices({team.slug: team.name for team in me().teams if not team.is_personal})
    if request.method == "GET" and any(team.slug == lists.query("team") for team in teams):
        form.team.data = lists.query("team")
    if not form.validate_on_submit():
        return render_template("plans/new.html", form=form), form.status
    team = next(team for team in teams if team.slug == form.team.data)
    try:
        with db.begin() as session:
            slug = slug_from(form.slug, form.name)
            chosen = _chosen(session, form)
            plan = registry.create_plan(session, team, slug=slug, **form.values(), chosen=chosen)
    except (Invalid, Conflict) as error:
        status = form.refuse(error)
        return render_template("plans/new.html", form=form), status
    flash(f"{plan.name} is made. Offer it on the plans page of an API.", "success")
    return redirect(url_for(".show", team=team.slug, plan=plan.slug), 303)


@bp.get("/<team>/<plan>")
@requires(Permission.SEE_APIS, a_plan)
def show(plan: Plan) -> ResponseReturnValue:
    form = _form(plan)
    form.fill_from(plan)
    return _page(plan, form)


@bp.post("/<team>/<plan>")
@requires(Permission.MANAGE_APIS, a_plan)
def change(plan: Plan) -> ResponseReturnValue:
    """Who would have been refused under stricter limits is named before they are so: a second press agrees to it."""
    form = _form(plan)
    if form.was_reshaped:
        return _page(plan, form)
    if not form.validate_on_submit():
        return _page(plan, form, form.status)
    try:
        limits = plan_operations.read(db.session(), plan, form)
        foresight = _foresight(db.session(), plan, form, limits)
        only_asks = "what_if" in request.form
        if only_asks or (foresight is not None and request.form.get("agreed") != foresight.mark):
            return _page(plan, form, 200 if only_asks else 409, foresight, only_asks=only_asks)
        with db.begin() as session:
            before = in_words(plan), _said(plan)
            registry.change_plan(session, plan, zone=quotas.zone(), **form.values(), chosen=_chosen(session, form))
            registry.limit_operations(session, plan, limits)
            changed = (in_words(plan), _said(plan)) != before
    except Invalid as error:
        return _page(plan, form, form.refuse(form.in_rows(error)))
    flash(f"{plan.name} is saved." + (" It holds at the gateway within a second." if changed else ""), "success")
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


@dataclass(frozen=True, slots=True)
class _Foreseen:
    """Who would have met what the form says."""

    plan: Foresight
    operations: list[OperationForesight]

    @property
    def anybody(self) -> bool:
        return bool(self.plan.refused or self.plan.perhaps or self.operations)

    @property
    def mark(self) -> str:
        """Another one as soon as others would be refused. Not of how many calls: those grow while one reads."""
        named = sorted(each.subscription.id for each in self.plan.refused)
        operations = [
            (
                each.limit.name,
                *(getattr(each.limit, name) for name in NUMBERS),
                sorted(who.id for who, _ in each.callers),
            )
            for each in self.operations
        ]
        said = (named, self.plan.values.limits, self.plan.values.quotas, operations)
        return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


def _foresight(session: Session, plan: Plan, form: PlanForm, limits: list[registry.OperationLimit]) -> _Foreseen | None:
    """None where nobody would have met the limits that the form has, unless it was asked for. Raises Invalid."""
    wanted = checked(registry.PlanValues(**form.values()))
    check_operations(session, plan, limits)
    asked = "what_if" in request.form
    had = [registry.OperationLimit.of(row) for row in plan.operations]
    stricter = limits if asked else [each for each in limits if are_stricter(had, [each])]
    if not asked and not stricter and not is_stricter(registry.PlanValues.of(plan), wanted):
        return None
    found = _Foreseen(
        foresee(session, plan, wanted, now=utcnow(), zone=quotas.zone()),
        foresee_operations(session, plan, stricter, now=utcnow()),
    )
    return found if asked or found.anybody else None


def refusals(session: Session, plan: Plan, wanted: registry.PlanValues) -> str:
    """Whom stricter limits and quotas would have refused in the last seven days, in a sentence; "" for nobody. Raises
    Invalid."""
    if not is_stricter(registry.PlanValues.of(plan), wanted := checked(wanted)):
        return ""
    found = foresee(session, plan, wanted, now=utcnow(), zone=quotas.zone())
    some = found.refused or found.perhaps
    if not some:
        return ""
    named = ", ".join(each.subscription.consumer.name for each in some[:3])
    more = f" and {len(some) - 3} more" if len(some) > 3 else ""
    sure = "would have been" if found.refused else "might have been"
    return (
        f"{named}{more}: of {found.subscriptions:,} "
        f"{'subscription' if found.subscriptions == 1 else 'subscriptions'} {len(some):,} {sure} refused calls in the "
        "last 7 days. The plan's own page names each. Tick this to save all the same."
    )


def _said(plan: Plan) -> list[tuple[object, ...]]:
    """What it says of operations."""
    return [(row.api_id, row.operation, *(getattr(row, name) for name in NUMBERS)) for row in plan.operations]


def _form(plan: Plan) -> OperationsForm:
    """It names teams without giving any away: chosen already, using it, or one's own."""
    form = with_operations(plan_operations.stored_rows(plan, registry.limited_operations(db.session(), plan)), plan)
    using = db.session.scalars(lists.teams_under(plan))
    known = dict.fromkeys([*plan.chosen, *using, *me().teams])
    named = sorted((team for team in known if not team.is_personal and team.id != plan.team_id), key=lambda it: it.name)
    form.teams.choices = choices({team.slug: team.name for team in named})
    return form


def _chosen(session: Session, form: PlanForm) -> list[Team]:
    """Raises Invalid."""
    if form.is_public:
        return []
    found = list(
        session.scalars(
            select(Team).where(Team.slug.in_(form.slugs), Team.person_id.is_(None)).order_by(func.lower(Team.name))
        )
    )
    missing = [slug for slug in form.slugs if slug not in {team.slug for team in found}]
    if missing:
        raise Invalid({"chosen": f"There is no team {missing[0][:63]} of several people. Correct its slug."})
    return found


def _page(
    plan: Plan, form: OperationsForm, status: int = 200, foresight: _Foreseen | None = None, *, only_asks: bool = False
) -> ResponseReturnValue:
    session = db.session()
    may_manage = may(Permission.MANAGE_APIS, plan.team)
    suggested, are_all = plan_operations.suggestions(session, plan) if may_manage else ([], True)
    users = lists.page(session, lists.users_of(plan), Consumer.name, Consumer.id)
    subscriptions = [s for s in lists.subscriptions_of(session, users.rows) if s.plan_id == plan.id]
    page = render_template(
        "plans/show.html",
        plan=plan,
        form=form,
        users=users,
        subscriptions=subscriptions,
        allowances=quotas.of(session, subscriptions),
        limited=registry.limited_operations(session, plan),
        suggested=suggested,
        are_all=are_all,
        foreseen=foresight,
        only_asks=only_asks,
        may_manage=may_manage,
        may_delete=may(Permission.MANAGE_TEAM, plan.team),
    )
    return page, status
