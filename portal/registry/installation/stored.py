"""The installation as the database has it."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload, selectinload

from portal.accounts.models import Team
from portal.errors import Conflict, Invalid
from portal.registry.document import Document, read_document
from portal.registry.installation.settings import SETTINGS
from portal.registry.installation.steps import without_buried
from portal.registry.installation.values import (
    ApiEntry,
    CategoryEntry,
    ConsumerEntry,
    Installation,
    KeyEntry,
    LimitedEntry,
    OperationEntry,
    PlanEntry,
    SubscriptionEntry,
    TeamEntry,
)
from portal.registry.keys import TOMBSTONE
from portal.registry.models import (
    APPLICATION,
    IN_USE,
    Api,
    Category,
    Consumer,
    Key,
    KeyOperation,
    KeySubscription,
    Plan,
    PlanOperation,
    Subscription,
    SubscriptionState,
)

_Entry = TypeVar("_Entry", TeamEntry, CategoryEntry, PlanEntry, ApiEntry, ConsumerEntry)


def stored(session: Session, *, keys: bool, now: datetime) -> Installation:
    """Everything of teams that are nobody's personal one, and the categories, in the same order on every database.

    Raises Conflict for a document that this release cannot read.
    """
    shared = list(session.scalars(select(Team).where(Team.person_id.is_(None))))
    teams = {team.id: team.slug for team in shared}
    found = Installation.model_construct(
        portico=1,
        teams=_sorted(
            TeamEntry.model_construct(slug=team.slug, name=team.name, may_publish=team.may_publish) for team in shared
        ),
        categories=_sorted(_category(each) for each in session.scalars(select(Category))),
        plans=_sorted(
            _plan(plan, teams[plan.team_id])
            for plan in session.scalars(
                select(Plan)
                .where(_of(Plan, teams))
                .options(
                    selectinload(Plan.chosen),
                    selectinload(Plan.operations).joinedload(PlanOperation.api).joinedload(Api.team),
                )
            )
        ),
        apis=_sorted(_apis(session, teams)),
        consumers=_sorted(_consumers(session, teams, keys=keys)),
        sources=(),
    )
    return without_buried(found, now=now, tombstone=TOMBSTONE)


def _of(kind: Any, teams: dict[int, str]) -> Any:
    """A personal team's things stay out; a list of numbers would be too long for a statement."""
    return kind.team_id.in_(select(Team.id).where(Team.person_id.is_(None)))


def _sorted(entries: Iterable[_Entry]) -> tuple[_Entry, ...]:
    return tuple(sorted(entries, key=lambda entry: entry.identity))


def _category(category: Category) -> CategoryEntry:
    return CategoryEntry.model_construct(
        slug=category.slug, name=category.name, description=category.description, position=category.position
    )


def _plan(plan: Plan, team: str) -> PlanEntry:
    return PlanEntry.model_construct(
        team=team,
        slug=plan.slug,
        name=plan.name,
        description=plan.description,
        per_second=plan.per_second,
        per_second_burst=plan.per_second_burst,
        per_minute=plan.per_minute,
        per_minute_burst=plan.per_minute_burst,
        quota_day=plan.quota_day,
        quota_month=plan.quota_month,
        approval=plan.approval,
        terms=plan.terms,
        price=plan.price,
        public=plan.public,
        chosen=tuple(sorted(team.slug for team in plan.chosen)),
        operations=tuple(
            sorted(
                (
                    LimitedEntry.model_construct(
                        api=row.api.label,
                        operation=row.operation,
                        per_second=row.per_second,
                        per_second_burst=row.per_second_burst,
                        per_minute=row.per_minute,
                        per_minute_burst=row.per_minute_burst,
                    )
                    for row in plan.operations
                ),
                key=lambda each: (each.api, each.operation),
            )
        ),
    )


def _apis(session: Session, teams: dict[int, str]) -> Iterator[ApiEntry]:
    rows = session.scalars(
        select(Api)
        .where(_of(Api, teams))
        .options(
            joinedload(Api.live_release),
            selectinload(Api.plans),
            joinedload(Api.default_plan),
            selectinload(Api.viewers),
            joinedload(Api.category),
            joinedload(Api.successor).joinedload(Api.team),
        )
    )
    for api in rows:
        draft = _document(api, api.draft)
        live = _document(api, api.live_release.document) if api.live_release is not None else None
        yield ApiEntry.model_construct(
            team=teams[api.team_id],
            slug=api.slug,
            version=api.version,
            published=live is not None,
            note=api.live_release.note if api.live_release is not None else "",
            plans=tuple(sorted(plan.slug for plan in api.plans)),
            default_plan=api.default_plan.slug if api.default_plan is not None else None,
            document=draft,
            live_document=live if live != draft else None,
            **{setting.name: setting.read(api) for setting in SETTINGS},
        )


def _document(api: Api, values: dict[str, Any]) -> Document:
    try:
        return read_document(values)
    except Invalid as error:
        raise Conflict(f"The document of {api.label} cannot be read: {error} Save it anew on its page.") from error


def _consumers(session: Session, teams: dict[int, str], *, keys: bool) -> Iterator[ConsumerEntry]:
    uses: dict[int, list[SubscriptionEntry]] = {}
    held: dict[int, list[KeyEntry]] = {}
    for consumer_id, use in _uses(session):
        uses.setdefault(consumer_id, []).append(use)
    if keys:
        apis, operations = _apis_of_keys(session), _operations_of_keys(session)
        rows = session.scalars(select(Key)).all()
        names = {key.id: key.public_id for key in rows}
        rotated = {key.predecessor_id for key in rows if key.revoked_at is None}
        for key in rows:
            entry = _key(key, apis.get(key.id), operations.get(key.id, []))
            entry = entry.model_copy(
                update={
                    "follows": names.get(key.predecessor_id or 0),
                    "unrotated_expires_at": (_utc(key.unrotated_expires_at) or "never") if key.id in rotated else None,
                }
            )
            held.setdefault(key.consumer_id, []).append(entry)
    for consumer in session.scalars(select(Consumer).where(_of(Consumer, teams), APPLICATION)):
        yield ConsumerEntry.model_construct(
            team=teams[consumer.team_id],
            slug=consumer.slug,
            id=consumer.public_id,
            name=consumer.name,
            description=consumer.description,
            contacts=tuple(consumer.contacts),
            metadata=dict(consumer.attributes),
            suspended=consumer.suspended_at is not None,
            subscriptions=tuple(sorted(uses.get(consumer.id, ()), key=lambda use: use.api)),
            keys=tuple(sorted(held.get(consumer.id, ()), key=lambda key: key.id)) if keys else None,
        )


def _uses(session: Session) -> Iterator[tuple[int, SubscriptionEntry]]:
    """Those that were agreed and are not over, with the number of their consumer."""
    rows = session.execute(
        select(Subscription, Team.slug, Api.slug, Api.version, Plan.slug)
        .join(Api, Subscription.api_id == Api.id)
        .join(Team, Api.team_id == Team.id)
        .join(Plan, Subscription.plan_id == Plan.id)
        .where(IN_USE)
    )
    for use, team, slug, version, plan in rows:
        yield (
            use.consumer_id,
            SubscriptionEntry.model_construct(
                api=f"{team}/{slug}/{version}",
                plan=plan,
                state="suspended" if use.state is SubscriptionState.SUSPENDED else "approved",
                # A notice is taken back by the next call, here and nowhere else: what it was before goes along.
                ends_at=_utc(use.ends_without_notice if use.noticed_at else use.ends_at),
                approved_until=_utc(use.approved_until),
                subject=use.subject,
            ),
        )


def _apis_of_keys(session: Session) -> dict[int, list[str]]:
    """By the number of each key that is limited to chosen subscriptions. An API that is gone is named no more."""
    found: dict[int, list[str]] = {}
    rows = session.execute(
        select(KeySubscription.key_id, Team.slug, Api.slug, Api.version)
        .outerjoin(Subscription, Subscription.id == KeySubscription.subscription_id)
        .outerjoin(Api, Api.id == Subscription.api_id)
        .outerjoin(Team, Team.id == Api.team_id)
    )
    for key_id, team, slug, version in rows:
        found.setdefault(key_id, []).extend([f"{team}/{slug}/{version}"] if team else [])
    return found


def _operations_of_keys(session: Session) -> dict[int, list[OperationEntry]]:
    found: dict[int, list[OperationEntry]] = {}
    rows = session.execute(
        select(KeyOperation.key_id, KeyOperation.method, KeyOperation.path, Team.slug, Api.slug, Api.version)
        .join(Api, Api.id == KeyOperation.api_id)
        .join(Team, Team.id == Api.team_id)
        .order_by(Team.slug, Api.slug, Api.version, KeyOperation.path, KeyOperation.method)
    )
    for key_id, method, path, team, slug, version in rows:
        entry = OperationEntry.model_construct(api=f"{team}/{slug}/{version}", method=method, path=path)
        found.setdefault(key_id, []).append(entry)
    return found


def _key(key: Key, apis: list[str] | None, operations: list[OperationEntry]) -> KeyEntry:
    return KeyEntry.model_construct(
        id=key.public_id,
        kind=key.kind.value,
        sha256=key.sha256.hex(),
        label=key.label,
        expires_at=_utc(key.expires_at),
        revoked_at=_utc(key.revoked_at),
        read_only=key.read_only,
        addresses=tuple(key.addresses),
        apis=None if apis is None else tuple(sorted(set(apis))),
        operations=tuple(sorted(operations, key=lambda each: (each.api, each.path, each.method))),
    )


def _utc(instant: datetime | None) -> datetime | None:
    """PostgreSQL answers in the zone of its connection."""
    return instant and instant.astimezone(UTC)
