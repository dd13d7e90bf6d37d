"""Who uses an API, as its team has it: the list, one subscription and what can be done to it, letting somebody in."""

from flask import render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import agreements, registry
from portal.accounts import Permission
from portal.db import db, utcnow
from portal.errors import BadRequest, Conflict, Invalid
from portal.registry import everyone
from portal.registry.models import APPLICATION, Api, Consumer, Plan, Subscription
from portal.traffic.callers import LOOKED_BACK
from portal.web import inbox, lists
from portal.web.apis import address, back_to, bp
from portal.web.forms import Form, choices
from portal.web.forms.subscriptions import AdmitForm, SuspendForm, UntilForm
from portal.web.guards import a_use, an_api, may, me, requires


@bp.get("/<team>/<slug>/<version>/subscribers")
@requires(Permission.SEE_APIS, an_api)
def subscribers(api: Api) -> ResponseReturnValue:
    session = db.session()
    page = lists.page(session, lists.subscribers(api, q=lists.query()), Consumer.name, Consumer.id)
    return render_template(
        "apis/subscribers.html",
        api=api,
        page=page,
        subscriptions={each.consumer_id: each for each in lists.subscriptions_of(session, page.rows, api)},
        q=lists.query(),
        everyone=everyone.subscription_of_everyone(session, api) if api.is_public else None,
        now=utcnow(),
        sees_calls=may(Permission.SEE_API_CALLS, api.team),
        may_decide=may(Permission.DECIDE, api.team),
        address=address,
    )


@bp.route("/<team>/<slug>/<version>/subscribers/new", methods=["GET", "POST"])
@requires(Permission.DECIDE, an_api)
def admit(api: Api) -> ResponseReturnValue:
    """The API's team subscribes a consumer itself. Of other teams' consumers it knows none but by their ids."""
    form = AdmitForm()
    form.plan.choices = choices({plan.slug: plan.name for plan in api.plans})
    if request.method == "GET" and api.plans:
        form.plan.data = (api.default_plan or api.plans[0]).slug
    status = 0
    if form.validate_on_submit():
        try:
            with db.begin() as session:
                consumer = _consumer(session, form.consumer.data or "")
                agreements.admit(session, consumer, api, _plan(api, form.plan.data), by=me(), until=form.end())
            return back_to(address(api, "apis.subscribers"), f"{consumer.name} is subscribed. Its team gets a mail.")
        except (Invalid, Conflict) as error:
            status = form.refuse(error)
    page = render_template(
        "apis/admit.html",
        api=api,
        form=form,
        limited_operations=registry.limits_at(db.session(), api, api.plans),
        dead=registry.dead(api),
        address=address,
    )
    return page, status or form.status


@bp.get("/<team>/<slug>/<version>/subscribers/<int:subscription>")
@requires(Permission.SEE_APIS, a_use)
def subscription(subscription: Subscription) -> ResponseReturnValue:
    until = UntilForm()
    until.last_day(subscription.approved_until)
    return _show(subscription, until, SuspendForm(), Form())


@bp.post("/<team>/<slug>/<version>/subscribers/<int:subscription>")
@requires(Permission.DECIDE, a_use)
def change_subscription(subscription: Subscription) -> ResponseReturnValue:
    """What is done stands in `act`."""
    act = request.form.get("act", "")
    until, suspending, assigning = UntilForm(), SuspendForm(), Form()
    forms = {"until": until, "suspend": suspending, "plan": assigning}
    form = forms.get(act, assigning)
    status = 422
    if form.validate_on_submit():
        try:
            with db.begin() as session:
                said = _act(session, subscription, act, until, suspending)
            return back_to(_address(subscription), said)
        except (Invalid, Conflict) as error:
            status = form.refuse(error)
    return _show(subscription, until, suspending, assigning), status


def _act(session: Session, subscription: Subscription, act: str, until: UntilForm, suspending: SuspendForm) -> str:
    name, by = subscription.consumer.name, me()
    match act:
        case "suspend":
            agreements.suspend(session, subscription, by=by, words=suspending.words.data or "")
            return f"{name} is suspended here. The gateway refuses its calls within a second."
        case "resume":
            agreements.resume(session, subscription, by=by)
            return f"{name} goes on. Its calls go through within a second."
        case "until":
            agreements.grant_until(session, subscription, until.end(), by=by)
            return (
                f"{name} may go on until {until.until.data}."
                if until.until.data
                else f"{name} may go on without an end."
            )
        case "plan":
            agreements.assign_plan(session, subscription, _plan(subscription.api, request.form.get("plan")), by=by)
            return f"{name} has the plan {subscription.plan.name} within a second."
        case "clear subject":
            agreements.clear_subject(session, subscription, by=by)
            return f"No token leads to {name} any more. Its team gets a mail."
        case "withdraw notice":
            agreements.withdraw_notice(session, subscription, by=by)
            return f"The notice is withdrawn: {name} goes on."
    raise BadRequest("This form does not say what to do. Open the page again.")


@bp.route("/<team>/<slug>/<version>/subscribers/<int:subscription>/end", methods=["GET", "POST"])
@requires(Permission.DECIDE, a_use)
def end_subscription(subscription: Subscription) -> ResponseReturnValue:
    api = subscription.api
    if request.method == "GET":
        return render_template("apis/end_subscription.html", api=api, subscription=subscription, address=address)
    with db.begin() as session:
        agreements.end(session, subscription, by=me())
    said = f"The subscription of {subscription.consumer.name} is ended. Its team gets a mail."
    return back_to(address(api, "apis.subscribers"), said)


def _show(subscription: Subscription, until: UntilForm, suspending: SuspendForm, assigning: Form) -> str:
    api, consumer = subscription.api, subscription.consumer
    return render_template(
        "apis/subscription.html",
        api=api,
        subscription=subscription,
        consumer=consumer,
        waiting=registry.waiting_of(subscription),
        calls=inbox.calls_of(db.session(), [subscription], now=utcnow()).get(subscription.id),
        days=LOOKED_BACK.days,
        until=until,
        suspending=suspending,
        assigning=assigning,
        may_decide=may(Permission.DECIDE, api.team),
        may_see_calls=may(Permission.SEE_API_CALLS, api.team),
        opens=may(Permission.MANAGE_CONSUMERS, consumer.team),
        address=address,
    )


def _address(subscription: Subscription) -> str:
    return address(subscription.api, "apis.subscription", subscription=subscription.id)


def _consumer(session: Session, public_id: str) -> Consumer:
    found = session.scalar(select(Consumer).where(Consumer.public_id == public_id.strip(), APPLICATION))
    if found is None:
        raise Invalid({"consumer": "No consumer has this id. Its team finds it on the consumer's page."})
    return found


def _plan(api: Api, slug: str | None) -> Plan:
    found = next((plan for plan in api.plans if plan.slug == slug), None)
    if found is None:
        raise Invalid({"plan": f"{api.name} does not offer this plan. Choose one that it offers."})
    return found
