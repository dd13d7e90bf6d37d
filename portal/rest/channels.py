"""Channels of a team: webhooks and chats that its notices are sent to, and the log of what was sent."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from flask import current_app
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from portal import config_of, gateway
from portal.accounts import Permission, Team, audit
from portal.accounts.tokens import Scope
from portal.db import utcnow
from portal.errors import Invalid
from portal.notify import channels
from portal.notify.models import Channel, ChannelKind, Delivery, DeliveryState
from portal.outbound.guarded import NotReached
from portal.rest import lists
from portal.rest.route import Answer, tagged
from portal.rest.shapes import Asked, Instant, Listed, Paging, Slug, Told
from portal.vault import Vault
from portal.web.guards import a_channel, a_delivery, a_team, me

route = tagged("Channels")

Events = Annotated[list[Annotated[str, Field(max_length=50)]], Field(min_length=1, max_length=100)]
"""Words such as `key.expiring`."""
URL = Annotated[str, Field(max_length=2_000)]


class ChannelAnswer(Told):
    team: str
    name: str
    kind: ChannelKind
    events: list[str]
    host: str
    """Scheme and host of the address; the rest of it is not told."""
    is_paused: bool
    failing_since: Instant | None
    """Null while it goes well."""
    delivered_at: Instant | None
    """When it last took something."""
    former_secret_until: Instant | None
    """Until when the signing secret before the present one signs, too."""
    created_at: Instant


class MadeChannel(ChannelAnswer):
    secret: str | None
    """The signing secret of a webhook, told this once. Null in an answer that is given again, and for a chat."""


class Channels(Listed):
    items: list[ChannelAnswer]


class ChannelChange(Asked):
    """What is left out stays."""

    events: Events | None = None
    url: URL | None = None
    is_paused: bool | None = None
    """True: nothing is sent, and what happens is not kept for later."""


class NewChannel(Asked):
    name: Slug
    kind: ChannelKind
    url: URL
    """It gets a POST for each event."""
    events: Events


class Rotation(Asked):
    former_valid_for: Literal["none", "hour", "day", "week"] = "day"
    """How long the present secret goes on signing beside the new one."""


class RotatedSecret(Told):
    secret: str | None
    """Told this once. Null in an answer that is given again."""
    former_secret_until: Instant


class AttemptAnswer(Told):
    at: Instant
    milliseconds: int
    status: int | None
    """Null where nothing was answered."""
    answer: str
    """The first 2 kB, with what may be secret made unreadable."""
    error: str
    """Empty where it went well."""


class DeliveryAnswer(Told):
    id: int
    message_id: str
    """`webhook-id`, the same at every attempt."""
    event: str
    state: DeliveryState
    tries: int
    created_at: Instant
    next_at: Instant | None
    """Null for one that does not wait."""
    finished_at: Instant | None


class WholeDelivery(DeliveryAnswer):
    body: str
    """What is sent, byte for byte."""
    attempts: list[AttemptAnswer]
    """The newest first."""


class Deliveries(Listed):
    items: list[DeliveryAnswer]


class DeliverySearch(Paging):
    state: DeliveryState | None = None


_VALID = {
    "none": timedelta(0),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
}


def _facts(channel: Channel) -> dict[str, Any]:
    return {
        "team": channel.team.slug,
        "name": channel.name,
        "kind": channel.kind,
        "events": channel.events,
        "host": channel.shown,
        "is_paused": channel.paused_at is not None,
        "failing_since": channel.receiver.failing_since,
        "delivered_at": channel.receiver.delivered_at,
        "former_secret_until": channel.before_until,
        "created_at": channel.created_at,
    }


def shown(channel: Channel) -> ChannelAnswer:
    return ChannelAnswer.model_validate(_facts(channel))


def _told(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "message_id": delivery.message_id,
        "event": delivery.event,
        "state": delivery.state,
        "tries": delivery.tries,
        "created_at": delivery.created_at,
        "next_at": delivery.next_at if delivery.state is DeliveryState.WAITING else None,
        "finished_at": delivery.finished_at,
    }


def _address(channel: Channel) -> str:
    return f"/teams/{channel.team.slug}/channels/{channel.name}"


def _vault() -> Vault:
    return Vault.of(config_of(current_app))


def _look(url: str) -> str:
    """Names are resolved, which takes its time: before the writing transaction."""
    try:
        return channels.check(gateway.rules_of(config_of(current_app)))(url)
    except NotReached as error:
        raise Invalid({"url": str(error)}) from None


@route("GET", "/teams/<team>/channels", Permission.MANAGE_TEAM, a_team, scope=Scope.READ, query=Paging, answer=Channels)
def index(session: Session, team: Team, query: Paging) -> Channels:
    """Channels of a team, by name."""
    rows = select(Channel).where(Channel.team_id == team.id).options(joinedload(Channel.receiver))
    found, following = lists.by_name(session, rows, Channel.name, Channel.id, query)
    return Channels(items=[shown(each) for each in found], next=following)


@route(
    "POST",
    "/teams/<team>/channels",
    Permission.MANAGE_TEAM,
    a_team,
    scope=Scope.TEAMS,
    body=NewChannel,
    answer=MadeChannel,
    creates=True,
    prepare=lambda team, body: _look(body.url),
)
def create(session: Session, team: Team, body: NewChannel, prepared: str) -> Answer:
    """Make a channel. The signing secret of a webhook is told in this answer only."""
    channel, secret = channels.create_channel(
        session,
        team,
        name=body.name,
        kind=body.kind,
        url=body.url,
        shown=prepared,
        events=body.events,
        vault=_vault(),
        by=me(),
    )
    session.flush()
    if secret is not None:
        audit.record(session, "shown", channel)
    facts = _facts(channel)
    return Answer(
        MadeChannel.model_validate(facts | {"secret": secret.value if secret else None}),
        location=_address(channel),
        replayed=MadeChannel.model_validate(facts | {"secret": None}),
    )


@route(
    "GET",
    "/teams/<team>/channels/<channel>",
    Permission.MANAGE_TEAM,
    a_channel,
    scope=Scope.READ,
    answer=ChannelAnswer,
)
def show(session: Session, channel: Channel) -> ChannelAnswer:
    """One channel, without address and secret."""
    return shown(channel)


@route(
    "PATCH",
    "/teams/<team>/channels/<channel>",
    Permission.MANAGE_TEAM,
    a_channel,
    scope=Scope.TEAMS,
    body=ChannelChange,
    answer=ChannelAnswer,
    prepare=lambda channel, body: _look(body.url) if body.url else "",
)
def change(session: Session, channel: Channel, body: ChannelChange, prepared: str) -> ChannelAnswer:
    """Change a channel's events or address, pause it, or resume it."""
    channels.change_channel(
        channel,
        events=channel.events if body.events is None else body.events,
        url=body.url or "",
        shown=prepared or channel.shown,
        vault=_vault(),
    )
    if body.is_paused is True:
        channels.pause(channel, now=utcnow())
    elif body.is_paused is False:
        channels.resume(session, channel)
    session.flush()
    return shown(channel)


@route("DELETE", "/teams/<team>/channels/<channel>", Permission.MANAGE_TEAM, a_channel, scope=Scope.TEAMS)
def delete(session: Session, channel: Channel) -> None:
    """Delete a channel for good, with what waits for it and its log."""
    channels.delete_channel(session, channel)


@route(
    "POST",
    "/teams/<team>/channels/<channel>/secret",
    Permission.MANAGE_TEAM,
    a_channel,
    scope=Scope.TEAMS,
    body=Rotation,
    answer=RotatedSecret,
    creates=True,
    problems=(409,),
)
def rotate(session: Session, channel: Channel, body: Rotation) -> Answer:
    """Make a new signing secret, which is told in this answer only. Both sign for the time that is asked for."""
    secret = channels.rotate_secret(
        session, channel, both_for=_VALID[body.former_valid_for], vault=_vault(), now=utcnow()
    )
    audit.record(session, "shown", channel)
    until = channel.before_until
    return Answer(
        RotatedSecret(secret=secret.value, former_secret_until=until),
        location=_address(channel),
        replayed=RotatedSecret(secret=None, former_secret_until=until),
    )


@route(
    "POST",
    "/teams/<team>/channels/<channel>/test",
    Permission.MANAGE_TEAM,
    a_channel,
    scope=Scope.TEAMS,
    answer=DeliveryAnswer,
    creates=True,
    problems=(409,),
)
def test(session: Session, channel: Channel) -> Answer:
    """Send a test. The delivery tells what was answered."""
    delivery = channels.test(session, channel, by=me())
    audit.record(session, "tested", channel)
    told = DeliveryAnswer.model_validate(_told(delivery))
    return Answer(told, location=f"{_address(channel)}/deliveries/{delivery.id}")


@route(
    "GET",
    "/teams/<team>/channels/<channel>/deliveries",
    Permission.MANAGE_TEAM,
    a_channel,
    scope=Scope.READ,
    query=DeliverySearch,
    answer=Deliveries,
)
def deliveries(session: Session, channel: Channel, query: DeliverySearch) -> Deliveries:
    """What was sent to a channel, the newest first."""
    rows = select(Delivery).where(Delivery.channel_id == channel.id)
    if query.state is not None:
        rows = rows.where(Delivery.state == query.state)
    found, following = lists.by_number(session, rows, Delivery.id, query)
    return Deliveries(items=[DeliveryAnswer.model_validate(_told(each)) for each in found], next=following)


@route(
    "GET",
    "/teams/<team>/channels/<channel>/deliveries/<int:delivery>",
    Permission.MANAGE_TEAM,
    a_delivery,
    scope=Scope.READ,
    answer=WholeDelivery,
)
def delivery(session: Session, delivery: Delivery) -> WholeDelivery:
    """One message, with every attempt to deliver it."""
    attempts = [
        AttemptAnswer(
            at=each.at, milliseconds=each.milliseconds, status=each.status, answer=each.answer, error=each.error
        )
        for each in delivery.attempts
    ]
    return WholeDelivery.model_validate(_told(delivery) | {"body": delivery.body, "attempts": attempts})


@route(
    "POST",
    "/teams/<team>/channels/<channel>/deliveries/<int:delivery>/replay",
    Permission.MANAGE_TEAM,
    a_delivery,
    scope=Scope.TEAMS,
    answer=DeliveryAnswer,
    problems=(409,),
)
def replay(session: Session, delivery: Delivery) -> DeliveryAnswer:
    """Send the same message again, with the same id."""
    channels.replay(session, delivery, now=utcnow())
    audit.record(session, "sent anew", delivery.channel, message=delivery.message_id)
    return DeliveryAnswer.model_validate(_told(delivery))
