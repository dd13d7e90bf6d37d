"""What becomes different for callers when one document takes the place of another: where, and with what. Pure.

What they can ask for there stands in the OpenAPI documents; see `operation_changes.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from portal.registry import networks
from portal.registry.access import Addresses, Cors
from portal.registry.document import Document, KeyPlace


@dataclass(frozen=True, slots=True)
class Effect:
    sentence: str
    breaking: bool
    """Whether calls that went well fail then."""


def effects(before: Document | None, after: Document) -> list[Effect]:
    """What breaks callers comes first. Without a `before` nobody calls yet, so there is none."""
    if before is None:
        return []
    found = [
        *_mounts(before, after),
        *_key(before.key, after.key),
        *_browsers(before.cors, after.cors),
        *_networks(before.addresses or Addresses(), after.addresses or Addresses()),
        *_limits(before, after),
    ]
    return sorted(found, key=lambda effect: not effect.breaking)


def _mounts(before: Document, after: Document) -> Iterator[Effect]:
    for what, old, new in (("path", before.path, after.path), ("host", before.host, after.host)):
        if old == new:
            continue
        if old is None:
            yield Effect(f"It is served at the {what} {new} too.", False)
        elif new is None:
            yield Effect(f"It is served at the {what} {old} no more: such calls get 404 no_such_api.", True)
        else:
            yield Effect(f"The {what} becomes {new}. Calls to {old} get 404 no_such_api.", True)


def _key(before: KeyPlace, after: KeyPlace) -> Iterator[Effect]:
    if _place(before) != _place(after):
        yield Effect(
            f"The key is expected in the {_said(after)}. Calls that bring it in the {_said(before)} get 401 "
            "key_missing.",
            True,
        )


def _browsers(before: Cors | None, after: Cors | None) -> Iterator[Effect]:
    if before == after:
        return
    if after is None:
        yield Effect("Browsers are answered by the targets alone; preflights, which carry no key, get 401.", True)
        return
    if before is None:
        said = "every site" if "*" in after.origins else _all(after.origins)
        yield Effect(f"Pages of {said} may call from browsers. What the targets say about that is taken off.", False)
        return
    lost = [] if "*" in after.origins else [each for each in before.origins if each not in after.origins]
    if lost:
        yield Effect(f"Pages of {'other sites' if '*' in lost else _all(lost)} may call from browsers no more.", True)
    won = [] if "*" in before.origins else [each for each in after.origins if each not in before.origins]
    if won:
        yield Effect(f"Pages of {'every site' if '*' in won else _all(won)} may call from browsers too.", False)
    parts = (
        ("call with", before.all_methods(), after.all_methods()),
        ("send", before.all_headers(None), after.all_headers(None)),
        ("read", before.all_exposed_headers(), after.all_exposed_headers()),
    )
    for verb, old, new in parts:
        gone = [each for each in old if each.lower() not in {other.lower() for other in new}]
        if gone:
            yield Effect(f"Pages may {verb} {_all(gone)} no more.", True)
        came = [each for each in new if each.lower() not in {other.lower() for other in old}]
        if came:
            yield Effect(f"Pages may {verb} {_all(came)} too.", False)
    if before.credentials and not after.credentials:
        yield Effect("Pages may call with cookies no more.", True)
    elif after.credentials and not before.credentials:
        yield Effect("Pages may call with cookies too.", False)


def _networks(before: Addresses, after: Addresses) -> Iterator[Effect]:
    refused = "get 403 address_not_allowed"
    if after.allow and not before.allow:
        yield Effect(f"Calls are taken from {_shown(after.allow)} only; all others {refused}.", True)
    elif before.allow and not after.allow:
        yield Effect("Calls are taken from everywhere that is not denied.", False)
    else:
        lost = [each for each in before.allow if each not in after.allow]
        if lost:
            yield Effect(f"Calls from {_shown(lost)} {refused}, unless another allowed network holds them.", True)
        won = [each for each in after.allow if each not in before.allow]
        if won:
            yield Effect(f"Calls are taken from {_shown(won)} too.", False)
    denied = [each for each in after.deny if each not in before.deny]
    if denied:
        yield Effect(f"Calls from {_shown(denied)} {refused}.", True)
    freed = [each for each in before.deny if each not in after.deny]
    if freed:
        yield Effect(f"Calls from {_shown(freed)} are denied no more.", False)


def _shown(found: Sequence[str]) -> str:
    return _all([networks.shown(each) for each in found])


def _all(words: Sequence[str]) -> str:
    more = len(words) - 5
    return ", ".join(words[:5]) + (f" and {more} more" if more > 0 else "")


def _limits(before: Document, after: Document) -> Iterator[Effect]:
    old, new = before.body_limit_bytes, after.body_limit_bytes
    if new < old:
        yield Effect(
            f"Bodies of more than {new / 1_000_000:g} MB get 413 too_large; it was {old / 1_000_000:g} MB.", True
        )
    elif new > old:
        yield Effect(f"Bodies may have {new / 1_000_000:g} MB instead of {old / 1_000_000:g} MB.", False)
    waits = before.upstream.first_byte_timeout_ms, after.upstream.first_byte_timeout_ms
    if waits[1] < waits[0]:
        seconds = f"{waits[1] / 1000:g} s instead of {waits[0] / 1000:g} s"
        yield Effect(f"Answers must begin within {seconds}, or calls get 504 upstream_timeout.", True)


def _place(key: KeyPlace) -> tuple[str, str]:
    """Headers are the same in capitals and small letters, parameters are not; `bearer` has no name of its own."""
    return key.place, {"header": key.name.lower(), "query": key.name, "bearer": ""}[key.place]


def _said(key: KeyPlace) -> str:
    match key.place:
        case "bearer":
            return "header Authorization as a bearer token"
        case "query":
            return f"query parameter {key.name}"
        case _:
            return f"header {key.name}"
