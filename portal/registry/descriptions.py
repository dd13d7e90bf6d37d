"""OpenAPI documents, kept once by the hash of their bytes, with what was understood of them laid out for pages.

A document of 50 MB is read once. After that one operation is shown from a few small rows: itself, and the parts that
its references lead to.
"""

import secrets
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import bindparam, delete, func, insert, select
from sqlalchemy.orm import Session, undefer

from portal import openapi
from portal.openapi.loosely import object_of
from portal.openapi.references import Look, escaped, looking, name_of, operation_at, references_in, resolve
from portal.registry.models import OpenAPIDocument, OpenAPIPart, Operation

SCHEMAS = "/components/schemas/"
_MOST_WARNINGS = 500
_LARGE_PART = 20_000
"""Bytes of JSON. Of parts that are only listed, as a page lists a hundred, larger ones are not read."""
_AT_ONCE = 500
"""Rows of one statement."""
_FETCHED_AHEAD = 60
"""Parts that are read in a few large steps; whatever lies behind is read one by one, if it is asked for. Finding out
what a part refers to takes as long as reading it, so to read many that nobody asks for is no gain."""
_ONE_PART = select(OpenAPIPart.content).where(
    OpenAPIPart.sha256 == bindparam("digest"), OpenAPIPart.name == bindparam("part")
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a document as a whole. See `openapi.Description` for the meaning of each."""

    version: str
    title: str
    summary: str
    description: str
    api_version: str
    servers: tuple[str, ...]
    tags: tuple[openapi.Tag, ...]
    key: openapi.KeyScheme | None
    warnings: tuple[openapi.Warning, ...]
    """At most 500 of them."""
    warning_count: int

    @classmethod
    def of(cls, description: openapi.Description) -> "Facts":
        return cls(
            description.version,
            description.title,
            description.summary,
            description.description,
            description.api_version,
            description.servers,
            description.tags,
            description.key,
            description.warnings[:_MOST_WARNINGS],
            len(description.warnings),
        )


def digest_of(data: bytes) -> str:
    return sha256(data).hexdigest()


@dataclass(frozen=True, slots=True)
class Laid:
    """A document as rows, made before any transaction."""

    sha256: str
    packed: bytes
    size: int
    facts: dict[str, Any]
    """`Facts` as JSON."""
    operation_count: int
    operations: Iterable[dict[str, Any]]
    parts: Iterable[dict[str, Any]]


def lay_out(data: bytes, description: openapi.Description, packed: bytes | None = None) -> Laid:
    """The rows of operations and parts are made while they are asked for, once. `packed` are the bytes by zlib."""
    digest = digest_of(data)
    return Laid(
        sha256=digest,
        packed=zlib.compress(data, 6) if packed is None else packed,
        size=len(data),
        facts=asdict(Facts.of(description)),
        operation_count=len(description.operations),
        operations=_operations(digest, description, most=10 * len(data) + 10_000_000),
        parts=_parts(digest, description.tree, most=3 * len(data) + 1_000_000),
    )


def keep(session: Session, data: bytes, description: openapi.Description) -> OpenAPIDocument:
    """Store `data` and what it was understood as. What is stored already is left as it is.

    Reading takes seconds for a large document, so it is done before the transaction: `openapi.read(data)`.
    """
    return hold(session, digest_of(data)) or store(session, lay_out(data, description))


def hold(session: Session, digest: str) -> OpenAPIDocument | None:
    """The stored document, for somebody who is about to name it: until this transaction ends nobody sweeps it away.

    None where it is not stored, or not whole yet.
    """
    row = session.scalar(
        select(OpenAPIDocument).where(OpenAPIDocument.sha256 == digest).with_for_update(key_share=True)
    )
    if row is None or row.writer is not None:
        return None
    row.unnamed_since = None
    return row


def store(session: Session, laid: Laid) -> OpenAPIDocument:
    """All of it, in this transaction; what another has begun to write of it goes."""
    session.execute(delete(OpenAPIDocument).where(OpenAPIDocument.sha256 == laid.sha256))
    row = _row(laid, writer=None)
    session.add(row)
    session.flush()  # the rows below refer to it, and a second one of the same bytes stops here
    for kind, rows in _rows(laid):
        session.execute(insert(kind), rows)
    return row


def store_in_turns(
    begin: Callable[[], AbstractContextManager[Session]], laid: Laid, said: Callable[[int], None]
) -> None:
    """`store` in many small transactions, so that nobody else waits long for theirs; `said` hears of rows written.

    Raises Overtaken when another writes, or has written, the same document meanwhile.
    """
    writer, written = secrets.token_hex(16), 0
    with begin() as session:
        if hold(session, laid.sha256):
            return
        session.execute(delete(OpenAPIDocument).where(OpenAPIDocument.sha256 == laid.sha256))
        session.add(_row(laid, writer=writer))
    for kind, rows in _rows(laid):
        with begin() as session:
            _require_own(session, laid.sha256, writer)
            session.execute(insert(kind), rows)
        written += len(rows)
        said(written)
    with begin() as session:
        _require_own(session, laid.sha256, writer).writer = None


class Overtaken(Exception):
    """Another writes, or has written, the same document."""


def _require_own(session: Session, digest: str, writer: str) -> OpenAPIDocument:
    row = session.get(OpenAPIDocument, digest, with_for_update=True, populate_existing=True)
    if row is None or row.writer != writer:
        raise Overtaken(digest)
    return row


def _row(laid: Laid, *, writer: str | None) -> OpenAPIDocument:
    return OpenAPIDocument(
        sha256=laid.sha256,
        packed=laid.packed,
        size=laid.size,
        facts=laid.facts,
        operation_count=laid.operation_count,
        writer=writer,
    )


def _rows(laid: Laid) -> Iterator[tuple[type[Operation | OpenAPIPart], list[dict[str, Any]]]]:
    yield from ((Operation, rows) for rows in _in_turns(laid.operations))
    yield from ((OpenAPIPart, rows) for rows in _in_turns(laid.parts))


def bytes_of(session: Session, digest: str) -> bytes | None:
    """The document as it was given; None where it is not stored."""
    packed = session.scalar(select(OpenAPIDocument.packed).where(OpenAPIDocument.sha256 == digest))
    return None if packed is None else zlib.decompress(packed)


def facts_of(row: OpenAPIDocument) -> Facts:
    it = row.facts
    return Facts(
        version=it["version"],
        title=it["title"],
        summary=it["summary"],
        description=it["description"],
        api_version=it["api_version"],
        servers=tuple(it["servers"]),
        tags=tuple(openapi.Tag(**tag) for tag in it["tags"]),
        key=openapi.KeyScheme(**it["key"]) if it["key"] else None,
        warnings=tuple(openapi.Warning(**warning) for warning in it["warnings"]),
        warning_count=it["warning_count"],
    )


def openapi_names(session: Session, digests: Iterable[str | None]) -> dict[str, str]:
    """What people call documents, by their hash: `Orders 1.2.0, 12 operations`. No two are called the same."""
    asked = sorted({digest for digest in digests if digest})
    row = OpenAPIDocument
    # Not the facts as a whole: with them come up to five hundred warnings.
    stored = select(
        row.sha256, row.facts["title"].as_string(), row.facts["api_version"].as_string(), row.operation_count
    ).where(row.sha256.in_(asked))
    names = {digest: _name(*said) for digest, *said in session.execute(stored)}
    names = {digest: names.get(digest, "a document that is not stored here") for digest in asked}
    often = Counter(names.values())
    return {digest: name if often[name] == 1 else f"{name} (SHA-256 {digest[:8]}…)" for digest, name in names.items()}


def _name(title: str | None, version: str | None, count: int) -> str:
    words = " ".join(word for word in (_short(title, 80) or "Untitled", _short(version, 40)) if word)
    return f"{words}, {count:,} {'operation' if count == 1 else 'operations'}"


def _short(text: str | None, most: int) -> str:
    text = " ".join((text or "").split())
    return text if len(text) <= most else f"{text[:most]}…"


def operation_named(session: Session, digest: str, name: str) -> Operation | None:
    """With its content."""
    return session.scalar(
        select(Operation).where(Operation.sha256 == digest, Operation.name == name).options(undefer(Operation.content))
    )


def schemas_of(session: Session, digest: str) -> list[str]:
    """The pointers of all schemas that the document has under names. One may stand here under several spellings."""
    row = OpenAPIPart
    within = row.name.startswith(SCHEMAS, autoescape=True)
    if session.get_bind().dialect.name == "sqlite":
        within = row.name.between(SCHEMAS, f"{SCHEMAS[:-1]}0")  # its LIKE would read the parts of all other kinds too
    return list(session.scalars(select(row.name).where(row.sha256 == digest, within)))


def small_parts(session: Session, digest: str, names: Iterable[str]) -> dict[str, Any]:
    """Those parts, but for the large ones: name -> part."""
    row = OpenAPIPart
    rows = session.execute(
        select(row.name, row.content).where(
            row.sha256 == digest, row.name.in_(list(names)), func.length(row.content) < _LARGE_PART
        )
    )
    return {name: orjson.loads(content) for name, content in rows}


def look_from(session: Session, digest: str, start: Any) -> Look:
    """`references.looking` over the stored document, for the references that `start` leads to."""
    parts: dict[str, Any] = {}
    ahead = _heads(start)
    while ahead and len(parts) < _FETCHED_AHEAD:
        turn = set(sorted(ahead)[: _FETCHED_AHEAD - len(parts)])
        found = _fetched(session, digest, turn)
        parts |= dict.fromkeys(turn) | found
        ahead = (ahead | {head for part in found.values() for head in _heads(part)}) - parts.keys()
    connection = session.connection()

    def look(pointer: str) -> Any:
        head, rest = _split(pointer)
        if head not in parts:
            content = connection.execute(_ONE_PART, {"digest": digest, "part": head}).scalar()
            parts[head] = None if content is None else orjson.loads(content)
        if parts[head] is None:
            raise LookupError(pointer)
        return resolve(parts[head], rest) if rest else parts[head]

    return look


def _operations(digest: str, description: openapi.Description, most: int) -> Iterator[dict[str, Any]]:
    """With up to `most` bytes of content: a document made for the purpose could share a long list of parameters, or one
    path item, among thousands. What is beyond has its method, path and summary alone."""
    look = looking(description.tree)
    for position, it in enumerate(description.operations):
        content = orjson.dumps(operation_at(description.tree, it.pointer, look)) if most > 0 else b"{}"
        most -= len(content)
        yield {
            "sha256": digest,
            "position": position,
            "name": it.id,
            "method": it.method,
            "path": it.path,
            "summary": it.summary,
            "tags": list(it.tags),
            "deprecated": it.deprecated,
            "content": content,
        }


def _parts(digest: str, tree: dict[str, Any], most: int) -> Iterator[dict[str, Any]]:
    """What references lead to, under each spelling, and what docs tell of the document as a whole; up to `most` bytes:
    a document made for the purpose could have one part under a million names."""
    look = looking(tree)
    schemes = object_of(object_of(tree.get("components")).get("securitySchemes"))
    named = [f"/components/securitySchemes/{name}" for name in schemes]
    asked = dict.fromkeys(_split(pointer)[0] for pointer in ("/info", *named, *references_in(tree)))
    # What nothing refers to comes last: where not all of it fits, it is missed least.
    spelled = {name_of(pointer) for pointer in asked if pointer.startswith(SCHEMAS)}
    schemas = object_of(object_of(tree.get("components")).get("schemas"))
    others = (SCHEMAS + escaped(str(name)) for name in schemas if name not in spelled)
    for name in (*asked, *others):
        try:
            content = orjson.dumps(look(name))
        except LookupError:
            continue
        most -= len(content) + len(name)
        if most < 0:
            return
        yield {"sha256": digest, "name": name, "content": content}


def _split(pointer: str) -> tuple[str, str]:
    """The part that is stored, and the way from it: `/components/schemas/Pet` and `/properties/name`."""
    if pointer.startswith("#"):
        return pointer, ""
    tokens = pointer.split("/")
    length = 4 if tokens[1:2] == ["components"] else 3
    return "/".join(tokens[:length]), "".join(f"/{token}" for token in tokens[length:])


def _heads(part: Any) -> set[str]:
    return {_split(pointer)[0] for pointer in references_in(part)}


def _fetched(session: Session, digest: str, names: set[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for some in _in_turns(sorted(names)):
        rows = session.execute(
            select(OpenAPIPart.name, OpenAPIPart.content).where(
                OpenAPIPart.sha256 == digest, OpenAPIPart.name.in_(some)
            )
        )
        found |= {name: orjson.loads(content) for name, content in rows}
    return found


def _in_turns(things: Iterable[Any]) -> Iterator[list[Any]]:
    turn: list[Any] = []
    for thing in things:
        turn.append(thing)
        if len(turn) == _AT_ONCE:
            yield turn
            turn = []
    if turn:
        yield turn
