"""Keys of a consumer. The key itself is told once, when it is issued."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session, contains_eager, object_session

from portal import registry
from portal.accounts import Permission, Team, audit
from portal.accounts.tokens import Scope
from portal.db import utcnow
from portal.errors import Invalid
from portal.registry import key_words
from portal.registry.keys import MOST_OPERATIONS, MOST_SUBSCRIPTIONS
from portal.registry.models import Api, Consumer, Key, KeyKind
from portal.registry.networks import MOST as MOST_NETWORKS
from portal.rest import consumers, lists
from portal.rest.route import Answer, tagged
from portal.rest.serving import state_of
from portal.rest.shapes import Asked, Instant, Label, Listed, Moment, Number, Paging, Told
from portal.traffic import usage
from portal.traffic.models import KeyUse
from portal.web import keyring
from portal.web.guards import a_consumer, a_key, a_team, me
from portal.web.intake import LARGEST_ID

route = tagged("Keys")

_LOADED = keyring.SHOWN[1:]
SubscriptionId = Annotated[int, Field(ge=1, le=LARGEST_ID)]


class OperationOfApi(Asked):
    """One operation of an API that the key may call."""

    api: Annotated[str, Field(min_length=1, max_length=200, examples=["payments/orders/v1"])]
    """`<team>/<slug>/<version>`."""
    method: Annotated[str, Field(pattern="^[A-Z]{1,20}$", examples=["GET"])]
    path: Annotated[str, Field(min_length=1, max_length=2000, examples=["/orders/{id}"])]
    """As the API's OpenAPI document has it."""


class _Rights(Asked):
    read_only: bool = False
    """GET, HEAD and OPTIONS only."""
    addresses: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=MOST_NETWORKS)] = []
    """Addresses and networks that it may be used from, such as `10.0.0.0/8`; empty for everywhere."""
    subscriptions: Annotated[list[SubscriptionId], Field(max_length=MOST_SUBSCRIPTIONS)] = []
    """Numbers of the consumer's subscriptions that it may use; empty for all, also later ones."""
    operations: Annotated[list[OperationOfApi], Field(max_length=MOST_OPERATIONS)] = []
    """Operations that it may call of the APIs that are named here; of other APIs it may call everything."""


class KeyAnswer(Told):
    id: str
    """The 12 characters after `pco_` or `pcb_`."""
    kind: str
    """`key`; or `basic` for a user name, `pcb_` and the id, with its password."""
    label: str
    state: str
    """`active`, `expired` or `revoked`."""
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None
    leaked: bool
    """It was revoked because it had leaked."""
    read_only: bool
    addresses: list[str]
    """Networks, normalised."""
    subscriptions: list[int]
    operations: list[OperationOfApi]
    may: str
    """What it may do less than its consumer, as a sentence; empty for nothing less."""
    predecessor: str | None
    """The key that it came after by rotation; null also when that one is forgotten."""
    successor: str | None
    """The key that came after it and is not revoked."""


class ListedKey(KeyAnswer):
    last_used_at: Instant | None


class IssuedKey(KeyAnswer):
    key: str | None
    """The whole key, told this once; of a user name and password both, with `:` between them. Null in an answer that is
    given again: a lost one is replaced, not found."""


class Keys(Listed):
    items: list[ListedKey]


class NewKey(_Rights):
    kind: Literal["key", "basic"] = "key"
    """`basic` makes a user name and a password, for APIs that take `Authorization: Basic`."""
    label: Label = ""
    """Where it is used."""
    expires_at: Moment | None = None
    """Null for never."""


class KeyChange(Asked):
    """What is left out stays."""

    label: Label | None = None
    expires_at: Moment | None = None
    """Null for never. A time that has passed is refused: revoke the key instead."""
    read_only: bool | None = None
    addresses: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=MOST_NETWORKS)] | None = None
    subscriptions: Annotated[list[SubscriptionId], Field(max_length=MOST_SUBSCRIPTIONS)] | None = None
    operations: Annotated[list[OperationOfApi], Field(max_length=MOST_OPERATIONS)] | None = None


class NewSuccessor(Asked):
    """Either `leaked`, or `stays_until`."""

    leaked: bool = False
    """The old key is revoked at once."""
    stays_until: Moment | None = None
    """How long the old key works, but no longer than it would have anyway."""
    expires_at: Moment | None = None
    """When the new key expires; null for never. Left out, it lives as long as the old one was to live."""
    label: Label | None = None
    """Left out, the old one's."""


class UseAnswer(Told):
    at: Instant
    address: str | None
    user_agent: str | None
    call: str | None
    """Id of the call, while it is kept."""


class GenerationAnswer(Told):
    id: str | None
    """Null for a key that is forgotten."""
    state: str
    last_used_at: Instant | None
    calls_in_24_hours: int


class CallsOfDay(Told):
    day: Instant
    """When it began (UTC)."""
    calls: int


class KeyUsage(Told):
    """Of a key, and of those that came before and after it by rotation."""

    last_use: UseAnswer | None
    """Of this key."""
    calls_in_30_days: int
    """Of all of them."""
    days: list[CallsOfDay]
    """The same day by day, today last."""
    generations: list[GenerationAnswer]
    """The newest first."""
    safe_to_revoke: str | None
    """The old key of a rotation, when no call came with it for 24 hours."""


class TeamKeyAnswer(ListedKey):
    consumer: str
    """Slug of its consumer."""


class TeamKeys(Listed):
    items: list[TeamKeyAnswer]


class UnusedSearch(Paging):
    days: Annotated[Number, Field(ge=1, le=3650)] = 90
    """Issued at least so many days ago, and not used since then."""


class KeysToRevoke(Asked):
    keys: Annotated[list[Annotated[str, Field(pattern="^[0-9A-Za-z]{12}$")]], Field(min_length=1, max_length=100)]
    """Ids of keys of the team's consumers, without `pco_` or `pcb_`."""


class RevokedKeys(Told):
    revoked: list[str]
    """Those that were not revoked before."""


def _facts(session: Session, keys: Sequence[Key]) -> list[dict[str, Any]]:
    """A few statements, however many keys."""
    now = utcnow()
    ids = [key.id for key in keys]
    last, said = usage.last_uses(session, ids), key_words.sentences(session, keys)
    befores = {key.predecessor_id for key in keys if key.predecessor_id}
    names = {id: name for id, name in session.execute(select(Key.id, Key.public_id).where(Key.id.in_(befores)))}
    after = {
        id: name
        for id, name in session.execute(
            select(Key.predecessor_id, Key.public_id).where(Key.predecessor_id.in_(ids), Key.revoked_at.is_(None))
        )
    }
    numbers = {each.api_id for key in keys for each in key.chosen_operations}
    apis = {api.id: api.label for api in session.scalars(select(Api).where(Api.id.in_(numbers)))} if numbers else {}
    return [
        {
            "id": key.public_id,
            "kind": key.kind.value,
            "label": key.label,
            "state": key.state_at(now),
            "created_at": key.created_at,
            "expires_at": key.expires_at,
            "revoked_at": key.revoked_at,
            "leaked": key.leaked,
            "read_only": key.read_only,
            "addresses": key.addresses,
            "subscriptions": [each.subscription_id for each in key.chosen_subscriptions],
            "operations": [
                {"api": apis[each.api_id], "method": each.method, "path": each.path} for each in key.chosen_operations
            ],
            "may": said[key.id],
            "predecessor": names.get(key.predecessor_id or 0),
            "successor": after.get(key.id),
            "last_used_at": last[key.id].at if key.id in last else None,
        }
        for key in keys
    ]


def _shown(session: Session, key: Key) -> KeyAnswer:
    return KeyAnswer.model_validate(_facts(session, [key])[0])


def _state_of(key: Key) -> KeyAnswer:
    session = object_session(key)
    assert session is not None
    return _shown(session, key)


_state = state_of(_state_of)


def _told(session: Session, key: Key, token: registry.Token) -> Answer:
    session.flush()  # numbers and times are told that the database gives
    audit.record(session, "shown", key)
    facts = _facts(session, [key])[0]
    return Answer(
        IssuedKey.model_validate(facts | {"key": token.value}),
        location=f"{consumers.address(key.consumer)}/keys/{key.public_id}",
        replayed=IssuedKey.model_validate(facts | {"key": None}),
    )


def _operations(
    session: Session, consumer: Consumer, asked: Sequence[OperationOfApi], key: Key | None = None
) -> frozenset[tuple[int, str, str]]:
    """Raises Invalid for an API that the consumer is not subscribed to."""
    known = {each.api.label: each.api_id for each in registry.choosable(session, consumer)}
    if key is not None:
        numbers = {each.api_id for each in key.chosen_operations}
        known |= {api.label: api.id for api in session.scalars(select(Api).where(Api.id.in_(numbers)))}
    found = set()
    for number, each in enumerate(asked):
        if each.api not in known:
            raise Invalid({f"operations.{number}.api": f"{consumer.name} is not subscribed to {each.api}."})
        found.add((known[each.api], each.method, each.path))
    return frozenset(found)


@route(
    "GET",
    "/teams/<team>/consumers/<consumer>/keys",
    Permission.MANAGE_CONSUMERS,
    a_consumer,
    scope=Scope.READ,
    query=Paging,
    answer=Keys,
)
def index(session: Session, consumer: Consumer, query: Paging) -> Keys:
    """A consumer's keys, the newest first. Dead ones stay for 30 days."""
    rows = select(Key).where(Key.consumer_id == consumer.id).options(*_LOADED)
    found, following = lists.by_number(session, rows, Key.id, query)
    return Keys(items=[ListedKey.model_validate(each) for each in _facts(session, found)], next=following)


@route(
    "POST",
    "/teams/<team>/consumers/<consumer>/keys",
    Permission.MANAGE_CONSUMERS,
    a_consumer,
    scope=Scope.CONSUMERS,
    body=NewKey,
    answer=IssuedKey,
    creates=True,
)
def issue(session: Session, consumer: Consumer, body: NewKey) -> Answer:
    """Issue a key. It works within a second, and is told in this answer only."""
    key, token = registry.issue(
        session,
        consumer,
        by=me(),
        label=body.label,
        expires_at=body.expires_at,
        restrictions=registry.Restrictions(
            body.read_only,
            tuple(body.addresses),
            frozenset(body.subscriptions),
            _operations(session, consumer, body.operations),
        ),
        kind=KeyKind(body.kind),
    )
    return _told(session, key, token)


@route(
    "GET",
    "/teams/<team>/consumers/<consumer>/keys/<key>",
    Permission.MANAGE_CONSUMERS,
    a_key,
    scope=Scope.READ,
    answer=KeyAnswer,
    etag=True,
)
def show(session: Session, key: Key) -> KeyAnswer:
    """One key, without its secret."""
    return _shown(session, key)


@route(
    "PATCH",
    "/teams/<team>/consumers/<consumer>/keys/<key>",
    Permission.MANAGE_CONSUMERS,
    a_key,
    scope=Scope.CONSUMERS,
    body=KeyChange,
    answer=KeyAnswer,
    etag=True,
    match=_state,
)
def change(session: Session, key: Key, body: KeyChange) -> KeyAnswer:
    """Change a key's label, its expiry, or what it may do. Its secret stays."""
    registry.change_key(
        session,
        key,
        label=key.label if body.label is None else body.label,
        expires_at=body.expires_at if "expires_at" in body.model_fields_set else key.expires_at,
    )
    had = registry.Restrictions.of(key)
    registry.restrict(
        session,
        key,
        registry.Restrictions(
            had.read_only if body.read_only is None else body.read_only,
            had.addresses if body.addresses is None else tuple(body.addresses),
            had.subscriptions if body.subscriptions is None else frozenset(body.subscriptions),
            had.operations if body.operations is None else _operations(session, key.consumer, body.operations, key),
        ),
    )
    session.flush()  # so that what was chosen is told in its order
    return _shown(session, key)


@route(
    "DELETE",
    "/teams/<team>/consumers/<consumer>/keys/<key>",
    Permission.MANAGE_CONSUMERS,
    a_key,
    scope=Scope.CONSUMERS,
    match=_state,
)
def revoke(session: Session, key: Key) -> None:
    """Revoke a key. The gateway refuses it within a second; it stays in the list for 30 days.

    Revoking a successor undoes its rotation: the key before it, where that still works, gets its former expiry back.
    """
    registry.revoke_all(session, [key], by=me())


@route(
    "POST",
    "/teams/<team>/consumers/<consumer>/keys/<key>/rotate",
    Permission.MANAGE_CONSUMERS,
    a_key,
    scope=Scope.CONSUMERS,
    body=NewSuccessor,
    answer=IssuedKey,
    creates=True,
)
def rotate(session: Session, key: Key, body: NewSuccessor) -> Answer:
    """Give a key a successor with the same rights.

    The old one works until `stays_until`, or is revoked at once because it leaked. A key has one successor at a time:
    while that one is not revoked, rotating the old key again is refused.
    """
    if body.leaked == (body.stays_until is not None):
        raise Invalid({"stays_until": "Say either that the old key leaked, or until when it works."})
    same = registry.same_lifetime(key, utcnow())
    made, token = registry.rotate(
        session,
        key,
        by=me(),
        stays_until=body.stays_until,
        expires_at=body.expires_at if "expires_at" in body.model_fields_set else same,
        label=body.label,
    )
    return _told(session, made, token)


@route(
    "GET",
    "/teams/<team>/consumers/<consumer>/keys/<key>/usage",
    Permission.MANAGE_CONSUMERS,
    a_key,
    scope=Scope.READ,
    answer=KeyUsage,
)
def use(session: Session, key: Key) -> KeyUsage:
    """How a key is used: when last and from where, how much, and which key of a rotation clients still send."""
    found = keyring.usage_of(session, key, utcnow())
    last, rotation = found.last_use, found.rotation
    return KeyUsage(
        last_use=last
        and UseAnswer(
            at=last.at,
            address=last.address,
            user_agent=last.user_agent,
            call=str(uuid.UUID(bytes=bytes(last.request_id))) if last.request_id else None,
        ),
        calls_in_30_days=found.month,
        days=[CallsOfDay(day=day, calls=sum(calls.values())) for day, calls in found.days],
        generations=[
            GenerationAnswer(
                id=each.key.public_id if each.key else None,
                state=each.key.state_at(utcnow()) if each.key else "deleted",
                last_used_at=each.last_use.at if each.last_use else None,
                calls_in_24_hours=each.today,
            )
            for each in found.generations
        ],
        safe_to_revoke=rotation.old.public_id if rotation and rotation.is_safe and not rotation.is_over else None,
    )


@route(
    "GET",
    "/teams/<team>/unused-keys",
    Permission.MANAGE_CONSUMERS,
    a_team,
    scope=Scope.READ,
    query=UnusedSearch,
    answer=TeamKeys,
)
def unused(session: Session, team: Team, query: UnusedSearch) -> TeamKeys:
    """Keys of the team's consumers that work, were issued at least so many days ago, and were not used since then."""
    now = utcnow()
    rows = (
        _of_team(team)
        .outerjoin(KeyUse, KeyUse.key_id == Key.id)
        .where(
            Key.revoked_at.is_(None),
            or_(Key.expires_at.is_(None), Key.expires_at > now),
            usage.unused_since(now - timedelta(days=query.days)),
        )
        .options(*_LOADED)
    )
    found, following = lists.by_number(session, rows, Key.id, query)
    items = [
        TeamKeyAnswer.model_validate(facts | {"consumer": key.consumer.slug})
        for key, facts in zip(found, _facts(session, found), strict=True)
    ]
    return TeamKeys(items=items, next=following)


@route(
    "POST",
    "/teams/<team>/keys/revoke",
    Permission.MANAGE_CONSUMERS,
    a_team,
    scope=Scope.CONSUMERS,
    body=KeysToRevoke,
    answer=RevokedKeys,
)
def revoke_many(session: Session, team: Team, body: KeysToRevoke) -> RevokedKeys:
    """Revoke several keys of the team's consumers at once. None is revoked when one of them is not the team's."""
    found = list(session.scalars(_of_team(team).where(Key.public_id.in_(body.keys)).order_by(Key.id)))
    if missing := sorted(set(body.keys) - {key.public_id for key in found}):
        raise Invalid({"keys": f"{team.name} has no key pco_{missing[0]}_…. Nothing was revoked."})
    return RevokedKeys(revoked=[key.public_id for key in registry.revoke_all(session, found, by=me())])


def _of_team(team: Team) -> Select[Any]:
    return select(Key).join(Key.consumer).where(Consumer.team_id == team.id).options(contains_eager(Key.consumer))
