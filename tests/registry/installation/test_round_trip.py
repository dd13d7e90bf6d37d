"""Export, apply elsewhere, export again: the same bytes."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from portal.db import engine_options, engine_url
from portal.registry import installation as room
from portal.registry.installation.values import Installation
from tests.registry.installation import made


@pytest.fixture
def empty(tmp_path: Path, empty_database: Path):
    """Gives a session of an empty installation, each time another one."""
    numbers = count()

    @contextmanager
    def begin() -> Iterator[Session]:
        path = tmp_path / f"{next(numbers)}.sqlite3"
        shutil.copy(empty_database, path)
        url = engine_url(f"sqlite:///{path}")
        engine = create_engine(url, **engine_options(url))
        with Session(engine) as session:
            yield session
        engine.dispose()
        path.unlink()

    return begin


def there_and_back(empty, wanted: Installation) -> None:
    with empty() as session:
        made.apply(session, wanted)
        first = made.stored(session)
        assert made.steps(session, wanted) == []
        assert made.steps(session, wanted, prune=True) == []
    text = room.as_text(first)
    with empty() as session:
        made.apply(session, made.read(text))
        second = made.stored(session)
        assert room.as_text(second) == text
        assert made.steps(session, made.read(text), prune=True) == []
    folder = room.load(sorted(room.as_folder(first).items()))
    assert folder.problems == []
    assert sorted(folder.installation.things(), key=str) == sorted(made.read(text).things(), key=str)


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(wanted=made.installations())
def test_any_installation_comes_out_as_it_went_in(empty, wanted):
    there_and_back(empty, wanted)


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(wanted=made.installations())
def test_very_many_installations_come_out_as_they_went_in(empty, wanted):
    there_and_back(empty, wanted)


@pytest.mark.parametrize("text", [made.EVERYTHING, made.ENDING], ids=["everything", "an end"])
def test_what_was_applied_is_what_is_exported(session, text):
    """On both databases."""
    wanted = made.read(text)
    made.apply(session, wanted)
    session.expire_all()

    found = made.stored(session)

    assert made.steps(session, wanted, prune=True) == []
    assert sorted(made.read(room.as_text(found)).things(), key=str) == sorted(wanted.things(), key=str)


def test_an_end_is_taken_back(session):
    made.apply(session, made.read(made.ENDING))
    made.apply(session, made.read(made.EVERYTHING))
    session.expire_all()

    assert made.steps(session, made.read(made.EVERYTHING), prune=True) == []


def many(apis: int) -> Installation:
    teams = [f"team-{number}" for number in range(20)]
    return Installation.model_validate(
        {
            "teams": [{"slug": team, "name": team, "may_publish": True} for team in teams],
            "plans": [{"team": team, "slug": "gold", "name": "Gold", "per_second": 10} for team in teams],
            "apis": [
                {
                    "team": (team := teams[number % 20]),
                    "slug": f"api-{number}",
                    "version": "v1",
                    "plans": ["gold"],
                    "document": {
                        "name": f"API {number}",
                        "description": "It does things.\n\nMany of them.",
                        "path": f"/{team}/api-{number}",
                        "upstream": {"targets": [{"url": f"https://{number}.example"}]},
                    },
                }
                for number in range(apis)
            ],
            "consumers": [
                {
                    "team": team,
                    "slug": "web",
                    "name": "Web",
                    "subscriptions": [
                        {"api": f"{teams[number % 20]}/api-{number}/v1", "plan": "gold"}
                        for number in range(0, apis, 20)
                    ],
                }
                for team in teams
            ],
        }
    )


@pytest.mark.parametrize("apis", [40, pytest.param(3000, marks=pytest.mark.slow)])
def test_a_big_installation_comes_out_as_it_went_in(empty, apis):
    there_and_back(empty, many(apis))
