"""The index of what is live: kept in step, and put right where it is not.

Whatever changes what an API is found by - it goes live or away, its category, the name of its team - is noticed where
it is written, and the index follows in the same transaction; where it is hundreds at once, the worker follows.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    bindparam,
    cast,
    column,
    delete,
    event,
    func,
    insert,
    inspect,
    or_,
    select,
    table,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Session, aliased

from portal.accounts.models import Team
from portal.registry.folding import MADE_BY, words_of
from portal.registry.models import Api, CatalogueEntry, CatalogueOperation, Category, Operation, Release
from portal.registry.models.catalogue import WORDS
from portal.registry.sentences import first_sentence

COLUMNS = ("name", "labels", "text", "operations")
"""Of the index, the weightiest first."""
_MOST_BYTES = 600_000
"""Of one API's words: PostgreSQL keeps a megabyte of them, with their places (manual, 12.11)."""
_AT_ONCE = 500
_MOST_INLINE = 300
"""APIs that are indexed anew in the transaction that changes them. Of more, the worker takes care (`mend`)."""
_WATCHED: dict[type, tuple[str, ...]] = {
    Api: ("live_release_id", "live_release", "category_id", "category"),
    Team: ("name",),
    Category: ("name",),
}


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


def outdate(session: Session) -> None:
    """Have `mend` index everything anew. Until then what was indexed before is found."""
    session.execute(update(CatalogueEntry).values(made_by=0))


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
    if len(changed) > _MOST_INLINE:
        # A team of thousands has another name: whoever saves it, and all who wait for them, would wait for seconds.
        outdated = update(CatalogueEntry).where(CatalogueEntry.api_id.in_(changed)).values(made_by=0)
        session.connection().execute(outdated)
    elif changed:
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
