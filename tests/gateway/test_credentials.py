"""What targets ask for reaches them, whatever a client says, and reaches nobody else."""

import base64
from collections.abc import Iterator
from dataclasses import replace

import pytest

from portal.gateway.ir import Api, ClientCertificate, Credential, Target
from portal.gateway.ir import Upstream as Targets
from tests.gateway.conftest import REVOKED, SUBSCRIBER, UNSUBSCRIBED, api, token_of, world
from tests.gateway.envoy import AUTHORITY, Answer, Gateway, Upstream, serving

pytestmark = pytest.mark.envoy

KEY = ("X-API-Key", token_of(SUBSCRIBER).value)
TOKEN = Credential("x-api-token", 'a%b%%REQ(X-API-KEY)% {"c"}\\, =')
BASIC = Credential("authorization", "Basic " + base64.b64encode(b"portico:hush").decode())
REALLY = Credential("private-api-token", "really-ours")


def certificate(edition: str = "1", authority: object = AUTHORITY) -> ClientCertificate:
    ours = authority.issue_cert("portico.internal")  # type: ignore[attr-defined]
    return ClientCertificate(edition, ours.cert_chain_pems[0].bytes().decode(), ours.private_key_pem.bytes().decode())


@pytest.fixture(scope="module")
def served(upstream: Upstream) -> Iterator[Gateway]:
    gateway = Gateway.new()
    port = upstream.port
    try:
        gateway.publish(
            world(
                api(1, port, path="/token", credential=TOKEN),
                api(2, port, path="/basic", credential=BASIC),
                api(3, port, path="/bearer", key_place="bearer", credential=BASIC),
                api(4, port, path="/same", key_name="x-api-token", credential=TOKEN),
                api(5, port, path="/dashes", credential=REALLY),
                api(6, port, path="/lacking", lacks="Its team has no such secret."),
                api(7, port, path="/plain"),
                api(8, port, path=None, host="token.localhost", credential=TOKEN),
            )
        )
        yield gateway
    finally:
        gateway.stop()


@pytest.fixture(scope="module")
def asking() -> Iterator[Upstream]:
    with serving(tls=True, asks=True) as upstream:
        yield upstream


def values(answer: Answer, name: str) -> list[str]:
    return [value for key, value in answer.json["headers"] if key.lower().replace("_", "-") == name]


class TestHeader:
    @pytest.mark.parametrize("path", ["/token", "/token/deeper?x=%25"])
    def test_the_target_reads_the_value_letter_by_letter(self, served: Gateway, path: str) -> None:
        assert values(served.call(path, [KEY]), "x-api-token") == [TOKEN.value]

    def test_a_host_mount_is_given_it_too(self, served: Gateway) -> None:
        assert values(served.call("/", [KEY, ("Host", "token.localhost")]), "x-api-token") == [TOKEN.value]

    def test_what_a_client_says_in_its_place_is_gone(self, served: Gateway) -> None:
        theirs = [("X-Api-Token", "theirs"), ("x-api-token", "again"), ("X_Api_Token", "underscores")]

        assert values(served.call("/token", [KEY, *theirs]), "x-api-token") == [TOKEN.value]

    @pytest.mark.parametrize("spelling", ["private_api_token", "Private-Api_Token", "PRIVATE_API-TOKEN"])
    def test_no_spelling_that_servers_read_as_the_same_comes_through(self, served: Gateway, spelling: str) -> None:
        assert values(served.call("/dashes", [KEY, (spelling, "theirs")]), "private-api-token") == [REALLY.value]

    def test_the_key_may_come_in_the_very_same_header(self, served: Gateway) -> None:
        answer = served.call("/same", {"X-Api-Token": token_of(SUBSCRIBER).value})

        assert values(answer, "x-api-token") == [TOKEN.value]
        assert token_of(SUBSCRIBER).value not in answer.body.decode()

    def test_another_api_of_the_same_target_is_given_nothing(self, served: Gateway) -> None:
        answer = served.call("/plain", [KEY, ("X-Api-Token", "theirs")])

        assert values(answer, "x-api-token") == ["theirs"]
        assert "authorization" not in answer.sent


class TestBasic:
    @pytest.mark.parametrize("theirs", ["Basic dGhlaXJzOg==", "Bearer theirs"])
    def test_the_clients_own_authorization_does_not_win(self, served: Gateway, theirs: str) -> None:
        answer = served.call("/basic", [KEY, ("Authorization", theirs), ("authorization", "Digest x")])

        assert values(answer, "authorization") == [BASIC.value]

    def test_the_key_in_authorization_makes_room_for_it(self, served: Gateway) -> None:
        answer = served.call("/bearer", {"Authorization": f"Bearer {token_of(SUBSCRIBER).value}"})

        assert values(answer, "authorization") == [BASIC.value]


class TestRefusals:
    @pytest.mark.parametrize("path", ["/token", "/basic", "/lacking"])
    @pytest.mark.parametrize(("token", "status"), [(None, 401), (REVOKED, 401), (UNSUBSCRIBED, 403)])
    def test_who_may_not_call_never_reaches_the_target(
        self, served: Gateway, upstream: Upstream, path: str, token: int | None, status: int
    ) -> None:
        before = len(upstream.calls)
        headers = {} if token is None else {"X-API-Key": token_of(token).value}

        answer = served.call(path, headers)

        assert answer.status == status
        assert len(upstream.calls) == before
        assert TOKEN.value not in str(answer)
        assert BASIC.value not in str(answer)

    def test_without_its_credential_no_call_is_sent(self, served: Gateway, upstream: Upstream) -> None:
        before = len(upstream.calls)

        answer = served.call("/lacking", [KEY])

        assert (answer.status, answer.json["reason"]) == (503, "upstream_unreachable")
        assert len(upstream.calls) == before

    def test_the_log_holds_no_credential(self, served: Gateway) -> None:
        answers = [served.call(path, [KEY]) for path in ("/token", "/basic")]
        lines = [served.log_lines(answer.header("x-request-id") or "") for answer in answers]

        assert all(lines)
        written = served.place.access_log.read_text() + served.output()
        assert BASIC.value.split()[1] not in written
        assert "REQ(X-API-KEY)" not in written


class TestReplacing:
    def test_a_new_value_is_sent_as_soon_as_the_routes_are_taken(self, gateway: Gateway, upstream: Upstream) -> None:
        before = api(1, upstream.port, credential=Credential("x-api-token", "before"))
        gateway.publish(world(before))
        assert values(gateway.call("/api-1", [KEY]), "x-api-token") == ["before"]

        after = replace(before, credential=Credential("x-api-token", "after"))
        assert gateway.publish(world(after)) == ["rds/rds.json"]
        assert values(gateway.call("/api-1", [KEY]), "x-api-token") == ["after"]


class TestClientCertificate:
    def asked(self, port: int, ours: ClientCertificate | None, *others: Target) -> Api:
        upstream = Targets(
            (Target("orders.internal", port), *others),
            tls=True,
            ca_pem=AUTHORITY.cert_pem.bytes().decode(),
            client_certificate=ours,
        )
        return api(1, upstream=upstream)

    def test_a_target_that_asks_is_shown_it(self, gateway: Gateway, asking: Upstream) -> None:
        gateway.publish(world(self.asked(asking.port, certificate())))

        assert gateway.call("/api-1", [KEY]).status == 200

    def test_several_hosts_are_shown_it(self, gateway: Gateway, asking: Upstream) -> None:
        gateway.publish(world(self.asked(asking.port, certificate(), Target("127.0.0.1", asking.port))))

        assert {gateway.call("/api-1", [KEY]).status for _ in range(10)} == {200}

    def test_without_it_no_call_gets_through_and_with_it_the_next_one_does(
        self, gateway: Gateway, asking: Upstream
    ) -> None:
        gateway.publish(world(self.asked(asking.port, None)))
        before = len(asking.calls)
        assert gateway.call("/api-1", [KEY]).status == 502
        assert len(asking.calls) == before

        gateway.publish(world(self.asked(asking.port, certificate())))
        assert gateway.call("/api-1", [KEY]).status == 200

    def test_one_without_a_key_of_ours_reaches_nothing(self, gateway: Gateway, asking: Upstream) -> None:
        gateway.publish(world(self.asked(asking.port, certificate())))
        before = len(asking.calls)

        assert gateway.call("/api-1").status == 401
        assert len(asking.calls) == before
