"""What is lost, refused or kept waiting when processes die, and when people change things under full load.

Everything that `make run` starts runs here. `kill -9` ends each of its programs, and Envoy, while a witness calls and
writes down the id of every answer; what was answered and is no row afterwards is lost. What each of the programs needs
until it serves again is measured from its end to the first thing that only a new one can have done.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

from sqlalchemy import select
from sqlalchemy.orm import Session

from bench import changes, idle, machine
from bench.changes import Changes
from bench.keys import wait_until
from bench.population import Population, Right
from bench.rows import Budget, Row
from bench.stack import PROGRAMS, Stack, stack
from bench.witness import Testimony, Witness, witness
from portal import jobs, registry
from portal.registry.models import Consumer
from portal.traffic.models import Call

ROWS = (
    "calls_lost_or_doubled",
    "calls_failed_by_kills",
    "restart_web",
    "restart_node",
    "restart_worker",
    "envoy_kill_lost",
    "envoy_kill_lost_mean",
    "envoy_kill_silence",
    *changes.ROWS,
    *idle.ROWS,
)


@dataclass(frozen=True, slots=True)
class Size:
    population: Population = Population(apis=100, keys=2_000, callers=200, subscriptions=1_000)
    kills: int = 10
    """Of each program."""
    envoy_kills: int = 20
    rate: int = 5_000
    """Calls a second when Envoy is ended."""
    steady: float = 2.0
    """Seconds from one end of Envoy to the next."""
    changes: Changes = Changes()


FULL = Size()
TINY = Size(Population(apis=3, keys=50, callers=10, subscriptions=30, plans=2), 1, 1, 300, 0.0, Changes(1, 2, 1, 1))


@dataclass(frozen=True, slots=True)
class EnvoyEnd:
    at: float
    seen: Testimony


def run(size: Size = FULL) -> list[Row]:
    machine.require("nginx", "wrk", "taskset")
    machine.require_cores(2)
    with machine.folder() as folder, stack(folder, size.population) as house:
        idling = idle.measure(house)
        took, kills = end_programs(house, folder, size.kills)
        envoy = end_envoy(house, folder, size)
        last = max((seen.calls[-1].at, seen.answered[-1]) for seen in (kills, *(end.seen for end in envoy)))
        stored = wait_stored(house, last[1])
        changed = changes.measure(house, folder, size.changes)
    return [
        *_lost(kills, [end.seen for end in envoy], stored),
        *[_restart(program, took[program]) for program in PROGRAMS],
        *_of_envoy(envoy, stored),
        *changed,
        *idling,
    ]


# The ends of programs


def end_programs(house: Stack, folder: Path, times: int) -> tuple[dict[str, list[float]], Testimony]:
    """Program -> seconds from each end until it served again, and what callers saw meanwhile."""
    again: dict[str, Callable[[set[int]], object]] = {
        "web": lambda ended: _serves_pages(house, ended),
        "node": lambda _ended: wait_until(house.config.gateway_port, issue(house, house.rights[0]), 200),
        "worker": lambda _ended: _does_a_job(house),
    }
    rng, took = random.Random(3), {program: list[float]() for program in PROGRAMS}
    with _witness(house, folder / "witness", 400) as client:
        for _ in range(times):
            for program in PROGRAMS:
                client.sees_another(rng.randint(20, 600))
                ended, at = house.kill(program)
                again[program](ended)
                took[program].append(time.monotonic() - at)
        return took, client.end()


def _serves_pages(house: Stack, ended: set[int]) -> None:
    # In this order: looking at all processes of the machine, every 5 ms, would itself delay the start.
    machine.wait_for(
        lambda: idle.ask(house, "/readyz", {}) == 200 and house.pids("web").isdisjoint(ended), "the portal answers"
    )


def _does_a_job(house: Stack) -> None:
    with house.writing() as session:
        job = jobs.enqueue(session, "forget_throttles")
        session.flush()
        number = job.id

    def is_done() -> bool:
        with Session(house.engine) as session:
            return session.get(jobs.Job, number) is None

    machine.wait_for(is_done, "the worker does a job")


def issue(house: Stack, right: Right) -> Right:
    """Another key to the same."""
    with house.writing() as session:
        _, token = registry.issue(session, session.get_one(Consumer, right.consumer_id), by=None)
    return right._replace(key=token.value)


def end_envoy(house: Stack, folder: Path, size: Size) -> list[EnvoyEnd]:
    found = []
    for n in range(size.envoy_kills):
        time.sleep(size.steady)
        with _witness(house, folder / f"witness-{n}", size.rate) as client:
            client.sees_another(size.rate)
            pid = house.gateway.pid
            os.kill(pid, signal.SIGKILL)
            at = time.monotonic()
            machine.wait_for(lambda pid=pid: house.gateway.pid not in {0, pid}, "another Envoy runs")
            client.sees_another(size.rate // 2)
            found.append(EnvoyEnd(at, client.end()))
    return found


def _witness(house: Stack, result: Path, rate: int) -> AbstractContextManager[Witness]:
    right = house.rights[0]
    return witness(house.config.gateway_port, right.path, right.key, rate=rate, result=result)


def wait_stored(house: Stack, request_id: bytes) -> Counter[bytes]:
    """Request id -> how many rows have it, once this one is there: the one log of the one worker is in order."""
    since = int((time.time() - 60) * 1_000_000)

    def is_there() -> bool:
        with Session(house.engine) as session:
            found = session.scalar(select(Call.id).where(Call.request_id == request_id, Call.at >= since).limit(1))
        return found is not None

    machine.wait_for(is_there, "the last call is stored")
    with Session(house.engine) as session:
        return Counter(map(bytes, session.scalars(select(Call.request_id))))


# Rows


def _lost(kills: Testimony, ends: list[Testimony], stored: Counter[bytes]) -> list[Row]:
    answered = set(kills.answered)
    lost = len(answered - stored.keys())
    doubled = sum(count > 1 for count in stored.values())
    return [
        Row(
            "calls_lost_or_doubled",
            "answered calls that are not stored, or twice, over the ends of web, node and worker",
            lost + doubled,
            budget=Budget("=", 0),
            note=f"{lost} of {len(answered):,} lost; {doubled} of all {stored.total():,} rows, also those around "
            f"{len(ends)} ends of Envoy, doubled.",
        ),
        Row(
            "calls_failed_by_kills",
            "calls refused or without an answer while web, node and worker were ended",
            kills.failures.total(),
            budget=Budget("=", 0),
            more={"failures": kills.failures},
        ),
    ]


def _restart(program: str, seconds: list[float]) -> Row:
    again = {"web": "/readyz answers", "node": "a key issued after works", "worker": "a job queued after is done"}
    return Row(
        f"restart_{program}",
        f"kill -9 of {program} until {again[program]}, worst of {len(seconds)}",
        max(seconds),
        "s",
        Budget("≤", 3.0),
        samples=tuple(seconds),
        note=f"Middle {median(seconds):.2f} s.",
    )


def _of_envoy(ends: list[EnvoyEnd], stored: Counter[bytes]) -> list[Row]:
    lost = [len(set(end.seen.answered) - stored.keys()) for end in ends]
    silent = [end.seen.gap_after(end.at) for end in ends]
    rate = median(sum(end.at - 1 < call.at < end.at for call in end.seen.calls) for end in ends)
    return [
        Row(
            "envoy_kill_lost",
            f"answered calls that are not stored, a kill -9 of Envoy at {rate:,.0f} calls/s, most of {len(ends)}",
            max(lost),
            budget=Budget("≤", 10),
            samples=tuple(lost),
        ),
        Row("envoy_kill_lost_mean", "the same, mean", mean(lost), budget=Budget("≤", 10)),
        Row(
            "envoy_kill_silence",
            f"kill -9 of Envoy until calls are answered again, worst of {len(ends)}",
            max(silent),
            "s",
            Budget("≤", 1.0),
            samples=tuple(silent),
            note=f"Middle {median(silent):.2f} s.",
        ),
    ]
