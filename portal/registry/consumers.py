"""Consumers: applications that call APIs. What they use is in `subscriptions.py`."""

import base64
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload
from sqlalchemy.orm.attributes import instance_state

from portal.accounts import audit, slug_of
from portal.accounts.models import Team
from portal.db import utcnow
from portal.errors import Conflict, Invalid, NameTaken, NotFound
from portal.registry import revision
from portal.registry.document import SLUG
from portal.registry.models import CURRENT, Api, Consumer, Plan, Subscription, UpstreamSecret

MOST_CONTACTS = 10
LONGEST_CONTACT = 200
MOST_METADATA = 20
LONGEST_METADATA = 200
METADATA_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


@dataclass(frozen=True, slots=True)
class Loss:
    """What a team loses when APIs of another one that its consumers use are deleted."""

    team: Team
    uses: list[tuple[str, str]]
    """The name of a consumer, and of an API with its version."""


def create_consumer(
    session: Session,
    team: Team,
    *,
    slug: str,
    name: str,
    description: str = "",
    contacts: Collection[str] = (),
    metadata: Mapping[str, str] | None = None,
    public_id: str | None = None,
) -> Consumer:
    """Raises Invalid and NameTaken. It can call nothing before it has a subscription and a key.

    A consumer that moves here from another installation brings its `public_id`, by which upstreams know it.
    """
    if not SLUG.fullmatch(slug):
        raise Invalid({"slug": "Use small letters, digits and dashes, such as web-shop."})
    if session.scalar(select(Consumer.id).where(Consumer.team_id == team.id, Consumer.slug == slug)):
        raise NameTaken("slug", f"{team.name} already has a consumer {slug}. Choose another slug.")
    if public_id and session.scalar(select(Consumer.id).where(Consumer.public_id == public_id)):
        raise NameTaken("id", f"Another consumer has the id {public_id} already. Leave it out; a new one is made.")
    consumer = Consumer(team=team, slug=slug, public_id=public_id or new_consumer_id())
    change_consumer(consumer, name=name, description=description, contacts=contacts, metadata=metadata or {})
    session.add(consumer)
    return consumer


def change_consumer(
    consumer: Consumer,
    *,
    name: str,
    description: str,
    contacts: Collection[str] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Raises Invalid. None of the last two leaves it as it is."""
    wrong = {}
    name = " ".join(name.split())
    if not name:
        wrong["name"] = "Give it a name."
    if contacts is not None:
        contacts = list(filter(None, (" ".join(each.split()) for each in contacts)))
        if len(contacts) > MOST_CONTACTS or any(len(each) > LONGEST_CONTACT for each in contacts):
            wrong["contacts"] = f"At most {MOST_CONTACTS} contacts of {LONGEST_CONTACT} characters fit here."
    if metadata is not None:
        metadata = {key.strip(): value.strip() for key, value in metadata.items()}
        if said := _wrong_with(metadata):
            wrong["metadata"] = said
    if wrong:
        raise Invalid(wrong)
    consumer.name, consumer.description = name, description.strip()
    if contacts is not None:
        consumer.contacts = list(contacts)
    if metadata is not None:
        consumer.attributes = dict(sorted(metadata.items()))


def _wrong_with(metadata: Mapping[str, str]) -> str | None:
    if len(metadata) > MOST_METADATA:
        return f"At most {MOST_METADATA} entries fit here."
    for key, value in metadata.items():
        if not METADATA_KEY.fullmatch(key):
            return f"{key[:60] or 'Nothing'} is no key. Use up to 40 letters, digits, dots, dashes and underscores."
        if not value or len(value) > LONGEST_METADATA:
            return f"Give {key} a value of up to {LONGEST_METADATA} characters, or leave it out."
    return None


def delete_consumer(session: Session, consumer: Consumer) -> None:
    """For good, with its subscriptions and keys. Its calls stay in the log and in the charts.

    Raises NotFound when somebody else has deleted it meanwhile.
    """
    hold(session, consumer)
    # What another's deletion of an API has taken along meanwhile is not taken twice.
    session.execute(
        select(Subscription.id)
        .where(Subscription.consumer_id == consumer.id)
        .order_by(Subscription.id)
        .with_for_update()
    )
    session.expire(consumer, ["subscriptions", "keys"])
    session.delete(consumer)
    revision.touch(session)


def unused_slug(session: Session, team: Team, name: str) -> str:
    """A slug for a new consumer of this name that no other of the team has."""
    wish = slug_of(name)
    wish = "app" if wish == "x" else wish
    taken = set(
        session.scalars(
            select(Consumer.slug).where(Consumer.team_id == team.id, Consumer.slug.startswith(wish, autoescape=True))
        )
    )
    free = (wish, *(f"{wish}-{number}" for number in range(2, len(taken) + 3)))
    return next(slug for slug in free if slug not in taken)


def suspend_consumer(session: Session, consumer: Consumer) -> None:
    """None of its keys is let through: the gateway answers `consumer_suspended` within a second. Its subscriptions stay
    as they are, and what it has asked for may still be decided. Suspending one that is suspended changes nothing."""
    if consumer.suspended_at is None:
        consumer.suspended_at = utcnow()
        revision.touch(session)


def resume_consumer(session: Session, consumer: Consumer) -> None:
    """Its keys work again as far as its subscriptions go. Resuming one that goes on changes nothing."""
    if consumer.suspended_at is not None:
        consumer.suspended_at = None
        revision.touch(session)


def move_consumer(session: Session, consumer: Consumer, team: Team, *, slug: str = "") -> None:
    """To another team, with its keys, its subscriptions and what it has asked for; upstreams know it by the same id.
    Subscriptions go on, also to APIs that the other team may not see. The trails of both teams tell of it.

    `slug` is its name in addresses there; the one that it has, when that is left out. Raises Conflict for the team that
    it is in, Invalid, NameTaken.
    """
    slug = slug or consumer.slug
    if not SLUG.fullmatch(slug):
        raise Invalid({"slug": "Use small letters, digits and dashes, such as web-shop."})
    if consumer.team_id == team.id:
        raise Conflict(f"{consumer.name} belongs to {team.name} already.")
    # Both teams in the order of their numbers, then the consumer: two may move towards each other's team.
    both = select(Team.id).where(Team.id.in_([consumer.team_id, team.id])).order_by(Team.id)
    if len(session.scalars(both.with_for_update(read=True, key_share=True)).all()) < 2:
        raise NotFound("Somebody else has deleted this team meanwhile.")
    hold(session, consumer)
    if session.scalar(select(Consumer.id).where(Consumer.team_id == team.id, Consumer.slug == slug)):
        raise NameTaken("slug", f"{team.name} already has a consumer {slug}. Give it another slug there.")
    audit.record(session, "moved away", consumer)
    consumer.team, consumer.slug = team, slug


def guests(session: Session, apis: Collection[Api]) -> list[Subscription]:
    """Current uses of these APIs by consumers of other teams."""
    return list(
        session.scalars(
            select(Subscription)
            .join(Subscription.api)
            .join(Subscription.consumer)
            .where(
                Subscription.api_id.in_([api.id for api in apis]),
                CURRENT,
                Consumer.team_id != Api.team_id,
            )
            .options(joinedload(Subscription.api), joinedload(Subscription.consumer).joinedload(Consumer.team))
            .order_by(Subscription.id)
        )
    )


def losses(subscriptions: Collection[Subscription]) -> list[Loss]:
    """By the team of the consumer. Read it before they are deleted."""
    found: dict[int, Loss] = {}
    for each in subscriptions:
        loss = found.setdefault(each.consumer.team_id, Loss(each.consumer.team, []))
        loss.uses.append((each.consumer.name, f"{each.api.name} {each.api.version}"))
    return list(found.values())


def hold(session: Session, thing: Consumer | Api | Plan | UpstreamSecret, *, but_subscriptions: bool = False) -> None:
    """Nobody else changes it, or adds to it, until the commit: on PostgreSQL others wait here.

    Subscriptions and what else only refers to it may go on being made. Everybody holds things before the revision,
    which `touch` keeps for last: who took it first would wait for somebody who waits for it.

    Raises NotFound when somebody else has deleted it meanwhile.
    """
    kind, state = type(thing), instance_state(thing)
    (number,) = state.identity or (None,)
    # The team before what it owns, as its own deletion has it: PostgreSQL looks a row's team up again as soon as one
    # transaction changes the row twice.
    owner = select(Team.id).join(kind, kind.team_id == Team.id).where(kind.id == number)
    session.execute(owner.with_for_update(of=Team, read=True, key_share=True))
    if session.scalar(select(kind.id).where(kind.id == number).with_for_update(key_share=but_subscriptions)) is None:
        raise NotFound("Somebody else has deleted it meanwhile.")


def new_consumer_id() -> str:
    return "con_" + base64.b32encode(secrets.token_bytes(10)).decode("ascii").lower()
