"""Tokens: Envoy verifies them for the routes of APIs that take JWTs; all other routes pay nothing.

It refuses nobody. It writes a claim of a good token into a header, the key filter behind finds the consumer by it and
decides, so that refusals read the same as those of keys and an API may take both. Front cleaning has removed every
header that begins so from what the client sent.

Where a token fails its own provider, Envoy tries whichever other one names the same issuer, and that may ask for less.
So each provider writes a header of its own, and the key filter reads that of the route.

Envoy refuses all calls on a route that names a requirement which this file does not have: tokens that nobody could
verify let nobody in. https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/jwt_authn_filter
"""

from collections.abc import Iterable
from operator import attrgetter

from portal.gateway.ir import Api, Jwt, Place, Snapshot
from portal.gateway.resource import Resource, discovery_file, typed, watched

NAME = "portico.jwt"
FILE = "jwt/jwt.json"
CLOCK_SKEW_SECONDS = 60
"""How long a token is taken after its end and before its beginning, as clocks differ."""

_TYPE = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
_ROUTE_TYPE = "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig"
_CACHED = 1_000
"""Tokens of a provider that each worker remembers as verified; 5–8 µs a call instead of 24–44. Times are looked at
again at each call, and a changed key set forgets all."""


def http_filter(place: Place) -> Resource:
    return {
        "name": NAME,
        "disabled": True,
        "config_discovery": {
            "config_source": watched(f"{place.directory}/jwt", "jwt.json"),
            "type_urls": [f"type.googleapis.com/{_TYPE}"],
        },
    }


def inlined(snapshot: Snapshot) -> Resource:
    return {"name": NAME, "disabled": True, "typed_config": _filter(snapshot.apis)}


def discovered(snapshot: Snapshot) -> bytes:
    """The file of the resource that `http_filter` waits for. Of equal providers the first one's keys stand."""
    filter_ = _filter(snapshot.apis)
    return discovery_file([typed("envoy.config.core.v3.TypedExtensionConfig", name=NAME, typed_config=filter_)])


def on_route(api: Api) -> Resource:
    """Of the route's `typed_per_filter_config`."""
    if api.jwt is None or not api.jwt.jwks or api.retired:
        return {}
    return {NAME: typed(_ROUTE_TYPE, requirement_name=api.jwt.provider)}


def for_script(api: Api) -> Resource:
    """Of the route's metadata: what `token.lua` has to know. Like the route's name it is the same for all of a release,
    but for whether there are keys."""
    if api.jwt is None:
        return {}
    return {"token": api.jwt.provider, "token_forward": api.jwt.forward, "token_keys": bool(api.jwt.jwks)}


def _filter(apis: Iterable[Api]) -> Resource:
    found: dict[str, Jwt] = {}
    for api in sorted(apis, key=attrgetter("id")):
        if api.jwt is not None and api.jwt.jwks and not api.retired:
            found.setdefault(api.jwt.provider, api.jwt)
    return typed(
        _TYPE,
        providers={name: _provider(jwt) for name, jwt in sorted(found.items())},
        requirement_map={name: _requirement(name) for name in sorted(found)},
    )


def _provider(jwt: Jwt) -> Resource:
    return {
        "issuer": jwt.issuer,
        **({"audiences": sorted(jwt.audiences)} if jwt.audiences else {}),
        "local_jwks": {"inline_string": jwt.jwks},
        "from_headers": [{"name": "authorization", "value_prefix": f"{word} "} for word in ("Bearer", "bearer")],
        # token.lua takes it away, or leaves it: it has to look whether it was the only one.
        "forward": True,
        "claim_to_headers": [{"header_name": jwt.header, "claim_name": jwt.claim}],
        "failed_status_in_metadata": jwt.provider,
        "clock_skew_seconds": CLOCK_SKEW_SECONDS,
        "require_expiration": True,
        "jwt_cache_config": {"jwt_cache_size": _CACHED},
    }


def _requirement(name: str) -> Resource:
    return {"requires_any": {"requirements": [{"provider_name": name}, {"allow_missing_or_failed": {}}]}}
