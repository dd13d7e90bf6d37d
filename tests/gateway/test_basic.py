"""User names and passwords, which stand beside the keys: what lets a call in, and what never does."""

import base64
from collections.abc import Iterator
from dataclasses import replace

import pytest

from portal.gateway.ir import Key, Restriction
from portal.registry.keys import new_token
from portal.registry.models import KeyKind
from tests.gateway import envoy
from tests.gateway.conftest import SUBSCRIBER, Served, api, token_of, world
from tests.gateway.envoy import Answer

pytestmark = pytest.mark.envoy

PAIR, REVOKED, EXPIRED, READER, UNKNOWN = (new_token(kind=KeyKind.BASIC) for _ in range(5))
CHALLENGE = 'Basic realm="Portico", charset="UTF-8"'
READING = 7_000


@pytest.fixture(scope="module")
def served(upstream: envoy.Upstream) -> Iterator[Served]:
    port = upstream.port
    only = {"takes_key": False, "takes_basic": True}
    snapshot = world(
        api(1, port, path="/either", takes_basic=True),
        api(2, port, path="/basic", **only),
        api(3, port, path="/keys"),
        api(4, port, path="/bearer", key_place="bearer", takes_basic=True),
        api(5, port, path="/query", key_place="query", key_name="k", takes_basic=True),
        api(6, port, path="/named", key_name="x-orders-key", **only),
        api(7, port, path="/asked", key_place="query", key_name="k", **only),
    )
    pairs = [
        Key(PAIR.sha256, PAIR.public_id, 1, None, None),
        Key(REVOKED.sha256, REVOKED.public_id, 1, None, 1),
        Key(EXPIRED.sha256, EXPIRED.public_id, 1, 1_000_000_000, None),
        Key(READER.sha256, READER.public_id, 1, None, None, READING),
    ]
    restrictions = {**snapshot.restrictions, READING: Restriction(read_only=True)}
    gateway = envoy.Gateway.new()
    try:
        gateway.publish(replace(snapshot, keys=[*snapshot.keys, *pairs], restrictions=restrictions))
        yield Served(gateway, upstream)
    finally:
        gateway.stop()


def basic(text: str | bytes) -> str:
    raw = text.encode() if isinstance(text, str) else text
    return f"Basic {base64.b64encode(raw).decode()}"


def ask(served: Served, path: str, *values: str, **more: object) -> Answer:
    return served.call(path, [("Authorization", value) for value in values], token=None, **more)


def reason(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["reason"]


@pytest.mark.parametrize("path", ["/either", "/basic", "/bearer", "/query", "/named", "/asked"])
def test_user_name_and_password_let_a_call_in_and_stay_here(served: Served, path: str) -> None:
    answer = ask(served, path, basic(PAIR.value))

    assert answer.status == 200
    assert "authorization" not in answer.sent
    assert answer.sent["x-consumer-id"] == "con_0000000000000001"
    assert answer.sent["x-key-id"] == PAIR.public_id
    assert answer.sent["x-plan-id"] == "1"


def test_a_key_lets_a_call_in_where_either_will_do(served: Served) -> None:
    key = token_of(SUBSCRIBER).value

    assert served.call("/either").sent["x-key-id"] == token_of(SUBSCRIBER).public_id
    assert ask(served, "/bearer", f"Bearer {key}").status == 200
    assert ask(served, f"/query?k={key}").status == 200


@pytest.mark.parametrize("scheme", ["basic", "BASIC", "bAsIc"])
def test_the_scheme_may_be_written_in_any_case(served: Served, scheme: str) -> None:
    assert ask(served, "/basic", basic(PAIR.value).replace("Basic", scheme)).status == 200


def test_padding_may_be_left_out_and_spaces_may_be_added(served: Served) -> None:
    value = basic(PAIR.value)
    assert value.endswith("=")

    assert ask(served, "/basic", value.rstrip("=")).status == 200
    assert ask(served, "/basic", value.replace(" ", "   ") + "   ").status == 200


PAIR_OF_WRONG = PAIR.value[:-1] + ("a" if PAIR.value[-1] != "a" else "b")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (basic(UNKNOWN.value), "key_unknown"),
        (basic(REVOKED.value), "key_revoked"),
        (basic(EXPIRED.value), "key_expired"),
        (basic(PAIR_OF_WRONG), "key_malformed"),
        (basic(PAIR.user), "key_malformed"),
        (basic(f"{PAIR.user}:"), "key_malformed"),
        (basic(f"{PAIR.user}:pass:word"), "key_malformed"),
        (basic(PAIR.value.replace(":", "_")), "key_malformed"),
        (basic("jürgen:gehèim"), "key_malformed"),
        (basic("jürgen:gehèim".encode("latin-1")), "key_malformed"),
        (basic(b"\0" * 50), "key_malformed"),
        (basic("x" * 40_000), "key_malformed"),
        ("Basic " + "=" * 68, "key_malformed"),
        ("Basic " + "\u00ff" * 68, "key_malformed"),
        ("Basic " + " " * 30_000 + "x", "key_malformed"),
        (basic(PAIR.value).replace("=", "=="), "key_malformed"),
        ("Basic", "key_missing"),
        ("Basic   ", "key_missing"),
        ("", "key_missing"),
        ("Bearer x", "key_missing"),
    ],
    # Some are made anew by each process, and all processes must call them the same.
    ids=lambda each: each if each.startswith("key_") else "sent",
)
def test_what_lets_nobody_in(served: Served, value: str, expected: str) -> None:
    before = len(served.upstream.calls)

    answer = ask(served, "/basic", value)

    assert reason(answer) == (401, expected)
    assert answer.header("WWW-Authenticate") == CHALLENGE
    assert len(served.upstream.calls) == before


def test_a_key_never_works_where_only_basic_does(served: Served) -> None:
    key = token_of(SUBSCRIBER).value

    for headers in ([("X-API-Key", key)], [("Authorization", f"Bearer {key}")], [("Authorization", basic(f"{key}:"))]):
        assert served.call("/basic", headers, token=None).status == 401
    assert served.call("/named", [("X-Orders-Key", key)], token=None).status == 401
    assert ask(served, f"/asked?k={key}").status == 401


def test_user_name_and_password_never_work_where_only_keys_do(served: Served) -> None:
    for headers in (
        [("Authorization", basic(PAIR.value))],
        [("X-API-Key", PAIR.value)],
        [("X-API-Key", basic(PAIR.value))],
        [("X-API-Key", basic(PAIR.value).removeprefix("Basic "))],
    ):
        assert served.call("/keys", headers, token=None).status == 401


def test_what_was_admitted_one_way_is_not_admitted_another_way(served: Served) -> None:
    """Decisions are kept by what was sent: it must matter where it was."""
    coded = basic(PAIR.value).removeprefix("Basic ")
    assert ask(served, "/either", f"Basic {coded}").status == 200
    assert served.call("/either").status == 200
    key = token_of(SUBSCRIBER).value

    assert reason(served.call("/either", [("X-API-Key", coded)], token=None)) == (401, "key_malformed")
    assert reason(served.call("/either", [("X-API-Key", PAIR.value)], token=None)) == (401, "key_malformed")
    assert reason(ask(served, "/either", f"Basic {key}")) == (401, "key_malformed")
    assert reason(ask(served, f"/query?k={coded}")) == (401, "key_malformed")
    assert reason(ask(served, f"/query?k=%01{coded}")) == (401, "key_malformed")


def test_several_are_believed_in_none(served: Served) -> None:
    good = basic(PAIR.value)

    assert reason(ask(served, "/basic", good, good)) == (400, "key_repeated")
    assert reason(ask(served, "/basic", "Bearer x", good)) == (400, "key_repeated")
    assert reason(ask(served, "/either", good, "Bearer x")) == (400, "key_repeated")
    assert reason(ask(served, "/basic", f"{good}, Bearer x")) == (400, "key_repeated")
    both = served.call("/either", [("Authorization", good)], token=SUBSCRIBER)
    assert reason(both) == (400, "key_repeated")


def test_the_challenge_names_all_that_will_do(served: Served) -> None:
    answer = ask(served, "/either")

    assert reason(answer) == (401, "key_missing")
    named = [value for name, value in answer.headers if name.lower() == "www-authenticate"]
    assert named == ['ApiKey in="header", name="x-api-key"', CHALLENGE]
    assert "Basic" not in (ask(served, "/keys").header("WWW-Authenticate") or "")


def test_another_authorization_passes_on_where_it_is_not_ours(served: Served) -> None:
    foreign = basic("upstream-user:upstream-password")

    assert served.call("/keys", [("Authorization", foreign)]).sent["authorization"] == foreign
    assert served.call("/either", [("Authorization", "Bearer theirs")]).sent["authorization"] == "Bearer theirs"
    assert reason(served.call("/either", [("Authorization", foreign)], token=None)) == (401, "key_malformed")


def test_a_foreign_value_in_the_usual_places_of_keys_passes_on(served: Served) -> None:
    good = ("Authorization", basic(PAIR.value))

    assert served.call("/named", [good, ("X-Orders-Key", "theirs")], token=None).sent["x-orders-key"] == "theirs"
    assert served.call("/asked?k=theirs&a=1", [good], token=None).json["path"] == "/?k=theirs&a=1"


@pytest.mark.parametrize("path", ["/keys", "/basic", "/either", "/named"])
def test_what_is_ours_never_reaches_the_upstream(served: Served, path: str) -> None:
    key = token_of(SUBSCRIBER).value
    own = [] if path == "/keys" else [("Authorization", basic(PAIR.value))]
    strays = [
        ("X-API-Key", PAIR.value if path != "/keys" else key),
        ("Referer", f"http://x.example/?login={PAIR.value}"),
        ("X-Orders-Key", key if path == "/named" else "x"),
        ("Cookie", f"login={PAIR.value}; theirs=1"),
    ]
    if path in {"/keys", "/either"}:
        strays = strays[1:]
    more = [("X-API-Key", key)] if path == "/keys" else []

    answer = served.call(f"{path}?login={PAIR.value}&a=1", own + strays + more, token=None)

    assert answer.status == 200
    assert PAIR.password not in answer.body.decode()
    assert key not in answer.body.decode()


@pytest.mark.parametrize("shift", ["", "a", "ab"])
def test_in_foreign_basic_it_is_found_wherever_a_group_begins(served: Served, shift: str) -> None:
    answer = served.call("/keys", [("Authorization", basic(f"{shift}{PAIR.value}"))])

    assert answer.status == 200
    assert "authorization" not in answer.sent


def test_in_the_path_it_is_refused_and_masked(served: Served) -> None:
    answer = ask(served, f"/basic/{PAIR.value}", basic(PAIR.value))

    assert reason(answer) == (400, "key_misplaced")
    (line,) = served.gateway.log_lines(str(answer.header("X-Request-Id")))
    assert PAIR.password not in str(line)


def test_restrictions_hold(served: Served) -> None:
    assert ask(served, "/basic", basic(READER.value)).status == 200
    refused = ask(served, "/basic", basic(READER.value), method="POST", body=b"{}")
    assert reason(refused) == (403, "key_not_allowed")


def test_the_log_knows_whose_it_was(served: Served) -> None:
    answer = ask(served, "/basic/x", basic(PAIR.value))

    (line,) = served.gateway.log_lines(str(answer.header("X-Request-Id")))
    assert (line["k"], line["c"]) == (PAIR.public_id, "con_0000000000000001")
    assert PAIR.password not in str(line)
