"""One machine's node: it notices what changed, has Envoy serve it, stores what Envoy logged, and says how it goes.

Several loops run side by side, because none may wait for another: a new key not for 3 000 APIs to be validated, a dead
Envoy not for the database, the report not for a slow name server. Every loop is level-triggered: it reads how things
stand and does what is missing, so nothing is lost when one falls behind or fails.
"""

import contextlib
import gc
import logging
import os
import resource
import signal
import sys
import threading
import time
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import SQLAlchemyError

from portal.config import Config
from portal.db import engine_options, engine_url, existing, utcnow
from portal.gateway import roster
from portal.gateway.admin import EnvoySilent
from portal.gateway.certificate import Certificate
from portal.gateway.claims import CannotStart, take_folder
from portal.gateway.ir import Api
from portal.gateway.loop import Loop, Outage
from portal.gateway.place import pair_of, place_of, rules_of
from portal.gateway.publish import Publisher, Refused
from portal.gateway.read import Reader, Reading, consistent, read_revision
from portal.gateway.resolve import Resolver
from portal.gateway.roster import NodeNameTaken, NodeProblem
from portal.gateway.supervisor import Envoy, Gateway
from portal.outbound import addresses
from portal.traffic.ingest import Ingest
from portal.vault import Vault

log = logging.getLogger(__name__)

_DRAIN_SECONDS = 3.0
_READY_SECONDS = 15.0
_RETRY_SECONDS = 5.0
"""After a publish that failed, unless something changes before."""
_NEW_NAMES_SECONDS = 2.0
"""How long a publish waits for the names of new upstreams; what is late comes with the next round."""
_NAMES_SECONDS = 8.0
_PROBE_SECONDS = 2.0
_SILENT_PROBES = 3
"""Successive probes that neither a listener nor the admin interface answered: then Envoy hangs and is started anew.
Counted, not timed, because after a pause of the whole machine Envoy deserves to be asked again. Takes some 10 s."""
_TEND_LOG_SECONDS = 2.0


def run(config: Config) -> None:
    """Run this machine's node until SIGTERM or SIGINT.

    Raises CannotStart and NodeNameTaken, whose sentences say what to do.
    """
    # A core dump of the node, or of the Envoy that inherits this, would hold what upstreams and callers keep secret.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    url = existing(engine_url(config.database_url))
    options = engine_options(url)
    if url.get_backend_name() == "postgresql":
        # A server that vanished without a word would otherwise hold a loop for a quarter of an hour.
        options["connect_args"] = {"connect_timeout": 5, "tcp_user_timeout": 10_000}
    # 100 000 rows of keys are no garbage: looking through them at every 700th allocation costs more than reading them.
    # Each reading leaves a thousand dead objects that refer to each other, so much later would be too much memory.
    gc.set_threshold(100_000, 20, 100)
    # SQLite's driver lets go of the interpreter at every row; a busy thread keeps it for this long each time.
    sys.setswitchinterval(0.001)
    engine = create_engine(url, **options)
    node = Node(config, engine, Envoy(place_of(config)))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: node.over.set())
    try:
        node.start()
        node.over.wait()
    finally:
        node.stop()
        engine.dispose()
    if node.lost is not None:
        raise node.lost


class Node:
    """The steps may be called without the loops, in any order: that is what most tests do."""

    def __init__(
        self, config: Config, engine: Engine, envoy: Gateway, *, lookup: addresses.Lookup = addresses.lookup
    ) -> None:
        self.over = threading.Event()
        """Set when the node is to stop."""
        self.lost: NodeNameTaken | None = None
        self._config = config
        self._engine = engine
        self._envoy = envoy
        self._place = place_of(config)
        self._resolver = Resolver(self._place.directory / "addresses.json", rules_of(config), lookup=lookup)
        self._publisher = Publisher(self._place, envoy, self._resolver)
        self._certificate = Certificate(self._place, pair_of(config), envoy) if config.gateway_tls else None
        self._reader = Reader(partial(Vault.of, config))
        self._ingest = Ingest(engine, node=config.node_name, log_path=self._place.access_log, zone=config.quota_zone)
        self._instance = ""
        self._lock: int | None = None
        self._state = "starting"

        self._reading: Reading | None = None
        self._noticed = time.monotonic()
        self._tried: tuple[tuple[Api, ...], int] | None = None
        self._route_problems: list[NodeProblem] = []
        self._key_complaint: str | None = None
        self._route_complaint: str | None = None
        self._envoy_complaint: str | None = None
        self._store_complaint: str | None = None
        self._silent_probes = 0
        self._keys_again = self._routes_again = self._probe_at = self._tend_log_at = 0.0

        self._progress = threading.Lock()
        self._keys_revision = self._routes_revision = self._live = 0
        self._published_at: datetime | None = None
        self._publish_ms: int | None = None

        outage = self._outage = Outage()
        self._report_loop = Loop("report", self.report, pause=3.0, outage=outage)
        self._routes_loop = Loop("publish routes", self.publish_routes, pause=1.0, outage=outage)
        self._store_loop = Loop("store calls", self.store_calls, pause=0.2, outage=outage)
        self._loops = (
            Loop("notice", self.notice, pause=0.05, outage=outage),
            self._routes_loop,
            Loop("tend Envoy", self.tend_envoy, pause=0.1, outage=outage),
            Loop("resolve", self.resolve, pause=10.0, outage=outage),
            Loop("renew the certificate", self.renew_certificate, pause=2.0, outage=outage),
            self._store_loop,
            self._report_loop,
        )

    def start(self) -> None:
        """Take the folder and the name, have Envoy serve, and begin all loops.

        Without a database, Envoy serves what was last published here. Raises CannotStart, NodeNameTaken.
        """
        self._lock, self._instance = take_folder(self._place.directory)
        self._publisher.prepare()
        if self._certificate is not None:
            self._certificate.prepare()
        try:
            with self._engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
                roster.claim(connection, self._config.node_name, self._instance, **self._standing())
            self.notice()
            self.publish_routes()
        except SQLAlchemyError as error:
            self._outage.saw_failure("notice", error)
        self._envoy.start()
        if not self._envoy.wait_ready(_READY_SECONDS):
            self._envoy.stop(0.0)
            raise CannotStart(
                f"Envoy was started, but answered no call within {_READY_SECONDS:g} s. "
                f"{self._place.directory / 'log' / 'envoy.out'} has its own words."
            )
        self._state = "serving"
        for sentence in self._config.in_clear:
            log.warning("%s", sentence)
        log.info("The gateway answers on %s port %d.", self._place.bind, self._place.port)
        for loop in self._loops:
            loop.start()

    def stop(self) -> None:
        """Let the calls in flight end, stop Envoy, store the rest of its log. Stopping twice is fine."""
        for loop in self._loops:
            loop.end()
        until = time.monotonic() + 0.5
        for loop in self._loops:
            if loop.is_alive() and loop is not self._store_loop:
                loop.join(max(0.0, until - time.monotonic()))  # one that waits for a name server is left behind
        if self._lock is None:
            return
        self._envoy.stop(_DRAIN_SECONDS)
        if self._store_loop.is_alive():
            self._store_loop.join(1.0)
        self._state = "stopped"
        for last in (self._ingest.drain, self.report):
            try:
                last()
            except Exception as error:  # what is not stored now waits on the disk
                log.warning("Not done before the end: %s", str(error).partition("\n")[0])
        os.close(self._lock)
        self._lock = None

    def notice(self) -> bool:
        """Read the registry if it changed and give Envoy the limits and the keys; whether it had changed."""
        known = self._reading.snapshot.revision if self._reading else None
        again = self._key_complaint is not None and time.monotonic() >= self._keys_again
        with consistent(self._engine) as connection:
            if read_revision(connection) == known and not again:
                return False
            self._noticed = time.monotonic()
            reading = self._reader.read(connection)
        self._reading = reading
        self._routes_loop.wake()
        try:
            self._publisher.publish_keys(reading.snapshot)
        except (Refused, OSError) as error:
            self._key_complaint = _sentence(error)
            self._keys_again = time.monotonic() + _RETRY_SECONDS
            self._report_loop.wake()
        else:
            self._key_complaint = None
            self._advance(keys=reading.snapshot.revision)
        return True

    def publish_routes(self) -> bool:
        """Give Envoy the APIs if they or their addresses changed; whether they had."""
        if self._reading is None:
            return False
        snapshot, unreadable = self._reading
        wanted = (snapshot.apis, self._resolver.version)
        again = self._route_complaint is not None and time.monotonic() >= self._routes_again
        if wanted == self._tried and not again:
            if self._route_complaint is None:
                self._advance(routes=snapshot.revision)
            return False
        self._resolver.learn_new(snapshot, seconds=_NEW_NAMES_SECONDS)
        self._tried = (snapshot.apis, self._resolver.version)
        try:
            problems = self._publisher.publish_routes(snapshot)
        except (Refused, OSError) as error:
            self._route_complaint = _sentence(error)
            self._routes_again = time.monotonic() + _RETRY_SECONDS
        else:
            self._route_complaint = None
            self._route_problems = [NodeProblem(each.api or "", each.sentence) for each in (*unreadable, *problems)]
            self._advance(routes=snapshot.revision)
        self._report_loop.wake()
        return True

    def resolve(self) -> bool:
        """Ask for every upstream's addresses again."""
        if self._reading is not None and self._resolver.learn(self._reading.snapshot, seconds=_NAMES_SECONDS):
            self._routes_loop.wake()
        return False

    def renew_certificate(self) -> bool:
        """Have Envoy show what the settings' files hold now; see `problems` for what is wrong with it."""
        if self._certificate is not None and self._certificate.renew():
            self._report_loop.wake()
        return False

    def tend_envoy(self) -> bool:
        """Restart an Envoy that is dead or hangs, and see whether calls get through."""
        try:
            restarted = self._envoy.keep_alive()
        except CannotStart as error:
            self._envoy_complaint = str(error)
            self._report_loop.wake()
            return False
        now = time.monotonic()
        if restarted or now >= self._probe_at:
            self._probe_at = now + _PROBE_SECONDS
            answers = self._envoy.wait_ready(_READY_SECONDS) if restarted else self._envoy.answers()
            if answers == (self._envoy_complaint is not None):
                self._envoy_complaint = None if answers else "Envoy runs, but answers no calls."
                self._report_loop.wake()
            self._silent_probes = self._silent_probes + 1 if not answers and self._envoy.is_hung() else 0
            if self._silent_probes >= _SILENT_PROBES:
                log.error("Envoy answers nothing, not even its admin interface. Ending it to start it again.")
                self._envoy.stop(0.0)
                self._silent_probes = 0
        return False

    def store_calls(self) -> bool:
        """Store some lines of the access log; whether there were any. Raises what the database raises."""
        try:
            stored = self._ingest.step()
        except Exception as error:
            self._store_complaint = f"Calls wait to be stored: {str(error).partition(chr(10))[0]}"
            raise
        self._store_complaint = None
        now = time.monotonic()
        if now >= self._tend_log_at:
            self._tend_log_at = now + _TEND_LOG_SECONDS
            self._envoy.trim_output()
            with contextlib.suppress(EnvoySilent):
                self._ingest.rotate(self._envoy.reopen_logs)
        return stored > 0

    def report(self) -> bool:
        """Write this node's row. A name that another machine took meanwhile ends the node."""
        try:
            name, values = self._config.node_name, self._standing()
            with self._engine.connect() as connection:
                values["log_waiting"] = roster.log_waiting(connection, name, self._place.access_log)
            with self._engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
                roster.report(connection, name, self._instance, **values)
        except NodeNameTaken as error:
            log.error("%s", error)
            self.lost = error
            self.over.set()
        return False

    def _advance(self, *, keys: int | None = None, routes: int | None = None) -> None:
        """A revision is live when both its keys and its routes are."""
        with self._progress:
            self._keys_revision = self._keys_revision if keys is None else keys
            self._routes_revision = self._routes_revision if routes is None else routes
            live = min(self._keys_revision, self._routes_revision)
            if live == self._live:
                return
            self._live = live
            self._published_at = utcnow()
            self._publish_ms = int((time.monotonic() - self._noticed) * 1000)
        self._report_loop.wake()

    def _standing(self) -> dict[str, Any]:
        problems = self._problems()
        state = self._state
        if state == "serving" and self._envoy_complaint is not None:
            state, sentence = "down", self._envoy_complaint
        elif state == "serving" and problems:
            state = "troubled"
            sentence = f"Serves revision {self._live} with {len(problems)} problem{'s' * (len(problems) > 1)}."
        else:
            sentence = {"starting": "Is being started.", "stopped": "Was stopped."}.get(
                state, f"Serves revision {self._live}."
            )
        return {
            "state": state,
            "sentence": sentence,
            "problems": [asdict(problem) for problem in problems],
            "revision": self._live,
            "envoy_version": _short(self._envoy.version),
            "published_at": self._published_at,
            "publish_ms": self._publish_ms,
        }

    def _problems(self) -> list[NodeProblem]:
        whole = (self._key_complaint, self._route_complaint, self._store_complaint)
        found = [NodeProblem("", complaint) for complaint in whole if complaint is not None]
        if self._certificate is not None:
            found += [NodeProblem("", sentence) for sentence in self._certificate.problems()]
        if self._reading is not None:
            names = self._resolver.problems(self._reading.snapshot)
            found += self._route_problems + [NodeProblem(each.api or "", each.sentence) for each in names]
        return found


def _sentence(error: Refused | OSError) -> str:
    if isinstance(error, Refused):
        return str(error)
    return f"The gateway's files cannot be written: {error.strerror or error} ({error.filename})."


def _short(version: str) -> str:
    """`1.40.0` of `<commit>/1.40.0/Clean/RELEASE/BoringSSL`."""
    parts = version.split("/")
    return parts[1] if len(parts) > 1 else version
