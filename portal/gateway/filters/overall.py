"""Overall limits: a token bucket for each API that asks for one, whoever calls, so that its upstream is not flooded.

A filter of its own behind the plans' limits, for three reasons: a call that a plan refuses uses up nothing of the API;
Envoy then tells which of both has refused, which it does not of two buckets in one filter; and a changed plan fills no
bucket here, nor a changed API one of a plan.
"""

from portal.gateway.ir import Api, Place, Snapshot
from portal.gateway.resource import Resource, discovery_file, typed, watched

NAME = "portico.overall"
FILE = "overall/overall.json"
SCOPE = "x-ratelimit-scope"
"""Header of this filter's refusals, by which answers and the log tell them from those of a plan."""

_TYPE = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
_ALWAYS = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}


def http_filter(place: Place) -> Resource:
    return {
        "name": NAME,
        "config_discovery": {
            "config_source": watched(f"{place.directory}/overall", "overall.json"),
            "type_urls": [f"type.googleapis.com/{_TYPE}"],
        },
    }


def inlined(snapshot: Snapshot) -> Resource:
    return {"name": NAME, "typed_config": _limits(_buckets(snapshot))}


def discovered(snapshot: Snapshot) -> bytes:
    """The file of the resource that `http_filter` waits for."""
    return _file(_limits(_buckets(snapshot)))


def closed() -> bytes:
    """The file while nobody knows the limits: it refuses every call to an API that has one. See `limits.closed`."""
    bucket = {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "60s"}
    return _file(_limits([{"entries": [{"key": "api"}], "token_bucket": bucket}], hits_addend={"number": 2}))


def on_route(api: Api) -> Resource:
    """Of the route's `filter_metadata`: which bucket its calls use."""
    return {NAME: {"api": str(api.id)}} if api.overall_per_second is not None else {}


def _buckets(snapshot: Snapshot) -> list[Resource]:
    # A rate of nothing, which `check.py` tells of, would have Envoy refuse the limits of all APIs.
    limited = sorted((api.id, api.overall_per_second) for api in snapshot.apis if (api.overall_per_second or 0) > 0)
    return [
        {
            "entries": [{"key": "api", "value": str(id_)}],
            "token_bucket": {"max_tokens": rate, "tokens_per_fill": rate, "fill_interval": "1s"},
        }
        for id_, rate in limited
    ]


def _limits(descriptors: list[Resource], **more: Resource) -> Resource:
    api = {
        "descriptor_key": "api",
        "metadata_key": {"key": NAME, "path": [{"key": "api"}]},
        "source": "ROUTE_ENTRY",
        "skip_if_absent": True,
    }
    return typed(
        _TYPE,
        stat_prefix="overall",
        filter_enabled=_ALWAYS,
        filter_enforced=_ALWAYS,
        # What is left of it is no caller's own, so only a refusal speaks of it.
        enable_retry_after_header=True,
        response_headers_to_add=[
            {"header": {"key": SCOPE, "value": "api"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        ],
        rate_limits=[{"actions": [{"metadata": api}], **more}],
        descriptors=descriptors,
    )


def _file(filter_: Resource) -> bytes:
    return discovery_file([typed("envoy.config.core.v3.TypedExtensionConfig", name=NAME, typed_config=filter_)])
