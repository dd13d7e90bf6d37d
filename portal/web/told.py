"""One call in plain words, for who may see it: what the gateway noted, with what the registry knows about it."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from portal import registry
from portal.accounts import Permission
from portal.registry import networks
from portal.registry.key_words import sentences
from portal.registry.keys import named
from portal.registry.models import Api, Consumer, Key, Release, Subscription, TokenKeys
from portal.registry.operation_limits import limits_of
from portal.traffic.calls import CallView
from portal.traffic.explain import Known, KnownKey, KnownSubscription, explain
from portal.web import operations
from portal.web.forms.plans import in_words, limit_in_words
from portal.web.guards import may


def told(session: Session, call: CallView) -> str:
    """Why it was answered as it was. What `call` does not show of another team's, this does not tell either."""
    described = bool(call.api_id and call.release) and operations.is_described(
        session, call.api_id or 0, call.release or 0
    )
    return explain(call, known(session, call), described=described)


def known(session: Session, call: CallView) -> Known:
    api = session.get(Api, call.api_id, options=[joinedload(Api.team)]) if call.api_id else None
    consumer = session.get(Consumer, call.consumer_id) if call.consumer_id else None
    release = _release(session, call)
    upstream = release.get("upstream") or {}
    # Only the API's team knows its lists; whose pages may call stands in its docs.
    lists = (release.get("addresses") or {}) if api is not None and may(Permission.SEE_APIS, api.team) else {}
    jwt = (release.get("authentication") or {}).get("jwt") or {}
    return Known(
        api=f"{api.name} {api.version}" if api is not None else None,
        owner=api.team.name if api is not None else None,
        paused=api is not None and api.paused,
        retired_at=api.retired_at if api is not None else None,
        consumer=consumer.name if consumer is not None else None,
        suspended_at=consumer.suspended_at if consumer is not None else None,
        key=_key(session, call),
        subscription=_subscription(session, call),
        first_byte_ms=upstream.get("first_byte_timeout_ms"),
        connect_ms=upstream.get("connect_timeout_ms"),
        body_limit=release.get("body_limit_bytes"),
        origins=tuple((release.get("cors") or {}).get("origins", ())),
        allowed=tuple(map(networks.shown, lists.get("allow", ()))),
        denied=tuple(map(networks.shown, lists.get("deny", ()))),
        issuer=jwt.get("issuer"),
        audiences=tuple(jwt.get("audiences") or ()),
        claim=jwt.get("claim", "sub") if jwt else None,
        keys_problem=_keys_problem(session, call, jwt.get("jwks_url")),
    )


def _release(session: Session, call: CallView) -> dict[str, Any]:
    if not (call.api_id and call.release):
        return {}
    chosen = select(Release.document).where(Release.api_id == call.api_id, Release.number == call.release)
    return session.scalar(chosen) or {}


def _keys_problem(session: Session, call: CallView, url: str | None) -> str | None:
    row = session.get(TokenKeys, (call.api_id, url)) if call.api_id and url else None
    return row.problem if row is not None and row.problem else None


def _key(session: Session, call: CallView) -> KnownKey | None:
    """Nothing of a call that is masked: `call.key_id` is None then."""
    key = session.get(Key, call.key_id) if call.key_id else None
    if key is None:
        return None
    successor = registry.living_successor(session, key)
    return KnownKey(
        named(key),
        key.expires_at,
        key.revoked_at,
        key.leaked,
        sentences(session, [key])[key.id],
        tuple(map(networks.shown, key.addresses)),
        named(successor) if successor is not None else None,
    )


def _subscription(session: Session, call: CallView) -> KnownSubscription | None:
    chosen = select(Subscription).options(joinedload(Subscription.plan)).order_by(Subscription.id.desc()).limit(1)
    if call.subscription_id:
        chosen = chosen.where(Subscription.id == call.subscription_id)
    elif call.consumer_id and call.api_id:
        chosen = chosen.where(Subscription.consumer_id == call.consumer_id, Subscription.api_id == call.api_id)
    else:
        return None
    found = session.scalar(chosen)
    if found is None:
        return None
    return KnownSubscription(
        found.state,
        found.starts_at,
        found.ends_at,
        found.blocked_until,
        found.plan.name,
        in_words(found.plan),
        _of_operation(session, found, call),
    )


def _of_operation(session: Session, subscription: Subscription, call: CallView) -> str:
    found = limits_of(session, subscription.api, call.operation, [subscription.plan]) if call.operation else []
    return ", ".join(limit_in_words(limit) for _plan, limit in found)
