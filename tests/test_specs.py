"""Every document of tests/specs, brought as people bring them: each becomes an API that can be published and written
out as OpenAPI again."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator, OpenAPIV32SpecValidator

from portal import openapi, reading, registry
from portal.config import Config
from portal.db import db
from portal.openapi.export import as_json, as_yaml, exported
from portal.registry import descriptions, imports
from portal.registry.merging import meetings
from portal.registry.models import Api, Import, ImportSource, ImportState
from tests import factories

SPECS = sorted((Path(__file__).parent / "specs").glob("*.json"))
VALIDATORS = {"3.0": OpenAPIV30SpecValidator, "3.1": OpenAPIV31SpecValidator, "3.2": OpenAPIV32SpecValidator}


@pytest.fixture
def team(app, session):
    made = factories.team(session, slug="team")
    session.commit()
    with app.app_context():
        yield db.session.merge(made)


def brought(team: Any, data: bytes, api: Api | None = None) -> Import:
    number = reading.bring(team, api=api, source=ImportSource.FILE, source_name="a.json", data=data, by=None)
    if db.session.get_one(Import, number).is_being_read:
        reading.read(Config(), {"import": number})  # as the worker does
    return db.session.get_one(Import, number)


def created(row: Import) -> Api:
    """As the preview proposes it; an address where the document has none that could be used."""
    said = imports.proposal_of(db.session(), row)
    values = {
        "name": said.name,
        "description": said.description,
        "path": f"/{said.slug}/{said.version}",
        "upstream": {"targets": [{"url": next(iter(said.targets), "https://upstream.example")}]},
        "tags": list(said.tags),
        "openapi": row.sha256,
    } | ({"key": said.key.model_dump()} if said.key else {})
    document = registry.read_document(values, typed=True)
    with db.begin() as session:
        api = imports.create(session, row, document, slug=said.slug, version=said.version, by=None)
        session.flush()
        registry.publish(session, api, by=None, expected=1)
    return api


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_document_becomes_an_api_and_a_valid_document_again(team, path):
    data = path.read_bytes()

    row = brought(team, data)
    assert row.state is ImportState.READY
    api = created(row)

    document = registry.read_document(api.live_release.document)  # type: ignore[union-attr]
    stored = descriptions.bytes_of(db.session(), document.openapi or "")
    assert stored == data
    written = exported(
        openapi.read(stored).tree,
        title=document.name,
        version=api.version,
        description=document.description,
        server=f"http://localhost:8080{document.path}",
        key=document.key,
    )
    for text in (json.loads(as_json(written)), yaml.safe_load(as_yaml(written))):
        assert list(VALIDATORS[text["openapi"][:3]](text).iter_errors()) == []
    same = brought(team, data, api)
    assert not any(same.changes[kind] for kind in ("added", "removed", "changed"))  # type: ignore[index]
    base, theirs = imports.base_of(db.session(), api), imports.proposal_of(db.session(), same)
    assert meetings(base, registry.read_document(api.draft), theirs) == []
