"""What the catalogue shows of one API: its versions, who uses it, where words were found in it."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, defer, joinedload

from portal.accounts.models import Membership, Person
from portal.registry.models import APPLICATION, CURRENT, IN_USE, Api, CatalogueEntry, Consumer, Subscription
from portal.registry.search import FoundOperation, operations_found, rows_of

Group = tuple[int, str]
"""The versions of one API: the number of its team, and its slug."""


@dataclass(frozen=True, slots=True)
class Version:
    api: Api
    title: str
    """The name that is live."""
    summary: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """One API: its newest published version that fits, and the other versions that the person may see."""

    head: Version
    others: tuple[Version, ...]
    consumers: int
    """That use any of these versions now."""
    own: tuple[Consumer, ...]
    """Those among them that belong to the person's teams."""
    operations: tuple[FoundOperation, ...]
    """Where the words were found, at most three."""
    is_public: bool = False
    """Whether `head` is called without a key."""


def cards_of(
    session: Session,
    person: Person | None,
    sees: ColumnElement[bool],
    shown: Sequence[tuple[Group, int]],
    asked: Sequence[str],
    *,
    retired: bool,
) -> list[Card]:
    """In the order of `shown`, each of which names the number of its newest version that fits.

    `sees` is what the person may see, `asked` the words (`folding.words_asked`), `retired` says whether other versions
    stand on the cards that are retired.
    """
    if not shown:
        return []
    versions = _versions(session, sees, [group for group, _head in shown], retired)
    # On PostgreSQL, one may have gone since it was counted.
    found = [
        (head, digest, versions[group])
        for group, number in shown
        for head, digest in versions[group]
        if head.api.id == number
    ]
    numbers = [version.api.id for its in versions.values() for version, _digest in its]
    using = _using(session, numbers)
    own = _own(session, person, numbers)
    public = _public(session, numbers)
    operations = operations_found(session, {digest for _head, digest, _its in found if digest}, asked)
    return [
        Card(
            head,
            tuple(version for version, _digest in its if version is not head),
            len(set().union(*(using[version.api.id] for version, _digest in its))),
            tuple({one.id: one for version, _digest in its for one in own[version.api.id]}.values()),
            tuple(operations.get(digest or "", ())),
            head.api.id in public,
        )
        for head, digest, its in found
    ]


def _versions(
    session: Session, sees: ColumnElement[bool], groups: Collection[Group], retired: bool
) -> dict[Group, list[tuple[Version, str | None]]]:
    """All versions that the person may see, the newest first, with the hash of their OpenAPI documents."""
    chosen = (
        select(Api, CatalogueEntry)
        .join(CatalogueEntry, CatalogueEntry.api_id == Api.id)
        .where(sees, Api.team_id.in_({team for team, _ in groups}), Api.slug.in_({slug for _, slug in groups}))
        .options(defer(Api.draft), joinedload(Api.team), joinedload(Api.category))
        .order_by(CatalogueEntry.since.desc(), Api.id.desc())
    )
    if not retired:
        chosen = chosen.where(Api.retired_at.is_(None))
    found: dict[Group, list[tuple[Version, str | None]]] = defaultdict(list)
    for api, entry in session.execute(chosen):
        tags = tuple(filter(None, entry.tags.split("\n")))
        found[api.team_id, api.slug].append((Version(api, entry.title, entry.summary, tags), entry.openapi))
    return found


def _using(session: Session, numbers: Collection[int]) -> dict[int, set[int]]:
    found: dict[int, set[int]] = defaultdict(set)
    everyone = select(Consumer.id).where(Consumer.everyone)
    chosen = select(Subscription.api_id, Subscription.consumer_id).where(
        Subscription.api_id.in_(numbers), IN_USE, Subscription.consumer_id.not_in(everyone)
    )
    for api_id, consumer_id in rows_of(session, chosen):
        found[api_id].add(consumer_id)
    return found


def _public(session: Session, numbers: Collection[int]) -> set[int]:
    everyone = select(Consumer.id).where(Consumer.everyone)
    chosen = select(Subscription.api_id).where(
        Subscription.consumer_id.in_(everyone), CURRENT, Subscription.api_id.in_(numbers)
    )
    return set(session.scalars(chosen))


def _own(session: Session, person: Person | None, numbers: Collection[int]) -> dict[int, list[Consumer]]:
    """Consumers of the person's teams that use these APIs now."""
    found: dict[int, list[Consumer]] = defaultdict(list)
    if person is None:
        return found
    teams = select(Membership.team_id).where(Membership.person_id == person.id)
    rows = session.execute(
        select(Subscription.api_id, Consumer)
        .join(Consumer, Consumer.id == Subscription.consumer_id)
        .where(Subscription.api_id.in_(numbers), IN_USE, Consumer.team_id.in_(teams), APPLICATION)
        .options(joinedload(Consumer.team))
        .order_by(func.lower(Consumer.name), Consumer.id)
    )
    for api_id, consumer in rows:
        found[api_id].append(consumer)
    return found
