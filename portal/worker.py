"""The worker: does what is due in the job table, one job at a time, until it is told to stop."""

import contextlib
import logging
import os
import queue
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from portal import doctor, jobs, letters, notify, reading, registry
from portal.accounts import audit, replays, sessions, throttle, tokens
from portal.config import Config
from portal.db import db, utcnow
from portal.registry import exports, imports, leaks
from portal.traffic import retention, usage

log = logging.getLogger(__name__)

Work = Callable[[Config, dict[str, Any]], str]
"""Does one job, in transactions of its own; returns what came of it for the log, '' for nothing worth a line."""

_LOOK = 2.0
_ANNOUNCE_AGAIN = 600.0
"""Seconds after which the periodic work is put right again, in case a clock went back."""
"""Seconds between two looks at the table when nothing was due."""
_SETTLED = timedelta(minutes=1)
"""Everything of a new installation starts at once. What the doctor misses then would be told for an hour."""


def forget_calls(config: Config, _payload: dict[str, Any]) -> str:
    """Small transactions, so that ingest never waits long."""
    now, batches = utcnow(), 0
    more = True
    while more:
        with db.begin() as session:
            more = retention.sweep(session, now=now, call_days=config.call_days)
        batches += 1
    return f"Old calls and roll-ups went in {batches} batches." if batches > 1 else ""


def bury_keys(_config: Config, _payload: dict[str, Any]) -> str:
    with db.begin() as session:
        gone = registry.bury(session, now=utcnow())
        usage.forget(session)
    return f"{gone} long dead keys went." if gone else ""


def tell_expiring_keys(_config: Config, _payload: dict[str, Any]) -> str:
    count = sum(_turns_of(lambda session: registry.tell_expiring(session, now=utcnow())))
    return f"Teams were told of {count} keys that expire soon." if count else ""


def look_up_leak(_config: Config, payload: dict[str, Any]) -> str:
    with db.begin() as session:
        audit.act_as(session, audit.Actor(by="leak report"))
        return leaks.look_up(session, payload)


def forget_throttles(_config: Config, _payload: dict[str, Any]) -> str:
    with db.begin() as session:
        throttle.sweep(session, now=utcnow())
    return ""


def forget_sessions(config: Config, _payload: dict[str, Any]) -> str:
    with db.begin() as session:
        sessions.sweep(session, lifetimes=sessions.Lifetimes.of(config), now=utcnow())
    return ""


def forget_tokens(_config: Config, _payload: dict[str, Any]) -> str:
    with db.begin() as session:
        replays.sweep(session, now=utcnow())
        gone = tokens.sweep(session, now=utcnow())
    return f"{gone} long dead access tokens went." if gone else ""


def examine(config: Config, _payload: dict[str, Any]) -> str:
    found = doctor.closer(config, db.engine)
    with db.begin() as session:
        doctor.keep(session, found, now=utcnow())
    wrong = sum(not each.is_note for each in found)
    return f"This installation lacks something ({wrong} findings): its status page says what." if wrong else ""


def forget_letters(config: Config, _payload: dict[str, Any]) -> str:
    gone = notify.forget_files(config, now=utcnow())
    return f"{gone} old letters in files went." if gone else ""


def write_openapi(_config: Config, payload: dict[str, Any]) -> str:
    """Outside of the transaction that keeps it: what is large takes minutes to write."""
    made = exports.written(db.session(), payload)
    if made is None:
        return ""
    with db.begin() as session:
        exports.keep(session, *made)
    return f"The OpenAPI document of API {made[0]} is written, {len(made[3]):,} characters."


def mend_catalogue(_config: Config, _payload: dict[str, Any]) -> str:
    """What is live and not in the index as this release makes it: after an upgrade, or a restore."""
    count = sum(_turns_of(registry.indexing.mend))
    return f"{count} APIs were indexed for the catalogue." if count else ""


def _turns_of(work: Callable[[Session], int]) -> Iterator[int]:
    """Small transactions, so that nobody waits long."""
    while True:
        with db.begin() as session:
            done = work(session)
        if not done:
            return
        yield done


KINDS: dict[str, Work] = {
    "mail": notify.send,
    "notice": notify.spread,
    "account_link": letters.answer,
    "forget_calls": forget_calls,
    "bury_keys": bury_keys,
    "tell_expiring_keys": tell_expiring_keys,
    leaks.JOB: look_up_leak,
    "forget_throttles": forget_throttles,
    "forget_sessions": forget_sessions,
    "forget_tokens": forget_tokens,
    doctor.KIND: examine,
    "forget_letters": forget_letters,
    exports.KIND: write_openapi,
    imports.JOB: reading.read,
    "forget_imports": reading.forget,
    "mend_catalogue": mend_catalogue,
}
PERIODIC = {
    "forget_calls": timedelta(minutes=10),
    "bury_keys": timedelta(days=1),
    "tell_expiring_keys": timedelta(hours=1),
    "forget_throttles": timedelta(hours=1),
    "forget_sessions": timedelta(hours=1),
    "forget_tokens": timedelta(hours=1),
    doctor.KIND: doctor.EVERY,
    "forget_letters": timedelta(days=1),
    "forget_imports": timedelta(hours=1),
    "mend_catalogue": timedelta(minutes=10),
}


def announce(now: datetime) -> None:
    """Put the periodic work into the table, where it is claimed like any other."""
    with db.begin() as session:
        for kind, every in PERIODIC.items():
            first = now + _SETTLED if kind == doctor.KIND else now
            jobs.repeat(session, kind, every, now=first)


def turn(config: Config, by: str, kinds: dict[str, Work] = KINDS) -> bool:
    """Do the one job that has been due for longest. False when nothing is due. A job that fails raises nothing."""
    with db.begin() as session:
        audit.act_as(session, audit.Actor(by="worker"))
        held = jobs.claim(session, by=by, now=utcnow())
    if held is None:
        return False
    began = time.monotonic()
    try:
        if held.kind not in kinds:
            raise LookupError(f"This release knows no job {held.kind}.")
        said = kinds[held.kind](config, held.payload)
    except Exception as error:
        db.session.rollback()
        log.exception("%s failed (attempt %d)", held.kind, held.attempt)
        with db.begin() as session:
            again = jobs.fail(session, held, f"{type(error).__name__}: {error}", now=utcnow())
        if again is None:
            log.error("%s is given up after %d attempts. Its row in the job table says why.", held.kind, held.attempt)
        return True
    with db.begin() as session:
        kept = jobs.finish(session, held, now=utcnow())
    if not kept:
        log.warning("%s took longer than its claim of %s; it may run twice.", held.kind, jobs.LEASE)
    if said:
        log.info("%s: %s (%.1f s)", held.kind, said, time.monotonic() - began)
    return True


def run(config: Config) -> None:
    """Inside an application context, until SIGTERM or SIGINT, which let the job in hand finish.

    A database that is away is waited for.
    """
    stops: queue.SimpleQueue[int] = queue.SimpleQueue()  # its put() may be called from a signal handler
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: stops.put(received))
    by = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    log.info("Worker started.")
    announced, announce_at, worked = False, 0.0, False
    while True:
        with contextlib.suppress(queue.Empty):
            stops.get(timeout=0.001 if worked else _LOOK if announced else 0.1)
            break
        try:
            if time.monotonic() >= announce_at:
                announce(utcnow())
                announced, announce_at = True, time.monotonic() + _ANNOUNCE_AGAIN
            worked = turn(config, by)
        except SQLAlchemyError as error:
            log.error("The worker cannot read the job table, and tries again: %s", error)
            worked = False
        db.session.remove()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # a second one while the interpreter ends is no failure
    log.info("Worker stopped.")
