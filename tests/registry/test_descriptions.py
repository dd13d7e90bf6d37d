"""What was understood of OpenAPI documents, laid out in rows: every operation and all that it refers to come back."""

from pathlib import Path

import orjson
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal import openapi
from portal.openapi.references import closure, looking, operation_at
from portal.registry import descriptions
from portal.registry.models import OpenAPIDocument, OpenAPIPart, Operation

SPECS = sorted(path for path in (Path(__file__).parent.parent / "specs").iterdir() if path.suffix != ".md")
SMALL = b"""
openapi: 3.1.0
info: {title: Pets, version: '1'}
paths:
  /pets:
    get: {operationId: list, responses: {'200': {$ref: '#/components/responses/Some~1Pets'}}}
components:
  responses:
    Some/Pets: {description: Pets, content: {a/b: {schema: {$ref: '#/components/schemas/Pet/properties/id'}}}}
  schemas: {Pet: {properties: {id: {type: integer}}}}
"""


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.name)
def test_operations_and_their_parts_come_back(session: Session, path: Path) -> None:
    data = path.read_bytes()
    description = openapi.read(data)

    row = descriptions.keep(session, data, description)
    session.flush()
    session.expire_all()

    assert descriptions.bytes_of(session, row.sha256) == data
    assert descriptions.facts_of(row) == descriptions.Facts.of(description)
    assert row.operation_count == len(description.operations)
    stored = session.scalars(select(Operation).where(Operation.sha256 == row.sha256).order_by(Operation.position))
    assert [(it.method, it.path, it.name) for it in stored] == [
        (it.method, it.path, it.id) for it in description.operations
    ]
    look = looking(description.tree)
    for operation in description.operations[:: max(1, len(description.operations) // 5)]:
        whole = operation_at(description.tree, operation.pointer)
        stored_look = descriptions.look_from(session, row.sha256, whole)
        for name in closure(description.tree, operation.pointer):
            assert stored_look(name) == look(name)


def test_document_is_stored_once(session: Session) -> None:
    description = openapi.read(SMALL)
    first = descriptions.keep(session, SMALL, description)

    assert descriptions.keep(session, SMALL, description) is first
    assert session.scalar(select(func.count()).select_from(OpenAPIDocument)) == 1


def test_documents_have_names_that_people_can_tell_apart(session: Session) -> None:
    other = SMALL.replace(b"'1'", b"'2'")
    again = SMALL + b"# with a remark"
    rows = [descriptions.keep(session, data, openapi.read(data)).sha256 for data in (SMALL, other, again)]
    nowhere = "0" * 64

    assert descriptions.openapi_names(session, [None, rows[0], rows[1], nowhere]) == {
        rows[0]: "Pets 1, 1 operation",
        rows[1]: "Pets 2, 1 operation",
        nowhere: "a document that is not stored here",
    }
    both = descriptions.openapi_names(session, [rows[0], rows[2]])
    assert both == {digest: f"Pets 1, 1 operation (SHA-256 {digest[:8]}…)" for digest in (rows[0], rows[2])}


def test_schemas_are_listed_whether_something_refers_to_them_or_not(session: Session) -> None:
    words = b"x" * 30_000
    data = SMALL.replace(
        b"  schemas: {Pet", b"  schemas: {a/b 50%: {type: string}, Long: {description: " + words + b"}, Pet"
    )
    digest = descriptions.keep(session, data, openapi.read(data)).sha256

    names = descriptions.schemas_of(session, digest)

    start = "/components/schemas/"
    assert sorted(names) == [f"{start}Long", f"{start}Pet", f"{start}a~1b 50%25"]
    said = descriptions.small_parts(session, digest, names)
    assert said == {
        f"{start}Pet": {"properties": {"id": {"type": "integer"}}},
        f"{start}a~1b 50%25": {"type": "string"},
    }


def test_reference_that_leads_nowhere_is_said(session: Session) -> None:
    row = descriptions.keep(session, SMALL, openapi.read(SMALL))
    operation = descriptions.operation_named(session, row.sha256, "list")
    assert operation is not None

    look = descriptions.look_from(session, row.sha256, {})

    assert look("/components/schemas/Pet/properties/id") == {"type": "integer"}
    for pointer in ("/components/schemas/Dog", "/components/schemas/Pet/properties/name"):
        with pytest.raises(LookupError):
            look(pointer)


@pytest.mark.parametrize("odd", ['"x"', "[]", "null", '{"securitySchemes": []}'])
def test_components_that_are_none_are_read_around(session: Session, odd: str) -> None:
    data = SMALL.partition(b"components:")[0] + f"components: {odd}\n".encode()

    row = descriptions.keep(session, data, openapi.read(data))

    assert row.operation_count == 1
    assert descriptions.operation_named(session, row.sha256, "list") is not None


def test_part_under_many_names_is_bounded(session: Session) -> None:
    spellings = ["".join(f"%{ord(c):02x}" if n >> i & 1 else c for i, c in enumerate("Pet")) for n in range(8)]
    references = ", ".join(f'{{"$ref": "#/components/schemas/{name}"}}' for name in spellings)
    data = (
        '{"openapi": "3.1.0", "info": {"title": "a", "version": "1"}, "paths": {"/": {"get": {"requestBody": '
        f'{{"content": {{"a/b": {{"schema": {{"oneOf": [{references}]}}}}}}}}}}}}}}, "components": {{"schemas": '
        f'{{"Pet": {{"description": "{"x" * 400_000}"}}}}}}}}'
    ).encode()

    descriptions.keep(session, data, openapi.read(data))

    stored = session.scalar(select(func.sum(func.length(OpenAPIPart.content)))) or 0
    assert 400_000 < stored <= 3 * len(data) + 1_000_000


def test_content_that_many_operations_share_is_bounded(session: Session) -> None:
    """A security requirement of 100 kB stands in each operation that has none of its own."""
    operation = {"responses": {"200": {"description": "Fine"}}}
    tree = {"openapi": "3.1.0", "security": [{"x" * 100_000: []}]}
    data = orjson.dumps(tree | {"paths": {f"/a{number}": {"get": operation} for number in range(400)}})

    row = descriptions.keep(session, data, openapi.read(data))

    sizes = list(session.scalars(select(func.length(Operation.content)).where(Operation.sha256 == row.sha256)))
    assert sum(sizes) < 10 * len(data) + 11_000_000
    assert (max(sizes) > 100_000, min(sizes), len(sizes)) == (True, 2, 400)
