"""Approvals: what waits for a person's decision, what came of it, and which subscriptions nobody uses."""

from datetime import timedelta
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from portal import agreements, letters, registry
from portal.accounts import Permission
from portal.db import db, utcnow
from portal.errors import Conflict, Invalid, NotFound
from portal.registry.models import Api, Approval, ApprovalState, Consumer, Subscription
from portal.traffic.callers import LOOKED_BACK
from portal.web import inbox, lists
from portal.web.apis import address as api_address
from portal.web.apis import back_to
from portal.web.consumers import address as consumer_address
from portal.web.forms.subscriptions import DecisionForm, UntilForm
from portal.web.guards import an_approval, may, me, requires
from portal.web.intake import LARGEST_ID

bp = Blueprint("approvals", __name__, url_prefix="/approvals")

AT_ONCE = 200
"""What one form decides about; the list shows fewer."""
DAYS = (14, 30, 60, 90)
"""For how long nobody called. Who called is kept for 90 days."""
NOTICE = timedelta(days=30)
_DECIDED = (ApprovalState.APPROVED, ApprovalState.REJECTED, ApprovalState.WITHDRAWN)


@bp.app_template_global()
def approval_tabs(active: str, waiting: int | None = None) -> list[tuple[Any, ...]]:
    return [
        ("Waiting", url_for("approvals.index"), active == "approvals.index", waiting),
        ("Decided", url_for("approvals.decided"), active == "approvals.decided"),
        ("Access review", url_for("approvals.review"), active == "approvals.review"),
    ]


@bp.get("")
@requires(Permission.SIGNED_IN)
def index() -> ResponseReturnValue:
    return _index(DecisionForm(), set())


def _index(form: DecisionForm, chosen: set[int]) -> str:
    asked = {"q": lists.query(), "api": lists.query("api")}
    rows = inbox.approvals(me(), states=(ApprovalState.WAITING,), **asked)
    page = lists.page_by_number(db.session(), rows, Approval.id, newest_first=False)
    return render_template(
        "approvals/index.html",
        page=page,
        asked=asked,
        form=form,
        chosen=chosen,
        without=lists.without,
        api_address=api_address,
    )


@bp.get("/decided")
@requires(Permission.SIGNED_IN)
def decided() -> ResponseReturnValue:
    asked = {"q": lists.query(), "api": lists.query("api")}
    wanted = [state for state in _DECIDED if state.value == lists.query("state")]
    rows = inbox.approvals(me(), states=wanted or _DECIDED, **asked)
    return render_template(
        "approvals/decided.html",
        page=lists.page_by_number(db.session(), rows, Approval.id, newest_first=True),
        asked=asked | {"state": wanted[0].value if wanted else ""},
        states=[state.value for state in _DECIDED],
        without=lists.without,
        api_address=api_address,
    )


@bp.get("/link/<token>")
@requires(Permission.SIGNED_IN)
def follow(token: str) -> ResponseReturnValue:
    """Where a mailed link leads: who decides comes to the decision, who asked to the consumer. It decides nothing."""
    found = db.session.get(Approval, letters.read_approval(token))
    if found is None:
        raise NotFound("This request is gone, with its subscription.")
    if may(Permission.DECIDE, found.subscription.api.team):
        return redirect(url_for(".show", approval=found.id), 303)
    if may(Permission.MANAGE_CONSUMERS, found.subscription.consumer.team):
        return redirect(consumer_address(found.subscription.consumer), 303)
    raise NotFound()


@bp.get("/<int:approval>")
@requires(Permission.DECIDE, an_approval)
def show(approval: Approval) -> ResponseReturnValue:
    return _show(approval, DecisionForm())


@bp.post("/<int:approval>")
@requires(Permission.DECIDE, an_approval)
def decide(approval: Approval) -> ResponseReturnValue:
    form = DecisionForm()
    agreed = request.form.get("act") == "approve"
    if not form.validate_on_submit():
        return _show(approval, form), form.status
    consumer = approval.subscription.consumer
    try:
        with db.begin() as session:
            words = form.words.data or ""
            if agreed:
                agreements.approve(session, approval, by=me(), until=form.end(), words=words)
            else:
                agreements.reject(session, approval, by=me(), words=words)
    except (Invalid, Conflict) as error:
        status = form.refuse(error)
        return _show(approval, form), status
    what = f"{consumer.name} may use {approval.subscription.api.name} within a second." if agreed else ""
    said = f"{'Approved' if agreed else 'Rejected'}. {what}".strip()
    return back_to(url_for(".index"), f"{said} {consumer.team.name} gets a mail.")


@bp.post("/decide")
@requires(Permission.SIGNED_IN)
def decide_many() -> ResponseReturnValue:
    """Several at once, each for itself: what somebody else has decided meanwhile does not stop the others."""
    form = DecisionForm()
    agreed = request.form.get("act") == "approve"
    chosen = _numbers("approval")
    if not chosen:
        form.say("", "No request is chosen. Choose those that you want to decide.")
        return _index(form, chosen), 422
    if not form.validate_on_submit():
        return _index(form, chosen), form.status
    try:
        with db.begin() as session:
            words = form.words.data or ""
            rows = inbox.approvals(me(), q="", states=tuple(ApprovalState)).where(Approval.id.in_(chosen))
            found = list(session.scalars(rows.order_by(Approval.id)))
            refused = agreements.decide_many(session, found, by=me(), agreed=agreed, words=words)
    except Invalid as error:
        status = form.refuse(error)
        return _index(form, chosen), status
    done = len(found) - len(refused)
    if refused:
        db.session.expire_all()
        for approval, why in refused[:5]:
            form.say("", f"{approval.subscription.consumer.name}: {why}")
        if done:
            flash(_count(done, agreed), "success")
        return _index(form, set()), 409
    return back_to(url_for(".index"), _count(done, agreed))


def _count(done: int, agreed: bool) -> str:
    requests = "1 request is" if done == 1 else f"{done:,} requests are"
    return f"{requests} {'approved' if agreed else 'rejected'}. The teams get mails."


def _show(approval: Approval, form: DecisionForm) -> str:
    subscription = approval.subscription
    session = db.session()
    others = _others(session, subscription)
    return render_template(
        "approvals/show.html",
        approval=approval,
        subscription=subscription,
        consumer=subscription.consumer,
        api=subscription.api,
        earlier=[each for each in subscription.approvals if each is not approval],
        others=others,
        calls=_calls(session, [subscription, *others]),
        days=LOOKED_BACK.days,
        form=form,
        dead=registry.dead(subscription.api),
        may_see_consumer=may(Permission.MANAGE_CONSUMERS, subscription.consumer.team),
        api_address=api_address,
        consumer_address=consumer_address,
    )


def _others(session: Session, subscription: Subscription) -> list[Subscription]:
    """What the asking team uses, asks for and has used of APIs for which this person decides; of others' APIs it is no
    business of theirs."""
    rows = (
        select(Subscription)
        .join(Subscription.api)
        .join(Subscription.consumer)
        .where(
            Consumer.team_id == subscription.consumer.team_id,
            Subscription.id != subscription.id,
            inbox.decided_by(me()),
        )
        .options(
            selectinload(Subscription.plan),
            selectinload(Subscription.consumer),
            selectinload(Subscription.api).selectinload(Api.team),
        )
        .order_by(Subscription.id.desc())
        .limit(20)
    )
    return list(session.scalars(rows))


def _calls(session: Session, subscriptions: list[Subscription]) -> dict[int, inbox.Calls]:
    return inbox.calls_of(session, subscriptions, now=utcnow())


@bp.route("/review", methods=["GET", "POST"])
@requires(Permission.SIGNED_IN)
def review() -> ResponseReturnValue:
    """Subscriptions that nobody uses; a POST gives notice to those that are chosen, or withdraws it."""
    form = UntilForm()
    if request.method == "GET":
        form.until.data = (utcnow() + NOTICE).date()
        return _review(form, set())
    chosen = _numbers("subscription")
    if not chosen:
        form.say("", "No subscription is chosen. Choose those that you want to end.")
        return _review(form, chosen), 422
    if not form.validate_on_submit():
        return _review(form, chosen), form.status
    withdraws = request.form.get("act") == "withdraw"
    done = 0
    try:
        with db.begin() as session:
            ends_at = form.end()
            if ends_at is None and not withdraws:
                raise Invalid({"until": "Choose the last day on which they may call."})
            rows = select(Subscription).join(Subscription.api)
            rows = rows.where(Subscription.id.in_(chosen), inbox.decided_by(me())).order_by(Subscription.id)
            for subscription in session.scalars(rows).all():
                if withdraws:
                    done += agreements.withdraw_notice(session, subscription, by=me())
                elif ends_at is not None:
                    agreements.give_notice(session, subscription, by=me(), ends_at=ends_at)
                    done += 1
    except (Invalid, Conflict) as error:
        status = form.refuse(error)
        return _review(form, chosen), status
    what = "goes" if done == 1 else "go"
    subscriptions = "1 subscription" if done == 1 else f"{done:,} subscriptions"
    if withdraws:
        said = f"{subscriptions} {what} on as before."
    else:
        said = (
            f"{subscriptions} under notice until {form.until.data}. The teams get mails; a call before then keeps them."
        )
    return back_to(lists.here(), said)


def _review(form: UntilForm, chosen: set[int]) -> str:
    days = request.args.get("days", type=int)
    days = days if days in DAYS else 90
    q = lists.query()
    rows = inbox.unused(db.session(), me(), days=days, q=q, now=utcnow())
    page = lists.page_by_number(db.session(), rows, Subscription.id, newest_first=False)
    return render_template(
        "approvals/review.html",
        page=page,
        in_use=None if page.rows else inbox.count_used(db.session(), me()),
        asked={"q": q, "days": days},
        days=DAYS,
        form=form,
        chosen=chosen,
        first_day=utcnow().date(),
        api_address=api_address,
    )


def _numbers(name: str) -> set[int]:
    found = {int(text) for text in request.form.getlist(name)[:AT_ONCE] if text.isdecimal() and len(text) < 11}
    return {number for number in found if number <= LARGEST_ID}
