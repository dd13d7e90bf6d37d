"""The catalogue as one person sees it: which published APIs, in which order, on which shelves.

What the person may not see is left out first, before anything is counted, sorted or offered as a filter. Everything
that is decided about thousands is decided from one narrow row each (`CatalogueEntry`); only what a page shows is read
whole.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from portal.accounts.models import Person, Team
from portal.registry.cards import Card, Group, cards_of
from portal.registry.folding import words_asked
from portal.registry.models import IN_USE, Api, CatalogueEntry, Category, Consumer, Subscription
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
    following: "After | None" = None
    """Where the next look goes on; None when this was all."""
    is_empty: bool = False
    """Nothing is published that the person may see, whatever they ask for."""
    is_behind: bool = False
    """Of what the person may see, not all is in the index yet, as after an upgrade; asked where nothing, or everything,
    is looked for and found."""


After = tuple[Group, int]
"""The last API that was seen, and how many were seen with it: those count when it is gone by then."""

_Row = tuple[int, int, str, str, str, int | None]
"""What is known of each of thousands, as the database gives it: the API's number, its team's, its slug, its live name,
its tags one on each line, its category's number."""

_Key = Callable[[Sequence[Group]], dict[Group, Any]]
"""What groups are sorted by, for all of some at once."""


def look(
    session: Session, person: Person | None, wish: Wish, *, page: int = 1, size: int = 24, after: After | None = None
) -> Seen:
    """What `person` sees of the catalogue; None is somebody who has not signed in.

    `after` instead of `page` goes on behind what was seen, whatever was published or has gone since.
    """
    sees = visible_to(person) & Api.live_release_id.is_not(None)
    asked = words_asked(wish.q)
    places = places_of(session, asked) if wish.q else None
    rows = _rows(session, sees, places, retired=wish.retired)
    team = session.scalar(select(Team).where(Team.slug == wish.team)) if wish.team else None
    if wish.team:
        rows = [row for row in rows if team is not None and row[1] == team.id]
    if wish.tags:
        wanted = {tag.lower() for tag in wish.tags}
        rows = [row for row in rows if wanted <= _lower_tags(row)]
    shelves = _shelves(session, rows)
    if wish.category:
        number = next((each.category.id for each in shelves if each.category.slug == wish.category), -1)
        rows = [row for row in rows if row[5] == number]
    groups: dict[Group, list[_Row]] = defaultdict(list)
    for row in rows:
        groups[row[1:3]].append(row)
    pages = max(1, -(-len(groups) // size))
    page = min(max(page, 1), pages)
    first = _first(session, wish.order, groups, places or {}, most=len(groups) if after else page * size)
    start = (page - 1) * size
    if after is not None:
        last, seen_so_far = after
        start = first.index(last) + 1 if last in groups else min(seen_so_far, len(first))
    shown = [(group, groups[group][0][0]) for group in first[start : start + size]]
    end = start + len(shown)
    return Seen(
        cards_of(session, person, sees, shown, asked, retired=wish.retired),
        len(groups),
        page,
        pages,
        shelves,
        _tags(groups, wish.tags),
        team if rows else None,
        (shown[-1][0], end) if shown and end < len(groups) else None,
        is_empty=not rows and session.scalar(select(Api.id).where(sees).limit(1)) is None,
        is_behind=(not rows or wish == Wish()) and _is_behind(session, sees),
    )


def _is_behind(session: Session, sees: ColumnElement[bool]) -> bool:
    entry = CatalogueEntry
    missing = select(Api.id).outerjoin(entry, entry.api_id == Api.id).where(sees, entry.api_id.is_(None)).limit(1)
    return session.scalar(missing) is not None


def _rows(session: Session, sees: ColumnElement[bool], places: dict[int, int] | None, *, retired: bool) -> list[_Row]:
    """The newest first."""
    if places is not None and not places:
        return []
    entry = CatalogueEntry
    chosen = (
        select(Api.id, Api.team_id, Api.slug, entry.title, entry.tags, Api.category_id)
        .join(entry, entry.api_id == Api.id)
        .where(sees)
        .order_by(entry.since.desc(), Api.id.desc())
    )
    if not retired:
        chosen = chosen.where(Api.retired_at.is_(None))
    if places is None:
        return rows_of(session, chosen)
    if len(places) <= _FEW:
        return rows_of(session, chosen.where(Api.id.in_(places)))
    return [row for row in rows_of(session, chosen) if row[0] in places]


def _shelves(session: Session, rows: Sequence[_Row]) -> list[Shelf]:
    """Categories that have something, in their order."""
    counts = Counter(number for number, _group in {(row[5], row[1:3]) for row in rows if row[5]})
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
        for tag in (tag for row in rows for tag in row[4].split("\n") if tag.lower() in missing):
            spelled[tag.lower()] = tag
            missing.discard(tag.lower())
    return [(spelled[tag], count) for tag, count in found]


def _lower_tags(row: _Row) -> set[str]:
    return set(row[4].lower().split("\n"))


def _first(
    session: Session, by: str, groups: dict[Group, list[_Row]], places: dict[int, int], most: int
) -> list[Group]:
    """The first so many groups in this order. What decides among equals is looked at only where it decides."""

    def place(some: Sequence[Group]) -> dict[Group, Any]:
        return {group: min([places[row[0]] for row in groups[group]]) for group in some}

    def use(some: Sequence[Group]) -> dict[Group, Any]:
        uses = _uses(session, [row[0] for group in some for row in groups[group]])
        return {group: -sum([uses.get(row[0], 0) for row in groups[group]]) for group in some}

    def name(some: Sequence[Group]) -> dict[Group, Any]:
        return {group: (groups[group][0][3].casefold(), group[1], group[0]) for group in some}

    if by == "newest":
        return list(groups)[:most]  # as the rows came
    return _best(list(groups), {"name": [name], "used": [use, name]}.get(by, [place, use, name]), most)


def _best(groups: Sequence[Group], keys: Sequence[_Key], most: int) -> list[Group]:
    value = keys[0](groups)
    if len(keys) == 1:
        return sorted(groups, key=value.__getitem__)[:most]
    equals: dict[Any, list[Group]] = defaultdict(list)
    for group in groups:
        equals[value[group]].append(group)
    found: list[Group] = []
    for each in sorted(equals):
        if len(found) < most:
            found += _best(equals[each], keys[1:], most - len(found))
    return found


def _uses(session: Session, numbers: Collection[int]) -> dict[int, int]:
    """How many consumers use each API now; APIs that nobody uses are left out."""
    # Asked of the few that stand for everyone first: a join with all consumers would be paid by each look.
    everyone = select(Consumer.id).where(Consumer.everyone)
    chosen = (
        select(Subscription.api_id, func.count())
        .where(IN_USE, Subscription.consumer_id.not_in(everyone))
        .group_by(Subscription.api_id)
    )
    if len(numbers) <= _FEW:
        chosen = chosen.where(Subscription.api_id.in_(numbers))
    return dict(rows_of(session, chosen))
