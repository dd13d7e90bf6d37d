"""A team's channels: webhooks and chats that its notices are sent to, with the log of what was sent."""

from typing import Any

import orjson
from flask import Blueprint, current_app, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import joinedload
from werkzeug.wrappers import Response

from portal import config_of, gateway
from portal.accounts import Permission, Team, audit
from portal.db import db, utcnow
from portal.errors import Conflict, Invalid, PortalError
from portal.notify import channels
from portal.notify.events import EVENTS
from portal.notify.models import Channel, ChannelKind, Delivery, DeliveryState
from portal.outbound.guarded import NotReached
from portal.vault import Vault
from portal.web import lists
from portal.web.forms import Form
from portal.web.forms.channels import KINDS, ChannelForm, NewChannelForm, RotateForm
from portal.web.guards import a_channel, a_delivery, a_team, me, requires
from portal.web.intake import LARGEST_ID

bp = Blueprint("channels", __name__, url_prefix="/settings/teams/<team>/channels")
bp.add_app_template_filter(KINDS.get, "channel_kind")

_ROWS = 50
_STATES = {"waiting": DeliveryState.WAITING, "delivered": DeliveryState.DELIVERED, "given-up": DeliveryState.GIVEN_UP}


@bp.app_template_filter()
def event_title(word: str) -> str:
    """What has happened, in words; the word itself for an event that this release has not."""
    return "Test" if word == channels.TEST else EVENTS[word].title if word in EVENTS else word


def address(channel: Channel, endpoint: str = "channels.show", **more: Any) -> str:
    return url_for(endpoint, team=channel.team.slug, channel=channel.name, **more)


def _back(channel: Channel, message: str) -> Response:
    flash(message, "success")
    return redirect(address(channel), 303)


def _look(url: str) -> str:
    """Scheme and host of an address that may be sent to. Raises Invalid."""
    try:
        return channels.check(gateway.rules_of(config_of(current_app)))(url)
    except NotReached as error:
        raise Invalid({"url": str(error)}) from None


def _vault() -> Vault:
    return Vault.of(config_of(current_app))


@bp.get("")
@requires(Permission.MANAGE_TEAM, a_team)
def index(team: Team) -> ResponseReturnValue:
    rows = select(Channel).where(Channel.team_id == team.id).options(joinedload(Channel.receiver))
    return render_template(
        "channels/index.html",
        team=team,
        channels=list(db.session().scalars(rows.order_by(Channel.name))),
        most=channels.MOST,
        address=address,
    )


@bp.route("/new", methods=["GET", "POST"])
@requires(Permission.MANAGE_TEAM, a_team)
def new(team: Team) -> ResponseReturnValue:
    form = NewChannelForm()
    if request.method == "GET":
        form.events.data = list(EVENTS)
    if not form.validate_on_submit():
        return render_template("channels/new.html", team=team, form=form), form.status
    url = form.url.data or ""
    try:
        shown = _look(url)
        with db.begin() as session:
            channel, secret = channels.create_channel(
                session,
                team,
                name=form.name.data or "",
                kind=ChannelKind(form.kind.data),
                url=url,
                shown=shown,
                events=form.events.data or [],
                vault=_vault(),
                by=me(),
            )
            if secret is not None:
                audit.record(session, "shown", channel)
    except (Invalid, Conflict) as error:
        status = form.refuse(error)
        return render_template("channels/new.html", team=team, form=form), status
    if secret is None:
        return _back(channel, f"{channel.name} is made. Send a test to see whether it arrives.")
    return _secret_once(channel, secret.value, 201, is_new=True)


def _secret_once(channel: Channel, secret: str, status: int, *, is_new: bool) -> Response:
    both = channel.before_until is not None and channel.before_until > utcnow()
    page = render_template(
        "channels/secret.html", team=channel.team, channel=channel, secret=secret, is_new=is_new, both=both
    )
    response = make_response(page, status)
    response.headers["Cache-Control"] = "no-store"
    return response


@bp.get("/<channel>")
@requires(Permission.MANAGE_TEAM, a_channel)
def show(channel: Channel) -> ResponseReturnValue:
    session = db.session()
    state = request.args.get("state", "")
    rows = select(Delivery).where(Delivery.channel_id == channel.id)
    if state in _STATES:
        rows = rows.where(Delivery.state == _STATES[state])
    before = request.args.get("before", type=int)
    if before is not None and 0 < before <= LARGEST_ID:
        rows = rows.where(Delivery.id < before)
    else:
        before = None
    found = list(session.scalars(rows.order_by(Delivery.id.desc()).limit(_ROWS + 1)))
    return render_template(
        "channels/show.html",
        team=channel.team,
        channel=channel,
        receiver=channel.receiver,
        deliveries=found[:_ROWS],
        last=channels.last_attempts(session, found[:_ROWS]),
        states=_STATES,
        state=state if state in _STATES else "",
        newest=lists.here(before=None) if before else None,
        older=lists.here(before=found[_ROWS - 1].id) if len(found) > _ROWS else None,
        days=config_of(current_app).notice_days,
        now=utcnow(),
        address=address,
        form=Form(),
    )


@bp.route("/<channel>/edit", methods=["GET", "POST"])
@requires(Permission.MANAGE_TEAM, a_channel)
def edit(channel: Channel) -> ResponseReturnValue:
    form = ChannelForm()
    if request.method == "GET":
        form.events.data = channel.events
    if not form.validate_on_submit():
        return render_template("channels/edit.html", team=channel.team, channel=channel, form=form), form.status
    url = form.url.data or ""
    try:
        shown = _look(url) if url else channel.shown
        with db.begin():
            channels.change_channel(channel, events=form.events.data or [], url=url, shown=shown, vault=_vault())
    except PortalError as error:
        status = form.refuse(error)
        return render_template("channels/edit.html", team=channel.team, channel=channel, form=form), status
    return _back(channel, f"{channel.name} is saved.")


@bp.post("/<channel>/pause")
@requires(Permission.MANAGE_TEAM, a_channel)
def pause(channel: Channel) -> ResponseReturnValue:
    with db.begin():
        channels.pause(channel, now=utcnow())
    return _back(channel, f"{channel.name} is paused. What happens meanwhile is not sent to it.")


@bp.post("/<channel>/resume")
@requires(Permission.MANAGE_TEAM, a_channel)
def resume(channel: Channel) -> ResponseReturnValue:
    with db.begin() as session:
        channels.resume(session, channel)
    return _back(channel, f"{channel.name} goes on.")


@bp.post("/<channel>/test")
@requires(Permission.MANAGE_TEAM, a_channel)
def test(channel: Channel) -> ResponseReturnValue:
    with db.begin() as session:
        delivery = channels.test(session, channel, by=me())
        audit.record(session, "tested", channel)
    return redirect(address(channel, ".delivery", delivery=delivery.id), 303)


@bp.route("/<channel>/secret", methods=["GET", "POST"])
@requires(Permission.MANAGE_TEAM, a_channel)
def rotate(channel: Channel) -> ResponseReturnValue:
    if channel.kind is not ChannelKind.WEBHOOK:
        raise Conflict(f"{channel.name} is a chat, whose messages are not signed.")
    form = RotateForm()
    if request.method == "GET":
        form.seen.data = channels.edition(channel)
    if not form.validate_on_submit():
        return render_template("channels/rotate.html", team=channel.team, channel=channel, form=form), form.status
    try:
        with db.begin() as session:
            secret = channels.rotate_secret(
                session,
                channel,
                both_for=channels.both_for(int(form.both_for.data)),
                vault=_vault(),
                now=utcnow(),
                expected=form.seen.data or "",
            )
            audit.record(session, "shown", channel)
    except Conflict as error:
        status = form.refuse(error)
        form.seen.data = channels.edition(channel)
        return render_template("channels/rotate.html", team=channel.team, channel=channel, form=form), status
    return _secret_once(channel, secret.value, 200, is_new=False)


@bp.route("/<channel>/delete", methods=["GET", "POST"])
@requires(Permission.MANAGE_TEAM, a_channel)
def delete(channel: Channel) -> ResponseReturnValue:
    team, name, wrong = channel.team, channel.name, None
    if request.method == "POST":
        if request.form.get("confirm", "").strip() == name:
            with db.begin() as session:
                channels.delete_channel(session, channel)
            flash(f"{name} is deleted, with what waited for it.", "success")
            return redirect(url_for(".index", team=team.slug), 303)
        wrong = f"This is not {name}. Type it to delete the channel."
    page = render_template("channels/delete.html", team=team, channel=channel, wrong=wrong, address=address)
    return page, 422 if wrong else 200


@bp.get("/<channel>/deliveries/<int:delivery>")
@requires(Permission.MANAGE_TEAM, a_delivery)
def delivery(delivery: Delivery) -> ResponseReturnValue:
    """The page, or only what changes of it while it waits."""
    channel = delivery.channel
    return render_template(
        "channels/_delivery.html" if "HX-Request" in request.headers else "channels/delivery.html",
        team=channel.team,
        channel=channel,
        receiver=channel.receiver,
        delivery=delivery,
        body=_pretty(delivery.body),
        now=utcnow(),
        address=address,
        form=Form(),
    )


def _pretty(body: str) -> str:
    return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode()


@bp.post("/<channel>/deliveries/<int:delivery>/replay")
@requires(Permission.MANAGE_TEAM, a_delivery)
def replay(delivery: Delivery) -> ResponseReturnValue:
    with db.begin() as session:
        channels.replay(session, delivery, now=utcnow())
        audit.record(session, "sent anew", delivery.channel, message=delivery.message_id)
    return redirect(address(delivery.channel, ".delivery", delivery=delivery.id), 303)
