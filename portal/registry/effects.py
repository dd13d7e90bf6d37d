"""What becomes different for callers when one document takes the place of another: where, and with what. Pure.

What they can ask for there stands in the OpenAPI documents; see `operation_changes.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from portal.registry.document import Authentication, Document, KeyPlace
from portal.registry.jwt import Jwt


@dataclass(frozen=True, slots=True)
class Effect:
    sentence: str
    breaking: bool
    """Whether calls that went well fail then."""


def effects(before: Document | None, after: Document) -> list[Effect]:
    """What breaks callers comes first. Without a `before` nobody calls yet, so there is none."""
    if before is None:
        return []
    ways = before.authentication, after.authentication
    found = [*_mounts(before, after), *_ways(*ways), *_limits(before, after)]
    if ways[0].key and ways[1].key:
        found += _key(before.key, after.key)
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


def _ways(before: Authentication, after: Authentication) -> Iterator[Effect]:
    if after.public is not None:
        if before.public is None:
            yield Effect(
                f"Everybody may call without a key, under the plan {after.public.plan}. What callers show is taken off "
                "and counts for nothing: upstreams see one consumer for all of them.",
                False,
            )
        elif before.public.plan != after.public.plan:
            yield Effect(f"Calls are held to the plan {after.public.plan} instead of {before.public.plan}.", False)
        return
    if before.public is not None:
        yield Effect("Calls need a subscription and a credential. Those without one get 401 key_missing.", True)
        return
    tokens = before.jwt is not None, after.jwt is not None
    ways = ("Keys", before.key, after.key), ("User names and passwords", before.basic, after.basic), ("Tokens", *tokens)
    for what, old, new in ways:
        if old and not new:
            yield Effect(f"{what} are taken no more. Calls that bring nothing else get 401 key_missing.", True)
        elif new and not old:
            yield Effect(f"{what} are taken too.", False)
    if before.jwt is not None and after.jwt is not None:
        yield from _tokens(before.jwt, after.jwt)


def _tokens(before: Jwt, after: Jwt) -> Iterator[Effect]:
    if before.issuer != after.issuer:
        yield Effect(f"Tokens must be issued by {after.issuer}. Those of {before.issuer} get 401 token_invalid.", True)
    if set(after.audiences) != set(before.audiences):
        said = " or ".join(after.audiences) or "anybody"
        narrower = (bool(after.audiences) and not set(before.audiences) <= set(after.audiences)) or not before.audiences
        yield Effect(f"Tokens must be for {said}." + " Others get 401 token_invalid." * narrower, narrower)
    if (before.jwks_url, before.jwks) != (after.jwks_url, after.jwks):
        yield Effect("Tokens are verified with other keys. Those that none of them signed get 401 token_invalid.", True)
    if before.claim != after.claim:
        yield Effect(
            f"Who calls is read from the claim {after.claim} instead of {before.claim}. Subscriptions that name other "
            "values get 403 token_unknown.",
            True,
        )


def _key(before: KeyPlace, after: KeyPlace) -> Iterator[Effect]:
    if _place(before) != _place(after):
        yield Effect(
            f"The key is expected in the {_said(after)}. Calls that bring it in the {_said(before)} get 401 "
            "key_missing.",
            True,
        )


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
