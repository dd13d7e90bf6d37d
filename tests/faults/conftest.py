"""Houses on either database. The tests here end real processes, so each has a house of its own."""

from collections.abc import Iterator

import pytest

from tests.faults.house import House, house, needs_nginx


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/faults" in item.path.as_posix():
            item.add_marker(pytest.mark.envoy)
            item.add_marker(needs_nginx)


@pytest.fixture
def on_sqlite() -> Iterator[House]:
    with house() as made:
        yield made


@pytest.fixture
def on_postgres(postgres_url: str) -> Iterator[House]:
    with house(postgres_url) as made:
        yield made


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def home(request: pytest.FixtureRequest) -> Iterator[House]:
    """On each of the two databases."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else ""
    with house(url) as made:
        yield made
