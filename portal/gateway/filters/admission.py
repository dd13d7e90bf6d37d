"""Admission: only calls that the key filter has admitted go on, or calls of a public route.

Envoy lets a call through when a Lua script fails. Front cleaning has removed X-Subscription-Id from what the client
sent and the key filter writes it last, so its presence is the proof.
"""

from portal.gateway.ir import Place
from portal.gateway.resource import Resource, typed

NAME = "portico.admission"
METADATA = "portico"
PUBLIC = "public"
"""Key in the metadata of a route that needs no key."""

_ADMITTED = {"header": {"name": "x-subscription-id", "present_match": True}}
_PUBLIC = {
    "sourced_metadata": {
        "metadata_matcher": {"filter": METADATA, "path": [{"key": PUBLIC}], "value": {"bool_match": True}},
        "metadata_source": "ROUTE",
    }
}


def http_filter(place: Place) -> Resource:
    policy = {"permissions": [{"any": True}], "principals": [{"or_ids": {"ids": [_ADMITTED, _PUBLIC]}}]}
    return {
        "name": NAME,
        "typed_config": typed(
            "envoy.extensions.filters.http.rbac.v3.RBAC",
            rules={"action": "ALLOW", "policies": {"admitted": policy}},
        ),
    }
