"""Limits of operations: a token bucket for each subscription and limited operation, a second's and a minute's.

Where the call is such an operation, the key filter has written the id of the limit into a header; for a call without a
key into another one, and there each client address has its buckets. A filter of its own, for three reasons: Envoy then
tells whether a plan's limit or an operation's has refused, which it does not of buckets in one filter; a changed plan
fills no bucket here, nor a changed operation one of a plan; and it stands before the plans' limits, so that a call that
is refused here uses up nothing that other operations may use.
"""

from operator import attrgetter

from portal.gateway.filters.limits import ADDRESS, ALWAYS, MOST_BUCKETS, by_address, descriptors
from portal.gateway.filters.overall import SCOPE
from portal.gateway.ir import Place, Snapshot
from portal.gateway.resource import Resource, discovery_file, typed, watched

NAME = "portico.operations"
FILE = "operations/operations.json"
HEADER = "x-subscription-limit"
HEADER_OF_EVERYONE = "x-consumer-limit"
"""Front cleaning takes away what begins with `x-subscription` or `x-consumer`, so that no client chooses a bucket."""

_TYPE = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
_NEVER = {"default_value": {"numerator": 0, "denominator": "HUNDRED"}}


def http_filter(place: Place) -> Resource:
    return {
        "name": NAME,
        "config_discovery": {
            "config_source": watched(f"{place.directory}/operations", "operations.json"),
            "type_urls": [f"type.googleapis.com/{_TYPE}"],
        },
    }


def inlined(snapshot: Snapshot) -> Resource:
    return {"name": NAME, "typed_config": _limits(snapshot)}


def discovered(snapshot: Snapshot) -> bytes:
    """The file of the resource that `http_filter` waits for."""
    return _file(_limits(snapshot))


def closed() -> bytes:
    """The file while nobody knows the limits: it refuses every call of a limited operation. See `limits.closed`."""
    bucket = {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "60s"}
    ask_for_two = [
        {"actions": [by], "hits_addend": {"number": 2}} for by in (_by_limit("s"), _by_limit_of_everyone("s"))
    ]
    every = {"entries": [{"key": "s"}], "token_bucket": bucket}
    return _file(_filter(ALWAYS, rate_limits=ask_for_two, descriptors=[every]))


def _limits(snapshot: Snapshot) -> Resource:
    limits = sorted(snapshot.operation_limits, key=attrgetter("id"))
    if not limits:
        # Switched off it looks at nothing of a call.
        return _filter(_NEVER)
    of_everyone = {subscription.plan_id for subscription in snapshot.everyone()}
    public = [limit for limit in limits if limit.plan_id in of_everyone]
    return _filter(
        ALWAYS,
        enable_x_ratelimit_headers="DRAFT_VERSION_03",
        max_dynamic_descriptors=MOST_BUCKETS,
        rate_limits=[
            *(_look_up("s"), _look_up("m")),
            *((_look_up_address("s"), _look_up_address("m")) if public else ()),
        ],
        descriptors=[
            *(descriptor for limit in limits for descriptor in descriptors(limit, "subscription")),
            *(descriptor for limit in public for descriptor in descriptors(limit, ADDRESS)),
        ],
    )


def _filter(enabled: Resource, **more: object) -> Resource:
    return typed(
        _TYPE,
        stat_prefix="operations",
        filter_enabled=enabled,
        filter_enforced=enabled,
        enable_retry_after_header=True,
        response_headers_to_add=[
            {"header": {"key": SCOPE, "value": "operation"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        ],
        **more,
    )


def _by_limit(kind: str) -> Resource:
    return {"request_headers": {"descriptor_key": kind, "header_name": HEADER}}


def _by_limit_of_everyone(kind: str) -> Resource:
    return {"request_headers": {"descriptor_key": kind, "header_name": HEADER_OF_EVERYONE}}


def _look_up(kind: str) -> Resource:
    """Which bucket a call uses. Calls without the header use none."""
    subscription = {"request_headers": {"descriptor_key": "subscription", "header_name": "x-subscription-id"}}
    return {"actions": [_by_limit(kind), subscription]}


def _look_up_address(kind: str) -> Resource:
    return {"actions": [_by_limit_of_everyone(kind), by_address()]}


def _file(filter_: Resource) -> bytes:
    return discovery_file([typed("envoy.config.core.v3.TypedExtensionConfig", name=NAME, typed_config=filter_)])
