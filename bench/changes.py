"""What people do all day, done under all the load there can be: publish, issue and revoke keys, change limits."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from threading import Event

from sqlalchemy import select
from sqlalchemy.orm import Session

from bench import load, machine
from bench.load import Run
from bench.rows import Budget, Row
from bench.stack import Stack
from portal import registry
from portal.gateway import roster
from portal.registry.models import Api, Consumer, Key, Plan, Revision

ROWS = ("calls_failed_by_changes",)


@dataclass(frozen=True, slots=True)
class Changes:
    publishes: int = 100
    keys: int = 200
    limits: int = 20
    load_seconds: int = 5
    """Of one run of the load, which is repeated until all is done."""


def measure(house: Stack, folder: Path, wanted: Changes) -> list[Row]:
    runs = change(house, folder, wanted)
    calls, seconds = sum(run.calls for run in runs), sum(run.seconds for run in runs)
    return [
        Row(
            "calls_failed_by_changes",
            f"failed calls during {wanted.publishes} publishes, {wanted.keys} changes of keys and "
            f"{wanted.limits} of limits under full load",
            sum(run.bad for run in runs),
            budget=Budget("=", 0),
            note=f"Of {calls:,} calls, {calls / seconds:,.0f} a second.",
        )
    ]


def change(house: Stack, folder: Path, wanted: Changes) -> list[Run]:
    """Each change once the one before is live."""
    todo = ["publish"] * wanted.publishes + ["key"] * wanted.keys + ["limit"] * wanted.limits
    random.Random(4).shuffle(todo)
    requests, over = load.write_requests(folder / "requests", house.rights), Event()

    def drive() -> list[Run]:
        runs = []
        while not over.is_set():
            runs.append(load.drive(house.gateway, requests, seconds=wanted.load_seconds, clean=False))
        return runs

    with ThreadPoolExecutor(1) as threads:
        driven = threads.submit(drive)
        try:
            for n, what in enumerate(todo):
                _change(house, what, n)
                machine.wait_for(lambda: _is_live(house), f"the node serves what change {n}, a {what}, made")
        finally:
            over.set()
        return driven.result()


def _change(house: Stack, what: str, n: int) -> None:
    with house.writing() as session:
        if what == "publish":
            api = session.get_one(Api, 1 + n % len({right.path for right in house.rights}))
            upstream = api.draft["upstream"] | {"first_byte_timeout_ms": 30_001 + n}
            document = registry.read_document(api.draft | {"upstream": upstream})
            registry.save_draft(session, api, document, by=None, expected=api.draft_number)
            registry.publish(session, api, by=None, expected=api.draft_number)
        elif what == "key":
            issued = session.scalar(select(Key).where(Key.label == "bench", Key.revoked_at.is_(None)))
            if issued is None:
                registry.issue(session, session.get_one(Consumer, 1), by=None, label="bench")
            else:
                registry.revoke(session, issued)
        else:
            plan = session.get_one(Plan, 1)
            unchanged = {"per_second_burst": None, "per_minute_burst": None, "per_minute": plan.per_minute}
            registry.change_plan(session, plan, zone=UTC, name=plan.name, per_second=999_999 - n, **unchanged)


def _is_live(house: Stack) -> bool:
    with Session(house.engine) as session:
        wanted = session.scalar(select(Revision.n)) or 0
        return all(node.revision >= wanted for node in roster.nodes(session))
