"""The catalogue as one person sees it: which published APIs, in which order, on which shelves.

What the person may not see is left out first, before anything is counted, sorted or offered as a filter. Everything
that is decided about thousands is decided from one narrow row each (`CatalogueEntry`); only what a page shows is read
whole.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, defer, joinedload

from portal.accounts.models import Membership, Person, Team
from portal.registry.folding import words_asked
from portal.registry.models import Api, CatalogueEntry, Category, Consumer, Subscription, SubscriptionState
from portal.registry.search import FoundOperation, operations_found, places_of
from portal.registry.visibility import visible_to

SORTS = ("relevance", "name", "newest", "used")
OFFERED_TAGS = 24
_FEW = 500
"""So many numbers are named in a statement; of more, all rows are read."""

Group = tuple[int, str]
"""The versions of one API: the number of its team, and its slug."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody looks for. Empty fields ask for everything."""

    q: str = ""
    category: str = ""
    """Its slug."""
    tags: tuple[str, ...] = ()
    """All of them; upper and lower case are the same."""
    team: str = ""
    """Its slug."""
    retired: bool = False
    """Also what is retired."""
    sort: str = ""
    """One of SORTS; '' is by relevance when words are looked for, and by name otherwise."""

    @property
    def order(self) -> str:
        return (
            self.sort
            if self.sort in SORTS and (self.q or self.sort != "relevance")
            else "relevance"
            if self.q
            else "name"
        )


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


@dataclass(frozen=True, slots=True)
class Shelf:
    category: Category
    count: int
    """Of APIs that fit everything else that was asked for."""


@dataclass(frozen=True, slots=True)
class Seen:
    cards: list[Card]
    count: int
    """APIs on all pages; the versions of one API count once."""
    page: int
    """From 1; the last one where a later one was asked for."""
    pages: int
    shelves: list[Shelf] = field(default_factory=list)
    tags: list[tuple[str, int]] = field(default_factory=list)
    """What else these APIs are tagged with, and how many of them; the most frequent first."""
    team: Team | None = None
    """Whose APIs were asked for; None also for a team of which the person may see nothing here."""
    is_empty: bool = False
    """Nothing is published that the person may see, whatever they ask for."""


@dataclass(frozen=True, slots=True)
class _Row:
    id: int
    group: Group
    title: str
    tags: str
    category_id: int | None
    is_retired: bool
    age: int
    """0 is the newest."""
    place: int
    """Where the words were found, 0 is best."""


def look(session: Session, person: Person | None, wish: Wish, *, page: int = 1, size: int = 24) -> Seen:
    """What `person` sees of the catalogue; None is somebody who has not signed in."""
    sees = visible_to(person) & Api.live_release_id.is_not(None)
    asked = words_asked(wish.q)
    places = places_of(session, asked) if wish.q else None
    rows = _rows(session, sees, places)
    if not wish.retired:
        rows = [row for row in rows if not row.is_retired]
    team = session.scalar(select(Team).where(Team.slug == wish.team)) if wish.team else None
    if wish.team:
        rows = [row for row in rows if team is not None and row.group[0] == team.id]
    if wish.tags:
        wanted = {tag.lower() for tag in wish.tags}
        rows = [row for row in rows if wanted <= set(row.tags.lower().split("\n"))]
    shelves = _shelves(session, rows)
    if wish.category:
        number = next((each.category.id for each in shelves if each.category.slug == wish.category), -1)
        rows = [row for row in rows if row.category_id == number]
    groups: dict[Group, list[_Row]] = defaultdict(list)
    for row in rows:
        groups[row.group].append(row)
    order = _order(session, wish.order, groups)
    pages = max(1, -(-len(order) // size))
    page = min(max(page, 1), pages)
    shown = [groups[group] for group in order[(page - 1) * size : page * size]]
    return Seen(
        _cards(session, person, sees, shown, asked, wish.retired),
        len(order),
        page,
        pages,
        shelves,
        _tags(groups, wish.tags),
        team if rows else None,
        is_empty=not rows and session.scalar(select(Api.id).where(sees).limit(1)) is None,
    )


def _rows(session: Session, sees: ColumnElement[bool], places: dict[int, int] | None) -> list[_Row]:
    """The newest first."""
    if places is not None and not places:
        return []
    entry = CatalogueEntry
    chosen = (
        select(
            Api.id,
            Api.team_id,
            Api.slug,
            entry.title,
            entry.tags,
            Api.category_id,
            Api.retired_at.is_not(None).label("is_retired"),
        )
        .join(entry, entry.api_id == Api.id)
        .where(sees)
        .order_by(entry.since.desc(), Api.id.desc())
    )
    if places is not None and len(places) <= _FEW:
        chosen = chosen.where(Api.id.in_(places))
    return [
        _Row(id, (team_id, slug), title, tags, category_id, is_retired, age, places[id] if places else 0)
        for age, (id, team_id, slug, title, tags, category_id, is_retired) in enumerate(session.execute(chosen))
        if places is None or id in places
    ]


def _shelves(session: Session, rows: Sequence[_Row]) -> list[Shelf]:
    """Categories that have something, in their order."""
    counts = Counter(number for number, _group in {(row.category_id, row.group) for row in rows if row.category_id})
    if not counts:
        return []
    chosen = select(Category).where(Category.id.in_(counts)).order_by(Category.position, func.lower(Category.name))
    return [Shelf(category, counts[category.id]) for category in session.scalars(chosen)]


def _tags(groups: dict[Group, list[_Row]], without: Collection[str]) -> list[tuple[str, int]]:
    spelled: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for rows in groups.values():
        its: set[str] = set()
        for row in rows:
            if row.tags:
                for tag in row.tags.split("\n"):
                    spelled.setdefault(tag.lower(), tag)
                    its.add(tag.lower())
        counts.update(its)
    for tag in without:
        counts.pop(tag.lower(), None)
    found = sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:OFFERED_TAGS]
    return [(spelled[tag], count) for tag, count in found]


def _order(session: Session, by: str, groups: dict[Group, list[_Row]]) -> list[Group]:
    name = {group: (rows[0].title.casefold(), group[1], group[0]) for group, rows in groups.items()}
    if by == "name":
        return sorted(groups, key=lambda group: name[group])
    if by == "newest":
        return sorted(groups, key=lambda group: min(row.age for row in groups[group]))
    uses = _uses(session, [row.id for rows in groups.values() for row in rows])
    used = {group: -sum(uses.get(row.id, 0) for row in rows) for group, rows in groups.items()}
    if by == "used":
        return sorted(groups, key=lambda group: (used[group], name[group]))
    place = {group: min(row.place for row in rows) for group, rows in groups.items()}
    return sorted(groups, key=lambda group: (place[group], used[group], name[group]))


def _uses(session: Session, numbers: Collection[int]) -> dict[int, int]:
    """How many consumers use each API now; APIs that nobody uses are left out."""
    chosen = (
        select(Subscription.api_id, func.count())
        .where(Subscription.state != SubscriptionState.ENDED)
        .group_by(Subscription.api_id)
    )
    if len(numbers) <= _FEW:
        chosen = chosen.where(Subscription.api_id.in_(numbers))
    return {number: count for number, count in session.execute(chosen)}


def _cards(
    session: Session,
    person: Person | None,
    sees: ColumnElement[bool],
    shown: Sequence[Sequence[_Row]],
    asked: Sequence[str],
    retired: bool,
) -> list[Card]:
    if not shown:
        return []
    versions = _versions(session, sees, [rows[0].group for rows in shown], retired)
    heads = [next(each for each in versions[rows[0].group] if each[0].api.id == rows[0].id) for rows in shown]
    numbers = [version.api.id for its in versions.values() for version, _digest in its]
    using = _using(session, numbers)
    own = _own(session, person, numbers)
    operations = operations_found(session, {digest for _head, digest in heads if digest}, asked)
    cards = []
    for rows, (head, digest) in zip(shown, heads, strict=True):
        its = [version for version, _digest in versions[rows[0].group]]
        cards.append(
            Card(
                head,
                tuple(version for version in its if version is not head),
                len(set().union(*(using[version.api.id] for version in its))),
                tuple({one.id: one for version in its for one in own[version.api.id]}.values()),
                tuple(operations.get(digest, ())) if digest else (),
            )
        )
    return cards


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
    current = Subscription.state != SubscriptionState.ENDED
    rows: Any = session.execute(
        select(Subscription.api_id, Subscription.consumer_id).where(Subscription.api_id.in_(numbers), current)
    )
    for api_id, consumer_id in rows:
        found[api_id].add(consumer_id)
    return found


def _own(session: Session, person: Person | None, numbers: Collection[int]) -> dict[int, list[Consumer]]:
    """Consumers of the person's teams that use these APIs now."""
    found: dict[int, list[Consumer]] = defaultdict(list)
    if person is None:
        return found
    teams = select(Membership.team_id).where(Membership.person_id == person.id)
    rows = session.execute(
        select(Subscription.api_id, Consumer)
        .join(Consumer, Consumer.id == Subscription.consumer_id)
        .where(
            Subscription.api_id.in_(numbers), Subscription.state != SubscriptionState.ENDED, Consumer.team_id.in_(teams)
        )
        .options(joinedload(Consumer.team))
        .order_by(func.lower(Consumer.name), Consumer.id)
    )
    for api_id, consumer in rows:
        found[api_id].append(consumer)
    return found
