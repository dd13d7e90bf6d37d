"""Carrying steps out, through the same verbs as everybody's pages: so the audit trail has each of them."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, tzinfo
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import accounts
from portal.accounts.models import Person, Team
from portal.errors import Conflict, Invalid, NotFound, PortalError
from portal.registry import apis, categories, consumers, keys, plans, releases, rotation, subscriptions
from portal.registry.consumers import Loss
from portal.registry.document import Document, read_document
from portal.registry.installation.settings import SETTINGS
from portal.registry.installation.steps import Action, Step
from portal.registry.installation.values import (
    ApiEntry,
    CategoryEntry,
    ConsumerEntry,
    Credential,
    PlanEntry,
    TeamEntry,
    Use,
)
from portal.registry.keys import Restrictions
from portal.registry.models import Api, Category, Consumer, Key, KeyKind, Plan, Subscription
from portal.registry.operation_limits import OperationLimit, limit_operations
from portal.registry.subjects import set_subject


class _NotThere(NotFound):
    """What a step builds on was refused before it."""


def carry_out(session: Session, steps: Sequence[Step], *, zone: tzinfo, owner: Person | None = None) -> list[Loss]:
    """All of them, in their order; what teams lose by APIs that are deleted, which they are to be told.

    `owner` becomes the owner of teams that are made, `zone` is that of quotas. Raises what the verbs raise.
    """
    hand = _Hand(session, zone, owner)
    for _, act in hand.acts(steps):
        act()
    session.flush()
    return hand.lost


def refusals(
    session: Session, steps: Sequence[Step], *, zone: tzinfo, owner: Person | None = None
) -> list[tuple[Step, PortalError]]:
    """Every step that would be refused, and why. The caller rolls back."""
    hand = _Hand(session, zone, owner)
    found: list[tuple[Step, PortalError]] = []
    for step, act in hand.acts(steps):
        try:
            with session.begin_nested():
                act()
                session.flush()  # what the database refuses, it refuses here
        except PortalError as error:
            found.append((step, error))
            hand.forget(step)
    # What only follows from another refusal is no news.
    return [each for each in found if not isinstance(each[1], _NotThere)] or found


class _Hand:
    """One transaction's work. Numbers of things are looked up once, and rows that were used are kept for the next."""

    def __init__(self, session: Session, zone: tzinfo, owner: Person | None) -> None:
        self._session = session
        self._zone = zone
        self._owner = owner
        self._lost: dict[int, Loss] = {}
        self._ids: dict[tuple[str, ...], int] = {}
        self._rows: dict[tuple[str, ...], Any] = {}
        of_team = {Plan: ("plan", ()), Consumer: ("consumer", ()), Api: ("api", (Api.version,))}
        for kind, (word, more) in of_team.items():
            rows = session.execute(select(kind.id, Team.slug, kind.slug, *more).join(kind.team))  # type: ignore[attr-defined]
            self._ids |= {(word, *names): number for number, *names in rows}
        for kind, word in ((Team, "team"), (Category, "category")):
            self._ids |= {(word, slug): number for number, slug in session.execute(select(kind.id, kind.slug))}

    @property
    def lost(self) -> list[Loss]:
        return list(self._lost.values())

    def acts(self, steps: Sequence[Step]) -> Iterator[tuple[Step, Callable[[], None]]]:
        def doing(step: Step, act: Callable[[Any, Any], None]) -> tuple[Step, Callable[[], None]]:
            return step, lambda: act(step.before, step.after)

        releases.vacate(self._session, [self._ids[step.identity] for step in steps if step.publishes and step.before])
        verbs = {
            "team": self._team,
            "category": self._category,
            "plan": self._plan,
            "api": self._api,
            "consumer": self._consumer,
            "subscription": self._use,
            "key": self._key,
        }
        deletions = {
            "category": self._delete_category,
            "plan": self._delete_plan,
            "api": self._delete_api,
            "consumer": self._delete_consumer,
            "subscription": self._end,
            "key": self._revoke,
        }
        for step in steps:
            chosen: dict[str, Any] = deletions if step.action is Action.DELETE else verbs
            yield doing(step, chosen[step.identity[0]])
        # A setting may name another API, so that all of them are there first.
        for step in steps:
            if isinstance(step.after, ApiEntry):
                yield doing(step, self._settings)
        # Revoking a key undoes its rotation, which changes the expiry of the one before it.
        for step in steps:
            if isinstance(step.after, Credential):
                yield doing(step, self._lineage)
        # A plan may limit operations of any API that offers it.
        for step in steps:
            if isinstance(step.after, PlanEntry):
                yield doing(step, self._limit_operations)

    def forget(self, step: Step) -> None:
        """What a step that was refused has made is gone again, and its number is given to the next."""
        if step.action is Action.CREATE:
            self._ids.pop(step.identity, None)
            self._rows.pop(step.identity, None)

    def _get(self, kind: type[Any], *identity: str) -> Any:
        number = self._ids.get(identity)
        row = self._session.get(kind, number) if number is not None else None
        if row is None:
            raise _NotThere(f"There is no {' '.join(identity)}.")
        self._rows[identity] = row  # the session itself lets go of what nobody holds
        return row

    def _team_of(self, slug: str) -> Team:
        team: Team = self._get(Team, "team", slug)
        if team.is_personal:
            raise Conflict(f"{slug} is somebody's personal team, and files do not speak of those. Choose another team.")
        return team

    def _made(self, identity: tuple[str, ...], row: Any) -> None:
        self._session.flush()  # what comes next refers to the number
        self._ids[identity] = row.id
        self._rows[identity] = row

    def _team(self, before: TeamEntry | None, after: TeamEntry) -> None:
        if before is None:
            team = accounts.create_team(
                self._session, slug=after.slug, name=after.name, owner=self._owner, may_publish=after.may_publish
            )
            self._made(after.identity, team)
            return
        team = self._team_of(after.slug)
        if team.name != after.name:
            accounts.rename_team(team, after.name)
        if team.may_publish != after.may_publish:
            accounts.allow_publishing(team, after.may_publish)

    def _category(self, before: CategoryEntry | None, after: CategoryEntry) -> None:
        values = after.model_dump(exclude={"slug"})
        if before is None:
            self._made(after.identity, categories.create_category(self._session, slug=after.slug, **values))
        else:
            categories.change_category(self._session, self._get(Category, *after.identity), **values)

    def _plan(self, before: PlanEntry | None, after: PlanEntry) -> None:
        chosen = [self._team_of(slug) for slug in after.chosen]
        values = after.model_dump(exclude={"team", "slug", "chosen", "operations"}) | {"chosen": chosen}
        if before is None:
            made = plans.create_plan(self._session, self._team_of(after.team), slug=after.slug, **values)
            self._made(after.identity, made)
        else:
            plans.change_plan(self._session, self._get(Plan, *after.identity), zone=self._zone, **values)

    def _limit_operations(self, _before: PlanEntry | None, after: PlanEntry) -> None:
        limits = [
            OperationLimit(api=self._get(Api, "api", *each.api.split("/")), **each.model_dump(exclude={"api"}))
            for each in after.operations
        ]
        limit_operations(self._session, self._get(Plan, *after.identity), limits, taken_over=True)

    def _api(self, before: ApiEntry | None, after: ApiEntry) -> None:
        live = after.live
        for name, document in (("live_document", live), ("document", after.document)):
            if document is not None and not (before and document in (before.document, before.live)):
                _require_typed(name if document != after.document else "document", document)
        if before is None:
            api = apis.create_api(
                self._session,
                self._team_of(after.team),
                slug=after.slug,
                version=after.version,
                document=live or after.document,
                by=None,
            )
            self._made(after.identity, api)
        else:
            api = self._get(Api, *after.identity)
        if live is None and api.live_release_id is not None:
            releases.unpublish(self._session, api)
        if live is not None and live != (before.live if before else None):
            self._save(api, live)
            releases.publish(self._session, api, by=None, expected=api.draft_number, note=after.note)
        self._save(api, after.document)
        offer = (after.plans, after.default_plan)
        if after.plans is not None and offer != ((before.plans, before.default_plan) if before else None):
            offered = {slug: self._get(Plan, "plan", after.team, slug) for slug in after.plans}
            default = self._get(Plan, "plan", after.team, after.default_plan) if after.default_plan else None
            apis.offer_plans(self._session, api, list(offered.values()), default=default)

    def _save(self, api: Api, document: Document) -> None:
        if read_document(api.draft) != document:
            apis.save_draft(self._session, api, document, by=None, expected=api.draft_number)

    def _settings(self, _before: ApiEntry | None, after: ApiEntry) -> None:
        api = self._get(Api, *after.identity)
        for setting in SETTINGS:
            if setting.read(api) != after.setting(setting.name):
                setting.write(self._session, api, after.setting(setting.name))

    def _consumer(self, before: ConsumerEntry | None, after: ConsumerEntry) -> None:
        if before is None:
            team = self._team_of(after.team)
            made = consumers.create_consumer(
                self._session,
                team,
                slug=after.slug,
                name=after.name,
                description=after.description,
                contacts=after.contacts,
                metadata=after.metadata,
                public_id=after.id,
            )
            self._made(after.identity, made)
            if after.suspended:
                consumers.suspend_consumer(self._session, made)
            return
        if before.id != after.id:
            raise Invalid({"id": f"It has the id {before.id} here, and that stays. Leave the id out of the file."})
        consumer = self._get(Consumer, *after.identity)
        consumers.change_consumer(
            consumer,
            name=after.name,
            description=after.description,
            contacts=after.contacts,
            metadata=after.metadata,
        )
        if before.suspended != after.suspended:
            verb = consumers.suspend_consumer if after.suspended else consumers.resume_consumer
            verb(self._session, consumer)

    def _use(self, before: Use | None, after: Use) -> None:
        consumer = self._get(Consumer, "consumer", after.team, after.consumer)
        api: Api = self._get(Api, "api", *after.entry.api.split("/"))
        plan = self._get(Plan, "plan", after.entry.api.partition("/")[0], after.entry.plan)
        entry = after.entry
        if before is not None and before.entry.plan == entry.plan:
            row = self._current(before)
            subscriptions.settle(
                self._session,
                row,
                ends_at=entry.ends_at,
                approved_until=entry.approved_until,
                suspended=entry.state == "suspended",
            )
        else:
            row = subscriptions.take_over_subscription(
                self._session,
                consumer,
                api,
                plan,
                ends_at=entry.ends_at,
                approved_until=entry.approved_until,
                suspended=entry.state == "suspended",
            )
        set_subject(self._session, row, entry.subject)

    def _key(self, before: Credential | None, after: Credential) -> None:
        entry = after.entry
        if before is None:
            keys.take_over_key(
                self._session,
                self._get(Consumer, "consumer", after.team, after.consumer),
                public_id=entry.id,
                sha256=bytes.fromhex(entry.sha256),
                kind=KeyKind(entry.kind),
                label=entry.label,
                expires_at=entry.expires_at,
                revoked_at=entry.revoked_at,
                restrictions=self._restrictions(after),
            )
            return
        if (before.entry.sha256, before.entry.kind) != (entry.sha256, entry.kind):
            raise Invalid({"sha256": f"The key pco_{entry.id}_… is another one here. Issue a new key instead."})
        if before.entry.revoked_at is not None and entry.revoked_at is None:
            raise Invalid({"revoked_at": _revoked(entry.id, before.entry.revoked_at)})
        row = self._row_of(before)
        keys.change_key(self._session, row, label=entry.label, expires_at=row.expires_at)
        keys.set_expiry(self._session, row, entry.expires_at)
        keys.set_restrictions(self._session, row, self._restrictions(after))
        if entry.revoked_at is not None:
            keys.revoke(self._session, row, at=entry.revoked_at)

    def _lineage(self, before: Credential | None, after: Credential) -> None:
        entry, row = after.entry, self._row_of(after)
        if entry.follows is not None:
            theirs = select(Key).where(Key.public_id == entry.follows, Key.consumer_id == row.consumer_id)
            predecessor = self._session.scalar(theirs)
            if predecessor is None:
                raise _NotThere(f"There is no key pco_{entry.follows}_… of {after.team}/{after.consumer}.")
            rotation.follow(self._session, row, predecessor)
        keys.set_expiry(self._session, row, entry.expires_at)
        if entry.unrotated_expires_at is not None:
            instant = entry.unrotated_expires_at
            row.unrotated_expires_at = None if isinstance(instant, str) else instant
        elif before is None:
            row.unrotated_expires_at = entry.expires_at

    def _restrictions(self, key: Credential) -> Restrictions:
        consumer = self._ids[("consumer", key.team, key.consumer)]
        entry, chosen = key.entry, set()
        for label in entry.apis or ():
            use = subscriptions.current_subscription(
                self._session, consumer, self._get(Api, "api", *label.split("/")).id
            )
            chosen |= {use.id} if use is not None else set()
        if entry.apis is not None and not chosen:
            chosen = {keys.NO_SUBSCRIPTION}
        return Restrictions(
            entry.read_only,
            entry.addresses,
            frozenset(chosen),
            frozenset(
                (self._get(Api, "api", *each.api.split("/")).id, each.method, each.path) for each in entry.operations
            ),
        )

    def _end(self, before: Use, _after: None) -> None:
        subscriptions.end_subscription(self._session, self._current(before))

    def _revoke(self, before: Credential, _after: None) -> None:
        keys.revoke(self._session, self._row_of(before))

    def _delete_category(self, before: CategoryEntry, _after: None) -> None:
        categories.delete_category(self._session, self._get(Category, *before.identity))

    def _delete_consumer(self, before: ConsumerEntry, _after: None) -> None:
        consumers.delete_consumer(self._session, self._get(Consumer, *before.identity))

    def _delete_api(self, before: ApiEntry, _after: None) -> None:
        for loss in apis.delete_api(self._session, self._get(Api, *before.identity)):
            # One letter a team, however many APIs go.
            self._lost.setdefault(loss.team.id, Loss(loss.team, [])).uses.extend(loss.uses)

    def _delete_plan(self, before: PlanEntry, _after: None) -> None:
        plans.delete_plan(self._session, self._get(Plan, *before.identity))

    def _current(self, use: Use) -> Subscription:
        consumer = self._ids[("consumer", use.team, use.consumer)]
        found = subscriptions.current_subscription(
            self._session, consumer, self._ids[("api", *use.entry.api.split("/"))]
        )
        if found is None:
            raise _NotThere(f"There is no subscription of {use.team}/{use.consumer} to {use.entry.api}.")
        return found

    def _row_of(self, key: Credential) -> Key:
        row = self._session.scalar(select(Key).where(Key.public_id == key.entry.id))
        if row is None:
            raise _NotThere(f"There is no key pco_{key.entry.id}_….")
        return row


def _revoked(key: str, at: datetime) -> str:
    return (
        f"The key pco_{key}_… was revoked at {at:%Y-%m-%d %H:%M} UTC, and a revoked key does not come back. "
        "Take it out of the file."
    )


def _require_typed(name: str, document: Document) -> None:
    """What a file brings is held to as much as what somebody types."""
    try:
        read_document(document.as_json(), typed=True)
    except Invalid as error:
        raise Invalid({f"{name}.{where}": words for where, words in error.fields.items()}) from None
