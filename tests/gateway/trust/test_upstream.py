"""What upstreams may not do: be somebody else, set the portal's cookies, answer twice, lead calls astray."""

import json
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from portal import gateway as room
from portal.config import Config
from portal.gateway.ir import Target, Upstream
from portal.gateway.node import Node
from portal.gateway.supervisor import NullEnvoy
from tests import factories
from tests.gateway import running
from tests.gateway.conftest import SUBSCRIBER, api, token_of, world
from tests.gateway.envoy import Answer, Gateway, wait_for
from tests.gateway.trust.wire import OK, Recorder, answers, recording, status
from tests.nodes import StartNode


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with recording() as server:
        yield server


@pytest.fixture(scope="module")
def other() -> Iterator[Recorder]:
    with recording() as server:
        yield server


@pytest.fixture(scope="module")
def shared(recorder: Recorder, other: Recorder) -> Iterator[Gateway]:
    gateway = Gateway.new()
    try:
        gateway.publish(world(api(1, recorder.port, path="/orders/v1"), api(2, other.port, path="/other")))
        yield gateway
    finally:
        gateway.stop()


def call(gateway: Gateway, path: str = "/orders/v1/x") -> Answer:
    return gateway.call(path, {"X-API-Key": token_of(SUBSCRIBER).value})


def answer(fields: str, body: str = "ok", *, line: str = "HTTP/1.1 200 OK") -> bytes:
    return f"{line}\r\n{fields}\r\n{body}".encode("latin-1")


LENGTH = "Content-Length: 2\r\n"


@pytest.mark.envoy
class TestCookies:
    @pytest.mark.parametrize(
        "cookie",
        [
            "portico_session=1",
            "portico_session=1; Path=/; Domain=example.com",
            "Portico_Session=1",
            "PORTICO_REMEMBER=1",
            "portico_anything=1",
            "portico_session",
            "portico_session =1",
            "\tportico_session=1",
            "=portico_session=1",
            " = portico_session=1",
            "__Host-portico_session=1; Secure; Path=/",
            "__Secure-portico_session=1; Secure",
            "__host-PORTICO_session=1",
            "a=1, portico_session=2",
            "a=1; Path=/, portico_session=2; Path=/",
            "\r\n portico_session=1",
        ],
    )
    def test_the_portals_cannot_be_set(self, shared: Gateway, recorder: Recorder, cookie: str) -> None:
        recorder.answer = answer(f"{LENGTH}Set-Cookie: b=1\r\nSet-Cookie: {cookie}\r\nSET-COOKIE: c=2\r\n")

        got = call(shared)

        assert (got.status, got.header("set-cookie")) == (200, "b=1, c=2")

    @pytest.mark.parametrize("cookie", ["b=portico_x", "a=portico_b=c", "notportico_=1", "x-portico_=1"])
    def test_others_can(self, shared: Gateway, recorder: Recorder, cookie: str) -> None:
        recorder.answer = answer(f"{LENGTH}Set-Cookie: {cookie}\r\n")

        assert call(shared).header("set-cookie") == cookie

    @pytest.mark.parametrize(
        "raw",
        [
            answer("Set-Cookie: portico_session=1\r\n", OK.decode(), line="HTTP/1.1 103 Early Hints"),
            answer("Set-Cookie: portico_session=1\r\n", OK.decode(), line="HTTP/1.1 100 Continue"),
            answer("Transfer-Encoding: chunked\r\n", "2\r\nok\r\n0\r\nSet-Cookie: portico_session=1\r\n\r\n"),
            answer(f"{LENGTH}X-A: b\nSet-Cookie: portico_session=1\r\n"),
            answer(LENGTH, line="HTTP/1.1 200 OK\nSet-Cookie: portico_session=1"),
        ],
        ids=["early hints", "continue", "trailer", "line feed", "reason phrase"],
    )
    def test_nor_in_another_part_of_the_answer(self, shared: Gateway, recorder: Recorder, raw: bytes) -> None:
        recorder.answer = raw

        got = call(shared)

        assert (got.status, got.body) == (200, b"ok")
        assert not [value for _, value in got.headers if "portico_session" in value]


@pytest.mark.envoy
class TestAnswers:
    BROKEN = {
        "NUL in a value": answer(f"{LENGTH}X-A: b\0c\r\n"),
        "a control character in a value": answer(f"{LENGTH}X-A: b\x01c\r\n"),
        "a line without a colon": answer(f"{LENGTH}nonsense\r\n"),
        "length and chunks": answer(f"{LENGTH}Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        "two lengths": answer(f"{LENGTH}Content-Length: 5\r\n"),
        "a length below nothing": answer("Content-Length: -2\r\n"),
        "a body that may not be": answer("Content-Length: 6\r\n", "poison", line="HTTP/1.1 204 No Content"),
        "151 headers": answer(LENGTH + "X-A: b\r\n" * 150),
        "200 000 bytes of headers": answer(f"{LENGTH}X-A: {'b' * 200_000}\r\n"),
        "status 000": answer(LENGTH, line="HTTP/1.1 000 X"),
        "no HTTP": b"220 mail.example.com ESMTP\r\n\r\n",
    }

    @pytest.mark.parametrize("what", BROKEN)
    def test_a_broken_one_is_502_and_the_next_call_gets_its_own(
        self, shared: Gateway, recorder: Recorder, what: str
    ) -> None:
        recorder.answer = self.BROKEN[what]

        got = call(shared)

        assert (got.status, got.json["reason"]) == (502, "upstream_not_http")
        recorder.answer = OK
        assert (call(shared).status, call(shared).body) == (200, b"ok")

    def test_a_second_answer_reaches_nobody(self, shared: Gateway, recorder: Recorder, other: Recorder) -> None:
        key = token_of(SUBSCRIBER).value
        two = "".join(
            f"GET {path} HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\r\n" for path in ("/orders/v1/x", "/other/x")
        )
        recorder.answer = OK + answer("Content-Length: 6\r\n", "poison")
        other.answer = answer(LENGTH, "me")

        came = answers(shared, two.encode(), 2)

        assert [each.rpartition(b"\r\n\r\n")[2] for each in came] == [b"ok", b"me"]
        recorder.answer = OK
        assert {call(shared).body for _ in range(5)} == {b"ok"}

    @pytest.mark.parametrize("fields", ["", "Connection: Upgrade\r\nUpgrade: websocket\r\n"])
    def test_an_upgrade_that_nobody_asked_for_is_refused(
        self, shared: Gateway, recorder: Recorder, other: Recorder, fields: str
    ) -> None:
        key = token_of(SUBSCRIBER).value
        two = "".join(
            f"GET {path} HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\r\n" for path in ("/orders/v1/x", "/other/x")
        )
        poison = answer("Content-Length: 6\r\n", "poison").decode()
        recorder.answer = answer(fields, poison, line="HTTP/1.1 101 Switching Protocols")
        other.answer = answer(LENGTH, "me")

        came = answers(shared, two.encode(), 2)

        assert [status(each) for each in came] == [502, 200]
        assert came[1].endswith(b"me")
        assert b"poison" not in b"".join(came)

    def test_what_it_says_of_itself_does_not_reach_the_log(self, shared: Gateway, recorder: Recorder) -> None:
        forged = "X-Request-Id: forged\r\nX-Consumer-Refusal: forged\r\nX-Consumer-Id: forged\r\nServer: forged\r\n"
        recorder.answer = answer(LENGTH + forged, line='HTTP/1.1 200 ","rs":"forged"}')

        got = call(shared)

        assert got.status == 200
        assert "forged" not in (got.header("x-request-id") or "")
        (line,) = shared.log_lines(got.header("x-request-id") or "")
        assert "forged" not in json.dumps(line)


OURS, THEIRS = trustme.CA(), trustme.CA()
NAME = "orders.internal"


@pytest.mark.envoy
class TestCertificates:
    @pytest.mark.parametrize(
        ("issued", "expected"),
        [
            (lambda: OURS.issue_cert(NAME), 200),
            (lambda: OURS.issue_cert("*.internal"), 200),
            (lambda: OURS.issue_cert("other.internal"), 502),
            (lambda: OURS.issue_cert(f"{NAME}.example.com"), 502),
            (lambda: OURS.issue_cert("*.orders.internal"), 502),
            (lambda: OURS.issue_cert(common_name=NAME), 502),
            (lambda: OURS.issue_cert(NAME, not_after=datetime(2020, 1, 1, tzinfo=UTC)), 502),
            (lambda: OURS.issue_cert(NAME, not_before=datetime(2190, 1, 1, tzinfo=UTC)), 502),
            (lambda: THEIRS.issue_cert(NAME), 502),
        ],
        ids=["right", "wildcard", "other", "longer", "below", "common name", "expired", "early", "unknown authority"],
    )
    def test_only_the_right_one_is_spoken_to(
        self, gateway: Gateway, issued: Callable[[], trustme.LeafCert], expected: int
    ) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issued().configure_cert(context)
        with recording() as upstream:
            upstream.socket = context.wrap_socket(upstream.socket, server_side=True, do_handshake_on_connect=False)
            targets = Upstream((Target(NAME, upstream.port),), tls=True, ca_pem=OURS.cert_pem.bytes().decode())
            gateway.publish(world(api(1, upstream=targets)))

            got = call(gateway, "/api-1")

            assert got.status == expected
            assert len(upstream.calls) == (expected == 200)
            assert expected == 200 or got.json["reason"] == "upstream_unreachable"


class Names:
    """A name server whose answer may change."""

    def __init__(self, *addresses: str) -> None:
        self.answer = list(addresses)

    def __call__(self, host: str) -> list[str]:
        return self.answer


@pytest.fixture
def config(node_config: Config) -> Config:
    return node_config


def published(session: Session, port: int) -> tuple[str, str, str]:
    """Label, path and key of a live API at upstream.example:port."""
    row = factories.api(session, live=True, upstream={"targets": [{"url": f"http://upstream.example:{port}"}]})
    consumer = factories.consumer(session)
    plan = factories.plan(session, team=row.team, per_second=None, per_minute=1_000_000)
    factories.subscription(session, consumer, row, plan)
    _, token = factories.key(session, consumer)
    session.commit()
    return row.label, f"{row.draft['path']}/x", token.value


def problems(engine: Engine) -> dict[str, str]:
    with Session(engine) as session:
        return {each.api: each.sentence for node in room.nodes(session) for each in node.problems}


@pytest.mark.envoy
def test_a_name_that_turns_to_a_forbidden_address_is_cut_off_by_the_running_node(
    config: Config, engine: Engine, session: Session, start_node: StartNode
) -> None:
    names = Names("127.0.0.1")
    with recording() as upstream:
        label, path, key = published(session, upstream.port)
        start_node(lookup=names)

        def answered() -> int:
            return running.status_of(config.gateway_port, path, {"X-API-Key": key})

        wait_for(lambda: answered() == 200, "the API answers")

        names.answer = ["169.254.169.254"]
        wait_for(lambda: answered() == 503, "its address is withdrawn")
        wait_for(lambda: label in problems(engine), "the node says so")
        assert "169.254.169.254 is a cloud's metadata service" in problems(engine)[label]
        reached = len(upstream.calls)
        assert answered() == 503
        assert len(upstream.calls) == reached

        names.answer = ["127.0.0.1"]
        wait_for(lambda: answered() == 200, "it is there again")
        wait_for(lambda: label not in problems(engine), "nothing is wrong any more")


class TestTurns:
    """The same for every kind of forbidden address, without an Envoy and step by step."""

    @pytest.mark.parametrize(
        ("address", "says"),
        [
            ("169.254.169.254", "metadata"),
            ("::ffff:169.254.169.254", "metadata"),
            ("64:ff9b::a9fe:a9fe", "metadata"),
            ("fd00:ec2::254", "metadata"),
            ("169.254.1.1", "link-local"),
            ("fe80::1", "link-local"),
            ("224.0.0.1", "multicast"),
            ("0.0.0.0", "no address of a machine"),
            ("127.0.0.1", "this machine itself"),
            ("::1", "this machine itself"),
            ("::ffff:127.0.0.1", "this machine itself"),
            ("2002:7f00:1::", "this machine itself"),
        ],
    )
    def test_an_address_that_became_forbidden_is_withdrawn(
        self, config: Config, engine: Engine, session: Session, address: str, says: str
    ) -> None:
        label, _, _ = published(session, 8080)
        strict = Config(data_dir=config.data_dir, upstream_loopback=False)
        names = Names("203.0.113.7")
        node = Node(strict, engine, NullEnvoy(), lookup=names)
        stepped(node)
        assert endpoints(config) == {"203.0.113.7"}

        names.answer = [address]
        stepped(node)
        assert endpoints(config) == set()
        assert says in {each.api: each.sentence for each in node._problems()}[label]

        names.answer = [address, "203.0.113.9"]
        stepped(node)
        assert endpoints(config) == {"203.0.113.9"}

    @pytest.mark.parametrize("mine", ["port", "gateway_port"])
    def test_nor_may_it_come_to_mean_this_installations_own_listeners(
        self, config: Config, engine: Engine, session: Session, mine: str
    ) -> None:
        label, _, _ = published(session, getattr(config, mine))
        names = Names("203.0.113.7")
        node = Node(config, engine, NullEnvoy(), lookup=names)
        stepped(node)
        assert endpoints(config) == {"203.0.113.7"}

        for address in ("127.0.0.1", "127.0.0.9", "::1", "::ffff:127.0.0.1"):
            names.answer = [address]
            stepped(node)
            assert endpoints(config) == set()
            assert "where this installation itself listens" in {e.api: e.sentence for e in node._problems()}[label]

    def test_a_restart_does_not_bring_it_back(self, config: Config, engine: Engine, session: Session) -> None:
        published(session, 8080)
        before = Node(config, engine, NullEnvoy(), lookup=Names("127.0.0.1"))
        stepped(before)
        assert endpoints(config) == {"127.0.0.1"}

        def nobody_answers(host: str) -> list[str]:
            raise OSError(-2, "Name unknown")

        strict = Config(data_dir=config.data_dir, upstream_loopback=False)
        stepped(Node(strict, engine, NullEnvoy(), lookup=nobody_answers))

        assert endpoints(config) == set()


def stepped(node: Node) -> None:
    node._publisher.prepare()
    node.notice()
    node.resolve()
    node.publish_routes()


def endpoints(config: Config) -> set[str]:
    """Every address that Envoy has been told."""
    file: Path = config.gateway_dir / "cds" / "cds.json"
    found = [
        each["endpoint"]["address"]["socket_address"]["address"]
        for cluster in json.loads(file.read_bytes())["resources"]
        for group in cluster["load_assignment"]["endpoints"]
        for each in group["lb_endpoints"]
    ]
    return set(found)
