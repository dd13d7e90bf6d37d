"""What is allowed at a real gateway is what the registry says, whatever has happened before in whatever order.

Every run tries the same examples; SLOW=1 looks for new ones.
"""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test
from sqlalchemy import Engine, insert
from sqlalchemy.orm import Session

from portal.config import Config
from portal.registry.models import Revision
from tests.gateway import running
from tests.gateway.rights.keys import Keys
from tests.gateway.rights.machine import House
from tests.gateway.rights.owners import Owners
from tests.gateway.rights.subscriptions import Subscriptions
from tests.nodes import StartNode
from tests.postgres import own_schema

SEARCHES = not settings.default.derandomize
EXAMPLES, STEPS = (60, 40) if SEARCHES else (8, 25)


class Rights(Subscriptions, Keys, Owners):
    """All acts together."""

    @rule(data=st.data())
    def happens(self, data: st.DataObject) -> None:
        self.do(data.draw(ACTS), data)


ACTS = st.sampled_from(Rights.acts())


@pytest.fixture
def config(node_config: Config) -> Config:
    return node_config


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.slow])])
def engine(request: pytest.FixtureRequest, engine: Engine) -> Iterator[Engine]:
    if request.param == "sqlite":
        yield engine
        return
    with own_schema(request.getfixturevalue("postgres_server")) as made:
        with made.begin() as connection:
            connection.execute(insert(Revision).values(id=1, n=0))
        yield made


@pytest.fixture
def house(config: Config, engine: Engine, writing: Callable[[], Session], start_node: StartNode) -> Iterator[House]:
    with running.upstream() as upstream:
        start_node()
        house = House(engine, writing, config.gateway_port, upstream.port)
        yield house
        house.connection.close()


@pytest.mark.envoy
def test_what_is_allowed_is_what_the_registry_says(house: House) -> None:
    def machine() -> Rights:
        return Rights(house)

    run_state_machine_as_test(
        machine,  # type: ignore[arg-type]
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            suppress_health_check=[HealthCheck.too_slow],
            # Looking for the shortest way to a failure takes minutes: that is for whoever searches.
            phases=list(Phase) if SEARCHES else [Phase.generate],
        ),
    )
