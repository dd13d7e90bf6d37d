"""Names of upstreams become addresses here, are judged, and are remembered: Envoy resolves nothing.

The answers outlive the process in a file, so that a node that starts while name servers are away serves what it served.
"""

import logging
import os
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import orjson

from portal.errors import AddressRefused
from portal.gateway.check import Problem
from portal.gateway.ir import Api, Snapshot, Target
from portal.outbound import addresses
from portal.outbound.addresses import AddressRules, Lookup, NotResolved

log = logging.getLogger(__name__)


class Resolver:
    """What every upstream host stands for now. Any thread may ask or have it learn."""

    def __init__(self, kept: Path, rules: AddressRules, *, lookup: Lookup = addresses.lookup) -> None:
        self._kept = kept
        self._rules = rules
        self._lookup = lookup
        self._lock = threading.Lock()
        self._addresses: dict[str, tuple[str, ...]] = {}
        self._complaints: dict[str, str] = {}
        self._asked: dict[str, float] = {}
        """Host -> when it was asked for last, by the monotonic clock."""
        self.version = 0
        """Grows whenever an address changes."""
        self._remember()

    @property
    def addresses(self) -> Mapping[str, tuple[str, ...]]:
        """Host -> allowed addresses, sorted. A name that fails keeps those it had, one that leads astray has none."""
        with self._lock:
            return dict(self._addresses)

    def learn_new(self, snapshot: Snapshot, *, seconds: float) -> bool:
        """Ask for the hosts that were never asked for; whether any address changed."""
        with self._lock:
            new = _hosts(snapshot) - self._asked.keys()
        return self._learn(new, seconds)

    def learn(self, snapshot: Snapshot, *, seconds: float) -> bool:
        """Ask for every host again, the longest unasked first; whether any address changed."""
        hosts = _hosts(snapshot)
        with self._lock:
            ordered = sorted(hosts, key=lambda host: self._asked.get(host, 0.0))
            for gone in self._asked.keys() - hosts:
                del self._asked[gone]
                self._addresses.pop(gone, None)
                self._complaints.pop(gone, None)
        return self._learn(ordered, seconds)

    def usable(self, snapshot: Snapshot) -> Snapshot:
        """`snapshot` without targets that would lead calls back into this installation.

        They keep their place with a weight of 0, so that an API with nothing else answers 503.
        """
        if not self._rules.own:
            return snapshot
        return replace(snapshot, apis=tuple(map(self._usable, snapshot.apis)))

    def problems(self, snapshot: Snapshot) -> list[Problem]:
        """Each API's hosts that do not resolve or may not be reached."""
        found = []
        for api in snapshot.apis:
            for target in _targets(api):
                complaint = self._complaints.get(target.host) or self._circle(target)
                if complaint is not None:
                    found.append(Problem(api.label, complaint))
        return found

    def _learn(self, hosts: Collection[str], seconds: float) -> bool:
        if not hosts:
            return False
        answers = addresses.resolve_all(hosts, seconds=seconds, lookup=self._lookup)
        with self._lock:
            before = dict(self._addresses)
            now = time.monotonic()
            for host, answer in answers.items():
                self._asked[host] = now
                if isinstance(answer, NotResolved):
                    self._complaints[host] = str(answer)
                else:
                    self._judge(host, answer)
            changed = self._addresses != before
            if changed:
                self.version += 1
                self._keep()
        return changed

    def _judge(self, host: str, answer: Collection[str]) -> None:
        allowed = []
        self._complaints.pop(host, None)
        for address in answer:
            try:
                self._rules.check(address)
            except AddressRefused as refused:
                self._complaints[host] = _complaint(host, address, refused)
            else:
                allowed.append(address)
        self._addresses[host] = tuple(sorted(allowed))

    def _usable(self, api: Api) -> Api:
        if not any(self._circle(target) for target in api.upstream.targets):
            return api
        targets = tuple(
            replace(target, weight=0) if self._circle(target) else target for target in api.upstream.targets
        )
        return replace(api, upstream=replace(api.upstream, targets=targets))

    def _circle(self, target: Target) -> str | None:
        if not any(target.port == listener.port for listener in self._rules.own):
            return None
        for address in self._addresses.get(target.host, ()):
            try:
                self._rules.check(address, target.port)
            except AddressRefused as refused:
                return _complaint(target.host, address, refused)
        return None

    def _remember(self) -> None:
        try:
            kept = orjson.loads(self._kept.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            log.warning("%s is of no use and is left aside: %s", self._kept, error)
            return
        for host, known in kept.items():
            self._judge(host, known)  # the rules may have become stricter since

    def _keep(self) -> None:
        draft = self._kept.with_suffix(".tmp")
        try:
            draft.write_bytes(orjson.dumps(self._addresses))
            os.replace(draft, self._kept)
        except OSError as error:
            log.warning("The upstreams' addresses cannot be kept in %s: %s", self._kept, error)


def _hosts(snapshot: Snapshot) -> set[str]:
    return {target.host for api in snapshot.apis for target in _targets(api)}


def _targets(api: Api) -> tuple[Target, ...]:
    """Those of a retired API may be gone, and nobody is to hear of it."""
    return () if api.retired else api.upstream.targets


def _complaint(host: str, address: str, refused: AddressRefused) -> str:
    return str(refused) if host == address else f"{host} leads to a forbidden address: {refused}"
