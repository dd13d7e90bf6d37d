"""Keys of a consumer. The key itself is told once, when it is issued."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import registry
from portal.accounts import Permission, audit
from portal.accounts.tokens import Scope
from portal.db import utcnow
from portal.registry.models import Consumer, Key
from portal.rest import consumers, lists
from portal.rest.route import Answer, tagged
from portal.rest.serving import state_of
from portal.rest.shapes import Asked, Instant, Label, Listed, Moment, Paging, Told
from portal.web.guards import a_consumer, a_key, me

route = tagged("Keys")


class KeyAnswer(Told):
    id: str
    """The 12 characters after `pco_`."""
    label: str
    state: str
    """`active`, `expired` or `revoked`."""
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None


class IssuedKey(KeyAnswer):
    key: str | None
    """The whole key, told this once. Null in an answer that is given again: a lost one is replaced, not found."""


class Keys(Listed):
    items: list[KeyAnswer]


class NewKey(Asked):
    label: Label = ""
    """Where it is used."""
    expires_at: Moment | None = None
    """Null for never."""


class KeyChange(Asked):
    """What is left out stays."""

    label: Label | None = None
    expires_at: Moment | None = None
    """Null for never; a time that has passed ends it at once."""


def _facts(key: Key) -> dict[str, object]:
    return {
        "id": key.public_id,
        "label": key.label,
        "state": key.state_at(utcnow()),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }


def shown(key: Key) -> KeyAnswer:
    return KeyAnswer.model_validate(_facts(key))


_state = state_of(shown)


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
    rows = select(Key).where(Key.consumer_id == consumer.id)
    found, following = lists.by_number(session, rows, Key.id, query)
    return Keys(items=[shown(key) for key in found], next=following)


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
    key, token = registry.issue(session, consumer, by=me(), label=body.label, expires_at=body.expires_at)
    audit.record(session, "shown", key)
    facts = _facts(key)
    return Answer(
        IssuedKey.model_validate(facts | {"key": token.value}),
        location=f"{consumers.address(consumer)}/keys/{key.public_id}",
        replayed=IssuedKey.model_validate(facts | {"key": None}),
    )


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
    return shown(key)


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
    """Change a key's label or expiry. Its secret stays."""
    registry.change_key(
        session,
        key,
        label=key.label if body.label is None else body.label,
        expires_at=body.expires_at if "expires_at" in body.model_fields_set else key.expires_at,
    )
    return shown(key)


@route(
    "DELETE",
    "/teams/<team>/consumers/<consumer>/keys/<key>",
    Permission.MANAGE_CONSUMERS,
    a_key,
    scope=Scope.CONSUMERS,
    match=_state,
)
def revoke(session: Session, key: Key) -> None:
    """Revoke a key. The gateway refuses it within a second; it stays in the list for 30 days."""
    registry.revoke(session, key)
