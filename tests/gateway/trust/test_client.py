"""What clients may not say, and what of theirs must stay here: names of consumers, keys, the portal's cookies."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from portal import bearer
from portal.config import Config
from portal.traffic.models import Call
from tests import factories
from tests.gateway.conftest import SUBSCRIBER, api, token_of, world
from tests.gateway.envoy import Gateway, wait_for
from tests.gateway.trust.wire import Recorder, answers, recording, status
from tests.nodes import StartNode

pytestmark = pytest.mark.envoy

CLOSE = b"Connection: close\r\n"


@pytest.fixture(scope="module")
def shared(recorder: Recorder) -> Iterator[Gateway]:
    gateway = Gateway.new()
    try:
        query = api(2, recorder.port, path="/query", key_place="query", key_name="api_key")
        gateway.publish(world(api(1, recorder.port, path="/orders/v1"), query))
        yield gateway
    finally:
        gateway.stop()


def send(gateway: Gateway, fields: bytes, *, body: bytes = b"", key: bool = True) -> int:
    head = b"POST /orders/v1/x HTTP/1.1\r\nHost: a\r\n"
    if key:
        head += b"X-API-Key: " + token_of(SUBSCRIBER).value.encode() + b"\r\n"
    (answer,) = answers(gateway, head + fields + CLOSE + b"\r\n" + body, 1)
    return status(answer)


OURS = (
    "X-Consumer-Id",
    "X-Consumer-Request-Id",
    "X-Consumer-Refusal",
    "X-Subscription-Id",
    "X-Key-Id",
    "X-Plan-Id",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Prefix",
    "X-Forwarded-Port",
    "X-Forwarded-Client-Cert",
    "X-Envoy-Original-Path",
    "X-Envoy-Internal",
    "X-Envoy-External-Address",
    "X-Envoy-Expected-Rq-Timeout-Ms",
    "X-Real-IP",
    "Forwarded",
    "Proxy",
)
SPELLINGS = {
    "as it is": lambda name: f"{name}: forged\r\n",
    "in capitals": lambda name: f"{name.upper()}: forged\r\n",
    "in odd case": lambda name: f"{name.swapcase()}: forged\r\n",
    "with underscores": lambda name: f"{name.replace('-', '_')}: forged\r\n",
    "with one underscore": lambda name: f"{'_'.join(name.rsplit('-', 1))}: forged\r\n",
    "with dots": lambda name: f"{name.replace('-', '.')}: forged\r\n",
    "with one dot": lambda name: f"{'.'.join(name.rsplit('-', 1))}: forged\r\n",
    "three times": lambda name: f"{name}: forged\r\n" * 3,
    "with spaces around": lambda name: f"{name}: \t forged \t\r\n",
    "over two lines": lambda name: f"{name}: forged\r\n\tforged\r\n",
    "from its second line": lambda name: f"{name}:\r\n forged\r\n",
    "behind a bare line feed": lambda name: f"X-A: b\n{name}: forged\r\n",
    "named as of the connection": lambda name: f"Connection: {name}\r\n{name}: forged\r\n",
    "empty first": lambda name: f"{name}:\r\n{name}: forged\r\n",
}


class TestForged:
    @pytest.mark.parametrize("spelling", SPELLINGS)
    @pytest.mark.parametrize("name", OURS)
    def test_what_the_gateway_says_is_never_the_clients(
        self, shared: Gateway, recorder: Recorder, name: str, spelling: str
    ) -> None:
        recorder.forget()
        fields = SPELLINGS[spelling](name).encode()

        # Envoy itself refuses that X-Forwarded-For and -Proto be named as of the connection.
        assert send(shared, fields) in {200, 400}
        assert b"forged" not in recorder.bytes
        assert send(shared, fields, key=False) in {401, 400}
        for call in recorder.calls:
            assert b"x-consumer-id: con_0000000000000001\r\n" in call.head
            assert b"x-subscription-id: 100\r\n" in call.head
            assert b"x-forwarded-host: a\r\n" in call.head

    @pytest.mark.parametrize("name", OURS)
    def test_nor_in_a_trailer(self, shared: Gateway, recorder: Recorder, name: str) -> None:
        recorder.forget()
        body = f"2\r\nab\r\n0\r\n{name}: forged\r\n\r\n".encode()

        assert send(shared, f"Transfer-Encoding: chunked\r\nTrailer: {name}\r\n".encode(), body=body) == 200
        assert b"forged" not in recorder.bytes
        assert recorder.calls[0].body == b"ab"

    def test_request_ids_are_passed_on_under_another_name(self, shared: Gateway, recorder: Recorder) -> None:
        recorder.forget()

        send(shared, b"X-Request-Id: theirs\r\nX_Request_Id: forged\r\nx-request_id: forged\r\n")

        assert b"forged" not in recorder.bytes
        assert b"x-consumer-request-id: theirs\r\n" in recorder.bytes
        assert re.search(rb"x-request-id: [0-9a-f]{8}-[0-9a-f]{4}-7", recorder.bytes)


class TestCookies:
    @pytest.mark.parametrize(
        ("sent", "kept"),
        [
            ("portico_session=SECRET", None),
            ("a=1; portico_session=SECRET; b=2", "a=1; b=2"),
            ("Portico_Session=SECRET; PORTICO_REMEMBER=SECRET; a=1", "a=1"),
            ("a=1;portico_session=SECRET", "a=1"),
            ("\tportico_session=SECRET", None),
            ("a=1; \tportico_session =SECRET", "a=1"),
            ("__Host-portico_session=SECRET; __Secure-portico_remember=SECRET; a=1", "a=1"),
            ("$Version=1; portico_session=SECRET; $Path=/", "$Version=1; $Path=/"),
            ("a=1, portico_session=SECRET", None),
            ("=portico_session=SECRET; a=1", "a=1"),
            ("a=1\r\nCookie: portico_session=SECRET\r\nCookie: b=2", "a=1; b=2"),
            ("a=1;\r\n portico_session=SECRET", "a=1"),
            ("b=portico_x; notportico_y=3; a=1,2", "b=portico_x; notportico_y=3; a=1,2"),
        ],
    )
    def test_the_portals_stay_here(self, shared: Gateway, recorder: Recorder, sent: str, kept: str | None) -> None:
        recorder.forget()

        assert send(shared, f"Cookie: {sent}\r\n".encode()) == 200

        assert b"SECRET" not in recorder.bytes
        cookies = re.findall(rb"^cookie: (.*)\r$", recorder.bytes, re.MULTILINE)
        assert cookies == ([] if kept is None else [kept.encode()])


STRAY = {
    "bearer": "Authorization: Bearer {key}",
    "bearer with a tab": "Authorization: Bearer\t{key}",
    "in a parameter": 'Authorization: Token token="{key}"',
    "in a list": "Authorization: Basic x, {key}",
    "as the user": "Authorization: Basic {key:}",
    "as the password": "Authorization: basic {portico:key}",
    "as the password of somebody": "Authorization: BASIC {me:key}",
    "as the password of nobody": "Authorization: Basic {:key}",
    "as the user of a second one": "Authorization: Digest x\r\nAuthorization: Basic {key:}",
    "as the user without an end": "Authorization: Basic {key}==",
    "to the proxy": "Proxy-Authorization: Bearer {key}",
    "with underscores": "X_API_Key: {key}",
    "in a page's address": "Referer: https://example.com/?api_key={key}",
    "in a page's path": "Referer: https://example.com/{key}/x",
    "inside an address in a page's address": "Referer: https://a.example/?to=https%3A%2F%2Fb.example%2F%3Fk%3D{key}",
    "as the agent": "User-Agent: {key}",
    "in a trace": "Traceparent: 00-{key}-01",
    "as the id": "X-Request-Id: {key}",
    "in a cookie": "Cookie: key={key}; a=1",
    "in a quoted cookie": 'Cookie: a=1; key="{key}"; b=2',
    "in a second cookie": "Cookie: a=1\r\nCookie: session=x.{key}",
    "as a cookie's name": "Cookie: {key}=1",
}


def stray(place: str, key: str) -> str:
    """A field, or two, with the key in it; `{user:password}` becomes what Basic makes of the two."""

    def basic(pair: re.Match[str]) -> str:
        return base64.b64encode(pair[1].replace("key", key).encode()).decode()

    return re.sub(r"\{(\w*:\w*)\}", basic, STRAY[place]).replace("{key}", key)


class TestKeys:
    @pytest.mark.parametrize("place", STRAY)
    def test_one_that_strays_into_another_header_stays_here(
        self, shared: Gateway, recorder: Recorder, place: str
    ) -> None:
        recorder.forget()
        key = token_of(SUBSCRIBER).value

        assert send(shared, f"{stray(place, key)}\r\n".encode()) == 200

        (call,) = recorder.calls
        assert key.encode() not in recorder.bytes
        assert not re.search(rb"authorization|referer", call.head.lower())

    @pytest.mark.parametrize("kind", ["pco_", "pcc_", "ppt_"])
    @pytest.mark.parametrize("before", ["", ":", "a:", "ab:", "abc:", "\xfc:"])
    def test_one_inside_basic_is_found_wherever_it_begins(
        self, shared: Gateway, recorder: Recorder, kind: str, before: str
    ) -> None:
        recorder.forget()
        pair = base64.b64encode(f"{before}{kind}{token_of(SUBSCRIBER).value[4:]}".encode())

        assert send(shared, b"Authorization: Basic " + pair + b"\r\n") == 200
        assert b"authorization" not in recorder.bytes

    @pytest.mark.parametrize(
        "value",
        ["Basic YWxhZGRpbjpvcGVuc2VzYW1l", "Bearer cGNvXzAwMDAwMDAwMDAwMF8w", "Basic cGNvOnBjYw==", "Digest a, b"],
    )
    def test_credentials_that_are_no_key_of_ours_pass(self, shared: Gateway, recorder: Recorder, value: str) -> None:
        recorder.forget()

        assert send(shared, f"Authorization: {value}\r\n".encode()) == 200
        assert f"authorization: {value}\r\n".encode() in recorder.bytes

    @pytest.mark.parametrize(
        "query",
        [
            "{key}",
            "x={key}",
            "a=1&x={key}&b=2",
            "x=%70co_{rest}",
            "x=a{key}",
            "x=https://example.com/?k={key}",
            "x=https%3A%2F%2Fexample.com%2F%3Fk%3D{key}",
            "x=%20{key}",
            "{key}=1",
        ],
    )
    def test_one_in_the_query_stays_here(self, shared: Gateway, recorder: Recorder, query: str) -> None:
        recorder.forget()
        key = token_of(SUBSCRIBER).value
        asked = query.format(key=key, rest=key[4:])

        path = f"GET /query/x?api_key={key}&{asked} HTTP/1.1\r\nHost: a\r\n"
        (answer,) = answers(shared, path.encode() + CLOSE + b"\r\n", 1)

        assert status(answer) == 200
        assert key[4:].encode() not in recorder.bytes

    @pytest.mark.parametrize("path", ["/orders/v1/{key}", "/orders/v1/a{key}/b", "/orders/v1/%70co_{rest}", "/{key}"])
    def test_one_in_the_path_is_refused_and_not_logged(self, shared: Gateway, recorder: Recorder, path: str) -> None:
        recorder.forget()
        key = token_of(SUBSCRIBER).value
        asked = path.format(key=key, rest=key[4:])

        answer = shared.call(asked, {"X-API-Key": key})

        assert (answer.status, answer.json["reason"]) == (400, "key_misplaced")
        assert recorder.bytes == b""
        (line,) = shared.log_lines(answer.header("x-request-id") or "")
        assert line["p"] == path.format(key="(key)", rest="").replace("%70co_", "(key)")

    @pytest.mark.parametrize("place", STRAY)
    def test_an_access_token_of_a_person_stays_here_too(self, shared: Gateway, recorder: Recorder, place: str) -> None:
        recorder.forget()
        token = bearer.new_token("ppt_").value

        assert send(shared, f"{stray(place, token)}\r\n".encode()) == 200
        assert recorder.calls
        assert token.encode() not in recorder.bytes

    @pytest.mark.parametrize(
        "query", ["{token}", "x={token}", "a=1&x=%70pt_{rest}&b=2", "x=https%3A%2F%2Fa%3Fk%3D{token}"]
    )
    def test_an_access_token_in_the_query_stays_here(self, shared: Gateway, recorder: Recorder, query: str) -> None:
        recorder.forget()
        token = bearer.new_token("ppt_").value
        asked = query.format(token=token, rest=token[4:])

        assert shared.call(f"/orders/v1/x?{asked}", {"X-API-Key": token_of(SUBSCRIBER).value}).status == 200
        assert recorder.calls
        assert token[4:].encode() not in recorder.bytes

    def test_an_access_token_in_the_path_is_refused_and_not_logged(self, shared: Gateway, recorder: Recorder) -> None:
        recorder.forget()
        token = bearer.new_token("ppt_").value

        answer = shared.call(f"/orders/v1/a{token}/b", {"X-API-Key": token_of(SUBSCRIBER).value})

        assert (answer.status, answer.json["reason"]) == (400, "key_misplaced")
        assert recorder.bytes == b""
        (line,) = shared.log_lines(answer.header("x-request-id") or "")
        assert line["p"] == "/orders/v1/a(key)/b"

    @pytest.mark.parametrize("asked", ["ppt_presentation_final", "x?file=ppt_quarterly_results", "x?ppt_mode=1"])
    def test_slides_are_no_access_tokens(self, shared: Gateway, recorder: Recorder, asked: str) -> None:
        recorder.forget()

        assert shared.call(f"/orders/v1/{asked}", {"X-API-Key": token_of(SUBSCRIBER).value}).status == 200
        assert asked.encode() in recorder.bytes

    def test_a_path_that_only_looks_a_little_like_one_passes(self, shared: Gateway) -> None:
        assert shared.call("/orders/v1/pco_report", {"X-API-Key": token_of(SUBSCRIBER).value}).status == 200


@pytest.fixture
def config(node_config: Config) -> Config:
    return node_config


def test_nothing_of_a_secret_is_left_anywhere(
    config: Config, engine: Engine, session: Session, start_node: StartNode
) -> None:
    """A node, a real Envoy, an upstream that keeps what it gets; keys and cookies in every place; then a search."""
    with recording() as upstream:
        row = factories.api(
            session, live=True, upstream={"targets": [{"url": f"http://127.0.0.1:{upstream.port}"}]}, path="/orders/v1"
        )
        consumer = factories.consumer(session)
        factories.subscription(session, consumer, row, factories.plan(session, team=row.team, per_second=1_000))
        _, token = factories.key(session, consumer)
        session.commit()
        key, cookie = token.value, "c00kie" * 5
        node = start_node()
        reachable = Gateway(node._place)
        sent = [
            reachable.call("/orders/v1/x", [("X-API-Key", key), *pairs, ("Cookie", f"portico_a={cookie}")])
            for pairs in ([field.split(": ", 1) for field in stray(place, key).split("\r\n")] for place in STRAY)
        ]
        assert {answer.status for answer in sent} == {200}
        more = [
            reachable.call(f"/orders/v1/x?k={key}&portico={key}", {"X-API-Key": key}),
            reachable.call(f"/orders/v1/{key}", {"X-API-Key": key}),
            reachable.call(f"/nowhere/{key}?k={key}", {"X-API-Key": key}),
            reachable.call("/orders/v1", {"X-API-Key": key, "Host": key}),
            reachable.call("/orders/v1/a%2Fb", {"X-API-Key": key}),
            reachable.call("/orders/v1", {"X-API-Key": f"{key}x"}),
            # Envoy itself refuses these, before any filter has seen them.
            reachable.call(f"/orders%2F{key}", {"X-Request-Id": key, "User-Agent": key, "Traceparent": key}),
            reachable.call("/orders%2F", {"X-Envoy-Original-Path": f"/{key}", "X-Consumer-Id": key}),
            reachable.call("/orders%2F", {"Host": key, "X-Consumer-Refusal": key, "X-Forwarded-Host": key}),
            reachable.call(f"/{key}", {"Connection": "Upgrade", "Upgrade": key}),
        ]
        assert [answer.status for answer in more] == [200, 400, 400, 400, 400, 401, 400, 400, 400, 400]

        def stored() -> bool:
            with Session(engine) as other:
                return (other.scalar(select(func.count(Call.id))) or 0) >= len(sent) + len(more)

        wait_for(stored, "the calls are stored")
        held = {
            path.relative_to(config.data_dir).as_posix(): path.read_bytes()
            for path in config.data_dir.rglob("*")
            if path.is_file()
        }
        node.stop()
        assert any(name.endswith("access.log") for name in held)
        assert "portico.sqlite3-wal" in held
        assert "gateway/log/envoy.out" in held
        held["what the upstream got"] = upstream.bytes
        secret = key.rpartition("_")[2].encode()
        for needle in (secret, cookie.encode(), base64.b64encode(secret)[:20]):
            assert [name for name, content in held.items() if needle in content] == []


def test_a_key_that_only_the_log_holds_is_not_stored(engine: Engine, tmp_path: Path) -> None:
    """Where Envoy refuses before the key filter runs, the path stands in its log as it came."""
    from portal.traffic.ingest import Ingest
    from tests.traffic.lines import line

    key = token_of(SUBSCRIBER).value
    log = tmp_path / "access.log"
    log.write_bytes(line(p=f"/orders%2F{key}", h=key) + b"\n" + f"not a line {key}\n".encode())

    Ingest(engine, node="alpha", log_path=log).drain()

    with Session(engine) as session:
        assert session.scalars(select(Call.path)).one() == "/orders%2F(key)"
    engine.dispose()
    assert not any(
        key.encode() in path.read_bytes() for path in Path(str(engine.url.database)).parent.glob("*sqlite3*")
    )
