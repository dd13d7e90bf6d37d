"""What is wrong with a snapshot before Envoy sees it: everything that Envoy would refuse, or take and do wrongly.

The forms check most of this when it is typed. Here it is checked again for all APIs together and for rows that came in
another way, because one bad API would keep every later publish from reaching the gateway.
"""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from portal.gateway.clusters import authority
from portal.gateway.ir import Api, OperationLimit, Plan, Snapshot
from portal.registry.headers import is_gateways_own

_SEGMENTS = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+")
_HOST = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`~-]+")
_CREDENTIAL = re.compile(r"[a-z0-9]+(-[a-z0-9]+){0,5}")
_BASE = re.compile(r"/[\x21-\x22\x24-\x3e\x40-\x5b\x5d-\x7e]*")
_RESERVED_PATH = "/_portico"
_PRINTED = re.compile(r"[\x21-\x2b\x2d-\x7e]+")
_LONGEST_HEADER = 100
_MOST_TOKENS = 2**32 - 1
NO_TOKEN_KEYS = (
    "The keys that its tokens are verified with have not been fetched yet, so that calls with a token are answered "
    "with 503. Its page says why."
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a snapshot cannot be served as it is."""

    api: str | None
    """Label of the API that has to be changed; None where no single one has."""
    sentence: str


def problems(snapshot: Snapshot) -> list[Problem]:
    """Every problem, sorted; empty where the snapshot can be compiled."""
    found = [
        *(Problem(api.label, sentence) for api in snapshot.apis for sentence in _of_api(api)),
        *_of_mounts(snapshot.apis),
        *(Problem(None, sentence) for plan in snapshot.plans for sentence in _of_limits(f"Plan {plan.id}", plan)),
        *(
            Problem(None, sentence)
            for limit in snapshot.operation_limits
            for sentence in _of_limits(f"The limit of {limit.operation} under plan {limit.plan_id}", limit)
        ),
        *_of_ids(snapshot),
    ]
    return sorted(set(found), key=lambda problem: (problem.api or "", problem.sentence))


def lacking(snapshot: Snapshot) -> list[Problem]:
    """APIs that are served, but whose calls go nowhere because their targets' credential is not to be had, or whose
    tokens cannot be verified."""
    living = [api for api in snapshot.apis if not api.retired]
    found = [Problem(api.label, api.lacks) for api in living if api.lacks]
    found += [Problem(api.label, NO_TOKEN_KEYS) for api in living if api.jwt is not None and not api.jwt.jwks]
    return sorted(found, key=lambda problem: (problem.api or "", problem.sentence))


def _of_api(api: Api) -> Iterator[str]:
    if api.path is None and api.host is None:
        yield "It has neither a path nor a host, so that nobody can call it. Give it one."
    if api.path is not None:
        yield from _of_path(api.path)
    if api.host is not None and not _HOST.fullmatch(api.host):
        yield f"“{api.host}” is not a host name in lower case, such as orders.example.com."
    if not _BASE.fullmatch(api.base_path) or {".", ".."} & set(api.base_path.split("/")):
        yield f"Its targets' path, “{api.base_path}”, must begin with / and hold no space, ?, #, \\ or dot segment."
    yield from _of_key_name(api)
    yield from _of_upstream(api)
    yield from _of_credential(api)
    yield from _of_access(api)
    for name, number in (
        ("time to the first byte", api.first_byte_timeout_ms),
        ("idle time", api.idle_timeout_ms),
        ("time to connect", api.upstream.connect_timeout_ms),
    ):
        if number <= 0:
            yield f"Its {name} must be longer than nothing."
    if not 0 <= api.retries <= 10:
        yield "Its number of retries must be between 0 and 10."
    if api.overall_per_second is not None and not 1 <= api.overall_per_second <= _MOST_TOKENS:
        yield "Its overall limit must be one call a second or more, or none at all."
    if api.body_limit_bytes < 0:
        yield "Its body limit must not be negative."


def _of_path(path: str) -> Iterator[str]:
    if not _SEGMENTS.fullmatch(path):
        yield f"The path “{path}” must look like /orders/v1: no slash at its end, no empty part, no escaped characters."
    elif {".", ".."} & set(path.split("/")):
        yield f"No part of the path “{path}” may be . or .. alone, since calls lose such parts on their way."
    if _lies_under(path, _RESERVED_PATH):
        yield f"{_RESERVED_PATH} belongs to the gateway itself. Choose another path than “{path}”."


def _of_key_name(api: Api) -> Iterator[str]:
    if api.key_place == "header":
        if not _HEADER.fullmatch(api.key_name) or len(api.key_name) > _LONGEST_HEADER:
            yield f"“{api.key_name}” is not the name of a header in lower case."
        elif is_gateways_own(api.key_name):
            yield f"The header “{api.key_name}” has a meaning of its own and cannot hold the key. Choose another one."
    elif api.key_place == "query" and not re.fullmatch(r"[A-Za-z0-9._~-]{1,100}", api.key_name):
        yield f"“{api.key_name}” is not a plain name of a query parameter."


def _of_upstream(api: Api) -> Iterator[str]:
    targets = api.upstream.targets
    if not targets:
        yield "It has no target, so that calls could be sent nowhere."
    for target in targets:
        named = authority(target, tls=api.upstream.tls)
        if not _is_address(target.host) and not _HOST.fullmatch(target.host.lower()):
            yield f"The host of its target {named} is neither a host name nor an address."
        if not 1 <= target.port <= 65535:
            yield f"The port of its target {named} must be between 1 and 65535."
        if not 0 <= target.weight <= 1_000:
            yield f"The weight of its target {named} must be between 0 and 1000."


def _of_credential(api: Api) -> Iterator[str]:
    """Repeats no secret: what is said here is stored and shown."""
    if api.credential is not None:
        if not _CREDENTIAL.fullmatch(api.credential.header) or is_gateways_own(api.credential.header):
            yield f"The header “{api.credential.header}” cannot carry its targets' secret. Choose another one."
        if not api.credential.value.isprintable():
            yield "Its targets' secret holds signs that no header may hold. Replace it."
    if api.upstream.client_certificate is not None and not api.upstream.tls:
        yield "A client certificate can be shown to https targets only."


def _of_access(api: Api) -> Iterator[str]:
    if api.cors is not None:
        if not api.cors.origins:
            yield "Its CORS rules name no origin."
        for word in (*api.cors.origins, *api.cors.methods, *api.cors.headers, *api.cors.exposed_headers):
            if not _PRINTED.fullmatch(word):
                yield f"“{word}” cannot stand in its CORS rules: it holds a space, a comma or a sign that is none."
        if api.cors.credentials and "*" in api.cors.origins:
            yield "Its CORS rules give every page the cookies of whoever looks at it. Name the origins."
    if api.addresses is not None:
        for network in (*api.addresses.allow, *api.addresses.deny):
            if not _is_network(network):
                yield f"“{network}” in its address lists is no network, such as 10.0.0.0/8."


def _of_mounts(apis: Sequence[Api]) -> Iterator[Problem]:
    hosts = sorted((api for api in apis if api.host), key=lambda api: (str(api.host), api.label))
    for host, of_host in groupby(hosts, key=attrgetter("host")):
        yield from _shared(f"the host {host}", list(of_host))
    mounted = sorted((api for api in apis if api.path), key=lambda api: (_parts(api), api.label))
    for path, of_path in groupby(mounted, key=attrgetter("path")):
        yield from _shared(f"the path {path}", list(of_path))
    # Sorted part by part, whatever lies under a path follows it directly.
    above: list[Api] = []
    for api in mounted:
        while above and _parts(api)[: len(_parts(above[-1]))] != _parts(above[-1]):
            above.pop()
        if above and above[-1].path != api.path:
            outer = above[-1]
            yield Problem(api.label, f"Its path {api.path} lies under {outer.path}, which belongs to {outer.label}.")
        above.append(api)


def _shared(what: str, apis: list[Api]) -> Iterator[Problem]:
    for api in apis[1:]:
        yield Problem(api.label, f"It is mounted at {what}, which already belongs to {apis[0].label}.")


def _of_limits(called: str, of: Plan | OperationLimit) -> Iterator[str]:
    for name, number in (
        ("calls per second", of.per_second),
        ("burst per second", of.per_second_burst),
        ("calls per minute", of.per_minute),
        ("burst per minute", of.per_minute_burst),
    ):
        if number is not None and not 1 <= number <= _MOST_TOKENS:
            yield f"{called} has {number} {name}; it must be 1 or more, or none at all."


def _of_ids(snapshot: Snapshot) -> Iterator[Problem]:
    ids = sorted(snapshot.apis, key=lambda api: (api.id, api.label))
    for number, same in groupby(ids, key=attrgetter("id")):
        first, *others = same
        for api in others:
            yield Problem(api.label, f"It has the id {number}, which already belongs to {first.label}.")
    plans = [plan.id for plan in snapshot.plans]
    if len(set(plans)) != len(plans):
        yield Problem(None, "Two plans have the same id.")


def _lies_under(path: str, other: str) -> bool:
    return f"{path}/".startswith(f"{other}/")


def _parts(api: Api) -> list[str]:
    return str(api.path).split("/")


def _is_network(text: str) -> bool:
    try:
        return "/" in text and ipaddress.ip_network(text) is not None
    except ValueError:
        return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
