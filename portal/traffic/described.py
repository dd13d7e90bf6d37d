"""What releases describe of their APIs, kept as tries while calls ask for it.

A log line names the release that its gateway served, and releases never change: nothing kept here is ever out of date,
and calls from before a publish are still told apart by what was live then.
"""

from collections.abc import Iterable

from sqlalchemy import Connection, select, tuple_

from portal.registry.models import Operation, Release
from portal.traffic.operations import Trie

MOST_OPERATIONS = 200_000
"""In all tries together, 50 to 100 MB; those that one batch of calls needs are there at once even above that."""
_MOST_RELEASES = 50_000
_AT_ONCE = 300
_LONGEST_PATH = 2_000
"""What is longer was cut, and may have been another operation's."""

Served = tuple[int | None, int | None]
"""API and number of a release."""


class Described:
    """Used by one thread."""

    def __init__(self) -> None:
        self._digests: dict[Served, str | None] = {}
        self._tries: dict[str, Trie] = {}
        """By hash of the OpenAPI document, the one that was asked for last at the end."""

    def of(self, connection: Connection, asked: Iterable[Served]) -> dict[Served, Trie]:
        """The tries of those releases that have an OpenAPI document with operations.

        Raises what the database raises.
        """
        wanted = {served for served in asked if None not in served}
        if len(self._digests) > _MOST_RELEASES:
            self._digests.clear()
        self._learn(connection, sorted(wanted - self._digests.keys()))
        found: dict[Served, Trie] = {}
        for served in wanted:
            digest = self._digests[served]
            if digest is not None:
                trie = self._tries.pop(digest, None) or _read(connection, digest)
                self._tries[digest] = trie
                if trie.size:
                    found[served] = trie
        self._forget()
        return found

    def _learn(self, connection: Connection, releases: list[Served]) -> None:
        digest = Release.document["openapi"].as_string()
        for first in range(0, len(releases), _AT_ONCE):
            some = releases[first : first + _AT_ONCE]
            # One that is not there belonged to an API that was deleted, and no other will have its number.
            self._digests |= dict.fromkeys(some)
            rows = connection.execute(
                select(Release.api_id, Release.number, digest).where(tuple_(Release.api_id, Release.number).in_(some))
            )
            self._digests |= {(api_id, number): sha256 for api_id, number, sha256 in rows}

    def _forget(self) -> None:
        held = sum(1 + trie.size for trie in self._tries.values())
        while held > MOST_OPERATIONS and len(self._tries) > 1:
            held -= 1 + self._tries.pop(next(iter(self._tries))).size


def operation_of(trie: Trie, method: str | None, mount: str, path: str | None) -> str:
    """The operation's name; '' when none describes the call. `path` is the whole one, `mount` its beginning."""
    if not method or not path or len(path) >= _LONGEST_PATH or not path.startswith(mount):
        return ""
    return trie.find(method, path[len(mount) :] or "/")


def _read(connection: Connection, digest: str) -> Trie:
    rows = connection.execute(
        select(Operation.method, Operation.path, Operation.name)
        .where(Operation.sha256 == digest)
        .order_by(Operation.position)
    )
    return Trie((method, path, name) for method, path, name in rows)
