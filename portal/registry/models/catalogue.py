"""What published APIs are found by. Made from releases, and made anew from them at any time (`indexing.py`)."""

from datetime import datetime

from sqlalchemy import DDL, ForeignKey, Index, String, Text, event
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base, UTCDateTime


class CatalogueEntry(Base):
    """What a list shows of an API that is live, so that no page of thousands reads their documents.

    The words that it is found by stand in `words` on PostgreSQL, and in the FTS5 table `catalogue_word` on SQLite.
    """

    __tablename__ = "catalogue_entry"

    api_id: Mapped[int] = mapped_column(ForeignKey("api.id", ondelete="CASCADE"), primary_key=True, autoincrement=False)
    release_id: Mapped[int]
    """The live release that this was made from."""
    made_by: Mapped[int]
    """`folding.MADE_BY` then."""
    title: Mapped[str] = mapped_column(String(80))
    summary: Mapped[str] = mapped_column(Text)
    """The first sentence of the description, as plain text."""
    tags: Mapped[str] = mapped_column(Text)
    """One on each line."""
    since: Mapped[datetime] = mapped_column(UTCDateTime)
    """When it was first published."""
    openapi: Mapped[str | None] = mapped_column(String(64))
    words: Mapped[str | None] = mapped_column(Text().with_variant(TSVECTOR(), "postgresql"), deferred=True)

    __table_args__ = (Index("ix__catalogue_entry__words", "words", postgresql_using="gin"),)


class CatalogueOperation(Base):
    """The words of one operation of an OpenAPI document that is or was published."""

    __tablename__ = "catalogue_operation"

    sha256: Mapped[str] = mapped_column(ForeignKey("openapi_document.sha256", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    words: Mapped[str] = mapped_column(Text)
    """With a space before each, so that a word's beginning is told from its middle."""

    __table_args__ = ({"sqlite_with_rowid": False},)


WORDS = "catalogue_word"
# Words come folded and cut by us: this tokenizer only splits at spaces. No statistics are kept, because ranking by
# them would let the order of what one sees depend on what one may not see.
for moment, statement in (
    (
        "after_create",
        f"CREATE VIRTUAL TABLE {WORDS} USING fts5(name, labels, text, operations, "
        "tokenize='ascii', detail='column', columnsize=0, prefix='1 2 3 4')",
    ),
    (
        "after_create",
        f"CREATE TRIGGER {WORDS}_goes AFTER DELETE ON catalogue_entry "
        f"BEGIN DELETE FROM {WORDS} WHERE rowid = old.api_id; END",
    ),
    ("before_drop", f"DROP TABLE IF EXISTS {WORDS}"),
):
    made = DDL(statement)  # type: ignore[no-untyped-call]
    event.listen(CatalogueEntry.__table__, moment, made.execute_if(dialect="sqlite"))
