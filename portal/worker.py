"""The worker: does what is due in the job table until it is told to stop.

One job at a time, and beside it, each in a thread of its own, what waits for others: documents of 50 MB are read, mail
is sent, webhooks are delivered, and nothing else waits for that.
"""

import contextlib
import logging
import os
import queue
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta
from typing import Any

from flask import Flask, current_app
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from portal import agreements, doctor, gateway, jobs, letters, notify, reading, registry
from portal.accounts import audit, replays, sessions, throttle, tokens
from portal.config import Config
from portal.db import db, utcnow
from portal.notify import bell, channels, sending
from portal.reading.token_keys import fetched
from portal.registry import exports, imports, leaks, quotas, releases, token_keys
from portal.registry.periods import day_of
from portal.traffic import retention, usage

log = logging.getLogger(__name__)

Work = Callable[[Config, dict[str, Any]], str]
"""Does one job, in transactions of its own; returns what came of it for the log, '' for nothing worth a line."""

_LOOK = 2.0
"""Seconds between two looks at the table when nothing was due."""
_ANNOUNCE_AGAIN = 600.0
"""Seconds after which the periodic work is put right again, in case a clock went back."""
_SENDERS = 4
"""Threads that send to channels: so many receivers may be slow at once before another one waits."""
_LAST_WORDS = 4.0
"""Seconds that the threads are waited for at the end; Supervisor waits for five."""
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


def end_subscriptions(_config: Config, _payload: dict[str, Any]) -> str:
    """Whoever has called since the notice goes on; then what has come to its end is ended."""
    with db.begin() as session:
        audit.act_as(session, audit.Actor(by="worker"))
        lifted = agreements.lift_notices(session)
    ended = sum(_turns_of(lambda session: agreements.end_due(session, now=utcnow())))
    told = [f"{lifted} notices were withdrawn."] * bool(lifted) + [f"{ended} subscriptions ended."] * bool(ended)
    return " ".join(told)


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


def forget_notices(config: Config, _payload: dict[str, Any]) -> str:
    before = utcnow() - timedelta(days=config.notice_days)
    count = sum(_turns_of(lambda session: bell.sweep(session, before=before)))
    count += sum(_turns_of(lambda session: channels.sweep(session, before=before)))
    return f"{count} old notices and deliveries went." if count else ""


def write_openapi(_config: Config, payload: dict[str, Any]) -> str:
    """Outside of the transaction that keeps it: what is large takes minutes to write."""
    made = exports.written(db.session(), payload)
    if made is None:
        return ""
    with db.begin() as session:
        exports.keep(session, *made)
    return f"The OpenAPI document of API {made[0]} is written, {len(made[3]):,} characters."


def tell_quotas(_config: Config, _payload: dict[str, Any]) -> str:
    """In small transactions: a lowered quota may be used up by thousands at once."""
    settled = sum(_turns_of(lambda session: letters.quotas_reached(session, now=utcnow())))
    return f"{settled} quotas were used up to 80 or to 100 percent." if settled else ""


def forget_quotas(config: Config, _payload: dict[str, Any]) -> str:
    with db.begin() as session:
        quotas.sweep(session, today=day_of(utcnow(), config.quota_zone))
    return ""


def mend_catalogue(_config: Config, _payload: dict[str, Any]) -> str:
    """What is live and not in the index as this release makes it: after an upgrade, or a restore."""
    count = sum(_turns_of(registry.indexing.mend))
    return f"{count} APIs were indexed for the catalogue." if count else ""


def fetch_token_keys(config: Config, _payload: dict[str, Any]) -> str:
    """Outside of any transaction: somebody else's server may take its time."""
    with db.begin() as session:
        token_keys.settle(session)
    rules, changed = gateway.rules_of(config), 0
    for url in token_keys.due(db.session(), now=utcnow()):
        db.session.rollback()
        got = fetched(url, rules)
        with db.begin() as session:
            changed += token_keys.keep(session, url, got, now=utcnow())
    return f"The keys of {changed} issuers of tokens are new." if changed else ""


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
    "end_subscriptions": end_subscriptions,
    "forget_throttles": forget_throttles,
    "forget_sessions": forget_sessions,
    "forget_tokens": forget_tokens,
    doctor.KIND: examine,
    "forget_letters": forget_letters,
    "forget_notices": forget_notices,
    exports.KIND: write_openapi,
    releases.COMPARE: letters.compare_release,
    imports.JOB: reading.read,
    "forget_imports": reading.forget,
    "mend_catalogue": mend_catalogue,
    "tell_quotas": tell_quotas,
    "forget_quotas": forget_quotas,
    token_keys.KIND: fetch_token_keys,
}
LONG = frozenset({imports.JOB, exports.KIND, "mend_catalogue"})
"""Kinds that take up to minutes. They wait for one another, and nothing else waits for them."""
MAIL = frozenset({"mail"})
TOKEN_KEYS = frozenset({token_keys.KIND})
"""Waits for other people's servers, and calls may wait for it."""
PERIODIC = {
    "forget_calls": timedelta(minutes=10),
    "bury_keys": timedelta(days=1),
    "tell_expiring_keys": timedelta(hours=1),
    "end_subscriptions": timedelta(minutes=1),
    "forget_throttles": timedelta(hours=1),
    "forget_sessions": timedelta(hours=1),
    "forget_tokens": timedelta(hours=1),
    doctor.KIND: doctor.EVERY,
    "forget_letters": timedelta(days=1),
    "forget_notices": timedelta(days=1),
    "forget_imports": timedelta(hours=1),
    "mend_catalogue": timedelta(minutes=10),
    "tell_quotas": timedelta(minutes=1),
    "forget_quotas": timedelta(days=1),
    token_keys.KIND: token_keys.EVERY,
}


def announce(now: datetime) -> None:
    """Put the periodic work into the table, where it is claimed like any other."""
    with db.begin() as session:
        for kind, every in PERIODIC.items():
            first = now + _SETTLED if kind == doctor.KIND else now
            jobs.repeat(session, kind, every, now=first)


def turn(
    config: Config,
    by: str,
    kinds: dict[str, Work] = KINDS,
    *,
    only: Collection[str] | None = None,
    but: Collection[str] = (),
) -> bool:
    """Do the one job that has been due for longest, of `only` these kinds or of all `but` these. False when nothing is
    due. A job that fails raises nothing."""
    with db.begin() as session:
        audit.act_as(session, audit.Actor(by="worker"))
        held = jobs.claim(session, by=by, now=utcnow(), only=only, but=but)
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
    """Inside an application context, until SIGTERM or SIGINT, which let what is in hand finish, if that takes seconds.

    A database that is away is waited for.
    """
    stops: queue.SimpleQueue[int] = queue.SimpleQueue()  # its put() may be called from a signal handler
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: stops.put(received))
    by = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    stopping = threading.Event()
    beside = _beside(current_app._get_current_object(), config, by, stopping)  # type: ignore[attr-defined]
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
            worked = turn(config, by, but=LONG | MAIL | TOKEN_KEYS)
        except SQLAlchemyError as error:
            log.error("The worker cannot read the job table, and tries again: %s", error)
            worked = False
        db.session.remove()
    stopping.set()
    until = time.monotonic() + _LAST_WORDS
    for thread in beside:
        thread.join(max(0.0, until - time.monotonic()))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # a second one while the interpreter ends is no failure
    log.info("Worker stopped.")


def _beside(app: Flask, config: Config, by: str, stopping: threading.Event) -> list[threading.Thread]:
    """What takes long or waits for others' servers, each in a thread that does nothing else."""
    rules = gateway.rules_of(config)
    works: dict[str, Callable[[str], bool]] = {
        f"{by}:long": lambda name: turn(config, name, only=LONG),
        f"{by}:mail": lambda name: turn(config, name, only=MAIL),
        f"{by}:keys": lambda name: turn(config, name, only=TOKEN_KEYS),
    }
    for number in range(_SENDERS):
        works[f"{by}:{number}"] = lambda name: sending.turn(config, rules, name)

    def work(name: str, act: Callable[[str], bool]) -> None:
        with app.app_context():
            while not stopping.is_set():
                try:
                    worked = act(name)
                except SQLAlchemyError as error:
                    log.error("The worker cannot read what is to be done, and tries again: %s", error)
                    worked = False
                except Exception:
                    log.exception("What is to be done cannot be, and is tried again")
                    worked = False
                db.session.remove()
                if not worked:
                    stopping.wait(_LOOK)

    # Daemons: one that is in the middle of something long when the process ends has its claim end by itself.
    threads = [threading.Thread(target=work, args=each, name=each[0], daemon=True) for each in works.items()]
    for thread in threads:
        thread.start()
    return threads
