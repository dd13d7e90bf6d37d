import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Engine, NullPool, create_engine, event, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from portal import gateway, registry
from portal.config import Config
from portal.gateway.claims import CannotStart
from portal.gateway.models import Node as NodeRow
from portal.gateway.node import Node
from portal.gateway.place import place_of
from portal.gateway.roster import NodeNameTaken, NodeView
from portal.gateway.supervisor import Envoy, NullEnvoy
from portal.registry.models import Api, Key
from portal.traffic.models import Call
from tests import factories
from tests.gateway import running
from tests.gateway.envoy import Upstream, wait_for
from tests.nodes import StartNode


@pytest.fixture
def config(node_config: Config) -> Config:
    return node_config


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with running.upstream() as server:
        yield server


@pytest.fixture
def node(config: Config, engine: Engine) -> Iterator[Node]:
    """A node that serves nobody; its steps are called by hand."""
    node = Node(config, engine, NullEnvoy(), lookup=lambda host: ["192.0.2.1"])
    yield node
    node.stop()


@pytest.fixture
def live(start_node: StartNode) -> Node:
    """A node with a real Envoy and all its loops."""
    return start_node()


class Published(NamedTuple):
    id: int
    label: str
    path: str
    """That answers 200 to `key`."""
    key: str


def published(session: Session, server: Upstream, **fields: Any) -> Published:
    """A live API and a key that may call it, committed."""
    values = {"upstream": {"targets": [{"url": f"http://localhost:{server.port}"}]}} | fields
    api = factories.api(session, live=True, **values)
    consumer = factories.consumer(session)
    factories.subscription(session, consumer, api)
    _, token = factories.key(session, consumer)
    made = Published(api.id, api.label, f"{api.draft['path']}/echo", token.value)
    session.commit()
    return made


def answer(config: Config, api: Published) -> int:
    """Status of one call through the gateway; 0 when nobody answers."""
    return running.status_of(config.gateway_port, api.path, {"X-API-Key": api.key})


def view(engine: Engine) -> NodeView:
    with Session(engine) as session:
        (found,) = gateway.nodes(session)
    return found


@pytest.mark.envoy
class TestLive:
    def test_what_is_published_answers_and_its_calls_are_stored(
        self, live: Node, config: Config, engine: Engine, writing: Callable[[], Session], upstream: Upstream
    ) -> None:
        with writing() as session:
            api = published(session, upstream)
        wait_for(lambda: answer(config, api) == 200, "the API answers")

        with writing() as session:
            registry.revoke(session, session.scalars(select(Key)).one())
            session.commit()
        wait_for(lambda: answer(config, api) == 401, "the revoked key is refused")

        with writing() as session:
            registry.unpublish(session, session.get_one(Api, api.id))
            session.commit()
        wait_for(lambda: answer(config, api) == 404, "the API is gone")

        def stored() -> bool:
            with Session(engine) as session:
                return {200, 401, 404} <= set(session.scalars(select(Call.status)))

        def shown() -> str:
            with Session(engine) as session:
                return str(gateway.coverage(session))

        wait_for(stored, "the calls are stored")
        wait_for(lambda: shown() == f"revision {view(engine).revision} live on 1 of 1", "the revision is live")

    def test_release_that_envoy_refuses_keeps_the_rest_running_and_is_named(
        self, live: Node, config: Config, engine: Engine, writing: Callable[[], Session], upstream: Upstream
    ) -> None:
        broken = {"targets": [{"url": "https://localhost:9"}], "ca_pem": "no certificate"}
        with writing() as session:
            good = published(session, upstream)
            bad = published(session, upstream, upstream=broken)

        wait_for(lambda: view(engine).state == "troubled", "the node says that something is wrong")

        (problem,) = view(engine).problems
        assert problem.api == bad.label
        assert "Envoy refuses this release" in problem.sentence
        assert answer(config, good) == 200
        assert answer(config, bad) == 404

    def test_killed_envoy_is_restarted_with_what_it_served(
        self, live: Node, config: Config, engine: Engine, writing: Callable[[], Session], upstream: Upstream
    ) -> None:
        with writing() as session:
            api = published(session, upstream)
        wait_for(lambda: answer(config, api) == 200, "the API answers")

        (pid,) = running.envoys_of(config.gateway_dir)
        os.kill(pid, signal.SIGKILL)

        wait_for(lambda: running.envoys_of(config.gateway_dir) not in ([], [pid]), "another Envoy runs")
        wait_for(lambda: answer(config, api) == 200, "the API answers")

    def test_database_that_goes_away_takes_nothing_along(
        self,
        config: Config,
        engine: Engine,
        writing: Callable[[], Session],
        upstream: Upstream,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level("INFO")
        flaky = create_engine(engine.url, poolclass=NullPool)
        away = False

        @event.listens_for(flaky, "do_connect")
        def connect(*_: Any) -> None:
            if away:
                raise OperationalError("connect", None, Exception("the server has gone"))

        with writing() as session:
            first = published(session, upstream)
        node = Node(config, flaky, Envoy(place_of(config)))
        node.start()
        assert answer(config, first) == 200

        away = True
        wait_for(lambda: "The database fails: the server has gone." in caplog.text, "the outage is on the log")
        assert answer(config, first) == 200
        with writing() as session:
            second = published(session, upstream)
        away = False

        wait_for(lambda: answer(config, second) == 200, "it catches up")
        wait_for(lambda: "The database answers again." in caplog.text, "the end of the outage is on the log")
        assert caplog.text.count("The database fails") == 1
        node.stop()

    def test_node_starts_without_a_database_and_serves_what_it_served(
        self, config: Config, engine: Engine, writing: Callable[[], Session], upstream: Upstream
    ) -> None:
        with writing() as session:
            api = published(session, upstream)
        first = Node(config, engine, Envoy(place_of(config)))
        first.start()
        first.stop()

        nowhere = create_engine("sqlite:////nowhere/portico.sqlite3")
        second = Node(config, nowhere, Envoy(place_of(config)), lookup=_no_names)
        second.start()

        assert answer(config, api) == 200
        second.stop()


@pytest.mark.envoy
class TestProcess:
    """`node.run` as it is run: in a process that gets signals."""

    def test_killed_node_leaves_envoy_which_the_next_one_adopts_and_stops(
        self, config: Config, engine: Engine, writing: Callable[[], Session], upstream: Upstream, tmp_path: Path
    ) -> None:
        with writing() as session:
            api = published(session, upstream)

        first = run_node(config, tmp_path / "first.log")
        wait_for(lambda: answer(config, api) == 200, "the gateway answers")
        for each in (first.pid, *running.envoys_of(config.gateway_dir)):
            assert resource.prlimit(each, resource.RLIMIT_CORE) == (0, 0)
        first.kill()
        first.wait(10)

        assert answer(config, api) == 200
        (pid,) = running.envoys_of(config.gateway_dir)

        second = run_node(config, tmp_path / "second.log")
        wait_for(lambda: "The gateway answers" in (tmp_path / "second.log").read_text(), "the second node is up")
        assert running.envoys_of(config.gateway_dir) == [pid]
        assert "Adopted the Envoy" in (tmp_path / "second.log").read_text()

        second.send_signal(signal.SIGTERM)
        assert second.wait(10) == 0
        assert running.envoys_of(config.gateway_dir) == []
        assert view(engine).state == "stopped"
        with Session(engine) as session:
            stored = session.scalars(select(Call).where(Call.status == 200, Call.api_id == api.id)).all()
        assert len(stored) >= 2


class TestSteps:
    def test_second_turn_finds_nothing_to_do(self, node: Node, session: Session) -> None:
        factories.api(session, live=True)
        session.commit()
        node._publisher.prepare()

        assert node.notice()
        assert not node.notice()
        assert node.publish_routes()
        assert not node.publish_routes()

    def test_new_key_does_not_publish_routes(self, node: Node, session: Session) -> None:
        node.start()
        factories.key(session, factories.consumer(session))
        session.commit()

        node.notice()
        assert not node.publish_routes()

    def test_report_names_apis_whose_upstream_cannot_be_reached(
        self, config: Config, engine: Engine, session: Session
    ) -> None:
        api = factories.api(session, live=True, upstream={"targets": [{"url": "http://gone.example"}]})
        session.commit()
        node = Node(config, engine, NullEnvoy(), lookup=_no_names)
        node.start()
        node.report()

        shown = view(engine)
        node.stop()

        assert shown.state == "troubled"
        assert shown.is_current
        assert shown.sentence == f"Serves revision {shown.revision} with 1 problem."
        (problem,) = shown.problems
        assert (problem.api, problem.sentence) == (api.label, "gone.example does not resolve: name unknown.")

    def test_address_that_changed_reaches_the_clusters(self, config: Config, engine: Engine, session: Session) -> None:
        factories.api(session, live=True, upstream={"targets": [{"url": "http://a.example"}]})
        session.commit()
        answer = ["192.0.2.1"]
        node = Node(config, engine, NullEnvoy(), lookup=lambda host: answer)
        node.start()
        clusters = config.gateway_dir / "cds" / "cds.json"
        assert "192.0.2.1" in clusters.read_text()

        answer = ["192.0.2.2"]
        node.resolve()
        wait_for(lambda: "192.0.2.2" in clusters.read_text(), "the new address is published")
        node.stop()


class TestName:
    def test_second_holder_does_not_start(self, node: Node, config: Config, engine: Engine) -> None:
        node.start()
        elsewhere = Config(data_dir=config.data_dir / "elsewhere", node_name="alpha")

        with pytest.raises(NodeNameTaken, match="Another machine runs the node alpha"):
            Node(elsewhere, engine, NullEnvoy()).start()

    def test_second_node_of_one_folder_does_not_start(self, node: Node, config: Config, engine: Engine) -> None:
        node.start()

        with pytest.raises(CannotStart, match="Another node already runs in"):
            Node(config, engine, NullEnvoy()).start()

    def test_stopped_holder_leaves_the_name_to_others(self, node: Node, config: Config, engine: Engine) -> None:
        node.start()
        node.stop()
        elsewhere = Config(data_dir=config.data_dir / "elsewhere", node_name="alpha")

        heir = Node(elsewhere, engine, NullEnvoy())
        heir.start()
        heir.report()
        heir.stop()

        assert view(engine).state == "stopped"

    def test_node_whose_name_was_taken_meanwhile_ends(self, node: Node, engine: Engine, session: Session) -> None:
        node.start()
        session.execute(update(NodeRow).values(instance_id="somebody else"))
        session.commit()

        node.report()

        assert node.over.is_set()
        assert node.lost is not None


def run_node(config: Config, log: Path) -> subprocess.Popen[bytes]:
    code = (
        "import logging; logging.basicConfig(level='INFO')\n"
        "from portal.config import Config; from portal.gateway import node; node.run(Config.read())"
    )
    settings = {
        "PORTAL_DATA_DIR": str(config.data_dir),
        "PORTAL_PORT": str(config.port),
        "PORTAL_GATEWAY_PORT": str(config.gateway_port),
        "PORTAL_GATEWAY_WORKERS": "1",
        "PORTAL_UPSTREAM_LOOPBACK": "1",
        "PORTAL_NODE_NAME": config.node_name,
    }
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-c", code],
            env={"PATH": os.environ["PATH"]} | settings,
            cwd=Path(gateway.__file__).parent.parent.parent,
            stdout=output,
            stderr=output,
        )


def _no_names(host: str) -> list[str]:
    raise OSError(-2, "Name unknown")
