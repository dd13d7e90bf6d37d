"""What the catalogue is searched by: in which APIs words are found, and where in them.

There is one way to look on either database: words are cut and folded by us (`folding.py`), put into the index so
(`indexing.py`), and compared as beginnings of words.

Where a word was found decides the order, never how often it occurs elsewhere: frequencies would tell of APIs that the
person may not see.
"""

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Integer, Select, and_, case, cast, func, literal, literal_column, select, table, text
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.orm import Session

from portal.registry.indexing import COLUMNS
from portal.registry.models import CatalogueEntry, CatalogueOperation, Operation
from portal.registry.models.catalogue import WORDS

_PLACES = ((COLUMNS[:1], True), (COLUMNS[:1], False), (COLUMNS[:2], False), (COLUMNS[:3], False), (COLUMNS, False))
"""Where all words are found, the best first; whether whole, or only as beginnings."""


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
        rows = [number for (number,) in rows_of(session, ask(asked, place))]
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
    rows = session.connection().execute(
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


def rows_of(session: Session, chosen: Any) -> list[Any]:
    """As the driver gives them, which for numbers and texts is all that is needed: thousands of SQLAlchemy's own rows
    keep Python's garbage collector busy for longer than the database."""
    result = session.connection().execute(chosen)
    with contextlib.closing(result):
        return list(result.cursor.fetchall())


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
