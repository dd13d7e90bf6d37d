"""Consumers: applications that call APIs, with their subscriptions and keys."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from portal import registry
from portal.accounts import Permission
from portal.db import db, utcnow
from portal.errors import Conflict, Invalid, NotFound
from portal.registry.models import Api, Consumer, Plan, Subscription
from portal.web import lists
from portal.web.forms import choices, slug_from
from portal.web.forms.consumers import ConsumerForm, NewConsumerForm
from portal.web.guards import a_consumer, a_subscription, may, me, requires, teams_for
from portal.web.keyring import keyring

bp = Blueprint("consumers", __name__, url_prefix="/consumers")


@bp.app_template_global()
def consumer_tabs(consumer: Consumer, active: str) -> list[tuple[str, str, bool]]:
    """The parts of one consumer for the `tabs` macro; `active` is the endpoint of the one that is open."""
    parts = (("Overview", "consumers.show"), ("Keys", "keys.index"), ("Traffic", "traffic.consumer"))
    return [(label, address(consumer, endpoint), endpoint == active) for label, endpoint in parts]


def address(consumer: Consumer, endpoint: str = "consumers.show", **more: Any) -> str:
    return url_for(endpoint, team=consumer.team.slug, consumer=consumer.slug, **more)


def _back(consumer: Consumer, message: str) -> Response:
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
    form.team.choices = choices(
        {team.slug: f"{team.name} (personal)" if team.is_personal else team.name for team in teams}
    )
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
                description=form.description.data or "",
            )
    except (Invalid, Conflict) as error:
        status = form.refuse(error)
        return render_template("consumers/new.html", form=form), status
    if api := lists.query("api"):  # somebody came here to subscribe to it, and had no consumer
        flash(f"{consumer.name} is made.", "success")
        return redirect(address(consumer, "consumers.choose", api=api), 303)
    return _back(consumer, f"{consumer.name} is made. Subscribe it to an API next.")


@bp.get("/<team>/<consumer>")
@requires(Permission.MANAGE_CONSUMERS, a_consumer)
def show(consumer: Consumer) -> ResponseReturnValue:
    return render_template(
        "consumers/show.html",
        consumer=consumer,
        subscriptions=consumer.subscriptions,
        shown={
            each.api
            for each in consumer.subscriptions
            if each.api.live_release_id is not None and registry.may_see(me(), each.api)
        },
        current=lists.subscriptions_of(db.session(), [consumer]),
        keyring=keyring(db.session(), consumer, utcnow()),
        may_delete=may(Permission.MANAGE_TEAM, consumer.team),
        address=address,
    )


@bp.route("/<team>/<consumer>/edit", methods=["GET", "POST"])
@requires(Permission.MANAGE_CONSUMERS, a_consumer)
def edit(consumer: Consumer) -> ResponseReturnValue:
    form = ConsumerForm(obj=consumer)
    if not form.validate_on_submit():
        return render_template("consumers/edit.html", consumer=consumer, form=form, address=address), form.status
    with db.begin():
        registry.change_consumer(consumer, name=form.name.data or "", description=form.description.data or "")
    return _back(consumer, f"{consumer.name} is saved.")


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


@bp.get("/<team>/<consumer>/subscriptions/new")
@requires(Permission.MANAGE_CONSUMERS, a_consumer)
def choose(consumer: Consumer) -> ResponseReturnValue:
    """Three steps on one address: which API, which plan, is it so."""
    session = db.session()
    current = {each.api_id: each for each in lists.subscriptions_of(session, [consumer])}
    api = lists.one_subscribable(session, me(), lists.query("api"))
    if api is None:
        if lists.query("api"):
            raise NotFound("This API is not published, or offers no plan. Choose another one.")
        page = lists.page(session, lists.subscribable(me(), q=lists.query()), Api.name, Api.id)
        return render_template(
            "consumers/choose_api.html", consumer=consumer, page=page, current=current, q=lists.query(), address=address
        )
    plan = next((plan for plan in api.plans if plan.slug == lists.query("plan")), None)
    if plan is None and len(api.plans) == 1:
        plan = api.plans[0]
    return _confirm(consumer, api, plan, current.get(api.id))


@bp.post("/<team>/<consumer>/subscriptions/new")
@requires(Permission.MANAGE_CONSUMERS, a_consumer)
def subscribe(consumer: Consumer) -> ResponseReturnValue:
    api = lists.one_subscribable(db.session(), me(), request.form.get("api", ""))
    offered = api.plans if api else []
    plan = next((plan for plan in offered if plan.slug == request.form.get("plan")), None)
    if api is None or plan is None:
        raise Conflict("The API is no longer offered under this plan. Go back and choose again.")
    try:
        with db.begin() as session:
            registry.subscribe(session, consumer, api, plan, by=me())
    except Conflict as error:
        return _confirm(consumer, api, plan, None, error)
    return _back(consumer, f"{consumer.name} is subscribed to {api.name} under the plan {plan.name}.")


def _confirm(
    consumer: Consumer, api: Api, plan: Plan | None, current: Subscription | None, error: Conflict | None = None
) -> ResponseReturnValue:
    page = render_template(
        "consumers/subscribe.html",
        consumer=consumer,
        api=api,
        plan=plan,
        current=current,
        error=error,
        refusal=registry.refusal(api),
        address=address,
    )
    return page, error.status if error else 200


@bp.route("/<team>/<consumer>/subscriptions/<int:subscription>/end", methods=["GET", "POST"])
@requires(Permission.MANAGE_CONSUMERS, a_subscription)
def end(subscription: Subscription) -> ResponseReturnValue:
    consumer = subscription.consumer
    if request.method == "GET":
        return render_template("consumers/end.html", consumer=consumer, subscription=subscription, address=address)
    with db.begin() as session:
        registry.end_subscription(session, subscription)
    return _back(consumer, f"The subscription to {subscription.api.name} is ended.")
