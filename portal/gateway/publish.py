"""From a snapshot to what Envoy serves: compile, check, validate, rename, confirm.

Whatever goes wrong, Envoy keeps serving what it serves. An API that Envoy would refuse is found out and left as it was;
all the others go live. The key data goes its own way, because a key must not wait for 3 000 APIs to be validated.
"""

import contextlib
import logging
import os
import re
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from portal.errors import PortalError
from portal.gateway import check, compile, credentials, ir, keys, masking
from portal.gateway.admin import EnvoySilent
from portal.gateway.check import Problem
from portal.gateway.files import replace_private
from portal.gateway.kept import Kept
from portal.gateway.resolve import Resolver
from portal.gateway.resource import is_whole
from portal.gateway.supervisor import Gateway

log = logging.getLogger(__name__)

_ORDER = ("cds/cds.json", "jwt/jwt.json", "lds/lds.json", "rds/rds.json")
"""A route must not come before its cluster, nor before what verifies its tokens. Limits go with the keys: no right may
come before its limits."""
_LIMITS = ("limits/limits.json", "operations/operations.json", "overall/overall.json")
_COPIED = ("cds/cds.json", "jwt/jwt.json", "rds/rds.json")
_KEY_FILES_KEPT = 3
"""Envoy's workers may still look into the one before; the rest is for whoever wonders."""
_DATA_NAME = re.compile(rb"keys-[0-9a-f]{16}\.bin")
_PATIENCE = 10.0
"""Seconds that Envoy has to take a file. With 3 000 APIs it needs half of one."""
_LONGEST_SEARCH = 60.0
"""Seconds spent on finding out which API Envoy refuses, before everything that changed is held back."""


class Refused(PortalError):
    """Nothing was published. `str()` says why; what was served before is served on."""


class Publisher:
    """One node's files. `publish_keys` and `publish_routes` may run in two threads, each in one at a time."""

    def __init__(self, place: ir.Place, envoy: Gateway, resolver: Resolver) -> None:
        self._place = place
        self._envoy = envoy
        self._resolver = resolver
        self._kept = Kept(place.directory)
        self._good: dict[int, ir.Api] = {}
        """API id -> what is served of it."""
        self._validated: tuple[Any, ...] | None = None
        self._refused: dict[ir.Api, str] = {}
        """What Envoy said against an API, so that it is not searched for again with every publish."""
        self._hidden: list[str] = []
        """What must not be repeated of Envoy's words."""

    def prepare(self) -> None:
        """Everything that Envoy needs in order to start: what was last published, or an empty gateway.

        A file that is gone or damaged is taken from its copy. Without one, nothing is better than a guess: no routes,
        no keys, and limits that let nobody through.
        """
        directory = self._place.directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)  # it may have been made by somebody else
        for name in (*compile.DIRECTORIES, "new"):
            (directory / name).mkdir(exist_ok=True)
        self._kept.prepare()
        empty = compile.compile_empty(self._place)
        # Listener and bootstrap depend on the settings alone, and these may have changed.
        constant = {
            "bootstrap.json": compile.compile_bootstrap(self._place),
            "lds/lds.json": empty.pop("lds/lds.json"),
        }
        for name, nothing in empty.items():
            if not self._is_whole(directory / name):
                self._write(name, self._kept.last(name) or nothing)
        if not self._keys_are_whole():
            # None rather than older ones, of which some may have been revoked since.
            self._replace_keys(keys.pack_keys(ir.Snapshot(0)))
        # The listener last: an Envoy that an older Portico has left running reads at once what this one names.
        for name, content in constant.items():
            if self._read(name) != content:
                self._write(name, content)
        self._good = self._kept.apis()

    def publish_keys(self, snapshot: ir.Snapshot) -> bool:
        """Put limits, then keys, consumers and subscriptions before Envoy; whether anything was new.

        Raises Refused, and OSError when the disk fails.
        """
        limits = self._publish_limits(snapshot)
        try:
            packed = keys.pack_keys(snapshot)
        except (struct.error, ValueError) as error:
            raise Refused(f"The keys could not be packed: {error}") from error
        before = self._read("keys/keys.json")
        name = "keys/keys.json"
        content = keys.key_filter(str(self._key_data(packed)))
        if content == before:
            return limits
        refusals = self._refusals()
        self._replace_keys(packed)
        complaint = self._complaint({name: content}, refusals)
        if complaint is not None:
            if before is not None:
                self._write(name, before)
            raise Refused(f"Envoy refused the new keys and works with the former ones: {complaint}.")
        # Only now: nobody should wait for the disk. Until then a power failure brings back the former keys.
        _to_disk(self._key_data(packed))
        _to_disk(self._place.directory / name)
        self._forget_key_data()
        return True

    def _publish_limits(self, snapshot: ir.Snapshot) -> bool:
        """Before the keys: Envoy lets a call through whose plan has no limits that it knows of."""
        files = compile.compile_limits(snapshot)
        changed = {name: content for name, content in files.items() if content != self._read(name)}
        if not changed:
            return False
        _by_label(check.problems(replace(snapshot, apis=())))
        refusals = self._refusals()
        for name, content in changed.items():
            before = self._read(name)
            try:
                self._step(name, content, refusals)
            except Refused:
                if before is not None:
                    self._write(name, before)
                raise
            _to_disk(self._place.directory / name)
            self._kept.copy([name])
        return True

    def publish_routes(self, snapshot: ir.Snapshot) -> list[Problem]:
        """Put APIs before Envoy, as far as it takes them; those that it does not, in sentences.

        Raises Refused when nothing could be published, OSError when the disk fails.
        """
        addresses = self._resolver.addresses
        self._hidden = masking.stretches((*snapshot.apis, *self._good.values()))
        accepted, problems = self._accept(snapshot, addresses)
        files = compile.compile_files(self._resolver.usable(accepted), self._place, addresses)
        changed = {name: files[name] for name in _ORDER if files[name] != self._read(name)}
        if changed:
            self._switch(changed, accepted, addresses)
        self._kept.remember(accepted.apis)
        self._good = {api.id: api for api in accepted.apis}
        # Also when nothing changed: a node that was killed before it came here has left copies of former secrets.
        self._kept.copy(_COPIED)
        if changed:
            self._kept.add_set(accepted.revision, (*_ORDER, *_LIMITS), self._masked(accepted, addresses))
        return [*problems, *check.lacking(accepted)]

    def _accept(
        self, snapshot: ir.Snapshot, addresses: Mapping[str, Sequence[str]]
    ) -> tuple[ir.Snapshot, list[Problem]]:
        """The part of `snapshot` that Envoy takes, with the last good form of the rest, and what is wrong with it."""
        if self._refused:
            current = set(snapshot.apis)
            self._refused = {api: why for api, why in self._refused.items() if api in current}
        wrong = _by_label(check.problems(snapshot))
        while True:
            wrong |= {api.label: why for api, why in self._refused.items()}
            accepted = self._without(snapshot, wrong)
            # An equal part was validated before; addresses need no validation, they come from the resolver.
            asked = accepted.apis
            if asked == self._validated or (self._validated is None and self._is_served(accepted, addresses)):
                self._validated = asked
                break
            complaint = self._validate(accepted, addresses)
            if complaint is None:
                self._validated = asked
                break
            suspects = [api for api in accepted.apis if self._good.get(api.id) != api]
            guilty = self._guilty(suspects, addresses, time.monotonic() + _LONGEST_SEARCH)
            if not guilty:
                raise Refused(f"Envoy refuses the configuration, so the former one stays: {complaint}.")
            self._refused |= guilty
        return accepted, [Problem(label, sentence) for label, sentence in sorted(wrong.items())]

    def _is_served(self, snapshot: ir.Snapshot, addresses: Mapping[str, Sequence[str]]) -> bool:
        """Whether a node before this one has published the very same."""
        files = compile.compile_files(self._resolver.usable(snapshot), self._place, addresses)
        return all(self._read(name) == files[name] for name in _ORDER)

    def _without(self, snapshot: ir.Snapshot, wrong: Mapping[str, str]) -> ir.Snapshot:
        """`snapshot` with each wrong API as it was when it was last served, or without it."""
        fine = [api for api in snapshot.apis if api.label not in wrong]
        former = [
            replace(credentials.renewed(good, api), label=api.label, paused=api.paused)
            for api in snapshot.apis
            if api.label in wrong and (good := self._good.get(api.id)) is not None
        ]
        former = [api for api in former if api not in self._refused]
        tried = replace(snapshot, apis=(*fine, *former))
        # Somebody else may have been given the former place of a wrong API by now.
        again = _by_label(check.problems(tried)) if former else {}
        return replace(snapshot, apis=(*fine, *(api for api in former if api.label not in again)))

    def _validate(self, snapshot: ir.Snapshot, addresses: Mapping[str, Sequence[str]]) -> str | None:
        complaint = self._envoy.validate(compile.static_twin(snapshot, self._place, addresses))
        return None if complaint is None else masking.told(complaint, self._hidden)

    def _guilty(
        self, suspects: Sequence[ir.Api], addresses: Mapping[str, Sequence[str]], until: float
    ) -> dict[ir.Api, str]:
        """By halves: the APIs that Envoy refuses even when they are alone with their half."""
        if not suspects:
            return {}
        complaint = self._validate(ir.Snapshot(0, apis=tuple(suspects)), addresses)
        if complaint is None:
            return {}
        if len(suspects) == 1:
            return {suspects[0]: f"Envoy refuses this release, so the former one stays: {complaint}."}
        if time.monotonic() > until:
            why = f"One of {len(suspects)} new releases is refused by Envoy, so none of them is live: {complaint}."
            return dict.fromkeys(suspects, why)
        half = len(suspects) // 2
        found = self._guilty(suspects[:half], addresses, until) | self._guilty(suspects[half:], addresses, until)
        return found or dict.fromkeys(suspects, f"Envoy refuses these {len(suspects)} releases together: {complaint}.")

    def _switch(
        self, changed: Mapping[str, bytes], accepted: ir.Snapshot, addresses: Mapping[str, Sequence[str]]
    ) -> None:
        before = {name: self._read(name) for name in changed}
        refusals = self._refusals()
        steps: dict[str, bytes] = dict(changed)
        if "rds/rds.json" in changed:
            # Routes that still name an old cluster or provider would be answered with an error, so both stand for a
            # moment.
            both = self._resolver.usable(replace(accepted, apis=(*accepted.apis, *self._good.values())))
            if "cds/cds.json" in changed:
                steps["cds/cds.json"] = compile.compile_clusters(both, self._place, addresses)
            if "jwt/jwt.json" in changed:
                steps["jwt/jwt.json"] = compile.compile_tokens(both)
        try:
            for name, content in steps.items():
                self._step(name, content, refusals)
            for name, content in changed.items():
                if steps[name] != content:
                    self._step(name, content, refusals)
        except Refused:
            for name, former in reversed(before.items()):
                if former is not None:
                    self._write(name, former)
            raise
        for name in changed:
            _to_disk(self._place.directory / name)

    def _step(self, name: str, content: bytes, refusals: Mapping[str, int]) -> None:
        self._write(name, content)
        complaint = self._complaint({name: content}, refusals)
        if complaint is not None:
            raise Refused(f"Envoy refused {name}, so the former configuration stays: {complaint}.")

    def _refusals(self) -> Mapping[str, int]:
        with contextlib.suppress(EnvoySilent):
            return self._envoy.refusals()
        return {}

    def _complaint(self, files: Mapping[str, bytes], refusals: Mapping[str, int]) -> str | None:
        if not self._envoy.is_alive():
            return None  # it reads the files when it starts
        try:
            complaint = self._envoy.took(compile.expected_versions(files), refusals, seconds=_PATIENCE)
            if complaint is not None:
                masking.scrub(self._place.output, self._hidden)
                complaint = masking.told(complaint, self._hidden)
            return complaint
        except EnvoySilent:
            return None  # it died or is busy; the files were validated, and the node restarts it

    def _read(self, name: str) -> bytes | None:
        try:
            return (self._place.directory / name).read_bytes()
        except FileNotFoundError:
            return None

    def _write(self, name: str, content: bytes) -> None:
        replace_private(self._place.directory, name, content)

    def _key_data(self, packed: bytes) -> Path:
        return self._place.directory / "data" / keys.key_file_name(packed)

    def _replace_keys(self, packed: bytes) -> None:
        data = self._key_data(packed)
        if not data.exists() or data.read_bytes() != packed:  # one of before may be damaged
            self._write(f"data/{data.name}", packed)
        os.utime(data)
        self._write("keys/keys.json", keys.key_filter(str(data)))

    def _keys_are_whole(self) -> bool:
        """Whether Envoy can be started with the keys that it had. It would refuse damaged ones and then all calls, and
        equal ones would never be written again."""
        try:
            content = (self._place.directory / "keys" / "keys.json").read_bytes()
            orjson.loads(content)
            (name,) = set(_DATA_NAME.findall(content))
            data = self._place.directory / "data" / name.decode()
            whole: bool = keys.key_file_name(data.read_bytes()) == data.name
            if not whole:
                data.unlink()
        except (FileNotFoundError, ValueError):
            return False
        return whole

    def _is_whole(self, path: Path) -> bool:
        try:
            return is_whole(path.read_bytes())
        except FileNotFoundError:
            return False

    def _forget_key_data(self) -> None:
        live = set(_DATA_NAME.findall(self._read("keys/keys.json") or b""))
        data = sorted((self._place.directory / "data").glob("keys-*.bin"), key=lambda path: path.stat().st_mtime_ns)
        for old in data[:-_KEY_FILES_KEPT]:
            # After a clock went back, the newest file looks like the oldest; Envoy could not start without it.
            if os.fsencode(old.name) not in live:
                old.unlink(missing_ok=True)

    def _masked(self, accepted: ir.Snapshot, addresses: Mapping[str, Sequence[str]]) -> Mapping[str, bytes]:
        """The files without secrets; none where there are no secrets in them."""
        shown = replace(accepted, apis=tuple(map(credentials.masked, accepted.apis)))
        return {} if shown == accepted else compile.compile_files(self._resolver.usable(shown), self._place, addresses)


def _by_label(problems: Iterable[Problem]) -> dict[str, str]:
    """Raises Refused for a problem that is no single API's."""
    found: dict[str, str] = {}
    for problem in problems:
        if not problem.api:
            raise Refused(problem.sentence)
        found[problem.api] = f"{found[problem.api]} {problem.sentence}" if problem.api in found else problem.sentence
    return found


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
