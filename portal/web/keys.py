"""Keys of a consumer: what each may do, how it is used, its rotation and its end; and keys that nobody uses."""

import uuid
from datetime import timedelta
from typing import Any

from flask import Blueprint, current_app, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Select, or_, select
from sqlalchemy.orm import contains_eager
from werkzeug.wrappers import Response

from portal import config_of, registry
from portal.accounts import Permission, Team, audit
from portal.db import db, utcnow
from portal.errors import BadRequest, Conflict, Invalid
from portal.registry import key_words
from portal.registry.models import Api, Consumer, Key, KeyKind
from portal.traffic import usage
from portal.traffic.calls import CallView, list_calls
from portal.traffic.filters import Filters
from portal.traffic.models import KeyUse
from portal.traffic.scope import Scope
from portal.web import curl, keyring, lists
from portal.web.consumers import address
from portal.web.forms import Form
from portal.web.forms.born import BirthMark
from portal.web.forms.keys import MOST_OFFERED, EditKeyForm, KeyForm, RestrictionsForm, RotateForm
from portal.web.guards import a_consumer, a_key, may, me, requires

bp = Blueprint("keys", __name__, url_prefix="/consumers")

STATES = ("working", "dead")
UNUSED_DAYS = (7, 30, 90, 180, 365)


def _key_address(key: Key, endpoint: str = "keys.show") -> str:
    return address(key.consumer, endpoint, key=key.public_id)


def _back(key: Key, message: str) -> Response:
    flash(message, "success")
    return redirect(_key_address(key), 303)


@bp.get("/<team>/<consumer>/keys")
@requires(Permission.MANAGE_CONSUMERS, a_consumer)
def index(consumer: Consumer) -> ResponseReturnValue:
    session, now = db.session(), utcnow()
    asked = {"q": lists.query(), "state": lists.query("state")}
    rows = select(Key).where(Key.consumer_id == consumer.id).options(*keyring.SHOWN)
    alive = Key.revoked_at.is_(None) & or_(Key.expires_at.is_(None), Key.expires_at > now)
    if asked["state"] in STATES:
        rows = rows.where(alive if asked["state"] == "working" else ~alive)
    if typed := asked["q"].removeprefix("pco_").removeprefix("pcb_")[:80]:
        rows = rows.where(
            or_(Key.label.icontains(typed, autoescape=True), Key.public_id.startswith(typed[:12], autoescape=True))
        )
    page = lists.page_by_number(session, rows, Key.id, newest_first=True)
    return render_template(
        "keys/index.html",
        consumer=consumer,
        page=page,
        rows=keyring.rows(session, page.rows, now),
        asked=asked,
        address=address,
    )


@bp.route("/<team>/<consumer>/keys/new", methods=["GET", "POST"])
@requires(Permission.MANAGE_CONSUMERS, a_consumer)
def new(consumer: Consumer) -> ResponseReturnValue:
    form = KeyForm()
    more = _offer(form, consumer)
    taken = _taken_ways(consumer)
    if request.method == "GET" and taken == {KeyKind.BASIC}:
        form.kind.data = KeyKind.BASIC.value
    mark = BirthMark(current_app.config["SECRET_KEY"], f"key of consumer {consumer.id}")
    if request.method == "GET":
        form.birth.data = mark.sign(registry.new_public_id())
    page: dict[str, Any] = {"consumer": consumer, "form": form, "more_operations": more, "address": address}
    page["may_choose_kind"] = KeyKind.BASIC in taken or form.kind.data == KeyKind.BASIC.value
    if not form.validate_on_submit():
        return render_template("keys/new.html", **page), form.status
    public_id = mark.read(form.birth.data or "")
    try:
        expires_at = form.expires_at(utcnow())
        with db.begin() as session:
            key, token = registry.issue(
                session,
                consumer,
                by=me(),
                label=form.label.data or "",
                expires_at=expires_at,
                restrictions=form.restrictions(),
                public_id=public_id,
                kind=KeyKind(form.kind.data),
            )
            audit.record(session, "shown", key)
    except Invalid as error:
        status = form.refuse(error)
        return render_template("keys/new.html", **page), status
    return _shown_once(key, token, None)


def _taken_ways(consumer: Consumer) -> set[KeyKind]:
    """The kinds of keys that the APIs take which the consumer is subscribed to."""
    apis = [each.api for each in registry.choosable(db.session(), consumer) if each.api.live_release is not None]
    return {kind for api in apis for kind in KeyKind if _takes(api, kind)}


def _takes(api: Api, kind: KeyKind) -> bool:
    document = registry.read_document(api.live_release.document) if api.live_release is not None else None
    return document is not None and bool(getattr(document.authentication, kind.value))


def _offer(form: RestrictionsForm, consumer: Consumer, key: Key | None = None) -> dict[str, int]:
    """Fill the choices; of which APIs not all operations are among them, and how many those have."""
    session = db.session()
    subscriptions = registry.choosable(session, consumer)
    apis = {each.api_id: each.api for each in subscriptions}
    found = registry.operations_of(session, list(apis.values()), most=MOST_OFFERED + 1)
    form.offer(subscriptions, {number: rows[:MOST_OFFERED] for number, rows in found.items()}, key)
    return {
        f"{apis[number].name} {apis[number].version}": MOST_OFFERED
        for number, rows in found.items()
        if len(rows) > MOST_OFFERED
    }


def _shown_once(key: Key, token: registry.Token, old: Key | None) -> Response:
    gateway_url = config_of(current_app).gateway_url
    session = db.session()
    chosen = {each.subscription_id for each in key.chosen_subscriptions}
    subscribed = [
        each.api
        for each in lists.subscriptions_of(session, [key.consumer])
        if each.api.live_release is not None and each.api.retired_at is None and (not chosen or each.id in chosen)
    ]
    page = render_template(
        "keys/issued.html",
        consumer=key.consumer,
        key=key,
        old=old,
        may=key_words.sentences(session, [key])[key.id],
        token=token,
        subscribed=bool(subscribed),
        commands=[
            (api, curl.commands(registry.read_document(api.live_release.document), gateway_url, token.value)[0])
            for api in subscribed
            if api.live_release is not None and _takes(api, key.kind)
        ][:5],
        first_call=None,
        address=address,
    )
    response = make_response(page, 201)
    response.headers["Cache-Control"] = "no-store"
    return response


@bp.get("/<team>/<consumer>/keys/<key>")
@requires(Permission.MANAGE_CONSUMERS, a_key)
def show(key: Key) -> ResponseReturnValue:
    """The page, or only how the key is used, when that refreshes itself."""
    session, now = db.session(), utcnow()
    found = keyring.usage_of(session, key, now)
    last = found.last_use
    context: dict[str, Any] = {
        "consumer": key.consumer,
        "key": key,
        "usage": found,
        "rotation": found.rotation,
        "told": keyring.told_of_rotation(found.rotation, now) if found.rotation else "",
        "last_call": str(uuid.UUID(bytes=bytes(last.request_id))) if last and last.request_id else None,
        "chart": _chart(found, now),
        "address": address,
    }
    if "HX-Request" in request.headers:
        return render_template("keys/_use.html", **context)
    successor = registry.living_successor(session, key)
    return render_template(
        "keys/show.html",
        **context,
        state=keyring.state_of(key, now, is_rotating=successor is not None),
        may_do=key_words.sentences(session, [key])[key.id],
        successor=successor,
        predecessor=session.get(Key, key.predecessor_id) if key.predecessor_id else None,
    )


def _chart(found: keyring.Usage, now: Any) -> dict[str, Any] | None:
    """Calls a day, the key's own ones and those of the keys before it."""
    if not found.month:
        return None
    colors = ("accent", "muted", "2xx", "3xx", "unknown")
    named = [each for each in found.generations if each.key is not None][: len(colors)]
    shown = {each.key.id for each in named if each.key is not None}
    series = [
        {
            "name": each.key.beginning,
            "color": color,
            "values": [calls.get(each.key.id, 0) for _, calls in found.days],
        }
        for each, color in zip(named, colors, strict=False)
        if each.key is not None
    ]
    rest = [sum(count for number, count in calls.items() if number not in shown) for _, calls in found.days]
    if any(rest):
        series.append({"name": "older keys", "color": "unknown", "values": rest})
    return {
        "times": [start for start, _ in found.days],
        "series": series,
        "unit": "calls",
        "incomplete_last": True,
        "markers": [],
    }


@bp.route("/<team>/<consumer>/keys/<key>/edit", methods=["GET", "POST"])
@requires(Permission.MANAGE_CONSUMERS, a_key)
def edit(key: Key) -> ResponseReturnValue:
    form = EditKeyForm()
    form.keep(key)
    more = _offer(form, key.consumer, key)
    page: dict[str, Any] = {"consumer": key.consumer, "key": key, "form": form, "more_operations": more}
    if not form.validate_on_submit():
        return render_template("keys/edit.html", **page, address=address), form.status
    try:
        expires_at = form.expires_at_of(key, utcnow())
        with db.begin() as session:
            registry.change_key(session, key, label=form.label.data or "", expires_at=expires_at)
            registry.restrict(session, key, form.restrictions())
    except (Invalid, Conflict) as error:
        status = form.refuse(error)
        return render_template("keys/edit.html", **page, address=address), status
    return _back(key, f"{key.shown} is saved. The gateway follows within a second.")


@bp.route("/<team>/<consumer>/keys/<key>/rotate", methods=["GET", "POST"])
@requires(Permission.MANAGE_CONSUMERS, a_key)
def rotate(key: Key) -> ResponseReturnValue:
    form, now = RotateForm(), utcnow()
    same = registry.same_lifetime(key, now)
    form.offer(key, same)
    mark = BirthMark(current_app.config["SECRET_KEY"], f"successor of key {key.id}")
    if request.method == "GET":
        form.birth.data = mark.sign(registry.new_public_id())
    session = db.session()
    page: dict[str, Any] = {
        "consumer": key.consumer,
        "key": key,
        "form": form,
        "may_do": key_words.sentences(session, [key])[key.id],
        "last": usage.last_uses(session, [key.id]).get(key.id),
        "successor": registry.living_successor(session, key),
        "address": address,
    }
    if not form.validate_on_submit():
        return render_template("keys/rotate.html", **page), form.status
    public_id = mark.read(form.birth.data or "")
    try:
        stays_until, expires_at = form.stays_until(now), form.expires_at(now, same)
        with db.begin() as writing:
            made, token = registry.rotate(
                writing,
                key,
                by=me(),
                stays_until=stays_until,
                expires_at=expires_at,
                label=form.label.data or "",
                public_id=public_id,
            )
            audit.record(writing, "shown", made)
    except (Invalid, Conflict) as error:
        status = form.refuse(error)
        return render_template("keys/rotate.html", **page), status
    return _shown_once(made, token, key)


@bp.get("/<team>/<consumer>/keys/<key>/first-call")
@requires(Permission.MANAGE_CONSUMERS, a_key)
def first_call(key: Key) -> ResponseReturnValue:
    """A fragment for the page that polls it, a page for those who open it."""
    name = "keys/_first_call.html" if "HX-Request" in request.headers else "keys/first_call.html"
    return render_template(name, consumer=key.consumer, key=key, first_call=_last_call(key), address=address)


@bp.route("/<team>/<consumer>/keys/<key>/revoke", methods=["GET", "POST"])
@requires(Permission.MANAGE_CONSUMERS, a_key)
def revoke(key: Key) -> ResponseReturnValue:
    """Of a successor it undoes the rotation: the key before it goes on."""
    session, now = db.session(), utcnow()
    before = session.get(Key, key.predecessor_id) if key.predecessor_id else None
    if before is not None and (before.state_at(now) != "active" or registry.living_successor(session, key)):
        before = None
    if request.method == "GET":
        return render_template(
            "keys/revoke.html",
            consumer=key.consumer,
            key=key,
            before=before,
            successor=registry.living_successor(session, key),
            form=Form(),
            last=usage.last_uses(session, [key.id]).get(key.id),
            address=address,
        )
    with db.begin() as writing:
        registry.revoke_all(writing, [key], by=me())
    goes_on = f" {before.shown} works on." if before is not None else ""
    return _back(key, f"The key {key.shown} is revoked. The gateway refuses it within a second.{goes_on}")


@bp.get("/unused-keys")
@requires(Permission.SIGNED_IN)
def unused() -> ResponseReturnValue:
    session, now = db.session(), utcnow()
    asked, days = _asked_of_unused()
    page = lists.page_by_number(session, _unused(asked, days), Key.id, newest_first=True)
    return render_template(
        "keys/unused.html",
        page=page,
        rows=keyring.rows(session, page.rows, now),
        asked=asked,
        days=days,
        all_days=UNUSED_DAYS,
        teams=list(session.scalars(lists.visible_teams(me()))),
        address=address,
    )


@bp.route("/revoke-unused-keys", methods=["GET", "POST"])
@requires(Permission.SIGNED_IN)
def revoke_unused() -> ResponseReturnValue:
    """What was chosen in the list, as far as it is still unused: a key that was called meanwhile stays."""
    asked, days = _asked_of_unused()
    chosen = request.values.getlist("key")[: lists.SIZE]
    kept: dict[str, Any] = {name: value for name, value in asked.items() if value}
    back = url_for(".unused", **kept)
    if not chosen:
        flash("Choose the keys to revoke first.", "warning")
        return redirect(back, 303)
    wanted = _unused(asked, days).where(Key.public_id.in_(chosen)).order_by(Key.id.desc())
    if request.method == "GET":
        found = list(db.session().scalars(wanted))
        rows = keyring.rows(db.session(), found, utcnow())
        return render_template("keys/revoke_unused.html", rows=rows, asked=asked, days=days, back=back, form=Form())
    with db.begin() as session:
        gone = registry.revoke_all(session, list(session.scalars(wanted)), by=me())
    stayed = len(set(chosen)) - len(gone)
    said = f"{len(gone)} {'key is' if len(gone) == 1 else 'keys are'} revoked."
    flash(said + (f" {stayed} stayed: used or revoked meanwhile." if stayed else ""), "success")
    return redirect(back, 303)


def _asked_of_unused() -> tuple[dict[str, str], int]:
    """What the list is filtered by, and the number of days in it. Raises BadRequest."""
    asked = {name: request.values.get(name, "").replace("\0", "").strip() for name in ("team", "days", "only")}
    days = asked["days"] or "90"
    if days not in map(str, UNUSED_DAYS):
        raise BadRequest(f"Days are one of {', '.join(map(str, UNUSED_DAYS))}.")
    return asked, int(days)


def _unused(asked: dict[str, str], days: int) -> Select[Any]:
    """Keys of one's own teams that work and were not used for so long."""
    now = utcnow()
    rows = (
        select(Key)
        .join(Key.consumer)
        .join(Consumer.team)
        .outerjoin(KeyUse, KeyUse.key_id == Key.id)
        .where(
            Key.revoked_at.is_(None),
            or_(Key.expires_at.is_(None), Key.expires_at > now),
            usage.unused_since(now - timedelta(days=days)),
        )
        .options(contains_eager(Key.consumer).contains_eager(Consumer.team), *keyring.SHOWN)
    )
    if not me().acts_as_administrator:
        rows = rows.where(Team.id.in_([team.id for team in me().teams if may(Permission.MANAGE_CONSUMERS, team)]))
    if asked["team"]:
        rows = rows.where(Team.slug == asked["team"])
    if asked["only"] == "never":
        rows = rows.where(KeyUse.last_at.is_(None))
    return rows


def _last_call(key: Key) -> CallView | None:
    """The latest call with this key. Who may see the key may see its calls."""
    scope = Scope(consumer_ids=frozenset({key.consumer_id}))
    found = list_calls(db.session(), scope, Filters(key_id=key.id), limit=1).calls
    return found[0] if found else None
