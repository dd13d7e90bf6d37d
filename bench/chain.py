"""What a call costs: the whole chain beside a plain Envoy, beside the same chain with one API, beside a plain nginx.

Everything runs at once but is driven in turn, round after round, so that a slow minute of the machine is slow for all.
What is measured has core 0 for itself; load and backend share core 1.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from bench import load, machine
from bench.load import Run, Server
from bench.population import Population, database, fill
from bench.rows import Budget, Row, middle
from portal.config import Config
from portal.gateway import compile as compiler
from portal.gateway import keys
from portal.gateway.ir import Place
from portal.gateway.read import consistent, read_snapshot
from portal.gateway.supervisor import Envoy

ROWS = (
    "envoy_cpu_ratio",
    "envoy_cpu_3000_to_1",
    "calls_to_nginx",
    "plain_envoy_to_nginx",
    "envoy_cpu_us",
    "plain_envoy_cpu_us",
    "calls_per_second",
)


@dataclass(frozen=True, slots=True)
class Size:
    population: Population = Population()
    rounds: int = 15
    seconds: int = 3
    most_rounds: int = 30
    """When others use the machine, rounds are repeated, up to so many."""


FULL = Size()
TINY = Size(Population(apis=3, keys=50, callers=10, subscriptions=30, plans=2), rounds=1, seconds=1, most_rounds=1)


def run(size: Size = FULL) -> list[Row]:
    machine.require("nginx", "wrk", "taskset")
    machine.require_cores(2)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(machine.folder())
        backend = stack.enter_context(load.backend(folder))
        many, spread = stack.enter_context(gateway(folder / "many", size.population, backend))
        one, single = stack.enter_context(gateway(folder / "one", _with_one_api(size.population), backend))
        plain = stack.enter_context(load.plain_envoy(folder, backend))
        nginx = stack.enter_context(load.nginx_proxy(folder, backend))
        contenders = {"plain": (plain, spread), "many": (many, spread), "one": (one, single), "nginx": (nginx, spread)}
        rounds = measure(contenders, size)
    return _rows(size, *counted(rounds, size))


def measure(contenders: dict[str, tuple[Server, Path]], size: Size) -> list[dict[str, Run]]:
    """Each contender once a round, forth and back, after a first round that warms caches and is not counted."""
    rounds: list[dict[str, Run]] = []
    quiet, order = 0, list(contenders)
    while quiet < size.rounds and len(rounds) <= size.most_rounds:
        found = {}
        for name in order:
            server, requests = contenders[name]
            found[name] = load.drive(server, requests, seconds=size.seconds)
        order.reverse()
        if rounds:
            quiet += not any(run.disturbed for run in found.values())
        rounds.append(found)
    return rounds[1:]


def counted(rounds: list[dict[str, Run]], size: Size) -> tuple[dict[str, list[Run]], str]:
    """The runs of each contender in quiet rounds, and how many were not."""
    quiet = [round_ for round_ in rounds if not any(run.disturbed for run in round_.values())]
    # Where there is no quiet at all, the figures are of a noisy machine, and say so.
    chosen = quiet if len(quiet) >= size.rounds / 3 else rounds
    runs = {name: [round_[name] for round_ in chosen] for name in rounds[0]}
    return runs, f"{len(rounds) - len(quiet)} of {len(rounds)} rounds were disturbed by other processes."


def _rows(size: Size, runs: dict[str, list[Run]], note: str) -> list[Row]:
    population, more = size.population, detail(runs)
    share = {name: median(found.busy for found in runs[name]) for name in runs}
    return [
        middle(
            "envoy_cpu_ratio",
            f"Envoy's CPU a call, {population.apis:,} APIs, {population.keys:,} keys, 2 limits, full log ÷ plain Envoy",
            ratios(runs, "many", "plain"),
            budget=Budget("≤", 1.4),
            note=note,
            more=more,
        ),
        middle(
            "envoy_cpu_3000_to_1",
            f"Envoy's CPU a call with {population.apis:,} APIs ÷ with one, same keys",
            ratios(runs, "many", "one"),
            budget=Budget("≤", 1.15),
        ),
        middle(
            "calls_to_nginx",
            "calls/s of this gateway on one worker ÷ of nginx as a plain proxy on one worker",
            [ours.rate / theirs.rate for ours, theirs in zip(runs["many"], runs["nginx"], strict=True)],
            budget=Budget("≥", 0.45),
            note=f"Share of its core in use: gateway {share['many']:.0%}, nginx {share['nginx']:.0%}. Below 95 % the "
            f"load, not the proxy, was the limit; CPU alone says {median(ratios(runs, 'nginx', 'many')):.2f}.",
        ),
        middle(
            "plain_envoy_to_nginx",
            "the same for plain Envoy: what is left where a gateway of Envoy adds nothing",
            [plain.rate / theirs.rate for plain, theirs in zip(runs["plain"], runs["nginx"], strict=True)],
        ),
        middle("envoy_cpu_us", "CPU a call of the gateway", [r.us_a_call for r in runs["many"]], "µs"),
        middle("plain_envoy_cpu_us", "CPU a call of plain Envoy", [r.us_a_call for r in runs["plain"]], "µs"),
        middle("calls_per_second", "calls of the gateway on one worker", [r.rate for r in runs["many"]], "calls/s"),
    ]


def ratios(runs: dict[str, list[Run]], above: str, below: str) -> list[float]:
    """CPU a call, of the two runs of each round."""
    return [a.us_a_call / b.us_a_call for a, b in zip(runs[above], runs[below], strict=True)]


def detail(runs: dict[str, list[Run]]) -> dict[str, object]:
    return {
        name: {
            "us_a_call": [round(run.us_a_call, 2) for run in found],
            "calls_per_second": [round(run.rate) for run in found],
            "busy": [round(run.busy, 3) for run in found],
            "others": [round(run.others_seconds / run.seconds, 3) for run in found],
            "p50_us": [run.p50_us for run in found],
            "p99_us": [run.p99_us for run in found],
        }
        for name, found in runs.items()
    }


def _with_one_api(population: Population) -> Population:
    return replace(population, apis=1, subscriptions=population.callers)


@contextlib.contextmanager
def gateway(home: Path, population: Population, backend: Server) -> Iterator[tuple[Server, Path]]:
    """Envoy with the compiler's files for a registry of this size, on core 0, and the calls that it lets through.

    No node runs: what is measured is Envoy alone.
    """
    place = Place(home / "gateway", port=machine.free_port(), workers=1)
    config = Config(data_dir=home)
    engine = database(config)
    rights = fill(engine, population, upstream=f"http://127.0.0.1:{backend.port}")
    with consistent(engine) as connection:
        snapshot = read_snapshot(connection)
    engine.dispose()
    for name in compiler.DIRECTORIES:
        (place.directory / name).mkdir(parents=True)
    files = compiler.compile_files(snapshot, place, {"127.0.0.1": ["127.0.0.1"]})
    packed = keys.pack_keys(snapshot)
    data = place.directory / "data" / keys.key_file_name(packed)
    data.write_bytes(packed)
    files["keys/keys.json"] = keys.key_filter(str(data))
    for name, content in files.items():
        (place.directory / name).write_bytes(content)
    (place.directory / "bootstrap.json").write_bytes(compiler.compile_bootstrap(place))
    envoy = Envoy(place)
    with machine.pinned(load.MEASURED):
        envoy.start()
    try:
        if not envoy.wait_ready(machine.PATIENCE):
            raise RuntimeError(f"Envoy does not start: {(place.directory / 'log' / 'envoy.out').read_text()[-2_000:]}")
        pid = int((place.directory / "envoy.pid").read_text())
        yield Server("gateway", pid, place.port), load.write_requests(home / "requests", rights)
    finally:
        envoy.stop(0.5)
