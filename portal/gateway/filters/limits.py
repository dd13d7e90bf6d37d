"""Limits: a token bucket for each subscription and plan, a second's and a minute's, in this node's memory.

The key filter has written X-Plan-Id and X-Subscription-Id, which choose the bucket. The plans come by ECDS: a change of
one plan's limits changes this resource alone, and Envoy then fills all buckets once.
"""

from operator import attrgetter

from portal.gateway.ir import OperationLimit, Place, Plan, Snapshot
from portal.gateway.resource import Resource, discovery_file, typed, watched

NAME = "portico.limits"

_TYPE = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
MOST_BUCKETS = 1_000_000
"""Live buckets a plan and kind; 270 bytes each, used only as they come. The least recent go first."""
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
        rate_limits=[{"actions": [_look_up("s")["actions"][0]], "hits_addend": {"number": 2}}],
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
    return typed(
        _TYPE,
        stat_prefix="limits",
        filter_enabled=ALWAYS,
        filter_enforced=ALWAYS,
        enable_x_ratelimit_headers="DRAFT_VERSION_03",
        enable_retry_after_header=True,
        max_dynamic_descriptors=MOST_BUCKETS,
        rate_limits=[_look_up("s"), _look_up("m")],
        descriptors=[descriptor for plan in plans for descriptor in descriptors(plan)],
    )


def _look_up(kind: str) -> Resource:
    """Which bucket a call uses. Calls without the headers, those of public routes, use none."""
    return {
        "actions": [
            {"request_headers": {"descriptor_key": kind, "header_name": "x-plan-id"}},
            {"request_headers": {"descriptor_key": "subscription", "header_name": "x-subscription-id"}},
        ]
    }


def descriptors(of: Plan | OperationLimit) -> list[Resource]:
    """The buckets of what has limits: chosen by its id, and a subscription has each for itself."""
    # Envoy refills continuously, so a burst may be smaller or larger than what one interval brings.
    found = []
    if of.per_second is not None:
        found.append(_bucket("s", of.id, of.per_second, of.per_second_burst, "1s"))
    if of.per_minute is not None:
        found.append(_bucket("m", of.id, of.per_minute, of.per_minute_burst, "60s"))
    return found


def _bucket(kind: str, id_: int, rate: int, burst: int | None, interval: str) -> Resource:
    return {
        "entries": [{"key": kind, "value": str(id_)}, {"key": "subscription"}],
        "token_bucket": {
            "max_tokens": rate if burst is None else burst,
            "tokens_per_fill": rate,
            "fill_interval": interval,
        },
    }
