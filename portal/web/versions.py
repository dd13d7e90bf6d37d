"""Another version of an API, and the callers of the old one carried over."""

from flask import render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from portal import letters, registry
from portal.accounts import Permission
from portal.db import db
from portal.errors import Conflict, Invalid, NotFound
from portal.registry.models import Api, Plan, Subscription
from portal.web import lists
from portal.web.apis import address, back, back_to, bp
from portal.web.forms.ending import NewVersionForm
from portal.web.guards import an_api, me, requires

AT_ONCE = 500
"""Subscriptions that one page carries; the next ones are there when these are done."""


@bp.route("/<team>/<slug>/<version>/new-version", methods=["GET", "POST"])
@requires(Permission.MANAGE_APIS, an_api)
def new_version(api: Api) -> ResponseReturnValue:
    form = NewVersionForm()
    if request.method == "POST" and form.validate_on_submit():
        version = form.version.data or ""
        try:
            with db.begin() as session:
                path = form.path.data or f"/{api.slug}/{version}"
                made = registry.new_version(session, api, version=version, path=path, by=me())
            return back(made, f"{made.name} {made.version} is a draft. Change what is new, then publish it.")
        except (Invalid, Conflict) as error:
            status = form.refuse(error)
            return render_template("apis/new_version.html", api=api, form=form, address=address), status
    return render_template("apis/new_version.html", api=api, form=form, address=address), form.status


@bp.route("/<team>/<slug>/<version>/carry", methods=["GET", "POST"])
@requires(Permission.MANAGE_APIS, an_api)
def carry(api: Api) -> ResponseReturnValue:
    """From the version that the address names (`?from=v1`), or the latest one beside it, to this one."""
    session = db.session()
    others = [each for each in registry.siblings(session, api) if each.live_release_id is not None]
    named = lists.query("from")
    old = next((each for each in others if each.version == named), None if named else next(iter(others), None))
    if named and old is None:
        raise NotFound(f"There is no other published version {named[:30]} of {api.name}.")
    error = None
    if request.method == "POST" and old is not None:
        try:
            return _carried(api, old)
        except Conflict as refused:
            error = refused
    rows = registry.portable(session, old, api) if old is not None else []
    page = render_template(
        "apis/carry.html",
        api=api,
        old=old,
        others=others,
        rows=rows[:AT_ONCE],
        count=len(rows),
        missing=_missing(api, rows[:AT_ONCE]),
        error=error,
        address=address,
    )
    return page, error.status if error else 200


def _carried(api: Api, old: Api) -> ResponseReturnValue:
    with db.begin() as session:
        chosen = _chosen(session, old, api)
        plans = {number: plan for plan in api.plans for number in _places(plan)}
        made = registry.carry_subscriptions(session, old, api, chosen, plans, by=me())
        session.flush()  # the letter names what was made
        letters.subscriptions_carried(session, old, made, by=me())
    count = f"{len(made):,} {'consumer' if len(made) == 1 else 'consumers'}"
    said = f"{count} of {old.version} may call {api.version} now, with the keys that they have."
    if old.deprecated_at is None and request.form.get("then") == "deprecate":
        return back_to(address(old, "apis.lifecycle", successor=api.label), f"{said} Say now when {old.version} ends.")
    return back(api, said, "apis.subscribers")


def _chosen(session: Session, old: Api, new: Api) -> list[Subscription]:
    asked = set(request.form.getlist("subscription"))
    chosen = [each for each in registry.portable(session, old, new) if str(each.id) in asked]
    if not chosen:
        raise Conflict("No consumer is chosen. Choose those that are to call the new version.")
    return chosen


def _places(plan: Plan) -> list[int]:
    """Plans of the old version in whose place this one was chosen."""
    return [
        int(name.removeprefix("plan-"))
        for name, value in request.form.items()
        if name.startswith("plan-") and name[5:].isdecimal() and len(name) < 15 and value == plan.slug
    ]


def _missing(api: Api, rows: list[Subscription]) -> list[Plan]:
    """Plans that the new version does not offer, so that another one has to be chosen in their place."""
    found = {each.plan.id: each.plan for each in rows if each.plan not in api.plans}
    return sorted(found.values(), key=lambda plan: plan.name.lower())
