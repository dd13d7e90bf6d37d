"""Every bench runs, at a size that measures nothing, and gives the rows that it declares."""

import json
import shutil
import time
from pathlib import Path
from types import ModuleType

import pytest

from bench import __main__ as command
from bench import (
    catalogue,
    chain,
    counted,
    docs,
    everything,
    faults,
    home,
    imports,
    ingest,
    keyring,
    keys,
    limits,
    load,
    machine,
    quotas,
    releases,
    rights,
)
from bench.population import Population, database, fill, path_of
from bench.rows import Budget, Missing, Row, middle, quantile, table
from portal.config import Config
from portal.gateway.read import consistent, read_snapshot

_OF_ROWS = {"name", "what", "value", "unit", "budget", "ok", "samples", "note", "more"}


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} is not installed")


class TestRows:
    @pytest.mark.parametrize(
        ("sign", "value", "holds"),
        [("≤", 1.4, True), ("≤", 1.41, False), ("≥", 1.4, True), ("≥", 1.39, False), ("=", 1.4, True), ("=", 1, False)],
    )
    def test_a_budget_holds_up_to_its_number(self, sign, value, holds):
        assert Row("one", "", value, budget=Budget(sign, 1.4)).ok is holds

    def test_a_figure_without_a_budget_is_neither_good_nor_bad(self):
        assert Row("one", "", 3.0).ok is None

    def test_a_stored_share_that_is_almost_whole_does_not_become_whole(self):
        row = Row("one", "", 0.999_999_9, budget=Budget("=", 1))

        assert row.ok is False

    def test_the_middle_is_the_median_of_its_samples(self):
        assert middle("one", "", [5.0, 1.0, 2.0]).value == 2.0

    @pytest.mark.parametrize(("share", "value"), [(0.5, 100), (0.99, 198), (0.999, 200), (1.0, 200)])
    def test_a_quantile_is_one_of_the_values(self, share, value):
        assert quantile(range(200, 0, -1), share) == value

    def test_the_table_names_what_missed_its_budget(self):
        rows = [Row("good", "", 1.0, budget=Budget("≤", 2)), Row("bad", "", 3.0, budget=Budget("≤", 2), note="Why.")]

        lines = table(rows).splitlines()

        assert [line.split()[:2] for line in lines[1:3]] == [["✔", "good"], ["✘", "bad"]]
        assert lines[3].strip() == "Why."


class TestPopulation:
    def test_every_right_is_one_that_the_gateway_reads(self, tmp_path):
        population = Population(apis=7, keys=40, callers=11, subscriptions=30, plans=3)
        engine = database(Config(data_dir=tmp_path))

        rights = fill(engine, population, upstream="http://127.0.0.1:1")

        with consistent(engine) as connection:
            snapshot = read_snapshot(connection)
        engine.dispose()
        assert len(snapshot.apis) == 7
        assert len(snapshot.keys) == 40
        assert {right.path for right in rights} == {path_of(n) for n in range(1, 8)}
        assert {right.consumer_id for right in rights} == set(range(1, 12))
        subscribed = {(row.consumer_id, path_of(row.api_id)) for row in snapshot.subscriptions}
        assert {(right.consumer_id, right.path) for right in rights} == subscribed


class TestResults:
    def test_figures_of_other_benches_stay(self, tmp_path, monkeypatch):
        monkeypatch.setattr(command, "RESULTS", tmp_path / "results.json")

        command.keep("home", {"rows": [1]})
        command.keep("chain", {"rows": [2]})
        command.keep("home", {"rows": [3]})

        kept = json.loads((tmp_path / "results.json").read_text())
        assert list(kept.items()) == [("chain", {"rows": [2]}), ("home", {"rows": [3]})]

    def test_an_unknown_name_is_refused_with_those_that_exist(self, capsys):
        assert command.main(["hmoe"]) == 2
        assert f"There is no bench hmoe. There are {', '.join(command.BENCHES)}." in capsys.readouterr().err

    def test_what_the_machine_lacks_is_said_with_how_to_get_it(self):
        with pytest.raises(Missing, match=r"no-such-program .* Install it with `apt install no-such-program`"):
            machine.require("no-such-program")


class TestMachine:
    def test_a_process_is_ended_with_its_block(self, tmp_path):
        with machine.running(["sleep", "60"], log=tmp_path / "log") as process:
            assert process.poll() is None

        assert process.poll() is not None

    def test_a_process_that_ends_before_it_is_ready_is_told_with_its_words(self, tmp_path):
        argv = ["sh", "-c", "echo no port left; exit 3"]

        with (
            pytest.raises(RuntimeError, match=r"sh ended with 3: no port left"),
            machine.running(argv, log=tmp_path / "log", ready=lambda: False),
        ):
            pass

    def test_the_time_of_a_busy_process_is_counted(self, tmp_path):
        with machine.running(["sh", "-c", "while :; do :; done"], log=tmp_path / "log") as process:
            machine.wait_for(lambda: machine.cpu_seconds(process.pid) > 0.05, "it uses its core")
            assert machine.cpu_seconds(process.pid) <= time.monotonic()


@pytest.mark.envoy
class TestBenches:
    @pytest.mark.slow
    @needs("nginx", "wrk", "taskset")
    def test_the_chain(self):
        assert_gives(chain, chain.run(chain.TINY))

    @pytest.mark.slow
    @needs("nginx", "wrk", "taskset")
    def test_everything(self):
        assert_gives(everything, everything.run(everything.TINY))

    @needs("nginx")
    def test_rights(self):
        assert_gives(rights, rights.run(rights.TINY))

    @needs("nginx")
    def test_limits_refuse_what_is_too_much_and_let_through_what_they_promise(self):
        rows = limits.run(limits.TINY)

        assert_gives(limits, rows)
        assert all(row.more["statuses"].keys() == {"200", "429"} for row in rows)
        assert all(row.ok for row in rows), [row.note for row in rows]

    @needs("nginx")
    def test_keys(self):
        assert_gives(keys, keys.run(keys.TINY))

    def test_imports(self):
        assert_gives(imports, imports.run(imports.TINY))

    @needs("nginx")
    def test_releases(self):
        assert_gives(releases, releases.run(releases.TINY))

    @needs("nginx", "wrk", "taskset")
    def test_stored_calls_are_all_calls(self):
        rows = counted.run(counted.TINY)

        assert_gives(counted, rows)
        assert rows[0].ok, rows[0].note

    @needs("nginx")
    def test_a_used_up_quota_refuses_and_what_it_let_through_is_counted(self):
        rows = quotas.run(quotas.TINY)

        assert_gives(quotas, rows)
        assert rows[0].more["statuses"].keys() == {"200", "429"}
        assert rows[1].ok, rows[1].value

    @pytest.mark.slow
    @needs("nginx", "wrk", "taskset")
    def test_refused_calls_spoil_the_figures(self, tmp_path):
        with load.backend(tmp_path) as backend, chain.gateway(tmp_path / "one", chain.TINY.population, backend) as made:
            gateway, requests = made
            requests.write_text(requests.read_text().replace("pco_", "pcx_"))

            with pytest.raises(load.Wrong, match="gateway did not answer every call well"):
                load.drive(gateway, requests, seconds=1)

    @pytest.mark.slow
    @needs("taskset")
    def test_ingest(self):
        assert_gives(ingest, ingest.run(ingest.TINY))

    def test_docs(self):
        assert_gives(docs, docs.run(docs.TINY))

    def test_home(self):
        assert_gives(home, home.run(home.TINY))

    def test_keyring(self):
        assert_gives(keyring, keyring.run(keyring.TINY))

    def test_catalogue(self):
        assert_gives(catalogue, catalogue.run(catalogue.TINY))

    @pytest.mark.slow
    @needs("nginx", "wrk", "taskset")
    def test_faults(self):
        rows = faults.run(faults.TINY)

        assert_gives(faults, rows)
        counts = {row.name: row for row in rows if row.budget is not None and row.budget.sign == "="}
        assert {name for name, row in counts.items() if row.ok} == {
            "calls_lost_or_doubled",
            "calls_failed_by_kills",
            "calls_failed_by_changes",
        }


def assert_gives(bench: ModuleType, rows: list[Row]) -> None:
    assert tuple(row.name for row in rows) == bench.ROWS
    for row in rows:
        assert set(row.as_json()) == _OF_ROWS
        assert row.value == row.value, f"{row.name} is not a number"
    assert json.dumps([row.as_json() for row in rows])


def test_every_bench_has_a_place_in_the_command():
    folder = Path(command.__file__).parent
    found = {file.stem for file in folder.glob("*.py") if "\nFULL = Size()" in file.read_text()}

    assert found == set(command.BENCHES)
