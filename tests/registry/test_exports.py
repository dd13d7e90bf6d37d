"""Exports that are kept: asked for once, written as they were asked for, gone with what they were made of."""

import gzip
import json

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.jobs import Job
from portal.registry import delete_api, exports, read_document, save_draft
from portal.registry.models import Api, OpenAPIExport
from tests import factories

SERVER = "https://gateway.example/pets"


@pytest.fixture
def api(session: Session) -> Api:
    return factories.api(session, live=True, openapi=factories.openapi_document(session))


def key(api: Api, form: exports.Form = "json", server: str = SERVER) -> str:
    return exports.key_of(api, read_document(api.draft), form, server)


def test_is_asked_for_once(session: Session, api: Api) -> None:
    for _ in range(3):
        exports.ask(session, api, "json", SERVER, key(api))
        session.flush()
    exports.ask(session, api, "yaml", SERVER, key(api, "yaml"))
    session.flush()

    assert session.scalar(select(func.count()).select_from(Job).where(Job.kind == exports.KIND)) == 2


def test_is_written_and_kept_as_it_was_asked_for(session: Session, api: Api) -> None:
    exports.ask(session, api, "json", SERVER, key(api))
    session.flush()
    job = exports.asked(session, key(api))
    assert job is not None

    made = exports.written(session, job.payload)
    assert made is not None
    exports.keep(session, *made)
    session.flush()

    packed = exports.kept(session, key(api))
    assert packed is not None
    assert json.loads(gzip.decompress(packed))["servers"] == [{"url": SERVER}]
    assert exports.kept(session, key(api, "yaml")) is None


def test_two_of_each_form_are_kept_as_there_are_a_release_and_a_draft(session: Session, api: Api) -> None:
    for form, letter in (("json", "a"), ("yaml", "b"), ("json", "c"), ("json", "d"), ("json", "d")):
        exports.keep(session, api.id, form, letter * 64, "text")  # type: ignore[arg-type]
        session.flush()

    assert set(session.scalars(select(OpenAPIExport.key))) == {letter * 64 for letter in "bcd"}


def test_the_draft_is_written_as_well_as_what_is_live(session: Session, api: Api) -> None:
    before, live = key(api), api.name
    save_draft(session, api, read_document(api.draft | {"name": "Of tomorrow"}), by=None, expected=api.draft_number)

    titles = []
    for asked in (before, key(api)):
        made = exports.written(session, {"api": api.id, "form": "json", "server": SERVER, "key": asked})
        assert made is not None
        titles.append(json.loads(made[3])["info"]["title"])
    assert titles == [live, "Of tomorrow"]


def test_goes_with_its_api(session: Session, api: Api) -> None:
    exports.keep(session, api.id, "json", "a" * 64, "one")
    session.commit()

    delete_api(session, api)
    session.commit()

    assert session.scalar(select(func.count()).select_from(OpenAPIExport)) == 0


def test_nothing_is_written_for_what_is_not_asked_any_more(session: Session, api: Api) -> None:
    payload = {"api": api.id, "form": "json", "server": SERVER, "key": "0" * 64}

    assert exports.written(session, payload) is None
    assert exports.written(session, payload | {"api": api.id + 1}) is None


@pytest.mark.parametrize("other", [{"form": "yaml"}, {"server": "https://other.example"}])
def test_key_is_of_all_that_it_is_made_of(session: Session, api: Api, other: dict[str, str]) -> None:
    assert key(api) == key(api)
    assert key(api, **other) != key(api)  # type: ignore[arg-type]
