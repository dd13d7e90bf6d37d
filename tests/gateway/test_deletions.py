"""What is deleted stops being served: a consumer, an API, a team, from the row to a real Envoy."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from portal import registry
from portal.accounts.models import Team
from portal.config import Config
from portal.gateway.node import Node
from portal.gateway.place import place_of
from portal.gateway.supervisor import Envoy
from portal.registry.models import Api, Consumer
from tests import factories
from tests.gateway import running
from tests.gateway.envoy import Upstream, free_port, serving, wait_for

pytestmark = pytest.mark.envoy


@pytest.fixture
def config() -> Iterator[Config]:
    with running.place() as place:
        yield Config(
            data_dir=place.directory / "var",
            gateway_port=free_port(),
            port=free_port(),
            gateway_workers=1,
            upstream_loopback=True,
            node_name="alpha",
        )


@pytest.fixture
def node(config: Config, engine: Engine) -> Iterator[Node]:
    node = Node(config, engine, Envoy(place_of(config)))
    node.start()
    yield node
    node.stop()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with serving() as server:
        yield server


def test_what_is_deleted_is_refused_at_once_and_nothing_else(
    node: Node, config: Config, engine: Engine, upstream: Upstream
) -> None:
    def writing() -> Session:
        return Session(engine.execution_options(sqlite_begin="IMMEDIATE"))

    def delete(act: Callable[[Session], object]) -> None:
        with writing() as session:
            act(session)
            session.commit()

    keys: dict[str, str] = {}
    with writing() as session:
        plan = {"per_second": None, "per_minute": None}  # waiting is done by calling
        ours, theirs = factories.team(session, slug="ours"), factories.team(session, slug="theirs")
        apis = {}
        for team, slug in ((ours, "one"), (ours, "two"), (theirs, "three")):
            target = {"targets": [{"url": f"http://127.0.0.1:{upstream.port}"}]}
            offered = [factories.plan(session, team=team, **plan)]
            apis[slug] = factories.api(
                session, team=team, slug=slug, path=f"/{slug}", upstream=target, live=True, plans=offered
            )
        for team, slug in ((ours, "leaving"), (ours, "staying"), (theirs, "guest")):
            consumer = factories.consumer(session, team=team, slug=slug)
            keys[slug] = factories.key(session, consumer)[1].value
            for api in apis.values():
                factories.subscription(session, consumer, api)
        session.commit()

    def status(path: str, consumer: str) -> int:
        return running.status_of(config.gateway_port, path, {"X-API-Key": keys[consumer]})

    def statuses() -> dict[str, list[int]]:
        return {who: [status(path, who) for path in ("/one", "/two", "/three")] for who in keys}

    wait_for(lambda: status("/three", "guest") == 200, "all is served")
    assert statuses() == {"leaving": [200] * 3, "staying": [200] * 3, "guest": [200] * 3}

    delete(
        lambda session: registry.delete_consumer(
            session, session.scalars(select(Consumer).where(Consumer.slug == "leaving")).one()
        )
    )
    wait_for(lambda: status("/one", "leaving") == 401, "the key of a deleted consumer is refused")
    assert statuses() == {"leaving": [401] * 3, "staying": [200] * 3, "guest": [200] * 3}

    delete(lambda session: registry.delete_api(session, session.scalars(select(Api).where(Api.slug == "one")).one()))
    wait_for(lambda: status("/one", "staying") == 404, "a deleted API is not found")
    assert statuses() == {"leaving": [404, 401, 401], "staying": [404, 200, 200], "guest": [404, 200, 200]}

    delete(
        lambda session: registry.delete_team(session, session.scalars(select(Team).where(Team.slug == "ours")).one())
    )
    wait_for(lambda: status("/two", "guest") == 404, "the API of a deleted team is not found")
    wait_for(lambda: status("/three", "staying") == 401, "the key of a deleted team is refused")
    assert statuses() == {"leaving": [404, 404, 401], "staying": [404, 404, 401], "guest": [404, 404, 200]}
    reached = len(upstream.calls)
    assert statuses()["guest"][:2] == [404, 404]
    assert len(upstream.calls) == reached + 1
