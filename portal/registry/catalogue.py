"""The catalogue as one person sees it: which published APIs, in which order, on which shelves.

What the person may not see is left out first, before anything is counted, sorted or offered as a filter. Everything
that is decided about thousands is decided from one narrow row each (`CatalogueEntry`); only what a page shows is read
whole.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from portal.accounts.models import Person, Team
from portal.registry.cards import CURRENT, Card, Group, cards_of
from portal.registry.folding import words_asked
from portal.registry.models import Api, CatalogueEntry, Category, Subscription
from portal.registry.search import places_of, rows_of
from portal.registry.visibility import visible_to

SORTS = ("relevance", "name", "newest", "used")
OFFERED_TAGS = 12
_FEW = 500
"""So many numbers are named in a statement; of more, all rows are read."""


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


class _Row(NamedTuple):
    """What is known of each of thousands. A tuple, because it is made so often."""

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
        rows = [row for row in rows if wanted <= _lower_tags(row)]
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
    shown = [(group, groups[group][0].id) for group in order[(page - 1) * size : page * size]]
    return Seen(
        cards_of(session, person, sees, shown, asked, retired=wish.retired),
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
    found = rows_of(session, chosen)
    return [
        _Row(id, (team_id, slug), title, tags, category_id, bool(is_retired), age, places[id] if places else 0)
        for age, (id, team_id, slug, title, tags, category_id, is_retired) in enumerate(found)
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
    counts: Counter[str] = Counter()
    for rows in groups.values():
        counts.update(_lower_tags(rows[0]) if len(rows) == 1 else set().union(*map(_lower_tags, rows)))
    for tag in ("", *without):
        counts.pop(tag.lower(), None)
    found = sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:OFFERED_TAGS]
    spelled = dict.fromkeys((tag for tag, _count in found), "")
    missing = set(spelled)
    for rows in groups.values():
        if not missing:
            break
        for tag in (tag for row in rows for tag in row.tags.split("\n") if tag.lower() in missing):
            spelled[tag.lower()] = tag
            missing.discard(tag.lower())
    return [(spelled[tag], count) for tag, count in found]


def _lower_tags(row: _Row) -> set[str]:
    return set(row.tags.lower().split("\n"))


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
    chosen = select(Subscription.api_id, func.count()).where(CURRENT).group_by(Subscription.api_id)
    if len(numbers) <= _FEW:
        chosen = chosen.where(Subscription.api_id.in_(numbers))
    return dict(rows_of(session, chosen))
