"""Export, apply elsewhere, export again: the same bytes."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from portal import registry
from portal.db import engine_options, engine_url
from portal.registry import installation as room
from portal.registry.installation.values import Installation
from portal.registry.models import Key
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


@pytest.mark.parametrize("text", [made.EVERYTHING, made.ENDING, made.ROTATED], ids=["everything", "an end", "rotated"])
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


def test_the_lineage_of_keys_comes_along(session, empty):
    made.apply(session, made.read(made.ROTATED))
    text = room.as_text(made.stored(session))

    with empty() as elsewhere:
        made.apply(elsewhere, made.read(text))

        assert room.as_text(made.stored(elsewhere)) == text
        first, second, third = (
            elsewhere.scalars(select(Key).where(Key.public_id == name)).one()
            for name in ("9123456789YZ", "0123456789FG", "0123456789GH")
        )
        assert registry.lineage(elsewhere, second) == [first.id, second.id, third.id]
        assert registry.revoke(elsewhere, third) is second, "the rotation is undone"
        assert second.expires_at is None


def test_a_file_that_says_nothing_of_the_lineage_leaves_it(session):
    made.apply(session, made.read(made.ROTATED))
    silent = re.sub("    (follows|unrotated_expires_at): .*\n", "", made.ROTATED)

    assert made.steps(session, made.read(silent), prune=True) == []


def test_a_successor_is_found_that_the_file_says_later(session):
    rotated = made.read(made.ROTATED)
    alone = [re.sub("    (follows|unrotated_expires_at): .*\n", "", made.ROTATED), made.ROTATED]
    for text in alone:
        made.apply(session, made.read(text))

    assert made.steps(session, rotated, prune=True) == []
    oldest = session.scalars(select(Key).where(Key.public_id == "9123456789YZ")).one()
    assert len(registry.lineage(session, oldest)) == 3


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("follows: 0123456789FG", "follows: 9123456789YZ", "Two keys that are not revoked follow pco_9123456789YZ."),
        ("follows: 9123456789YZ", "follows: 0123456789GH", "follows itself, perhaps by way of others."),
        ("  apis: []", "  apis: []\n    unrotated_expires_at: never", "No key that is not revoked follows"),
        ("follows: 9123456789YZ", "follows: 000000000000", "There is no key"),
    ],
)
def test_a_lineage_that_cannot_be_is_told(session, before, after, said):
    assert before in made.ROTATED
    found = made.loaded(
        made.ROTATED.replace(before, after).replace("    unrotated_expires_at: '2099-06-01T00:00:00Z'\n", "")
    )
    current = made.stored(session)
    steps = room.plan(current, found.installation, prune=False)

    problems = [each.sentence for each in found.problems]
    problems += [sentence for _, _, sentence in room.references(current, found.installation, steps)]

    assert any(said in each for each in problems), problems


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
