"""A team's channels: where its notices are sent besides. Owners make, change, test and delete them.

The address is kept sealed, since for a chat it is the right to write there; people see its host.
"""

import json
import re
import time
from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.accounts import Person, Team, hold_team
from portal.db import utcnow
from portal.errors import Conflict, Invalid, NameTaken
from portal.notify.bodies import Message
from portal.notify.events import EVENTS
from portal.notify.models import Attempt, Channel, ChannelKind, Delivery, DeliveryState, Receiver
from portal.notify.queue import new_message_id, queue, wake
from portal.notify.signing import SigningSecret, new_secret
from portal.outbound import guarded
from portal.outbound.addresses import AddressRules
from portal.outbound.guarded import NotReached
from portal.vault import Vault

MOST = 20
"""Channels of one team."""
TEST = "channel.test"
"""The event of a test, which nobody chooses."""
BOTH_VALID = (timedelta(0), timedelta(hours=1), timedelta(days=1), timedelta(days=7))
"""How long the secret before may go on signing, to choose from."""
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LONGEST_URL = 2_000
_LOOK_SECONDS = 5.0

Check = Callable[[str], str]
"""From an address as it was typed to scheme and host, for showing. Raises NotReached."""


def check(rules: AddressRules) -> Check:
    """Whether messages may be sent there, now: its name is resolved, and what it means is judged. At each delivery that
    happens again."""

    def look(url: str) -> str:
        if len(url) > _LONGEST_URL:
            raise NotReached(f"At most {_LONGEST_URL:,} characters fit here.")
        parts = guarded.checked(url)
        if parts.fragment:
            raise NotReached("Leave out what begins with #: it is never sent.")
        guarded.allowed(parts, rules, time.monotonic() + _LOOK_SECONDS)
        return f"{parts.scheme}://{parts.netloc}"[:300]

    return look


def create_channel(
    session: Session,
    team: Team,
    *,
    name: str,
    kind: ChannelKind,
    url: str,
    shown: str,
    events: Collection[str],
    vault: Vault,
    by: Person | None,
) -> tuple[Channel, SigningSecret | None]:
    """`shown` is what `check` made of `url`, outside of this transaction. The secret of a webhook is to be shown now.

    Raises Invalid, NameTaken, and Conflict when the team has too many.
    """
    wrong = {} if _NAME.fullmatch(name) else {"name": "Use small letters, digits and dashes, such as on-call."}
    wrong |= _wrong_events(events)
    if wrong:
        raise Invalid(wrong)
    hold_team(session, team)  # two owners do not make one too many, or two of one name
    if session.scalar(select(Channel.id).where(Channel.team_id == team.id, Channel.name == name)):
        raise NameTaken("name", f"{team.name} already has a channel {name}. Choose another name.")
    if (session.scalar(select(func.count()).where(Channel.team_id == team.id)) or 0) >= MOST:
        raise Conflict(f"{team.name} has {MOST} channels already. Delete one that is not needed.")
    secret = new_secret() if kind is ChannelKind.WEBHOOK else None
    channel = Channel(team=team, name=name, kind=kind, created_by=by, receiver=Receiver())
    channel.events = sorted(set(events))
    _keep(channel, vault, url=url, shown=shown, secret=secret.value if secret else "", before="")
    session.add(channel)
    return channel, secret


def change_channel(channel: Channel, *, events: Collection[str], url: str, shown: str, vault: Vault) -> None:
    """An empty `url` leaves the address as it is. Raises Invalid."""
    if wrong := _wrong_events(events):
        raise Invalid(wrong)
    channel.events = sorted(set(events))
    if url:
        kept = _kept(channel, vault)
        _keep(channel, vault, url=url, shown=shown, secret=kept["secret"], before=kept["before"])


def edition(channel: Channel) -> str:
    """Another one after each rotation."""
    return channel.before_until.isoformat() if channel.before_until else ""


def both_for(seconds: int) -> timedelta:
    """One of `BOTH_VALID`. Raises Invalid."""
    if timedelta(seconds=seconds) not in BOTH_VALID:
        raise Invalid({"both_for": "Choose how long the present secret stays valid."})
    return timedelta(seconds=seconds)


def rotate_secret(
    session: Session, channel: Channel, *, both_for: timedelta, vault: Vault, now: datetime, expected: str | None = None
) -> SigningSecret:
    """A new secret, to be shown now. The one before goes on signing as well for `both_for`; the one before that ends.

    `expected` is the edition that was looked at. Raises Conflict when it was rotated since, and for a chat.
    """
    if channel.kind is not ChannelKind.WEBHOOK:
        raise Conflict(f"{channel.name} is a chat, whose messages are not signed.")
    session.refresh(channel, with_for_update=True)
    if expected is not None and expected != edition(channel):
        raise Conflict(
            "The secret was changed since you opened this page, by you or by somebody else, and was shown then. "
            "If nobody has it, change it again."
        )
    kept, secret = _kept(channel, vault), new_secret()
    before = kept["secret"] if both_for else ""
    _keep(channel, vault, url=kept["url"], shown=channel.shown, secret=secret.value, before=before)
    channel.before_until = now + both_for
    return secret


def pause(channel: Channel, *, now: datetime) -> None:
    """Nothing is sent, and what happens is not kept for it. What waits goes on waiting."""
    channel.paused_at = channel.paused_at or now


def resume(session: Session, channel: Channel) -> None:
    channel.paused_at = None
    _forgive(session, channel)


def delete_channel(session: Session, channel: Channel) -> None:
    """For good, with what waits for it and its log."""
    session.delete(channel)


def test(session: Session, channel: Channel, *, by: Person) -> Delivery:
    """Have a message sent that says it is a test. Raises Conflict while the channel is paused."""
    if channel.paused_at is not None:
        raise Conflict(f"{channel.name} is paused. Resume it, then send the test.")
    message = Message(
        event=TEST,
        at=utcnow(),
        team=channel.team.slug,
        subject=f"Test of the channel {channel.name}",
        text=f"{by.name} has sent this from Portico to see whether it arrives. There is nothing to do.",
        link="",
        data={"channel": channel.name},
    )
    delivery = queue(session, channel, message, message_id=new_message_id())
    _forgive(session, channel)
    return delivery


def replay(session: Session, delivery: Delivery, *, now: datetime) -> None:
    """Send the same message anew, with the same id. Raises Conflict for one that waits, and while paused."""
    channel = delivery.channel
    if delivery.state is DeliveryState.WAITING:
        raise Conflict("This message waits to be sent already.")
    if channel.paused_at is not None:
        raise Conflict(f"{channel.name} is paused. Resume it, then send the message again.")
    delivery.state, delivery.finished_at = DeliveryState.WAITING, None
    delivery.tries, delivery.waiting_since, delivery.next_at = 0, now, now
    session.flush()  # it waits before the receiver is woken
    wake(session, channel.id, now)
    _forgive(session, channel)


def _forgive(session: Session, channel: Channel) -> None:
    """Somebody wants it tried, though it was left alone because it failed."""
    receiver = session.get(Receiver, channel.id, with_for_update=True, populate_existing=True)
    if receiver is not None and receiver.blocked_until is not None:
        receiver.blocked_until = None


def last_attempts(session: Session, deliveries: Collection[Delivery]) -> dict[int, Attempt]:
    """The number of a delivery -> its last attempt; those that were not tried yet are left out."""
    newest = (
        select(func.max(Attempt.id))
        .where(Attempt.delivery_id.in_([delivery.id for delivery in deliveries]))
        .group_by(Attempt.delivery_id)
    )
    return {each.delivery_id: each for each in session.scalars(select(Attempt).where(Attempt.id.in_(newest)))}


def sweep(session: Session, *, before: datetime, most: int = 500) -> int:
    """Delete the log of what was finished before; how many, at most so many at once."""
    old = (
        select(Delivery.id)
        .where(Delivery.created_at < before, Delivery.state != DeliveryState.WAITING)
        .order_by(Delivery.created_at)
        .limit(most)
    )
    gone = session.scalars(select(Delivery).where(Delivery.id.in_(old.scalar_subquery()))).all()
    for delivery in gone:
        session.delete(delivery)
    return len(gone)


def _wrong_events(events: Collection[str]) -> dict[str, str]:
    unknown = sorted(set(events) - EVENTS.keys())
    if unknown:
        return {"events": f"There is no event {unknown[0][:50]}."}
    return {} if events else {"events": "Choose one event at least, or pause the channel."}


def _keep(channel: Channel, vault: Vault, *, url: str, shown: str, secret: str, before: str) -> None:
    kept = {"url": url, "secret": secret, "before": before}
    channel.sealed, channel.shown = vault.seal(json.dumps(kept).encode()), shown


def _kept(channel: Channel, vault: Vault) -> dict[str, str]:
    """Raises vault.Unreadable."""
    kept: dict[str, str] = json.loads(vault.open(channel.sealed))
    return kept
