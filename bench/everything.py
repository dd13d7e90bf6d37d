"""What a call costs with everything on that plans, APIs and keys can ask for, beside a plain Envoy.

Two limits, a quota and the headers that tell of them, an overall limit on every API, lists of networks on a thousand of
the keys that call. Measured as `chain.py` measures.
"""

import contextlib
from dataclasses import dataclass

from bench import chain, load, machine
from bench.population import Population
from bench.rows import Budget, Row, middle

ROWS = ("everything_cpu_ratio", "everything_cpu_us", "everything_plain_cpu_us")


@dataclass(frozen=True, slots=True)
class Size(chain.Size):
    population: Population = Population(
        networked=1_000, limits_differ=True, quota_month=10**12, overall_per_second=1_000_000
    )


FULL = Size()
TINY = Size(
    Population(apis=3, keys=50, callers=10, subscriptions=30, plans=2, networked=5, quota_month=10**12),
    rounds=1,
    seconds=1,
    most_rounds=1,
)


def run(size: Size = FULL) -> list[Row]:
    machine.require("nginx", "wrk", "taskset")
    machine.require_cores(2)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(machine.folder())
        backend = stack.enter_context(load.backend(folder))
        ours, requests = stack.enter_context(chain.gateway(folder / "ours", size.population, backend))
        plain = stack.enter_context(load.plain_envoy(folder, backend))
        rounds = chain.measure({"plain": (plain, requests), "everything": (ours, requests)}, size)
    runs, note = chain.counted(rounds, size)
    population = size.population
    return [
        middle(
            "everything_cpu_ratio",
            f"Envoy's CPU a call with limits, quotas and overall limits, {population.keys:,} keys, "
            f"{population.subscriptions:,} subscriptions, {population.networked:,} keys with networks ÷ plain Envoy",
            chain.ratios(runs, "everything", "plain"),
            budget=Budget("≤", 1.6),
            note=note,
            more=chain.detail(runs),
        ),
        middle("everything_cpu_us", "CPU a call of the gateway", [r.us_a_call for r in runs["everything"]], "µs"),
        middle("everything_plain_cpu_us", "CPU a call of plain Envoy", [r.us_a_call for r in runs["plain"]], "µs"),
    ]
