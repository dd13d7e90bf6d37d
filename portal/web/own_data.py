"""A person's own data as JSON: what is stored about them, and what the audit trail says by and about them.

    {"account": {…}, "memberships": [{…}], "sessions": [{…}],
     "access_tokens": [{…}], "consumers": [{…, "keys": [{…}], "subscriptions": [{…}]}],
     "keys_issued_for_other_teams": [{…}], "drafts_last_changed": [{…}], …, "mails_waiting": [{…}], "trail": [{…}]}

Of keys there is what everybody in the team may see, never a secret; of other people's doings, not who they are.
"""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Session

from portal import notify
from portal.accounts import Invitation, Person, Team, trail
from portal.accounts.audit import AuditEntry
from portal.accounts.sessions import SignIn
from portal.accounts.tokens import AccessToken
from portal.config import Config
from portal.notify.models import Channel, Notice, NoticeChoice, NoticeCopy
from portal.registry.models import Api, Approval, Consumer, Import, Key, Release, Subscription, UpstreamSecret


def stored(session: Session, config: Config, person: Person) -> str:
    """The document without its end, the trail."""
    text = json.dumps(_stored(session, config, person), indent=2, ensure_ascii=False)
    return text.removesuffix("\n}") + ',\n  "trail": ['


def told(session: Session, person_id: int) -> Iterator[str]:
    """The trail, bit by bit, since it may be long, and the end of the document."""
    between = "\n    "
    for entry in trail.of_person(session, person_id):
        yield between + json.dumps(_entry(entry, person_id), ensure_ascii=False)
        between = ",\n    "
    yield "\n  ]\n}\n"


def _stored(session: Session, config: Config, person: Person) -> dict[str, Any]:
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
            "active": person.active,
            "since": _time(person.created_at),
            "address_confirmed": _time(person.confirmed_at),
            "password_to_be_changed": person.must_change_password,
            "second_factor": person.has_second_factor,
            "recovery_codes_left": len(person.mf_recovery_codes or []),
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
        "sessions": [
            {
                "since": _time(each.created_at),
                "last_used": _time(each.seen_at),
                "address": each.address,
                "browser": each.user_agent,
                "remembered": each.is_remembered,
            }
            for each in session.scalars(select(SignIn).where(SignIn.person_id == person.id).order_by(SignIn.id))
        ],
        "access_tokens": [
            {
                "id": f"ppt_{each.public_id}",
                "label": each.label,
                "scopes": each.scopes.split(),
                "made": _time(each.created_at),
                "expires": _time(each.expires_at),
                "revoked": _time(each.revoked_at),
            }
            for each in session.scalars(
                select(AccessToken).where(AccessToken.person_id == person.id).order_by(AccessToken.id)
            )
        ],
        "consumers": [
            {
                "slug": consumer.slug,
                "name": consumer.name,
                "description": consumer.description,
                "contacts": consumer.contacts,
                "metadata": consumer.attributes,
                "public_id": consumer.public_id,
                "since": _time(consumer.created_at),
                "keys": [_key(key) for key in consumer.keys],
                "subscriptions": [_subscription(each) for each in consumer.subscriptions],
            }
            for consumer in consumers
        ],
        "keys_issued_for_other_teams": [_key(key) for key in session.scalars(elsewhere)],
        **{
            name: [told(row) for row in session.scalars(select(made.class_).where(made == person.id).order_by("id"))]
            for name, (made, told) in MADE.items()
        },
        "mails_waiting": [
            {"since": _time(since), "subject": subject}
            for since, subject in notify.waiting(session, config, person.email)
        ],
    }


MADE: dict[str, tuple[InstrumentedAttribute[int | None], Callable[[Any], dict[str, Any]]]] = {
    "drafts_last_changed": (
        Api.draft_changed_by_id,
        lambda api: {"api": api.label, "at": _time(api.draft_changed_at)},
    ),
    "releases_published": (
        Release.published_by_id,
        lambda it: {"api": it.api.label, "release": it.number, "at": _time(it.published_at), "note": it.note},
    ),
    "imports_made": (
        Import.made_by_id,
        lambda it: {"team": it.team.slug, "from": it.source_name or it.source.value, "at": _time(it.created_at)},
    ),
    "subscriptions_made": (
        Subscription.created_by_id,
        lambda it: {"consumer": it.consumer.slug, **_subscription(it)},
    ),
    "approvals_asked_for": (
        Approval.asked_by_id,
        lambda it: {**_approval(it), "at": _time(it.asked_at), "purpose": it.purpose},
    ),
    "approvals_decided": (
        Approval.decided_by_id,
        lambda it: {**_approval(it), "at": _time(it.decided_at), "words": it.words},
    ),
    "upstream_secrets_stored": (
        UpstreamSecret.created_by_id,
        lambda it: {"team": it.team.slug, "name": it.name, "at": _time(it.created_at)},
    ),
    "upstream_secrets_replaced": (
        UpstreamSecret.replaced_by_id,
        lambda it: {"team": it.team.slug, "name": it.name, "at": _time(it.replaced_at)},
    ),
    "notices": (Notice.person_id, lambda it: _notice(it)),
    "notices_listed": (NoticeCopy.person_id, lambda it: {**_notice(it.notice), "read": _time(it.read_at)}),
    "notices_chosen": (
        NoticeChoice.person_id,
        lambda it: {"event": it.event, "way": it.way.value, "wanted": it.wanted},
    ),
    "channels_made": (
        Channel.created_by_id,
        lambda it: {"team": it.team.slug, "name": it.name, "at": _time(it.created_at)},
    ),
    # The addresses are other people's.
    "invitations_sent": (
        Invitation.invited_by_id,
        lambda it: {"number": it.id, "made": _time(it.created_at), "last_sent": _time(it.sent_at)},
    ),
}
"""What the person made for others, by the column that says so, and how one of it is told."""


def _notice(notice: Notice) -> dict[str, Any]:
    return {"at": _time(notice.created_at), "event": notice.event, "subject": notice.subject, "text": notice.text}


def _key(key: Key) -> dict[str, Any]:
    return {
        "id": key.beginning,
        "label": key.label,
        "issued": _time(key.created_at),
        "expires": _time(key.expires_at),
        "revoked": _time(key.revoked_at),
        "leaked": key.leaked,
        "found_at": key.found_at,
        "read_only": key.read_only,
        "addresses": key.addresses,
        "subscriptions": [each.subscription_id for each in key.chosen_subscriptions],
        "operations": [f"{each.method} {each.path}" for each in key.chosen_operations],
    }


def _approval(approval: Approval) -> dict[str, Any]:
    return {
        "consumer": approval.subscription.consumer.slug,
        "api": approval.subscription.api.label,
        "plan": approval.plan.slug,
        "state": approval.state.value,
    }


def _subscription(subscription: Subscription) -> dict[str, Any]:
    return {
        "api": subscription.api.label,
        "plan": subscription.plan.slug,
        "state": subscription.state.value,
        "since": _time(subscription.starts_at),
        "until": _time(subscription.ends_at),
        "subject": subscription.subject,
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
