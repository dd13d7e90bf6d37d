"""Consumers: applications that call APIs, with their subscriptions and keys."""

from collections.abc import Collection
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response
from wtforms import SelectChoice  # type: ignore[attr-defined]  # newer than its stubs

from portal import agreements, registry
from portal.accounts import Permission, Team
from portal.db import db, utcnow
from portal.errors import Conflict, Invalid
from portal.registry.models import Consumer
from portal.web import inbox, lists, quotas
from portal.web.forms import choices, slug_from
from portal.web.forms.consumers import ConsumerForm, NewConsumerForm, written
from portal.web.forms.subscriptions import MoveForm
from portal.web.guards import a_consumer, may, me, requires, teams_for
from portal.web.keyring import keyring

bp = Blueprint("consumers", __name__, url_prefix="/consumers")


@bp.app_template_global()
def consumer_tabs(consumer: Consumer, active: str) -> list[tuple[str, str, bool]]:
    """The parts of one consumer for the `tabs` macro; `active` is the endpoint of the one that is open."""
    parts = (("Overview", "consumers.show"), ("Keys", "keys.index"), ("Traffic", "traffic.consumer"))
    return [(label, address(consumer, endpoint), endpoint == active) for label, endpoint in parts]


def address(consumer: Consumer, endpoint: str = "consumers.show", **more: Any) -> str:
    return url_for(endpoint, team=consumer.team.slug, consumer=consumer.slug, **more)


def team_choices(teams: Collection[Team]) -> list[SelectChoice]:
    return choices({team.slug: f"{team.name} (personal)" if team.is_personal else team.name for team in teams})


def back(consumer: Consumer, message: str) -> Response:
    flash(message, "success")
    return redirect(address(consumer), 303)


@bp.get("")
@requires(Permission.SIGNED_IN)
def index() -> ResponseReturnValue:
    asked = {"q": lists.query(), "team": lists.query("team")}
    session = db.session()
    page = lists.page(session, lists.consumers(me(), **asked), Consumer.name, Consumer.id)
    return render_template(
        "consumers/index.html",
        page=page,
        subscriptions=lists.by_consumer(lists.subscriptions_of(session, page.rows)),
        keys=lists.active_keys(session, page.rows, utcnow()),
        asked=asked,
        without=lists.without,
        teams=list(session.scalars(lists.visible_teams(me()))),
        address=address,
    )


@bp.route("/new", methods=["GET", "POST"])
@requires(Permission.SIGNED_IN)
def new() -> ResponseReturnValue:
    teams = teams_for(Permission.MANAGE_CONSUMERS)
    form = NewConsumerForm()
    form.team.choices = team_choices(teams)
    if request.method == "GET" and any(team.slug == lists.query("team") for team in teams):
        form.team.data = lists.query("team")
    if not form.validate_on_submit():
        return render_template("consumers/new.html", form=form), form.status
    team = next(team for team in teams if team.slug == form.team.data)
    try:
        with db.begin() as session:
            consumer = registry.create_consumer(
                session,
                team,
                slug=slug_from(form.slug, form.name),
                name=form.name.data or "",
                **form.facts(),
            )
    except (Invalid, Conflict) as error:
        status = form.refuse(error)
        return render_template("consumers/new.html", form=form), status
    return back(consumer, f"{consumer.name} is made. Subscribe it to an API next.")


@bp.get("/<team>/<consumer>")
@requires(Permission.MANAGE_CONSUMERS, a_consumer)
def show(consumer: Consumer) -> ResponseReturnValue:
    current = lists.subscriptions_of(db.session(), [consumer])
    return render_template(
        "consumers/show.html",
        consumer=consumer,
        subscriptions=consumer.subscriptions,
        shown={
            each.api
            for each in consumer.subscriptions
            if each.api.live_release_id is not None and registry.may_see(me(), each.api)
        },
        current=current,
        taking_tokens=registry.taking_tokens(db.session(), [each.api for each in current]),
        waiting=inbox.waiting(db.session(), consumer),
        may_move=may(Permission.MANAGE_TEAM, consumer.team),
        keyring=keyring(db.session(), consumer, utcnow()),
        allowances=quotas.of(db.session(), current),
        may_delete=may(Permission.MANAGE_TEAM, consumer.team),
        address=address,
    )


@bp.route("/<team>/<consumer>/edit", methods=["GET", "POST"])
@requires(Permission.MANAGE_CONSUMERS, a_consumer)
def edit(consumer: Consumer) -> ResponseReturnValue:
    form = ConsumerForm(data=written(consumer))
    status = 0
    if form.validate_on_submit():
        try:
            with db.begin():
                registry.change_consumer(consumer, name=form.name.data or "", **form.facts())
            return back(consumer, f"{consumer.name} is saved.")
        except Invalid as error:
            status = form.refuse(error)
    page = render_template("consumers/edit.html", consumer=consumer, form=form, address=address)
    return page, status or form.status


@bp.route("/<team>/<consumer>/delete", methods=["GET", "POST"])
@requires(Permission.MANAGE_TEAM, a_consumer)
def delete(consumer: Consumer) -> ResponseReturnValue:
    wrong = None
    if request.method == "POST":
        if request.form.get("confirm", "").strip() == consumer.slug:
            name = consumer.name
            with db.begin() as session:
                registry.delete_consumer(session, consumer)
            flash(f"{name} is deleted. Its keys stop working within a second.", "success")
            return redirect(url_for(".index"), 303)
        wrong = f"This is not {consumer.slug}. Type it to delete the consumer."
    current = len(lists.subscriptions_of(db.session(), [consumer]))
    page = render_template("consumers/delete.html", consumer=consumer, current=current, wrong=wrong, address=address)
    return page, 422 if wrong else 200


@bp.route("/<team>/<consumer>/suspend", methods=["GET", "POST"])
@requires(Permission.MANAGE_CONSUMERS, a_consumer)
def suspend(consumer: Consumer) -> ResponseReturnValue:
    if request.method == "GET":
        return render_template("consumers/suspend.html", consumer=consumer, address=address)
    with db.begin() as session:
        agreements.suspend_consumer(session, consumer, by=me())
    return back(consumer, f"{consumer.name} is suspended. The gateway refuses its calls within a second.")


@bp.post("/<team>/<consumer>/resume")
@requires(Permission.MANAGE_CONSUMERS, a_consumer)
def resume(consumer: Consumer) -> ResponseReturnValue:
    with db.begin() as session:
        agreements.resume_consumer(session, consumer, by=me())
    return back(consumer, f"{consumer.name} goes on. Its keys work again within a second.")


@bp.route("/<team>/<consumer>/move", methods=["GET", "POST"])
@requires(Permission.MANAGE_TEAM, a_consumer)
def move(consumer: Consumer) -> ResponseReturnValue:
    """To another team of the person's. Where there is none, the page says so."""
    teams = [team for team in teams_for(Permission.MANAGE_CONSUMERS) if team.id != consumer.team_id]
    form = MoveForm()
    form.team.choices = team_choices(teams)
    status = 0
    if form.validate_on_submit():
        try:
            with db.begin() as session:
                team = next((team for team in teams if team.slug == form.team.data), None)
                if team is None:
                    raise Invalid({"team": "Choose one of your teams."})
                agreements.move_consumer(session, consumer, team, by=me(), slug=form.slug.data or "")
            return back(consumer, f"{consumer.name} belongs to {consumer.team.name} now, with keys and subscriptions.")
        except (Invalid, Conflict) as error:
            status = form.refuse(error)
    current = len(lists.subscriptions_of(db.session(), [consumer]))
    page = render_template(
        "consumers/move.html", consumer=consumer, teams=teams, form=form, current=current, address=address
    )
    return page, status or form.status
