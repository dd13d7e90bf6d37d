from pathlib import Path

import pytest

from portal.gateway.ir import Api, Snapshot, Target, Upstream
from portal.gateway.resolve import Resolver
from portal.outbound.addresses import AddressRules, Listener

RULES = AddressRules(loopback=True, private=True, own=(Listener("127.0.0.1", 8000),))


class Names(dict[str, list[str]]):
    """A name server: hosts that it does not have fail."""

    def __call__(self, host: str) -> list[str]:
        if host not in self:
            raise OSError(-2, "Name or service not known")
        return self[host]


def snapshot_of(*hosts: str, port: int = 80) -> Snapshot:
    return Snapshot(
        1,
        apis=tuple(
            Api(n, 1, f"shop/api-{n}/v1", Upstream((Target(host, port),)), path=f"/{n}") for n, host in enumerate(hosts)
        ),
    )


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "addresses.json"


def test_addresses_of_every_host_are_learnt_sorted(kept: Path) -> None:
    resolver = Resolver(kept, RULES, lookup=Names({"a.example": ["192.0.2.2", "192.0.2.1"]}))

    changed = resolver.learn(snapshot_of("a.example", "192.0.2.9"), seconds=5)

    assert changed
    assert resolver.addresses == {"a.example": ("192.0.2.1", "192.0.2.2"), "192.0.2.9": ("192.0.2.9",)}
    assert resolver.problems(snapshot_of("a.example")) == []


def test_same_answer_is_no_change(kept: Path) -> None:
    names = Names({"a.example": ["192.0.2.1"]})
    resolver = Resolver(kept, RULES, lookup=names)
    snapshot = snapshot_of("a.example")
    resolver.learn(snapshot, seconds=5)
    version = resolver.version

    assert not resolver.learn(snapshot, seconds=5)
    assert resolver.version == version

    names["a.example"] = ["192.0.2.7"]
    assert resolver.learn(snapshot, seconds=5)
    assert resolver.version > version


def test_name_that_fails_keeps_its_last_addresses_and_is_named(kept: Path) -> None:
    names = Names({"a.example": ["192.0.2.1"]})
    resolver = Resolver(kept, RULES, lookup=names)
    snapshot = snapshot_of("a.example")
    resolver.learn(snapshot, seconds=5)

    names.clear()
    resolver.learn(snapshot, seconds=5)

    assert resolver.addresses == {"a.example": ("192.0.2.1",)}
    (problem,) = resolver.problems(snapshot)
    assert problem.api == "shop/api-0/v1"
    assert problem.sentence == "a.example does not resolve: name or service not known."


def test_name_that_turns_to_a_forbidden_address_loses_all(kept: Path) -> None:
    names = Names({"a.example": ["192.0.2.1"]})
    resolver = Resolver(kept, RULES, lookup=names)
    snapshot = snapshot_of("a.example")
    resolver.learn(snapshot, seconds=5)

    names["a.example"] = ["169.254.169.254"]
    resolver.learn(snapshot, seconds=5)

    assert resolver.addresses == {"a.example": ()}
    (problem,) = resolver.problems(snapshot)
    assert problem.sentence.startswith("a.example leads to a forbidden address: 169.254.169.254 is")


def test_target_that_leads_back_into_this_installation_loses_its_weight(kept: Path) -> None:
    resolver = Resolver(kept, RULES, lookup=Names({"me.example": ["127.0.0.1"]}))
    circle, fine = snapshot_of("me.example", port=8000), snapshot_of("me.example", port=9000)
    resolver.learn(circle, seconds=5)

    assert [target.weight for target in resolver.usable(circle).apis[0].upstream.targets] == [0]
    assert resolver.usable(fine) == fine
    assert "itself listens" in resolver.problems(circle)[0].sentence
    assert resolver.problems(fine) == []


def test_addresses_outlive_the_process(kept: Path) -> None:
    snapshot = snapshot_of("a.example", "b.example")
    Resolver(kept, RULES, lookup=Names({"a.example": ["192.0.2.1"], "b.example": ["127.0.0.1"]})).learn(
        snapshot, seconds=5
    )

    stricter = Resolver(kept, AddressRules(loopback=False), lookup=Names())
    stricter.learn(snapshot, seconds=5)

    assert stricter.addresses == {"a.example": ("192.0.2.1",), "b.example": ()}


def test_broken_memory_is_left_aside(kept: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept.write_bytes(b"{")

    assert Resolver(kept, RULES, lookup=Names()).addresses == {}
    assert "is of no use" in caplog.text


def test_hosts_that_no_api_has_any_more_are_forgotten(kept: Path) -> None:
    resolver = Resolver(kept, RULES, lookup=Names({"a.example": ["192.0.2.1"], "b.example": ["192.0.2.2"]}))
    resolver.learn(snapshot_of("a.example", "b.example"), seconds=5)

    resolver.learn(snapshot_of("b.example"), seconds=5)

    assert list(resolver.addresses) == ["b.example"]


def test_only_new_hosts_are_asked_for_before_a_publish(kept: Path) -> None:
    asked: list[str] = []

    def lookup(host: str) -> list[str]:
        asked.append(host)
        return ["192.0.2.1"]

    resolver = Resolver(kept, RULES, lookup=lookup)
    resolver.learn_new(snapshot_of("a.example"), seconds=5)
    resolver.learn_new(snapshot_of("a.example", "b.example"), seconds=5)

    assert asked == ["a.example", "b.example"]
