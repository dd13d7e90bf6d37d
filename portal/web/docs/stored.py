"""The docs of an API in the registry: its live release, or its draft."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from flask import url_for
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from portal import registry
from portal.accounts import Permission, Person
from portal.db import utcnow
from portal.openapi.references import Look
from portal.registry import Document, descriptions
from portal.registry.descriptions import Facts
from portal.registry.document import KeyPlace
from portal.registry.models import Api, OpenAPIDocument, Operation, Plan
from portal.registry.networks import shown as shown_network
from portal.registry.operation_limits import Limited
from portal.traffic.reasons import REASONS
from portal.web import curl
from portal.web.docs.navigation import Entry, Index, Schema, schemas_at
from portal.web.docs.source import About, Lifecycle, Link, PlanLine, Refusal, Tokens
from portal.web.forms.plans import in_words, limit_in_words
from portal.web.guards import may

_OF_TOKENS = (
    (401, "token_missing"),
    (401, "token_invalid"),
    (401, "token_expired"),
    (401, "token_early"),
    (400, "token_repeated"),
    (403, "token_unknown"),
    (503, "token_keys_missing"),
)
_REFUSALS = (
    (401, "key_missing"),
    (401, "key_malformed"),
    (401, "key_unknown"),
    (401, "key_revoked"),
    (401, "key_expired"),
    (403, "consumer_suspended"),
    (403, "not_subscribed"),
    (403, "subscription_suspended"),
    (403, "subscription_pending"),
    (403, "key_not_allowed"),
    (403, "address_not_allowed"),
    (413, "too_large"),
    (429, "rate_limited"),
    (429, "quota_exceeded"),
    (429, "api_limit"),
    (503, "api_paused"),
)
_OF_CALLERS = frozenset(
    reason for _, reason in _REFUSALS if reason.startswith(("key_", "subscription_", "consumer_", "not_", "address_"))
)
"""Reasons that nobody hears of a public API."""
_MOST_KEPT = 100_000
"""Operations and schemas, of all documents together: some 60 MB."""


class Stored:
    """A document laid out in rows. What lists need of it is read once for each document, the rest as pages ask."""

    def __init__(self, session: Session, about: About, digest: str | None) -> None:
        self.about = about
        self._session = session
        self._digest = digest or ""
        kept = _kept.get(session, digest) if digest else None
        self.facts: Facts | None = kept[0] if kept else None
        self.index: Index = kept[1] if kept else Index((), ())
        self.schemas: Sequence[Schema] = kept[2] if kept else ()

    def content_of(self, schemas: Iterable[Schema]) -> dict[str, Any]:
        return descriptions.small_parts(self._session, self._digest, (schema.pointer for schema in schemas))

    def operation(self, name: str) -> tuple[dict[str, Any], Look] | None:
        found = descriptions.operation_named(self._session, self._digest, name)
        if found is None:
            return None
        content: dict[str, Any] = orjson.loads(found.content)
        return content, self.look(content)

    def look(self, start: Any) -> Look:
        return descriptions.look_from(self._session, self._digest, start)


_Read = tuple[Facts, Index, tuple[Schema, ...]]


class _Kept:
    """What was read of documents, the last used ones. Nothing in it gets old: a digest says what it is of."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[str, _Read] = OrderedDict()

    def get(self, session: Session, digest: str) -> _Read | None:
        """None where this database does not have the document."""
        if session.scalar(select(OpenAPIDocument.operation_count).where(OpenAPIDocument.sha256 == digest)) is None:
            return None
        with self._lock:
            if digest in self._found:
                self._found.move_to_end(digest)
                return self._found[digest]
        read = _read(session, digest)
        with self._lock:
            self._found[digest] = read
            while len(self._found) > 1 and sum(map(_size, self._found.values())) > _MOST_KEPT:
                self._found.popitem(last=False)
        return read


def _size(read: _Read) -> int:
    _, index, schemas = read
    return len(index.entries) + len(schemas)


def _read(session: Session, digest: str) -> _Read:
    facts = descriptions.facts_of(session.get_one(OpenAPIDocument, digest))
    rows = session.execute(
        select(
            Operation.name, Operation.method, Operation.path, Operation.summary, Operation.tags, Operation.deprecated
        )
        .where(Operation.sha256 == digest)
        .order_by(Operation.position)
    )
    index = Index((Entry.of(row.name, row, row.tags) for row in rows), facts.tags)
    return facts, index, schemas_at(descriptions.schemas_of(session, digest))


_kept = _Kept()


def live(session: Session, api: Api, person: Person | None, gateway_url: str) -> Stored:
    assert api.live_release is not None, "the guard lets published ones in only"
    document = registry.read_document(api.live_release.document)
    return Stored(session, _about(session, api, document, person, gateway_url), document.openapi)


def draft(session: Session, api: Api, person: Person | None, gateway_url: str) -> Stored:
    document = registry.read_document(api.draft)
    about = _about(session, api, document, person, gateway_url, is_draft=True)
    return Stored(session, about, document.openapi)


def address(api: Api, endpoint: str = "docs.show", **more: Any) -> str:
    return url_for(endpoint, team=api.team.slug, slug=api.slug, version=api.version, **more)


def _about(
    session: Session, api: Api, document: Document, person: Person | None, gateway_url: str, *, is_draft: bool = False
) -> About:
    plans = _plans(session, api, document, person)
    limited = registry.limits_at(session, api, plans)
    is_member = person is not None and may(Permission.SEE_APIS, api.team)
    shown = address(api) if api.live_release_id is not None else ""
    jwt = document.authentication.jwt
    return About(
        name=document.name,
        version=api.version,
        base=address(api, "docs.preview") if is_draft else shown,
        addresses=tuple(curl.addresses(document, gateway_url)),
        key=KeyPlace(place="bearer", name="Authorization") if document.only_token else document.shown_place,
        credential="token" if document.only_token else "key",
        variable="TOKEN" if document.only_token else "PORTICO_KEY",
        takes_basic=document.authentication.basic,
        is_public=document.authentication.public is not None,
        tokens=Tokens(jwt.issuer, jwt.audiences, jwt.claim, document.only_token) if jwt else None,
        description=document.description,
        owner=api.team.name,
        state=api.state,
        crumbs=(
            Link(document.name, address(api, "apis.show"))
            if is_draft
            else Link("Catalogue", url_for("catalogue.index")),
        ),
        lifecycle=_lifecycle(api, person),
        plans=tuple(_plan_line(api, plan, limited.get(plan.id, ())) for plan in plans),
        operation_limits=_by_operation(plans, limited),
        origins=document.cors.origins if document.cors else (),
        cookies=document.cors is not None and document.cors.credentials,
        takes_some_only=document.addresses is not None,
        networks=_networks(document) if is_member else None,
        refusals=tuple(Refusal(status, reason, REASONS[reason]) for status, reason in _refusals(document)),
        versions=() if is_draft else _versions(session, api, person),
        get_key_url=""
        if not shown or is_draft or api.retired_at is not None or api.is_public
        else address(api, "catalogue.subscribe"),
        manage_url=address(api, "apis.show") if is_member else "",
        traffic_url=address(api, "traffic.api") if may(Permission.SEE_API_CALLS, api.team) and not is_draft else "",
        document_url=address(api, "imports.again") if may(Permission.MANAGE_APIS, api.team) else "",
        preview_url=address(api, "docs.preview") if is_member and not is_draft and api.has_unpublished_changes else "",
        exports=(
            Link("JSON", address(api, "docs.preview_openapi_json" if is_draft else "docs.openapi_json")),
            Link("YAML", address(api, "docs.preview_openapi_yaml" if is_draft else "docs.openapi_yaml")),
        ),
        is_draft=is_draft,
        live_url=shown if is_draft else "",
    )


def _networks(document: Document) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    lists = document.addresses
    return (tuple(map(shown_network, lists.allow)), tuple(map(shown_network, lists.deny))) if lists else None


def _plans(session: Session, api: Api, document: Document, person: Person | None) -> Sequence[Plan]:
    """Those that somebody may choose; of a public API the one that all are held to."""
    public = document.authentication.public
    if public is None:
        return registry.shown_plans(api, person)
    return session.scalars(select(Plan).where(Plan.team_id == api.team_id, Plan.slug == public.plan)).all()


def _refusals(document: Document) -> Iterable[tuple[int, str]]:
    wanted = document.authentication
    if wanted.jwt is not None:
        yield from _OF_TOKENS
    for status, reason in _REFUSALS:
        if document.only_token and reason.startswith("key_"):
            continue
        if wanted.asks or reason not in _OF_CALLERS:
            yield status, reason


def _by_operation(plans: Sequence[Plan], limited: Mapping[int, Sequence[Limited]]) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for plan in plans:
        for each in limited.get(plan.id, ()):
            said = f"{limit_in_words(each.limit)} under the plan {plan.name}"
            found.setdefault(each.limit.operation, []).append(said)
    return found


def _plan_line(api: Api, plan: Plan, limited: Sequence[Limited]) -> PlanLine:
    return PlanLine(
        plan.name,
        plan.description,
        in_words(plan),
        price=plan.price,
        approval=plan.approval,
        is_default=plan.id == api.default_plan_id,
        terms=plan.terms,
        has_limits=plan.per_second is not None or plan.per_minute is not None or bool(limited),
        has_quotas=plan.quota_day is not None or plan.quota_month is not None,
        operations=tuple(f"{each.called}: {limit_in_words(each.limit)}" for each in limited),
    )


def _lifecycle(api: Api, person: Person | None) -> Lifecycle:
    successor = api.successor
    is_shown = successor is not None and successor.live_release_id is not None and registry.may_see(person, successor)
    return Lifecycle(
        paused=api.paused,
        closed=api.closed,
        deprecated_at=api.deprecated_at,
        is_ahead=api.deprecated_at is not None and api.deprecated_at > utcnow(),
        sunset_at=api.sunset_at,
        retired_at=api.retired_at,
        message=api.deprecation_message,
        successor=Link(f"{successor.name} {successor.version}", address(successor)) if successor and is_shown else None,
    )


def _versions(session: Session, api: Api, person: Person | None) -> tuple[Link, ...]:
    """Of the same API, the newest first."""
    rows = session.scalars(
        select(Api)
        .where(Api.team_id == api.team_id, Api.slug == api.slug, Api.live_release_id.is_not(None))
        .where(registry.visible_to(person))
        .options(selectinload(Api.team))
        .order_by(Api.created_at.desc(), Api.id.desc())
        .limit(50)
    )
    return tuple(Link(each.version, address(each), each.state) for each in rows)
