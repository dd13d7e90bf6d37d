"""Exports that are kept: asked for once, written as they were asked for, gone with what they were made of."""

import gzip
import json

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.jobs import Job
from portal.registry import delete_api, exports, read_document
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


def test_the_newest_takes_the_place_of_the_last(session: Session, api: Api) -> None:
    exports.keep(session, api.id, "json", "a" * 64, "one")
    exports.keep(session, api.id, "yaml", "b" * 64, "two")
    exports.keep(session, api.id, "json", "c" * 64, "three")
    session.flush()

    assert set(session.scalars(select(OpenAPIExport.key))) == {"b" * 64, "c" * 64}


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
