"""From an API of the catalogue to a subscription: one page, on which the consumer may be made on the way."""

from typing import Any

from flask import flash, redirect, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal import agreements, registry
from portal.accounts import Permission, Team
from portal.db import db
from portal.errors import Conflict, Invalid, NotFound
from portal.registry.models import APPLICATION, Api, Consumer, Plan, Subscription, SubscriptionState
from portal.web import lists
from portal.web.catalogue import bp
from portal.web.consumers import address, team_choices
from portal.web.forms import choices
from portal.web.forms.subscriptions import NEW, SubscribeForm
from portal.web.guards import a_shown_api, me, requires, teams_for

MOST_OFFERED = 200
"""Consumers in one list; of more, a search narrows them."""


@bp.route("/<team>/<slug>/<version>/subscribe", methods=["GET", "POST"])
@requires(Permission.SIGNED_IN, a_shown_api)
def subscribe(api: Api) -> ResponseReturnValue:
    """Which consumer, which plan, and what for where that is asked: all of it on one page."""
    session = db.session()
    teams = teams_for(Permission.MANAGE_CONSUMERS)
    offered = registry.shown_plans(api, me())
    found = _consumers(session, teams)
    form = SubscribeForm()
    using = {each.consumer_id: each for each in lists.subscriptions_of(session, found, api)}
    labels = {f"{each.team.slug}/{each.slug}": _label(each, using) for each in found[:MOST_OFFERED]}
    form.consumer.choices = choices(labels | {NEW: "A new consumer"})
    form.team.choices = team_choices(teams)
    form.plan.choices = choices({plan.slug: plan.name for plan in offered})
    if request.method == "GET":
        _prefill(api, form, found, using, offered)
    elif form.validate_on_submit():
        try:
            return _subscribed(api, form, teams, offered)
        except (Invalid, Conflict, NotFound) as error:
            status = form.refuse(error)
            return _page(api, form, found, using, offered), status
    return _page(api, form, found, using, offered), form.status


def _subscribed(api: Api, form: SubscribeForm, teams: list[Team], offered: list[Plan]) -> ResponseReturnValue:
    plan = next((plan for plan in offered if plan.slug == form.plan.data), None)
    if plan is None:
        raise Invalid({"plan": "The API does not offer this plan any more. Choose another one."})
    with db.begin() as session:
        consumer = _chosen(session, form, teams)
        subscription = agreements.subscribe(
            session,
            consumer,
            api,
            plan,
            by=me(),
            purpose=form.purpose.data or "",
            expected_calls=form.expected_calls.data,
        )
        if registry.takes_tokens(api) and form.subject.data:
            registry.set_subject(session, subscription, form.subject.data)
    title = api.live_release.document["name"] if api.live_release else api.name
    if subscription.state is SubscriptionState.PENDING:
        said = f"{api.team.name} is asked for {title} under the plan {plan.name}. You get a mail when it is decided."
    else:
        said = f"{consumer.name} is subscribed to {title} under the plan {plan.name}."
    flash(said, "success")
    return redirect(address(consumer), 303)


def _chosen(session: Session, form: SubscribeForm, teams: list[Team]) -> Consumer:
    """The one that was chosen, or a new one. Raises Invalid."""
    if form.consumer.data == NEW:
        team = next((team for team in teams if team.slug == form.team.data), teams[0])
        name = form.name.data or ""
        if not name:
            raise Invalid({"name": "Give the new consumer a name."})
        # A form that is sent twice makes one.
        same = select(Consumer.id).where(Consumer.team_id == team.id, Consumer.name == name)
        if session.scalar(same.limit(1)) is not None:
            raise Invalid({"name": f"{team.name} has a consumer {name} already. Choose it, or another name."})
        return registry.create_consumer(session, team, slug=registry.unused_slug(session, team, name), name=name)
    team_slug, _, slug = (form.consumer.data or "").partition("/")
    numbers = [each.id for each in teams if each.slug == team_slug]
    found = session.scalar(select(Consumer).where(Consumer.team_id.in_(numbers), Consumer.slug == slug, APPLICATION))
    if found is None:
        raise Invalid({"consumer": "Choose the application that will call."})
    return found


def _prefill(
    api: Api, form: SubscribeForm, found: list[Consumer], using: dict[int, Subscription], offered: list[Plan]
) -> None:
    wanted, free = lists.query("consumer"), [each for each in found if each.id not in using]
    known = {f"{each.team.slug}/{each.slug}" for each in free}
    if wanted in known:
        form.consumer.data = wanted
    elif not found:
        form.consumer.data = NEW
    elif len(free) == 1:
        form.consumer.data = next(iter(known))
    asked = lists.query("plan")
    # Without a default, rather one that holds at once than one that somebody has to decide about.
    first = sorted(offered, key=lambda plan: (plan.slug != asked, plan.id != api.default_plan_id, plan.approval))
    form.plan.data = first[0].slug if first else ""


def _page(
    api: Api, form: SubscribeForm, found: list[Consumer], using: dict[int, Subscription], offered: list[Plan]
) -> str:
    return render_template(
        "catalogue/subscribe.html",
        api=api,
        form=form,
        found=found[:MOST_OFFERED],
        is_long=len(found) > MOST_OFFERED or bool(lists.query()),
        q=lists.query(),
        using=using,
        plans=offered,
        tokens=registry.token_keys.state_of(db.session(), api),
        limited_operations=registry.limits_at(db.session(), api, offered),
        is_open=bool(offered) and registry.refusal(api) is None,
        NEW=NEW,
        address=address,
    )


def _consumers(session: Session, teams: list[Team]) -> list[Consumer]:
    rows = lists.consumers(me(), q=lists.query(), team="").where(Consumer.team_id.in_([team.id for team in teams]))
    rows = rows.order_by(func.lower(Consumer.name), Consumer.id)
    found = list(session.scalars(rows.limit(MOST_OFFERED + 1)))
    wanted = lists.query("consumer") or request.form.get("consumer", "")
    team, _, slug = wanted.partition("/")
    if slug and all((each.team.slug, each.slug) != (team, slug) for each in found):
        named = [each.id for each in teams if each.slug == team]
        chosen = select(Consumer).where(Consumer.team_id.in_(named), Consumer.slug == slug, APPLICATION)
        found = [*session.scalars(chosen), *found]
    return found


def _label(consumer: Consumer, using: dict[int, Subscription]) -> str:
    present: Any = using.get(consumer.id)
    said = ""
    if present is not None:
        waits = present.state is SubscriptionState.PENDING
        said = f" (waits for {present.plan.name})" if waits else f" (subscribed: {present.plan.name})"
    return f"{consumer.name}, {consumer.team.name}{said}"
