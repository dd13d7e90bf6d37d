"""A person's own data as JSON: what is stored about them, and what the audit trail says by and about them.

    {"account": {…}, "memberships": [{…}], "consumers": [{…, "keys": [{…}], "subscriptions": [{…}]}],
     "keys_issued_for_other_teams": [{…}], "trail": [{…}]}

Of keys there is what everybody in the team may see, never a secret; of other people's doings, not who they are.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts import Person, Team, trail
from portal.accounts.audit import AuditEntry
from portal.registry.models import Consumer, Key, Subscription


def stored(session: Session, person: Person) -> str:
    """The document without its end, the trail."""
    text = json.dumps(_stored(session, person), indent=2, ensure_ascii=False)
    return text.removesuffix("\n}") + ',\n  "trail": ['


def told(session: Session, person_id: int) -> Iterator[str]:
    """The trail, bit by bit, since it may be long, and the end of the document."""
    between = "\n    "
    for entry in trail.of_person(session, person_id):
        yield between + json.dumps(_entry(entry, person_id), ensure_ascii=False)
        between = ",\n    "
    yield "\n  ]\n}\n"


def _stored(session: Session, person: Person) -> dict[str, Any]:
    own = select(Consumer).join(Consumer.team).where(Team.person_id == person.id).order_by(Consumer.id)
    consumers = session.scalars(own).all()
    elsewhere = (
        select(Key)
        .where(Key.created_by_id == person.id, Key.consumer_id.not_in([consumer.id for consumer in consumers]))
        .order_by(Key.id)
    )
    return {
        "account": {
            "number": person.id,
            "email": person.email,
            "name": person.name,
            "administrator": person.is_administrator,
            "since": _time(person.created_at),
        },
        "memberships": [
            {
                "team": each.team.slug,
                "name": each.team.name,
                "role": each.role.value,
                "personal": each.team.is_personal,
            }
            for each in person.memberships
        ],
        "consumers": [
            {
                "slug": consumer.slug,
                "name": consumer.name,
                "description": consumer.description,
                "public_id": consumer.public_id,
                "since": _time(consumer.created_at),
                "keys": [_key(key) for key in consumer.keys],
                "subscriptions": [_subscription(each) for each in consumer.subscriptions],
            }
            for consumer in consumers
        ],
        "keys_issued_for_other_teams": [_key(key) for key in session.scalars(elsewhere)],
    }


def _key(key: Key) -> dict[str, Any]:
    return {
        "id": f"pco_{key.public_id}",
        "label": key.label,
        "issued": _time(key.created_at),
        "expires": _time(key.expires_at),
        "revoked": _time(key.revoked_at),
    }


def _subscription(subscription: Subscription) -> dict[str, Any]:
    return {
        "api": subscription.api.label,
        "plan": subscription.plan.slug,
        "state": subscription.state.value,
        "since": _time(subscription.starts_at),
        "until": _time(subscription.ends_at),
    }


def _entry(entry: AuditEntry, person_id: int) -> dict[str, Any]:
    by_me = entry.person_id == person_id
    told: dict[str, Any] = {
        "at": _time(entry.at),
        "by": "you" if by_me else "somebody else" if entry.person_id is not None else entry.by,
        "action": entry.action,
        "kind": entry.kind,
        "thing": entry.label,
    }
    if by_me or entry.person_id is None:  # the address that a failed sign-in to the account came from, too
        told["address"] = entry.address
    return told


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
