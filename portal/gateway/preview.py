"""What a publish would change for Envoy, before it is done: one API's part of the files, and what speaks against it."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

import orjson
from sqlalchemy import Connection

from portal.gateway import clusters, routes
from portal.gateway.check import Problem, problems
from portal.gateway.filters import jwt
from portal.gateway.ir import Api, Place, Snapshot
from portal.gateway.read import Reader

MOST_LINES = 400
"""Of the difference. Nobody reads more of it on a page."""

_LONGEST_LINE = 500
"""Characters. Certificates stand in one line."""


@dataclass(frozen=True, slots=True)
class Preview:
    difference: tuple[str, ...]
    """A unified diff without its head; empty where Envoy gets the same. Secrets are masked, addresses left out."""
    cut: int
    """Lines that were left out."""
    problems: tuple[str, ...]
    """Why gateways would not serve it, in sentences."""


def preview(
    connection: Connection,
    place: Place,
    api_id: int,
    before: tuple[dict[str, Any], int] | None,
    after: dict[str, Any],
    *,
    most: int = MOST_LINES,
) -> Preview:
    """`before` is the live document with its number, `after` the stored document that would take its place."""
    reader = Reader()
    number = before[1] + 1 if before is not None else 1
    new = reader.preview(connection, api_id, after, number)
    if isinstance(new, Problem):
        return Preview((), 0, (new.sentence,))
    old = reader.preview(connection, api_id, *before) if before is not None else None
    # The number of the release stands in the route's name; that it grows is no news.
    lines = list(_difference(_text(old if isinstance(old, Api) else None, place), _text(new, place)))
    found = [problem.sentence for problem in problems(Snapshot(0, (new,)))]
    found += [new.lacks] if new.lacks else []
    return Preview(tuple(lines[:most]), max(0, len(lines) - most), tuple(found))


def _difference(before: list[str], after: list[str]) -> Iterator[str]:
    lines = unified_diff(before, after, lineterm="", n=3)
    next(lines, None)
    next(lines, None)
    for line in lines:
        yield line if len(line) <= _LONGEST_LINE else line[:_LONGEST_LINE] + "…"


def _text(api: Api | None, place: Place) -> list[str]:
    """The routes and clusters of this API alone, one value a line."""
    if api is None:
        return []
    snapshot = Snapshot(0, (api,))
    resources = [routes.route_configuration(snapshot, place.portal), *clusters.cluster_resources(snapshot, place, {})]
    if api.jwt is not None:
        resources.append(jwt.inlined(snapshot))
    return [
        line
        for resource in resources
        for line in orjson.dumps(resource, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode().splitlines()
    ]
