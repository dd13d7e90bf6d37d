"""The router: sends the call to its upstream. Nothing may stand behind it."""

from portal.gateway.ir import Place
from portal.gateway.resource import Resource, typed


def http_filter(place: Place) -> Resource:
    return {
        "name": "portico.router",
        "typed_config": typed(
            "envoy.extensions.filters.http.router.v3.Router",
            # Together a microsecond or more a call; the numbers that they give are in the access log.
            dynamic_stats=False,
            suppress_envoy_headers=True,
        ),
    }
