"""Two people do the same at once: one gets it, the other is told, and nothing is half done."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from portal import registry
from portal.errors import Changed, PathTaken, PortalError
from portal.registry import revision
from portal.registry.models import Api, Mount, Release
from tests import factories


@pytest.fixture
def at_once(engine: Engine) -> Callable[..., list[PortalError | None]]:
    """Runs each function in a transaction and a thread of its own, all begun together; what each of them raised."""

    def run(*acts: Callable[[Session], object]) -> list[PortalError | None]:
        raised: list[PortalError | None] = [None] * len(acts)
        together = threading.Barrier(len(acts))

        def one(number: int, act: Callable[[Session], object]) -> None:
            with Session(engine) as session:
                together.wait()
                session.connection(execution_options={"sqlite_begin": "IMMEDIATE"})
                try:
                    act(session)
                    session.commit()
                except PortalError as error:
                    raised[number] = error

        threads = [threading.Thread(target=one, args=each) for each in enumerate(acts)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return raised

    return run


def publish(api_id: int) -> Callable[[Session], object]:
    return lambda session: registry.publish(session, session.get_one(Api, api_id), by=None, expected=1)


@pytest.mark.parametrize("other", ["/orders", "/orders/v1"])
def test_two_apis_want_one_path(session, at_once, other):
    first, second = factories.api(session, path="/orders"), factories.api(session, path=other)
    session.commit()
    before = revision.current(session)

    raised = at_once(publish(first.id), publish(second.id))

    session.rollback()
    assert sorted(type(error) for error in raised if error) == [PathTaken]
    assert len(session.scalars(select(Mount.path)).all()) == 1
    assert revision.current(session) == before + 1


def test_one_draft_is_published_once(session, at_once):
    api = factories.api(session)
    session.commit()

    raised = at_once(*[publish(api.id)] * 4)

    session.rollback()
    assert len([error for error in raised if error is None]) == 1
    assert session.scalars(select(Release.number)).all() == [1]


def test_one_of_two_editors_is_told(session, at_once):
    api = factories.api(session)
    session.commit()
    documents = {name: factories.document(name=name) for name in ("Olga's", "Mika's")}

    def save(name: str) -> Callable[[Session], object]:
        def act(session: Session) -> None:
            mine = session.get_one(Api, api_id)
            registry.save_draft(session, mine, documents[name], by=None, expected=1)

        return act

    api_id = api.id
    raised = at_once(*(save(name) for name in documents))

    session.rollback()
    assert [type(error) for error in raised if error] == [Changed]
    kept = [name for name, error in zip(documents, raised, strict=True) if error is None]
    assert (api.name, api.draft_number) == (kept[0], 2)
