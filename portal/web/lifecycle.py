"""How one API lives and ends: paused, unpublished, closed, deprecated, retired."""

from flask import render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from portal import endings, registry
from portal.accounts import Permission
from portal.db import db, utcnow
from portal.errors import Conflict, Invalid
from portal.registry.models import Api
from portal.registry.visibility import tells_successor
from portal.web import lists
from portal.web.apis import address, back, bp
from portal.web.forms import Form
from portal.web.forms.ending import DeprecationForm
from portal.web.guards import an_api, may, me, requires
from portal.web.remaining import remaining

STEPS = ("draft", "published", "deprecated", "retired")
MOST_SHOWN = 200
_MOST_SUCCESSORS = 100


@bp.get("/<team>/<slug>/<version>/lifecycle")
@requires(Permission.SEE_APIS, an_api)
def lifecycle(api: Api) -> ResponseReturnValue:
    form = DeprecationForm()
    form.fill_from(api)
    if not form.successor.data:
        form.successor.data = lists.query("successor")
    return _page(api, form), 200


def _page(api: Api, form: DeprecationForm) -> str:
    session, now = db.session(), utcnow()
    sees_calls = may(Permission.SEE_API_CALLS, api.team)
    found = remaining(session, api, now, with_calls=sees_calls)
    return render_template(
        "apis/lifecycle.html",
        api=api,
        form=form,
        steps=STEPS,
        step="published" if api.state == "paused" and api.deprecated_at is None else _step(api),
        successor=api.successor if api.successor and registry.may_see(me(), api.successor) else None,
        tells_successor=tells_successor(api),
        successors=_successors(session, api),
        remaining=found[:MOST_SHOWN],
        count=len(found),
        sees_calls=sees_calls,
        opens={
            each.consumer.id
            for each in found
            if each.consumer and not each.consumer.everyone and may(Permission.MANAGE_CONSUMERS, each.consumer.team)
        },
        has_passed=api.sunset_at is not None and api.sunset_at < now,
        may_manage=may(Permission.MANAGE_APIS, api.team),
        address=address,
    )


def _step(api: Api) -> str:
    """Where it stands on the way, whether it is paused or not."""
    if api.live_release_id is None:
        return "draft"
    if api.retired_at is not None:
        return "retired"
    return "deprecated" if api.deprecated_at is not None else "published"


def _successors(session: Session, api: Api) -> list[str]:
    """What the field proposes: other versions first, then what the team and others publish, as far as one may know."""
    rows = session.scalars(
        select(Api)
        .join(Api.team)
        .where(Api.live_release_id.is_not(None), Api.id != api.id, registry.visible_to(me()))
        .options(joinedload(Api.team))
        .order_by(Api.team_id != api.team_id, Api.slug != api.slug, func.lower(Api.name), Api.id)
        .limit(_MOST_SUCCESSORS)
    )
    return [row.label for row in rows]


@bp.post("/<team>/<slug>/<version>/lifecycle")
@requires(Permission.MANAGE_APIS, an_api)
def deprecate(api: Api) -> ResponseReturnValue:
    form = DeprecationForm()
    if not form.validate_on_submit():
        return _page(api, form), form.status
    now = utcnow()
    was_deprecated = api.deprecated_at is not None
    try:
        with db.begin() as session:
            endings.deprecate(
                session,
                api,
                by=me(),
                at=form.begins(api, now),
                sunset_at=form.ends(api, now),
                successor=form.successor.data or "",
                message=form.message.data or "",
            )
            if request.form.get("close"):
                registry.close(session, api)
    except (Invalid, Conflict) as error:
        status = form.refuse(error)
        return _page(api, form), status
    done = "What callers are told is changed" if was_deprecated else f"{api.name} is deprecated"
    return back(api, f"{done}. Gateways tell callers within a second.", "apis.lifecycle")


@bp.post("/<team>/<slug>/<version>/lifecycle/withdraw")
@requires(Permission.MANAGE_APIS, an_api)
def withdraw_deprecation(api: Api) -> ResponseReturnValue:
    with db.begin() as session:
        endings.withdraw_deprecation(session, api, by=me())
    return back(api, f"{api.name} is no longer deprecated.", "apis.lifecycle")


@bp.post("/<team>/<slug>/<version>/lifecycle/close")
@requires(Permission.MANAGE_APIS, an_api)
def close(api: Api) -> ResponseReturnValue:
    with db.begin() as session:
        registry.close(session, api)
    return back(api, f"{api.name} takes no new subscriptions. Those that exist go on.", "apis.lifecycle")


@bp.post("/<team>/<slug>/<version>/lifecycle/reopen")
@requires(Permission.MANAGE_APIS, an_api)
def reopen(api: Api) -> ResponseReturnValue:
    with db.begin() as session:
        registry.reopen(session, api)
    return back(api, f"{api.name} takes new subscriptions again.", "apis.lifecycle")


@bp.route("/<team>/<slug>/<version>/lifecycle/retire", methods=["GET", "POST"])
@requires(Permission.MANAGE_APIS, an_api)
def retire(api: Api) -> ResponseReturnValue:
    wrong, status = None, 200
    if request.method == "POST":
        if request.form.get("confirm", "").strip() == api.slug:
            with db.begin() as session:
                endings.retire(session, api, by=me())
            return back(api, f"{api.name} is retired. Calls are answered with 410 api_retired.", "apis.lifecycle")
        wrong, status = f"This is not {api.slug}. Type it to retire the API.", 422
    found = remaining(db.session(), api, utcnow(), with_calls=may(Permission.SEE_API_CALLS, api.team))
    page = render_template(
        "apis/retire.html",
        api=api,
        subscribed=sum(each.plan is not None for each in found),
        calling=sum(each.calls > 0 for each in found),
        successor=api.successor if api.successor and registry.may_see(me(), api.successor) else None,
        tells_successor=tells_successor(api),
        wrong=wrong,
        address=address,
    )
    return page, status


@bp.post("/<team>/<slug>/<version>/lifecycle/revive")
@requires(Permission.MANAGE_APIS, an_api)
def revive(api: Api) -> ResponseReturnValue:
    with db.begin() as session:
        registry.revive(session, api)
    return back(api, f"{api.name} answers calls again. It is deprecated, as it was before.", "apis.lifecycle")


@bp.route("/<team>/<slug>/<version>/pause", methods=["GET", "POST"])
@requires(Permission.MANAGE_APIS, an_api)
def pause(api: Api) -> ResponseReturnValue:
    if request.method == "GET":
        return render_template("apis/pause.html", api=api, form=Form(), address=address)
    with db.begin() as session:
        registry.pause(session, api)
    return back(api, f"{api.name} is paused. Calls are answered with 503 api_paused.")


@bp.post("/<team>/<slug>/<version>/resume")
@requires(Permission.MANAGE_APIS, an_api)
def resume(api: Api) -> ResponseReturnValue:
    with db.begin() as session:
        registry.resume(session, api)
    return back(api, f"{api.name} is resumed. Calls go through again within a second.")


@bp.route("/<team>/<slug>/<version>/unpublish", methods=["GET", "POST"])
@requires(Permission.MANAGE_APIS, an_api)
def unpublish(api: Api) -> ResponseReturnValue:
    if request.method == "GET":
        return render_template("apis/unpublish.html", api=api, address=address)
    if request.form.get("confirm", "").strip() != api.slug:
        wrong = f"This is not {api.slug}. Type it to unpublish the API."
        return render_template("apis/unpublish.html", api=api, wrong=wrong, address=address), 422
    with db.begin() as session:
        registry.unpublish(session, api)
    return back(api, f"{api.name} is no longer published. Its releases, subscriptions and keys are kept.")
