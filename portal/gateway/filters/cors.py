"""CORS: which pages of other sites may read answers, and make calls that they would have to ask for beforehand.

Envoy's own filter, off unless a route brings a policy, so that an API without one pays nothing. It stands before
whatever refuses calls, for two reasons: browsers ask (OPTIONS, a preflight) without a key; and it then also marks the
refusals, since a page reads an answer without these headers as little as it reads one of another site.

Preflights end here: none reaches the key filter or a target, and none has a request id that the gateway has made.
https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/cors_filter
"""

import re

from portal.gateway.ir import Cors, Place
from portal.gateway.resource import Resource, typed

NAME = "portico.cors"

_ANSWERED = ("allow-origin", "allow-credentials", "allow-methods", "allow-headers", "expose-headers", "max-age")


def http_filter(place: Place) -> Resource:
    return {
        "name": NAME,
        "disabled": True,
        "typed_config": typed("envoy.extensions.filters.http.cors.v3.Cors"),
    }


def on_route(cors: Cors | None) -> Resource:
    """Of the route's `typed_per_filter_config`."""
    if cors is None:
        return {}
    policy = typed(
        "envoy.extensions.filters.http.cors.v3.CorsPolicy",
        allow_origin_string_match=[_matcher(origin) for origin in cors.origins],
        allow_methods=", ".join(cors.methods),
        allow_headers=", ".join(cors.headers),
        expose_headers=", ".join(cors.exposed_headers),
        max_age=str(cors.max_age_s),
        allow_credentials=cors.credentials,
        # A preflight is never a call: without this, one of an unknown origin would go on and be refused for its key.
        forward_not_matching_preflights=False,
    )
    return {NAME: policy}


def headers_of_answers(cors: Cors | None) -> tuple[list[str], list[Resource]]:
    """What the route takes off the target's answers and adds to every answer.

    A target that has CORS of its own would speak twice, and for origins that the API's publisher did not name. An
    answer differs by Origin even where none was sent, so caches must be told each time.
    """
    if cors is None:
        return [], []
    vary = {"header": {"key": "vary", "value": "Origin"}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}
    return [f"access-control-{word}" for word in _ANSWERED], [vary]


def _matcher(origin: str) -> Resource:
    scheme, _, authority = origin.partition("://")
    if not authority.startswith("*."):
        return {"exact": origin}
    rest = re.escape(authority.removeprefix("*"))
    return {"safe_regex": {"regex": rf"{re.escape(scheme)}://[a-z0-9_-]+(\.[a-z0-9_-]+)*{rest}"}}
