import http.client
import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from portal.gateway.admin import Admin, EnvoySilent
from portal.gateway.claims import CannotStart, PortBusy
from portal.gateway.ir import Consumer, Key, Place, Plan, Snapshot, Subscription, Target, Upstream
from portal.gateway.publish import Publisher
from portal.gateway.resolve import Resolver
from portal.gateway.supervisor import Envoy, NullEnvoy
from portal.outbound.addresses import AddressRules
from portal.registry.keys import new_token
from tests.gateway import running
from tests.gateway.envoy import free_port, wait_for

pytestmark = pytest.mark.envoy


@pytest.fixture
def place() -> Iterator[Place]:
    with running.place() as place:
        yield place


def prepared(place: Place) -> Envoy:
    """An Envoy that was not started, with the files of an empty gateway."""
    Publisher(place, NullEnvoy(), Resolver(place.directory / "addresses.json", AddressRules())).prepare()
    return Envoy(place)


def started(place: Place) -> Envoy:
    envoy = prepared(place)
    envoy.start()
    assert envoy.wait_ready(15)
    return envoy


def kill(envoy: Envoy) -> None:
    wait_for(lambda: running.envoys_of(envoy.place.directory), "the new process is an Envoy")
    running.kill_envoy(envoy.place.directory)
    wait_for(lambda: not envoy.is_alive(), "Envoy is dead")


class TestStart:
    def test_answers_calls_when_it_is_ready_and_leaves_nothing_when_it_is_stopped(self, place: Place) -> None:
        envoy = started(place)

        assert running.status_of(place.port, "/_portico/health") == 200
        assert "/1.40.0/" in envoy.version
        assert envoy.is_alive()

        envoy.stop()
        assert not envoy.is_alive()
        assert running.envoys_of(place.directory) == []
        assert running.status_of(place.port, "/_portico/health") == 0
        envoy.stop()

    def test_busy_port_is_named(self, place: Place) -> None:
        with socket.create_server(("127.0.0.1", place.port)), pytest.raises(PortBusy) as caught:
            prepared(place).start()

        assert f"port {place.port} on 127.0.0.1 is in use" in str(caught.value)
        assert "PORTAL_GATEWAY_PORT" in str(caught.value)

    def test_address_of_another_machine_is_a_sentence(self, place: Place) -> None:
        with pytest.raises(CannotStart, match=r"cannot listen on 192\.0\.2\.1"):
            prepared(replace(place, bind="192.0.2.1")).start()

    def test_folder_whose_name_is_too_long_for_a_socket_is_refused(self, place: Place) -> None:
        deep = replace(place, directory=place.directory / ("x" * 100))

        with pytest.raises(CannotStart, match="shorter PORTAL_DATA_DIR"):
            prepared(deep).start()

    def test_binary_that_is_none_is_a_sentence(self, place: Place) -> None:
        prepared(place)

        with pytest.raises(CannotStart, match="cannot be run"):
            Envoy(place, binary=Path("/nowhere/envoy")).start()


class TestAdoption:
    def test_envoy_that_was_left_is_taken_over_and_stopped_by_its_new_keeper(self, place: Place) -> None:
        keeper = started(place)
        (pid,) = running.envoys_of(place.directory)

        heir = Envoy(place)
        heir.start()

        assert heir.is_alive()
        assert running.envoys_of(place.directory) == [pid]
        assert heir.admin.version() == heir.version
        heir.stop()
        assert not heir.is_alive()
        assert not keeper.is_alive()

    def test_envoy_with_other_settings_is_replaced(self, place: Place) -> None:
        first = started(place)
        (pid,) = running.envoys_of(place.directory)

        other = replace(place, port=free_port())
        second = prepared(other)
        second.start()

        assert not first.is_alive()
        assert second.wait_ready(15)
        assert pid not in running.envoys_of(place.directory)
        assert running.status_of(place.port, "/_portico/health") == 0
        second.stop()


class TestKeepAlive:
    def test_one_that_served_comes_back_at_once_however_often_it_dies(self, place: Place) -> None:
        envoy = started(place)
        assert not envoy.keep_alive()

        for _ in range(4):
            kill(envoy)
            assert envoy.keep_alive()
            assert envoy.wait_ready(15)
        envoy.stop(0)

    def test_one_that_dies_before_it_serves_waits(self, place: Place) -> None:
        envoy, refusals = started(place), 0
        for _ in range(4):
            kill(envoy)
            while not envoy.keep_alive():
                refusals += 1
        assert refusals > 0
        envoy.stop(0)

    def test_adopted_envoy_that_dies_is_noticed(self, place: Place) -> None:
        keeper = started(place)
        heir = Envoy(place)
        heir.start()

        kill(keeper)
        wait_for(heir.keep_alive, "Envoy is started again")
        assert heir.wait_ready(15)
        heir.stop()


def test_call_in_flight_ends_before_envoy_does(place: Place) -> None:
    with running.upstream() as upstream:
        envoy = prepared(place)
        target = Upstream((Target("127.0.0.1", upstream.port),))
        resolver = Resolver(place.directory / "addresses.json", AddressRules(loopback=True))
        served = running.snapshot(running.api(1, upstream=target, paused=False))
        resolver.learn(served, seconds=5)
        publisher = Publisher(place, envoy, resolver)
        publisher.publish_routes(served)
        token = registry_key(publisher, served)
        envoy.start()
        assert envoy.wait_ready(15)
        call = http.client.HTTPConnection("127.0.0.1", place.port, timeout=20)
        call.request("GET", "/api-1/stream?lines=2", headers={"X-API-Key": token})
        upstream.line.release()
        answer = call.getresponse()
        begun = answer.readline()

        stopper = threading.Thread(target=envoy.stop, args=(20.0,))
        stopper.start()
        wait_for(lambda: running.status_of(place.port, "/_portico/health") == 0, "new calls are refused")
        assert envoy.is_alive()
        upstream.line.release()
        rest = answer.read()
        call.close()
        stopper.join(30)

    assert answer.status == 200
    assert begun + rest == b"data: 0\n\ndata: 1\n\n"
    assert not envoy.is_alive()


def test_call_that_never_ends_does_not_hold_envoy_up(place: Place) -> None:
    envoy = started(place)
    with socket.create_connection(("127.0.0.1", place.port)) as idle:
        idle.sendall(b"POST /_portico/health HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")

        envoy.stop(0.2)

    assert not envoy.is_alive()


def registry_key(publisher: Publisher, served: Snapshot) -> str:
    """A key that may call the first API of `served`."""
    token = new_token()
    publisher.publish_keys(
        replace(
            served,
            plans=(Plan(1),),
            consumers=[Consumer(1, "con_aaaaaaaaaaaaaaaa")],
            subscriptions=[Subscription(1, 1, served.apis[0].id, 1, 0, None)],
            keys=[Key(token.sha256, token.public_id, 1, None, None)],
        )
    )
    return token.value


def test_output_is_bounded(place: Place) -> None:
    envoy = started(place)
    output = place.directory / "log" / "envoy.out"
    with output.open("ab") as file:
        file.write(b"x" * 10_000_001)

    envoy.trim_output()

    assert output.stat().st_size == 0
    assert output.with_suffix(".out.1").stat().st_size == 1_000_000
    envoy.stop()


def test_configuration_that_envoy_refuses_is_a_reason_in_its_words(place: Place) -> None:
    envoy = prepared(place)

    assert envoy.validate(b"{}") is None
    reason = envoy.validate(b'{"static_resources": {"clusters": [{"name": "a", "connect_timeout": "-5s"}]}}')

    assert reason is not None
    assert reason.startswith("Invalid duration: Expected positive duration")
    assert list(place.directory.glob("twin*")) == []


def test_silent_admin_socket_is_an_error_with_the_path(tmp_path: Path) -> None:
    with pytest.raises(EnvoySilent, match=r"does not answer /server_info at .*admin\.sock"):
        Admin(tmp_path / "admin.sock").version()


class TestHung:
    def test_envoy_that_is_stopped_hangs_until_it_goes_on(self, place: Place) -> None:
        envoy = started(place)
        (pid,) = running.envoys_of(place.directory)
        assert not envoy.is_hung()

        os.kill(pid, signal.SIGSTOP)
        assert envoy.is_hung()

        os.kill(pid, signal.SIGCONT)
        wait_for(lambda: not envoy.is_hung(), "it answers again")
        envoy.stop(0)

    def test_dead_envoy_does_not_hang(self, place: Place) -> None:
        envoy = started(place)
        kill(envoy)

        assert not envoy.is_hung()
