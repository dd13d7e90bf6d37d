"""OpenAPI documents, kept once by the hash of their bytes, with what was understood of them laid out for pages.

A document of 50 MB is read once. After that one operation is shown from a few small rows: itself, and the parts that
its references lead to.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import bindparam, insert, select
from sqlalchemy.orm import Session, undefer

from portal import openapi
from portal.openapi.references import Look, looking, operation_at, references_in, resolve
from portal.registry.models import OpenAPIDocument, OpenAPIPart, Operation

_MOST_WARNINGS = 500
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


def keep(session: Session, data: bytes, description: openapi.Description) -> OpenAPIDocument:
    """Store `data` and what it was understood as. What is stored already is left as it is.

    Reading takes seconds for a large document, so it is done before the transaction: `openapi.read(data)`.
    """
    digest = digest_of(data)
    stored = session.get(OpenAPIDocument, digest)
    if stored is not None:
        return stored
    row = OpenAPIDocument(
        sha256=digest,
        packed=zlib.compress(data, 6),
        size=len(data),
        facts=asdict(Facts.of(description)),
        operation_count=len(description.operations),
    )
    session.add(row)
    session.flush()  # the rows below refer to it, and a second one of the same bytes stops here
    for rows in _in_turns(_operations(digest, description)):
        session.execute(insert(Operation), rows)
    for rows in _in_turns(_parts(digest, description.tree, most=3 * len(data) + 1_000_000)):
        session.execute(insert(OpenAPIPart), rows)
    return row


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


def operation_named(session: Session, digest: str, name: str) -> Operation | None:
    """With its content."""
    return session.scalar(
        select(Operation).where(Operation.sha256 == digest, Operation.name == name).options(undefer(Operation.content))
    )


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


def _operations(digest: str, description: openapi.Description) -> Iterator[dict[str, Any]]:
    for position, it in enumerate(description.operations):
        yield {
            "sha256": digest,
            "position": position,
            "name": it.id,
            "method": it.method,
            "path": it.path,
            "summary": it.summary,
            "tags": list(it.tags),
            "deprecated": it.deprecated,
            "content": orjson.dumps(operation_at(description.tree, it.pointer)),
        }


def _parts(digest: str, tree: dict[str, Any], most: int) -> Iterator[dict[str, Any]]:
    """What references lead to, under each spelling, and what docs tell of the document as a whole; up to `most` bytes:
    a document made for the purpose could have one part under a million names."""
    look = looking(tree)
    schemes = resolve(tree, "/components").get("securitySchemes") if "components" in tree else None
    named = [f"/components/securitySchemes/{name}" for name in schemes] if isinstance(schemes, dict) else []
    for name in dict.fromkeys(_split(pointer)[0] for pointer in ("/info", *named, *references_in(tree))):
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
