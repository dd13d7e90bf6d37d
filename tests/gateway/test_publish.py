import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from portal.gateway import compile as compiler
from portal.gateway.clusters import NOWHERE
from portal.gateway.filters import operations, overall
from portal.gateway.ir import Api, ClientCertificate, Consumer, Credential, Key, Place, Plan, Snapshot, Target, Upstream
from portal.gateway.publish import Publisher, Refused
from portal.gateway.resolve import Resolver
from portal.gateway.supervisor import Envoy, NullEnvoy
from portal.outbound.addresses import AddressRules
from tests.gateway import running
from tests.gateway.running import api, snapshot

BAD_CA = Upstream((Target("192.0.2.1", 443),), tls=True, ca_pem="no certificate")
"""What no check of ours sees and Envoy refuses."""


@pytest.fixture
def place() -> Iterator[Place]:
    with running.place() as place:
        yield place


def publisher_of(place: Place, envoy: Envoy | NullEnvoy | None = None) -> Publisher:
    resolver = Resolver(place.directory / "addresses.json", AddressRules())
    publisher = Publisher(place, envoy or NullEnvoy(), resolver)
    publisher.prepare()
    return publisher


def served(place: Place) -> str:
    """What stands in the routes now."""
    return (place.directory / "rds" / "rds.json").read_text()


class TestPrepare:
    def test_empty_folder_becomes_an_empty_gateway(self, place: Place) -> None:
        publisher_of(place)

        for name in (
            "bootstrap.json",
            "lds/lds.json",
            "rds/rds.json",
            "cds/cds.json",
            "jwt/jwt.json",
            "limits/limits.json",
            operations.FILE,
            overall.FILE,
        ):
            assert json.loads((place.directory / name).read_bytes())
        assert "keys-" in (place.directory / "keys" / "keys.json").read_text()

    def test_what_was_published_last_stays(self, place: Place) -> None:
        publisher_of(place).publish_routes(snapshot(api(1)))
        before = served(place)

        publisher_of(place)

        assert served(place) == before

    def test_changed_port_changes_the_listener_only(self, place: Place) -> None:
        publisher_of(place).publish_routes(snapshot(api(1)))
        before = served(place)

        publisher_of(replace(place, port=place.port + 1))

        assert f'"port_value":{place.port + 1}' in (place.directory / "lds" / "lds.json").read_text()
        assert served(place) == before


class TestKeys:
    KEYED = Snapshot(1, consumers=(Consumer(1, "con_aaaaaaaaaaaaaaaa"),))

    def keyed(self, number: int) -> Snapshot:
        return replace(self.KEYED, keys=[Key(bytes([number]) * 32, "k" * 12, 1, None, None)])

    def test_equal_keys_are_not_written_again(self, place: Place) -> None:
        publisher = publisher_of(place)

        assert publisher.publish_keys(self.keyed(1))
        assert not publisher.publish_keys(self.keyed(1))
        assert publisher.publish_keys(self.keyed(2))

    def test_last_few_key_files_are_kept(self, place: Place) -> None:
        publisher = publisher_of(place)
        for number in range(6):
            publisher.publish_keys(self.keyed(number))

        kept = list((place.directory / "data").iterdir())

        assert len(kept) == 3
        announced = (place.directory / "keys" / "keys.json").read_text()
        assert sum(file.name in announced for file in kept) == 1

    def test_keys_that_cannot_be_packed_change_nothing(self, place: Place) -> None:
        publisher = publisher_of(place)
        publisher.publish_keys(self.keyed(1))
        before = (place.directory / "keys" / "keys.json").read_bytes()
        twice = replace(self.keyed(2), keys=[*self.keyed(2).keys] * 2)

        with pytest.raises(Refused, match="same hash"):
            publisher.publish_keys(twice)

        assert (place.directory / "keys" / "keys.json").read_bytes() == before

    def test_file_that_is_live_is_kept_although_a_clock_went_back(self, place: Place) -> None:
        publisher = publisher_of(place)
        for number in range(4):
            publisher.publish_keys(self.keyed(number))
        for file in (place.directory / "data").iterdir():
            os.utime(file, (4_000_000_000, 4_000_000_000))

        publisher.publish_keys(self.keyed(9))

        announced = (place.directory / "keys" / "keys.json").read_text()
        assert any(file.name in announced for file in (place.directory / "data").iterdir())

    def test_no_key_comes_before_the_limits_of_its_plan(self, place: Place) -> None:
        publisher_of(place)
        before = {name: (place.directory / name).read_bytes() for name in ("limits/limits.json", "keys/keys.json")}
        refusing = RefusingEnvoy(compiler.VERSION_STATISTICS["limits/limits.json"])

        with pytest.raises(Refused, match=r"refused limits/limits\.json, so the former .* stays: out of luck"):
            publisher_of(place, refusing).publish_keys(replace(self.keyed(1), plans=(Plan(1, per_second=5),)))

        assert {name: (place.directory / name).read_bytes() for name in before} == before

    def test_routes_are_left_alone(self, place: Place) -> None:
        publisher = publisher_of(place)
        before = (place.directory / "rds" / "rds.json").stat().st_ino

        publisher.publish_keys(self.keyed(1))

        assert (place.directory / "rds" / "rds.json").stat().st_ino == before


class TestBlame:
    """The one API that is wrong is named; all others go live."""

    def test_api_that_a_check_of_ours_refuses(self, place: Place) -> None:
        publisher = publisher_of(place)

        problems = publisher.publish_routes(snapshot(api(1), api(2, path="/_portico/x"), api(3)))

        assert [problem.api for problem in problems] == ["shop/api-2/v1"]
        assert "/api-1" in served(place)
        assert "/api-3" in served(place)
        assert "/_portico/x" not in served(place)

    @pytest.mark.envoy
    def test_apis_that_only_envoy_refuses(self, place: Place) -> None:
        publisher = publisher_of(place, Envoy(place))
        bad = {3, 6}

        problems = publisher.publish_routes(
            snapshot(*(api(n, **({"upstream": BAD_CA} if n in bad else {})) for n in range(1, 9)))
        )

        assert [problem.api for problem in problems] == ["shop/api-3/v1", "shop/api-6/v1"]
        assert "Envoy refuses this release" in problems[0].sentence
        assert all((f'"/api-{n}"' in served(place)) == (n not in bad) for n in range(1, 9))

    @pytest.mark.envoy
    def test_refused_release_leaves_the_former_one_with_its_live_settings(self, place: Place) -> None:
        publisher = publisher_of(place, Envoy(place))
        publisher.publish_routes(snapshot(api(1), api(2)))

        problems = publisher.publish_routes(snapshot(api(1), api(2, release=2, upstream=BAD_CA, paused=True)))

        assert [problem.api for problem in problems] == ["shop/api-2/v1"]
        assert '"2|1|p|' in served(place)

    @pytest.mark.envoy
    def test_former_release_is_known_after_a_restart(self, place: Place) -> None:
        publisher_of(place, Envoy(place)).publish_routes(snapshot(api(1), api(2)))

        problems = publisher_of(place, Envoy(place)).publish_routes(
            snapshot(api(1), api(2, release=2, upstream=BAD_CA))
        )

        assert [problem.api for problem in problems] == ["shop/api-2/v1"]
        assert '"2|1|h|' in served(place)

    def test_former_place_that_now_belongs_to_another_is_not_taken_back(self, place: Place) -> None:
        publisher = publisher_of(place)
        publisher.publish_routes(snapshot(api(1, path="/orders")))

        problems = publisher.publish_routes(snapshot(api(1, path="/_portico/x"), api(2, path="/orders")))

        assert [problem.api for problem in problems] == ["shop/api-1/v1"]
        assert '"2|1|h|' in served(place)
        assert '"1|1|h|' not in served(place)

    def test_problem_of_no_single_api_changes_nothing(self, place: Place) -> None:
        publisher = publisher_of(place)
        publisher.publish_routes(snapshot(api(1)))
        before = served(place)

        wrong = snapshot(api(1), api(2), plans=(Plan(7, per_second=0),))
        with pytest.raises(Refused, match="Plan 7 has 0 calls per second"):
            publisher.publish_routes(wrong)
        with pytest.raises(Refused, match="Plan 7 has 0 calls per second"):
            publisher.publish_keys(wrong)

        assert served(place) == before

    def test_api_that_is_mended_goes_live(self, place: Place) -> None:
        publisher = publisher_of(place)
        publisher.publish_routes(snapshot(api(1, path="/_portico/x")))

        assert publisher.publish_routes(snapshot(api(1))) == []
        assert '"/api-1"' in served(place)


class CountingEnvoy(NullEnvoy):
    """Counts what it is asked to validate."""

    def __init__(self) -> None:
        super().__init__()
        self.validated = 0

    def validate(self, twin: bytes) -> str | None:
        self.validated += 1
        return None


class TestValidation:
    def test_happens_only_when_apis_changed(self, place: Place) -> None:
        envoy = CountingEnvoy()
        publisher = publisher_of(place, envoy)
        publisher.publish_routes(snapshot(api(1)))
        assert envoy.validated == 1

        publisher.publish_routes(snapshot(api(1), revision=2))
        assert envoy.validated == 1

        publisher.publish_routes(snapshot(api(1), plans=(Plan(1, per_second=5),)))
        assert envoy.validated == 1

        publisher.publish_routes(snapshot(api(1), api(2)))
        assert envoy.validated == 2

    def test_is_not_needed_for_what_the_node_before_has_published(self, place: Place) -> None:
        publisher_of(place).publish_routes(snapshot(api(1)))
        envoy = CountingEnvoy()

        publisher_of(place, envoy).publish_routes(snapshot(api(1)))

        assert envoy.validated == 0


class RefusingEnvoy(NullEnvoy):
    """Validates everything and then refuses one file, as Envoy does with what depends on the moment."""

    def __init__(self, statistic: str) -> None:
        super().__init__()
        self.start()
        self.statistic = statistic

    def took(self, versions, before, *, seconds):  # type: ignore[no-untyped-def]
        return "out of luck" if self.statistic in versions else None


class TestSwitch:
    def test_refused_file_brings_all_former_files_back(self, place: Place) -> None:
        publisher_of(place).publish_routes(snapshot(api(1)))
        names = ("cds/cds.json", "rds/rds.json")
        before = {name: (place.directory / name).read_bytes() for name in names}
        refusing = RefusingEnvoy(compiler.VERSION_STATISTICS["rds/rds.json"])

        with pytest.raises(Refused, match=r"refused rds/rds\.json, so the former .* stays: out of luck"):
            publisher_of(place, refusing).publish_routes(
                snapshot(api(1), api(2, upstream=Upstream((Target("192.0.2.2", 80),))))
            )

        assert {name: (place.directory / name).read_bytes() for name in names} == before

    def test_refused_keys_leave_the_former_ones(self, place: Place) -> None:
        publisher_of(place)
        before = (place.directory / "keys" / "keys.json").read_bytes()
        refusing = RefusingEnvoy(compiler.VERSION_STATISTICS["keys/keys.json"])

        with pytest.raises(Refused, match="works with the former ones: out of luck"):
            publisher_of(place, refusing).publish_keys(Snapshot(1, consumers=(Consumer(1, "con_aaaaaaaaaaaaaaaa"),)))

        assert (place.directory / "keys" / "keys.json").read_bytes() == before

    def test_newest_set_is_kept_although_a_clock_went_back(self, place: Place) -> None:
        publisher = publisher_of(place)
        good = place.directory / "good"
        for number in range(5):
            (good / f"400000000000000000{number}-revision-{number}").mkdir()

        publisher.publish_routes(snapshot(api(1), revision=9))

        assert max(good.glob("*-revision-*")).name.endswith("-revision-9")

    def test_last_five_sets_are_kept_for_people(self, place: Place) -> None:
        publisher = publisher_of(place)
        for number in range(1, 8):
            publisher.publish_routes(snapshot(api(number), revision=number))

        kept = sorted(path.name.rpartition("-")[2] for path in (place.directory / "good").glob("*-revision-*"))

        assert kept == ["3", "4", "5", "6", "7"]
        newest = max((place.directory / "good").glob("*-revision-*"))
        assert (newest / "rds.json").read_text() == served(place)


OLD, NEW = "hush-of-yesterday", "hush-of-today"


def secretive(number: int, value: str, **fields: Any) -> Api:
    return api(number, secret="token", credential=Credential("x-token", value), **fields)


def certified(number: int, value: str) -> Api:
    certificate = ClientCertificate(value, f"chain {value}", f"key {value}")
    return api(
        number, upstream=Upstream((Target("192.0.2.1", 443),), tls=True, ca_pem="ca", client_certificate=certificate)
    )


def files_with(place: Place, text: str) -> list[str]:
    """Linked files count under each of their names."""
    return sorted(
        str(path.relative_to(place.directory))
        for path in place.directory.rglob("*")
        if path.is_file() and text.encode() in path.read_bytes()
    )


class TestSecrets:
    @pytest.mark.parametrize("make", [secretive, certified])
    def test_replaced_one_is_gone_from_the_disk(self, place: Place, make: Callable[[int, str], Api]) -> None:
        publisher = publisher_of(place)
        publisher.publish_routes(snapshot(api(1), make(2, OLD)))
        assert "good/apis.json" in files_with(place, f'{OLD}"')

        publisher.publish_routes(snapshot(api(1), make(2, NEW), revision=2))

        assert files_with(place, f'{OLD}"') == []
        assert len(files_with(place, f'{NEW}"')) == 3

    @pytest.mark.parametrize("make", [secretive, certified])
    def test_deleted_one_is_gone_from_the_disk(self, place: Place, make: Callable[[int, str], Api]) -> None:
        publisher = publisher_of(place)
        publisher.publish_routes(snapshot(make(2, OLD)))

        publisher.publish_routes(snapshot(api(2), revision=2))

        assert files_with(place, f'{OLD}"') == []

    def test_kept_sets_are_whole_but_for_the_secrets(self, place: Place) -> None:
        publisher_of(place).publish_routes(snapshot(secretive(1, OLD), certified(2, OLD)))

        (kept,) = (place.directory / "good").glob("*-revision-*")

        assert sorted(path.name for path in kept.iterdir()) == [
            "cds.json",
            "jwt.json",
            "lds.json",
            "limits.json",
            "operations.json",
            "overall.json",
            "rds.json",
        ]
        resources = json.loads((kept / "rds.json").read_text())["resources"]
        assert resources == json.loads(served(place).replace(OLD, "…"))["resources"]
        assert files_with(place, OLD) == [
            "cds/cds.json",
            "good/apis.json",
            "good/cds.json",
            "good/rds.json",
            "rds/rds.json",
        ]
        assert {path.stat().st_mode & 0o777 for path in kept.iterdir()} == {0o600}

    def test_what_a_killed_or_older_node_has_left_is_gone(self, place: Place) -> None:
        publisher_of(place)
        older = place.directory / "good" / "1700000000-revision-7"
        older.mkdir()
        left = [older / "rds.json", place.directory / "new" / "rds.rds.json", place.directory / "twin.123.json"]
        for path in left:
            path.write_text(OLD)

        publisher_of(place)

        assert files_with(place, OLD) == []

    def test_one_of_a_node_that_was_killed_before_it_remembered_is_gone(self, place: Place) -> None:
        publisher_of(place).publish_routes(snapshot(secretive(1, OLD)))
        kept = [place.directory / "good" / name for name in ("apis.json", "rds.json", "cds.json")]
        remembered = [path.read_bytes() for path in kept]
        publisher_of(place).publish_routes(snapshot(secretive(1, NEW)))
        for path, content in zip(kept, remembered, strict=True):
            path.write_bytes(content)

        publisher_of(place).publish_routes(snapshot(secretive(1, NEW)))

        assert files_with(place, OLD) == []

    def test_former_release_of_a_refused_one_gets_the_new_value(self, place: Place) -> None:
        publisher = publisher_of(place)
        publisher.publish_routes(snapshot(secretive(1, OLD)))

        publisher.publish_routes(snapshot(secretive(1, NEW, release=2, path="/_portico/x"), revision=2))

        assert '"1|1|h|' in served(place)
        assert NEW in served(place)
        assert files_with(place, OLD) == []

    def test_former_release_whose_secret_is_gone_is_sent_nowhere(self, place: Place) -> None:
        publisher = publisher_of(place)
        publisher.publish_routes(snapshot(secretive(1, OLD)))
        refused = api(1, release=2, path="/_portico/x", secret="token")

        for lacks in ("It is gone.", None):
            # Also when it is there again: the former release does not know in which header it went.
            credential = None if lacks else Credential("x-token", NEW)
            publisher.publish_routes(snapshot(replace(refused, lacks=lacks, credential=credential), revision=2))
            assert f'"cluster":"{NOWHERE}"' in served(place)
            assert files_with(place, OLD) == []

    def test_former_release_that_wants_another_secret_keeps_its_own(self, place: Place) -> None:
        publisher = publisher_of(place)
        publisher.publish_routes(snapshot(secretive(1, OLD)))

        other = replace(secretive(1, NEW, release=2, path="/_portico/x"), secret="other")
        publisher.publish_routes(snapshot(other, revision=2))

        assert OLD in served(place)
        assert NEW not in served(place)


def test_folder_is_for_its_owner_only(place: Place) -> None:
    fresh = replace(place, directory=place.directory / "var" / "gateway")
    publisher_of(fresh)

    assert Path(fresh.directory).stat().st_mode & 0o077 == 0
