"""Limits: a token bucket for each subscription and plan, a second's and a minute's, in this node's memory.

The key filter has written X-Plan-Id and X-Subscription-Id, which choose the bucket. The plans come by ECDS: a change of
one plan's limits changes this resource alone, and Envoy then fills all buckets once.

Calls without a key carry X-Consumer-Plan instead, and have a bucket for each client address. Its buckets are there only
for plans that public APIs have: Envoy compares each call with one after another. So a public API that brings another
plan fills all buckets once, too.
"""

from operator import attrgetter

from portal.gateway.ir import OperationLimit, Place, Plan, Snapshot
from portal.gateway.resource import Resource, discovery_file, typed, watched

NAME = "portico.limits"
PLAN_OF_EVERYONE = "x-consumer-plan"

_TYPE = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
MOST_BUCKETS = 1_000_000
"""Live buckets a plan and kind; 270 bytes each, used only as they come. The least recent go first."""
ADDRESS = "masked_remote_address"
"""Envoy's name for this action, and for what it finds."""
ALWAYS = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}


def http_filter(place: Place) -> Resource:
    return {
        "name": NAME,
        "config_discovery": {
            "config_source": watched(f"{place.directory}/limits", "limits.json"),
            "type_urls": [f"type.googleapis.com/{_TYPE}"],
        },
    }


def inlined(snapshot: Snapshot) -> Resource:
    return {"name": NAME, "typed_config": _limits(snapshot)}


def discovered(snapshot: Snapshot) -> bytes:
    """The file of the resource that `http_filter` waits for."""
    return discovery_file(
        [typed("envoy.config.core.v3.TypedExtensionConfig", name=NAME, typed_config=_limits(snapshot))],
    )


def closed() -> bytes:
    """The file while nobody knows the plans: it refuses every call that needs a key with 429, from the first one on.

    Without descriptors the filter would let every call through. A bucket cannot be empty from the start, but a call may
    ask for more than any bucket holds.
    https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto#config-route-v3-ratelimit
    """
    filter_ = typed(
        _TYPE,
        stat_prefix="limits",
        filter_enabled=ALWAYS,
        filter_enforced=ALWAYS,
        enable_retry_after_header=True,
        rate_limits=[
            {"actions": [_look_up("s")["actions"][0]], "hits_addend": {"number": 2}},
            {"actions": [_look_up_address("s")["actions"][0]], "hits_addend": {"number": 2}},
        ],
        descriptors=[
            {
                "entries": [{"key": "s"}],
                "token_bucket": {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "60s"},
            }
        ],
    )
    return discovery_file([typed("envoy.config.core.v3.TypedExtensionConfig", name=NAME, typed_config=filter_)])


def _limits(snapshot: Snapshot) -> Resource:
    plans = sorted(snapshot.plans, key=attrgetter("id"))
    of_everyone = {subscription.plan_id for subscription in snapshot.everyone()}
    public = [plan for plan in plans if plan.id in of_everyone]
    return typed(
        _TYPE,
        stat_prefix="limits",
        filter_enabled=ALWAYS,
        filter_enforced=ALWAYS,
        enable_x_ratelimit_headers="DRAFT_VERSION_03",
        enable_retry_after_header=True,
        max_dynamic_descriptors=MOST_BUCKETS,
        rate_limits=[
            *(_look_up("s"), _look_up("m")),
            *((_look_up_address("s"), _look_up_address("m")) if public else ()),
        ],
        descriptors=[
            *(descriptor for plan in plans for descriptor in descriptors(plan, "subscription")),
            *(descriptor for plan in public for descriptor in descriptors(plan, ADDRESS)),
        ],
    )


def _look_up(kind: str) -> Resource:
    """Which bucket a call uses. Calls without these headers, such as those without a key, use none."""
    return {
        "actions": [
            {"request_headers": {"descriptor_key": kind, "header_name": "x-plan-id"}},
            {"request_headers": {"descriptor_key": "subscription", "header_name": "x-subscription-id"}},
        ]
    }


def _look_up_address(kind: str) -> Resource:
    return {
        "actions": [{"request_headers": {"descriptor_key": kind, "header_name": PLAN_OF_EVERYONE}}, by_address()],
    }


def by_address() -> Resource:
    """The action that finds the bucket of a call without a key. Whoever has an IPv6 address has the 2^64 around it."""
    return {ADDRESS: {"v4_prefix_mask_len": 32, "v6_prefix_mask_len": 64}}


def descriptors(of: Plan | OperationLimit, whose: str) -> list[Resource]:
    """The buckets of what has limits, chosen by its id: one for each subscription, or one for each ADDRESS."""
    # Envoy refills continuously, so a burst may be smaller or larger than what one interval brings.
    found = []
    if of.per_second is not None:
        found.append(_bucket("s", whose, of.id, of.per_second, of.per_second_burst, "1s"))
    if of.per_minute is not None:
        found.append(_bucket("m", whose, of.id, of.per_minute, of.per_minute_burst, "60s"))
    return found


def _bucket(kind: str, whose: str, id_: int, rate: int, burst: int | None, interval: str) -> Resource:
    return {
        "entries": [{"key": kind, "value": str(id_)}, {"key": whose}],
        "token_bucket": {
            "max_tokens": rate if burst is None else burst,
            "tokens_per_fill": rate,
            "fill_interval": interval,
        },
    }
