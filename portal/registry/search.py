"""The index behind the catalogue's search: kept in step with what is live, asked for what words are found in.

Whatever changes what an API is found by - it goes live or away, its category, the name of its team - is noticed where
it is written, and the index follows in the same transaction. There is one way to look on either database: words are cut
and folded by us (`folding.py`), and compared as beginnings of words.

Where a word was found decides the order, never how often it occurs elsewhere: frequencies would tell of APIs that the
person may not see.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    cast,
    column,
    delete,
    event,
    func,
    insert,
    inspect,
    literal,
    literal_column,
    or_,
    select,
    table,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR
from sqlalchemy.orm import Session, aliased

from portal.accounts.models import Team
from portal.registry.folding import MADE_BY, words_of
from portal.registry.models import Api, CatalogueEntry, CatalogueOperation, Category, Operation, Release
from portal.registry.models.catalogue import WORDS
from portal.registry.sentences import first_sentence

COLUMNS = ("name", "labels", "text", "operations")
"""Of the index, the weightiest first."""
_PLACES = ((COLUMNS[:1], True), (COLUMNS[:1], False), (COLUMNS[:2], False), (COLUMNS[:3], False), (COLUMNS, False))
"""Where all words are found, the best first; whether whole, or only as beginnings."""
_MOST_BYTES = 600_000
"""Of one API's words: PostgreSQL keeps a megabyte of them, with their places (manual, 12.11)."""
_AT_ONCE = 500
_WATCHED: dict[type, tuple[str, ...]] = {
    Api: ("live_release_id", "live_release", "category_id", "category"),
    Team: ("name",),
    Category: ("name",),
}


@dataclass(frozen=True, slots=True)
class FoundOperation:
    name: str
    method: str
    path: str
    summary: str
    deprecated: bool


def places_of(session: Session, asked: Sequence[str]) -> dict[int, int]:
    """The live APIs in which each of the words (`folding.words_asked`) is found: number -> place, the best is 0.

    Of all of them, whoever asks: leave out what the person may not see before anything is counted or cut off.
    """
    if not asked:
        return {}
    ask = _ask_postgres if session.get_bind().dialect.name == "postgresql" else _ask_sqlite
    found: dict[int, int] = {}
    for place in reversed(range(len(_PLACES))):
        rows = [number for (number,) in session.execute(ask(asked, place))]
        if not rows and place == len(_PLACES) - 1:
            return {}
        found.update(dict.fromkeys(rows, place))
    return found


def operations_found(
    session: Session, digests: Collection[str], asked: Sequence[str], most: int = 3
) -> dict[str, list[FoundOperation]]:
    """The operations of each OpenAPI document in which most of the words are found, in the document's order."""
    if not digests or not asked:
        return {}
    its = CatalogueOperation
    score: Any = sum((case((its.words.like(f"% {word}%"), 1), else_=0) for word in asked), literal(0))
    scored = select(its.sha256, its.position, score.label("score")).where(its.sha256.in_(digests)).subquery()
    ranked = (
        select(
            scored,
            func.row_number()
            .over(partition_by=scored.c.sha256, order_by=(scored.c.score.desc(), scored.c.position))
            .label("n"),
        )
        .where(scored.c.score > 0)
        .subquery()
    )
    rows = session.execute(
        select(
            ranked.c.sha256,
            ranked.c.score,
            Operation.name,
            Operation.method,
            Operation.path,
            Operation.summary,
            Operation.deprecated,
        )
        .join(Operation, and_(Operation.sha256 == ranked.c.sha256, Operation.position == ranked.c.position))
        .where(ranked.c.n <= most)
        .order_by(ranked.c.sha256, ranked.c.n)
    )
    found: dict[str, list[FoundOperation]] = {}
    best: dict[str, int] = {}
    for digest, points, *operation in rows:
        if best.setdefault(digest, points) == points:
            found.setdefault(digest, []).append(FoundOperation(*operation))
    return found


def mend(session: Session, *, most: int = _AT_ONCE) -> int:
    """Index what is live and is not as this release would index it, at most so many; how many there were.

    For what came in behind the session's back: a database of an older release, rows of a restore.
    """
    entry = CatalogueEntry
    stale = or_(entry.api_id.is_(None), entry.release_id != Api.live_release_id, entry.made_by != MADE_BY)
    behind = select(Api.id).outerjoin(entry, entry.api_id == Api.id).where(Api.live_release_id.is_not(None), stale)
    gone = select(entry.api_id).join(Api, Api.id == entry.api_id).where(Api.live_release_id.is_(None))
    numbers = [
        number for chosen in (behind, gone) for number in session.scalars(chosen.order_by(column("id")).limit(most))
    ][:most]
    connection = session.connection()
    old = select(entry.openapi).where(entry.made_by != MADE_BY, entry.api_id.in_(numbers))
    if digests := {digest for digest in session.scalars(old) if digest}:
        connection.execute(delete(CatalogueOperation).where(CatalogueOperation.sha256.in_(digests)))
    _index(connection, numbers)
    return len(numbers)


def forget(session: Session) -> None:
    """Empty the index; `mend` fills it again."""
    session.execute(delete(CatalogueEntry))
    session.execute(delete(CatalogueOperation))


@event.listens_for(Session, "after_flush")
def _follow(session: Session, _context: Any) -> None:
    changed: set[int] = set()
    for thing in (*session.new, *session.dirty):
        watched = _WATCHED.get(type(thing))
        if watched is None or not any(inspect(thing).attrs[name].history.has_changes() for name in watched):
            continue
        if isinstance(thing, Api):
            changed.add(thing.id)
        elif thing not in session.new:
            theirs = Api.team_id if isinstance(thing, Team) else Api.category_id
            live = select(Api.id).where(theirs == thing.id, Api.live_release_id.is_not(None))
            changed |= set(session.connection().scalars(live))
    if changed:
        _index(session.connection(), sorted(changed))


def _index(connection: Connection, numbers: Sequence[int]) -> None:
    """Put these APIs into the index as they are now, or take them out."""
    for at in range(0, len(numbers), _AT_ONCE):
        some = numbers[at : at + _AT_ONCE]
        _leave(connection, some)
        for row in connection.execute(_published(some)).all():
            _enter(connection, row)


def _published(numbers: Sequence[int]) -> Select[Any]:
    earlier = aliased(Release)
    first = select(func.min(earlier.published_at)).where(earlier.api_id == Api.id).scalar_subquery()
    return (
        select(
            Api.id,
            Api.slug,
            Api.version,
            Api.live_release_id,
            Release.document,
            Team.slug.label("team_slug"),
            Team.name.label("team_name"),
            Category.name.label("category_name"),
            first.label("since"),
        )
        .join(Release, Release.id == Api.live_release_id)
        .join(Team, Team.id == Api.team_id)
        .outerjoin(Category, Category.id == Api.category_id)
        .where(Api.id.in_(numbers))
        .order_by(Api.id)
    )


def _leave(connection: Connection, numbers: Sequence[int]) -> None:
    connection.execute(delete(CatalogueEntry).where(CatalogueEntry.api_id.in_(numbers)))


def _enter(connection: Connection, row: Any) -> None:
    document = row.document
    name, description, tags = document["name"], document.get("description", ""), document.get("tags", [])
    words = (
        words_of(name, row.slug),
        words_of(*tags, row.category_name or "", row.team_name, row.team_slug, row.version),
        words_of(description),
        _of_operations(connection, document.get("openapi")),
    )
    values = {
        "api_id": row.id,
        "release_id": row.live_release_id,
        "made_by": MADE_BY,
        "title": name,
        "summary": first_sentence(description),
        "tags": "\n".join(tags),
        "since": row.since,
        "openapi": document.get("openapi"),
    }
    if connection.dialect.name == "postgresql":
        values["words"] = cast(bindparam("words", _vector(words)), TSVECTOR)
        adding = postgresql.insert(CatalogueEntry).values(values)
        # Somebody else may index the same API at the same moment.
        connection.execute(adding.on_conflict_do_update(index_elements=["api_id"], set_=dict(adding.excluded)))
        return
    connection.execute(sqlite.insert(CatalogueEntry).values(values))
    texts = dict(zip(COLUMNS, (" ".join(_bounded(some)) for some in words), strict=True))
    its = table(WORDS, column("rowid"), *map(column, COLUMNS))
    connection.execute(insert(its).values(rowid=row.id, **texts))


def _of_operations(connection: Connection, digest: str | None) -> Iterable[str]:
    """Each word once. The operations of a document are cut into words when it is published first."""
    if digest is None:
        return ()
    its = select(CatalogueOperation.words).where(CatalogueOperation.sha256 == digest)
    lines = list(connection.scalars(its))
    if not lines:
        chosen = (
            select(
                Operation.position, Operation.name, Operation.method, Operation.path, Operation.summary, Operation.tags
            )
            .where(Operation.sha256 == digest)
            .order_by(Operation.position)
        )
        rows = [
            {"sha256": digest, "position": row.position, "words": f" {' '.join(_of_operation(row))} "}
            for row in connection.execute(chosen)
        ]
        for at in range(0, len(rows), _AT_ONCE):
            connection.execute(insert(CatalogueOperation), rows[at : at + _AT_ONCE])
        lines = [row["words"] for row in rows]
    return dict.fromkeys(word for line in lines for word in line.split())


def _of_operation(row: Any) -> list[str]:
    return words_of(row.method, row.path, row.summary, row.name, *row.tags)


def _bounded(words: Iterable[str]) -> Iterator[str]:
    left = _MOST_BYTES
    for word in words:
        left -= len(word.encode()) + 8
        if left < 0:
            return
        yield word


def _vector(words: Sequence[Iterable[str]]) -> str:
    """As a tsvector is written: each word with one place for each column that has it, weighted A to D."""
    places: dict[str, list[str]] = {}
    for at, some in enumerate(words):
        for word in some:
            places.setdefault(word, []).append(f"{at + 1}{'ABCD'[at]}")
    return " ".join(f"'{word}':{','.join(places[word])}" for word in _bounded(places))


def _ask_sqlite(asked: Sequence[str], place: int) -> Select[Any]:
    where, whole = _PLACES[place]
    # A word is letters and digits; in quotes it is no operator of the query language.
    said = " AND ".join(f'"{word}"' if whole else f'"{word}" *' for word in asked)
    query = f"{{{' '.join(where)}}} : ({said})" if where != COLUMNS else said
    return (
        select(literal_column("rowid", Integer))
        .select_from(table(WORDS))
        .where(text(f"{WORDS} MATCH :words").bindparams(words=query))
    )


def _ask_postgres(asked: Sequence[str], place: int) -> Select[Any]:
    where, whole = _PLACES[place]
    marks = ("" if whole else "*") + ("ABCD"[: len(where)] if where != COLUMNS else "")
    query = " & ".join(f"'{word}'{':' if marks else ''}{marks}" for word in asked)
    return select(CatalogueEntry.api_id).where(CatalogueEntry.words.op("@@")(cast(query, TSQUERY)))
