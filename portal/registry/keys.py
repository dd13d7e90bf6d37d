"""Keys: their form, their birth, what they may do, their end. The key filter of the gateway has the reader's half of
the form."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from portal import bearer, notify
from portal.accounts.models import Person
from portal.bearer import Token
from portal.db import utcnow
from portal.errors import Conflict, Invalid
from portal.registry import expiry, networks, revision
from portal.registry.models import (
    Api,
    Consumer,
    Key,
    KeyKind,
    KeyOperation,
    KeySubscription,
    Operation,
    Subscription,
    SubscriptionState,
)

FORM = re.compile(r"pco_[0-9A-Za-z]{12}_[0-9A-Za-z]{33}|pcb_[0-9A-Za-z]{12}:[0-9A-Za-z]{33}")
"""What a secret scanner looks for: keys, and user names with their passwords."""
TOMBSTONE = timedelta(days=30)
"""How long a dead key is told from an unknown one."""
MOST_TOLD = 50
"""Keys that one notice names."""
MOST_SUBSCRIPTIONS = 100
MOST_OPERATIONS = 200
"""That one key may be limited to."""
NO_SUBSCRIPTION = 0
"""Stands for chosen subscriptions that are all gone: with no row at all the key would be one for every API."""
OVER = frozenset({SubscriptionState.ENDED, SubscriptionState.REJECTED})


@dataclass(frozen=True, slots=True)
class Restrictions:
    """What a key may do less than its consumer. As it comes from a form: `checked` says whether it can be so."""

    read_only: bool = False
    addresses: tuple[str, ...] = ()
    """Addresses and networks; none for everywhere."""
    subscriptions: frozenset[int] = frozenset()
    """Numbers; none for all."""
    operations: frozenset[tuple[int, str, str]] = frozenset()
    """(number of an API, method, path template). Of an API that none of them names everything is allowed."""

    @classmethod
    def of(cls, key: Key) -> "Restrictions":
        return cls(
            key.read_only,
            tuple(key.addresses),
            frozenset(each.subscription_id for each in key.chosen_subscriptions),
            frozenset((each.api_id, each.method, each.path) for each in key.chosen_operations),
        )


def new_token(public_id: str | None = None, kind: KeyKind = KeyKind.KEY) -> Token:
    """A key: `pco_` and the rest as `bearer.py` has it; or `pcb_…:…`, a user name and its password."""
    if kind is KeyKind.BASIC:
        return bearer.new_token("pcb_", public_id, sign=":")
    return bearer.new_token("pco_", public_id)


def issue(
    session: Session,
    consumer: Consumer,
    *,
    by: Person | None,
    label: str = "",
    expires_at: datetime | None = None,
    restrictions: Restrictions | None = None,
    predecessor: Key | None = None,
    public_id: str | None = None,
    kind: KeyKind = KeyKind.KEY,
) -> tuple[Key, Token]:
    """The token must be shown now: it is stored nowhere. Raises Invalid for an expiry that has passed, and for
    restrictions that cannot be.

    A form that chooses the `public_id` beforehand makes one key however often it is sent: the second time raises
    Conflict. To make a successor, call `rotation.rotate`, which says `predecessor`.
    """
    now = utcnow()
    _require_future(expires_at, now)
    wanted = restrictions or Restrictions()
    # A successor takes over what its predecessor has, even where that could not be chosen any more.
    allowed = wanted if predecessor is not None else _checked(session, consumer, wanted, Restrictions())
    token = new_token(public_id, kind)
    try:
        with session.begin_nested():  # the insert happens here, so that a second one is told from other conflicts
            key = Key(
                public_id=token.public_id,
                kind=kind,
                sha256=token.sha256,
                consumer=consumer,
                label=" ".join(label.split()),
                expires_at=expires_at,
                expiry_told=expiry.known_from_birth(expires_at, now),
                predecessor_id=predecessor.id if predecessor is not None else None,
                created_by=by,
            )
            _restrict(key, allowed)
            session.add(key)
    except IntegrityError:
        raise Conflict(
            f"This form was sent before, and the key {token.value[:17]}… was made then. Its secret was shown once, "
            "in the first answer. If you do not have it, revoke that key and issue another."
        ) from None
    revision.touch(session)
    return key, token


def take_over_key(
    session: Session,
    consumer: Consumer,
    *,
    public_id: str,
    sha256: bytes,
    kind: KeyKind = KeyKind.KEY,
    label: str = "",
    expires_at: datetime | None = None,
    revoked_at: datetime | None = None,
    restrictions: Restrictions | None = None,
) -> Key:
    """A key that was issued elsewhere: its hash is all that is known of it. What it may do is not asked about again.

    Raises Conflict when it is here already, Invalid for networks that are none.
    """
    if session.scalar(select(Key.id).where(or_(Key.public_id == public_id, Key.sha256 == sha256))):
        raise Conflict(f"The key pco_{public_id}_… belongs to another consumer here. Take it out, or revoke that one.")
    key = Key(
        public_id=public_id,
        kind=kind,
        sha256=sha256,
        consumer=consumer,
        label=" ".join(label.split()),
        expires_at=expires_at,
        expiry_told=expiry.known_from_birth(expires_at, utcnow()),
        revoked_at=revoked_at,
    )
    session.add(key)
    _restrict(key, _with_networks(restrictions or Restrictions()))
    revision.touch(session)
    return key


def change_key(session: Session, key: Key, *, label: str, expires_at: datetime | None) -> None:
    """Its secret stays. Raises Invalid for another expiry that has passed, Conflict for a revoked key's."""
    key.label = " ".join(label.split())
    if key.expires_at != expires_at:
        _require_alive(key)
        _require_future(expires_at, utcnow(), "Choose a later one, or revoke the key.")
        set_expiry(session, key, expires_at)


def set_expiry(session: Session, key: Key, expires_at: datetime | None) -> None:
    """Without asking whether that has passed, as a file of another installation may say it."""
    if key.expires_at != expires_at:
        key.expires_at = key.unrotated_expires_at = expires_at
        key.expiry_told = expiry.known_from_birth(expires_at, utcnow())
        revision.touch(session)


def restrict(session: Session, key: Key, restrictions: Restrictions) -> None:
    """What the key may do from now on; within a second at the gateway. What it had stays choosable.

    Raises Invalid for what cannot be, Conflict for a revoked key.
    """
    had = Restrictions.of(key)
    allowed = _checked(session, key.consumer, restrictions, had)
    if allowed != had:
        _require_alive(key)
        _restrict(key, allowed)
        revision.touch(session)


def set_restrictions(session: Session, key: Key, restrictions: Restrictions) -> None:
    """Without asking whether they could be chosen here, as a file of another installation may say them."""
    allowed = _with_networks(restrictions)
    if allowed != Restrictions.of(key):
        _restrict(key, allowed)
        revision.touch(session)


def revoke(
    session: Session, key: Key, *, at: datetime | None = None, leaked: bool = False, found_at: str = ""
) -> Key | None:
    """The gateway refuses the key within a second. Revoking a revoked key changes nothing.

    Revoking a successor undoes its rotation: the key before it, where that still works, keeps working until it would
    have expired anyway; it is returned. `at` is when somebody decided it elsewhere, for a key that was issued there.
    `found_at` says where a leaked key was found.
    """
    if key.revoked_at is not None:
        return None
    now = utcnow()
    key.revoked_at = at or now
    key.leaked, key.found_at = leaked, found_at
    revision.touch(session)
    if key.predecessor_id is None or living_successor(session, key) is not None:
        return None  # it was rotated itself: the one before it has nothing to come back for
    before = session.get(Key, key.predecessor_id)
    if before is None or before.state_at(now) != "active":
        return None
    set_expiry(session, before, before.unrotated_expires_at)
    return before


def revoke_all(session: Session, chosen: Iterable[Key], *, by: Person | None) -> list[Key]:
    """Those of them that were not revoked before; their teams are told, but not `by`."""
    alive = [key for key in chosen if key.revoked_at is None]
    of_team: dict[int, list[Key]] = {}
    for key in alive:
        revoke(session, key)
        of_team.setdefault(key.consumer.team_id, []).append(key)
    for team_id, gone in of_team.items():
        first = gone[0]
        consumers = {key.consumer_id: key.consumer for key in gone}
        link = (
            f"/consumers/{first.consumer.team.slug}/{first.consumer.slug}/keys" if len(consumers) == 1 else "/consumers"
        )
        lines = [f"{key.consumer.name}: {named(key)}" for key in gone[:MOST_TOLD]]
        if len(gone) > MOST_TOLD:
            lines.append(f"and {len(gone) - MOST_TOLD} more")
        notify.tell(
            session,
            "key.revoked",
            teams=[team_id],
            subject=f"A key of {first.consumer.name} is revoked" if len(gone) == 1 else f"{len(gone)} keys are revoked",
            text="\n".join([f"Calls with {'it' if len(gone) == 1 else 'them'} are refused from now on.", "", *lines]),
            link=link,
            data={
                "keys": [
                    {"consumer": f"{key.consumer.team.slug}/{key.consumer.slug}", "key": key.public_id}
                    for key in gone[:MOST_TOLD]
                ],
                "more": max(0, len(gone) - MOST_TOLD),
            },
            but=by,
        )
    return alive


def named(key: Key) -> str:
    """As sentences call it: `pco_… “laptop”`."""
    return key.shown + (f" “{key.label}”" if key.label else "")


def living_successor(session: Session, key: Key) -> Key | None:
    """The one key that came after this one by rotation and is not revoked."""
    return session.scalar(select(Key).where(Key.predecessor_id == key.id, Key.revoked_at.is_(None)))


def bury(session: Session, *, now: datetime) -> int:
    """Delete keys that were dead for longer than a tombstone lasts; how many."""
    long_ago = now - TOMBSTONE
    # One by one, not in one statement, so that the trail has each; consumers come along for whose they were.
    chosen = select(Key).where((Key.revoked_at < long_ago) | (Key.expires_at < long_ago))
    gone = session.scalars(chosen.options(joinedload(Key.consumer))).all()
    for key in gone:
        session.delete(key)
    if gone:
        revision.touch(session)
    return len(gone)


def choosable(session: Session, consumer: Consumer) -> list[Subscription]:
    """Subscriptions that a key of this consumer may be limited to, by the name of their API."""
    return list(
        session.scalars(
            select(Subscription)
            .join(Subscription.api)
            .where(Subscription.consumer_id == consumer.id, Subscription.state.not_in(OVER))
            .options(joinedload(Subscription.api).options(joinedload(Api.team), joinedload(Api.live_release)))
            .order_by(Api.name, Subscription.id)
        )
    )


def operations_of(session: Session, apis: Collection[Api], *, most: int) -> dict[int, list[tuple[str, str, str]]]:
    """(method, path, summary) of the first `most` operations that each live release describes, by the API's number.

    APIs without an OpenAPI document have none.
    """
    found = {}
    for api in apis:
        digest = api.live_release.document.get("openapi") if api.live_release is not None else None
        if digest:
            rows = session.execute(
                select(Operation.method, Operation.path, Operation.summary)
                .where(Operation.sha256 == digest)
                .order_by(Operation.position)
                .limit(most)
            )
            found[api.id] = [(method.upper(), path, summary) for method, path, summary in rows]
    return found


def _require_future(expires_at: datetime | None, now: datetime, then: str = "Choose a later one, or none.") -> None:
    if expires_at is not None and expires_at <= now:
        raise Invalid({"expires_at": f"This time has passed. {then}"})


def _require_alive(key: Key) -> None:
    if key.revoked_at is not None:
        raise Conflict(
            f"The key {key.shown} was revoked on {key.revoked_at:%Y-%m-%d %H:%M} UTC, and does not come "
            "back. Issue another one."
        )


def _checked(session: Session, consumer: Consumer, wanted: Restrictions, had: Restrictions) -> Restrictions:
    """Raises Invalid with a sentence for each kind of restriction that cannot be."""
    wrong: dict[str, str] = {}
    try:
        wanted = _with_networks(wanted)
    except Invalid as error:
        wrong |= error.fields
    current = {each.id: each for each in choosable(session, consumer)}
    if unknown := wanted.subscriptions - had.subscriptions - current.keys():
        wrong["subscriptions"] = (
            f"{consumer.name} has no subscription {min(unknown)} that goes on. Choose among those that it has."
        )
    elif len(wanted.subscriptions) > MOST_SUBSCRIPTIONS:
        wrong["subscriptions"] = f"At most {MOST_SUBSCRIPTIONS} fit. Choose fewer, or none for all of them."
    elif said := _wrong_operations(session, wanted, had, current):
        wrong["operations"] = said
    if wrong:
        raise Invalid(wrong)
    return wanted


def _wrong_operations(
    session: Session, wanted: Restrictions, had: Restrictions, current: dict[int, Subscription]
) -> str | None:
    if len(wanted.operations) > MOST_OPERATIONS:
        return f"These are {len(wanted.operations)} operations; at most {MOST_OPERATIONS} fit. Choose fewer."
    new = wanted.operations - had.operations
    if not new:
        return None
    apis = {
        each.api_id: each.api
        for each in current.values()
        if not wanted.subscriptions or each.id in wanted.subscriptions
    }
    for api_id, method, path in sorted(new):
        if api_id not in apis:
            return f"{method} {path} belongs to an API that this key may not call. Choose its subscription, too."
    for api_id in {each[0] for each in new}:
        api, asked = apis[api_id], {each[1:] for each in new if each[0] == api_id}
        digest = api.live_release.document.get("openapi") if api.live_release is not None else None
        known = session.execute(
            select(Operation.method, Operation.path).where(
                Operation.sha256 == (digest or ""), Operation.path.in_({path for _, path in asked})
            )
        )
        if missing := asked - {(method.upper(), path) for method, path in known}:
            method, path = min(missing)
            return f"{api.name} {api.version} has no operation {method} {path}. Choose one that its docs describe."
    return None


def _with_networks(wanted: Restrictions) -> Restrictions:
    return Restrictions(
        wanted.read_only, tuple(networks.read(wanted.addresses)), wanted.subscriptions, wanted.operations
    )


def _restrict(key: Key, allowed: Restrictions) -> None:
    key.read_only, key.addresses = allowed.read_only, list(allowed.addresses)
    # Rows that stay are kept: one that goes and comes in the same flush would meet itself.
    subscriptions = {each.subscription_id: each for each in key.chosen_subscriptions}
    key.chosen_subscriptions = [
        subscriptions.get(number) or KeySubscription(subscription_id=number) for number in sorted(allowed.subscriptions)
    ]
    operations = {(each.api_id, each.method, each.path): each for each in key.chosen_operations}
    key.chosen_operations = [
        operations.get(name) or KeyOperation(api_id=name[0], method=name[1], path=name[2])
        for name in sorted(allowed.operations)
    ]
