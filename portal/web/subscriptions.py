"""Subscriptions as the consumer's team has them: another API, another plan, the end. On the addresses of consumers."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal import agreements, registry
from portal.accounts import Permission
from portal.db import db
from portal.errors import Conflict, Invalid, NotFound
from portal.registry.models import Api, Consumer, Subscription
from portal.web import lists
from portal.web.consumers import address, back, bp
from portal.web.forms import choices
from portal.web.forms.subscriptions import AskingForm, SubjectForm
from portal.web.guards import a_consumer, a_subscription, me, requires


@bp.get("/<team>/<consumer>/subscriptions/new")
@requires(Permission.MANAGE_CONSUMERS, a_consumer)
def choose(consumer: Consumer) -> ResponseReturnValue:
    """Which API; the rest is asked on its own page of the catalogue."""
    session = db.session()
    named = lists.query("api")
    if named:
        api = lists.one_subscribable(session, me(), named)
        if api is None:
            raise NotFound("This API is not published, or offers no plan. Choose another one.")
        return redirect(subscribe_address(api, consumer), 303)
    page = lists.page(session, lists.subscribable(me(), q=lists.query()), Api.name, Api.id)
    return render_template(
        "consumers/choose_api.html",
        consumer=consumer,
        page=page,
        current={each.api_id: each for each in lists.subscriptions_of(session, [consumer])},
        q=lists.query(),
        subscribe_address=subscribe_address,
        offered=registry.offered,
        address=address,
    )


def subscribe_address(api: Api, consumer: Consumer) -> str:
    return url_for(
        "catalogue.subscribe",
        team=api.team.slug,
        slug=api.slug,
        version=api.version,
        consumer=f"{consumer.team.slug}/{consumer.slug}",
    )


@bp.route("/<team>/<consumer>/subscriptions/<int:subscription>/plan", methods=["GET", "POST"])
@requires(Permission.MANAGE_CONSUMERS, a_subscription)
def switch_plan(subscription: Subscription) -> ResponseReturnValue:
    consumer, api = subscription.consumer, subscription.api
    plans = registry.offered(api, consumer.team)
    form = AskingForm()
    form.plan.choices = choices({plan.slug: plan.name for plan in plans})
    status = 0
    if form.validate_on_submit():
        try:
            with db.begin() as session:
                plan = next((plan for plan in plans if plan.slug == form.plan.data), None)
                if plan is None:
                    raise Invalid({"plan": "The API does not offer this plan any more. Choose another one."})
                waits = agreements.switch_plan(
                    session,
                    subscription,
                    plan,
                    by=me(),
                    purpose=form.purpose.data or "",
                    expected_calls=form.expected_calls.data,
                )
            if waits is None:
                return back(consumer, f"{api.name} is used under the plan {plan.name} now.")
            goes_on = f"{subscription.plan.name} goes on until that is decided."
            return back(consumer, f"{api.team.name} is asked for the plan {plan.name}. {goes_on}")
        except (Invalid, Conflict) as error:
            status = form.refuse(error)
    page = render_template(
        "consumers/switch_plan.html",
        consumer=consumer,
        subscription=subscription,
        plans=plans,
        limited_operations=registry.limits_at(db.session(), api, plans),
        form=form,
        waiting=registry.waiting_of(subscription),
        address=address,
    )
    return page, status or form.status


@bp.route("/<team>/<consumer>/subscriptions/<int:subscription>/subject", methods=["GET", "POST"])
@requires(Permission.MANAGE_CONSUMERS, a_subscription)
def subject(subscription: Subscription) -> ResponseReturnValue:
    """What tokens call the consumer at this API."""
    consumer, api = subscription.consumer, subscription.api
    form = SubjectForm(subject=subscription.subject or "")
    status = 0
    if form.validate_on_submit():
        try:
            with db.begin() as session:
                registry.set_subject(session, subscription, form.subject.data)
            if subscription.subject is None:
                return back(consumer, f"No token leads to {consumer.name} at {api.name} any more.")
            return back(consumer, f"Tokens for {subscription.subject} call {api.name} as {consumer.name}.")
        except (Invalid, Conflict) as error:
            status = form.refuse(error)
    page = render_template(
        "consumers/subject.html",
        consumer=consumer,
        subscription=subscription,
        form=form,
        tokens=registry.token_keys.state_of(db.session(), api),
        address=address,
    )
    return page, status or form.status


@bp.post("/<team>/<consumer>/subscriptions/<int:subscription>/withdraw")
@requires(Permission.MANAGE_CONSUMERS, a_subscription)
def withdraw(subscription: Subscription) -> ResponseReturnValue:
    with db.begin() as session:
        waiting = registry.waiting_of(subscription)
        if waiting is None:
            raise Conflict("Nothing waits here any more: it is decided, or was withdrawn. Go back and look again.")
        registry.withdraw_request(session, waiting)
    return back(subscription.consumer, f"The request for {subscription.api.name} is withdrawn.")


@bp.route("/<team>/<consumer>/subscriptions/<int:subscription>/end", methods=["GET", "POST"])
@requires(Permission.MANAGE_CONSUMERS, a_subscription)
def end(subscription: Subscription) -> ResponseReturnValue:
    consumer = subscription.consumer
    if request.method == "GET":
        return render_template("consumers/end.html", consumer=consumer, subscription=subscription, address=address)
    with db.begin() as session:
        registry.end_subscription(session, subscription)
    return back(consumer, f"The subscription to {subscription.api.name} is ended.")
