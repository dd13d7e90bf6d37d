"""Front cleaning: what clients may not say is taken off before anything of the gateway reads it.

It runs as an *early* header mutation of the connection manager, before Envoy writes its own X-Forwarded-For and before
the route is chosen, so it costs no filter and also serves public routes, 404s and calls that a broken key filter fails
on. X-Request-Id is left for the key filter, which logs it and writes our own over it.
"""

from portal.gateway.ir import Place
from portal.gateway.resource import Resource, typed

_NAME = "portico.forwarded"

# Prefixes and names, not a regular expression, which every header of every call would be matched with. Servers that
# speak CGI or WSGI read `X_Consumer_Id` and `X-Consumer-Id` as one name, PHP also `X.Consumer.Id`, so each spelling
# goes, and whatever else begins with `x_` or `x.`.
_PREFIXES = ("x_", "x.", "x-consumer-", "x-consumer_", "x-consumer.", "x-envoy", "x-subscription")
_NAMES = (
    *(f"x-{word}{sign}id" for word in ("key", "plan") for sign in "-_."),
    *("x-request_id", "x-request.id"),
    # Other ways to say where a call came from, which upstreams may believe.
    *("forwarded", "x-real-ip", "x-real_ip", "x-real.ip"),
    # To such servers these are the length of the body, and the gateway goes by another one.
    *("content_length", "content.length", "transfer_encoding", "transfer.encoding"),
    # Meant for a proxy, which the gateway is; upstreams have no use for it.
    "proxy-authorization",
    # CGI makes HTTP_PROXY of it, and a library then sends the server's own requests there (CVE-2016-5385 and others).
    "proxy",
)


def early_mutations(place: Place) -> list[Resource]:
    """`early_header_mutation_extensions` of the connection manager.

    Behind trusted proxies the X-Forwarded headers are left, because Envoy reads the client's address from them;
    `http_filter` writes them anew afterwards.
    """
    prefixes = (*_PREFIXES, *(("x-forwarded_", "x-forwarded.") if place.trusted_hops else ("x-forwarded",)))
    mutations: list[Resource] = [{"remove_on_match": {"key_matcher": {"prefix": prefix}}} for prefix in prefixes]
    mutations += [{"remove": name} for name in _NAMES]
    return [
        {
            "name": "portico.cleaning",
            "typed_config": typed(
                "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation", mutations=mutations
            ),
        }
    ]


def http_filter(place: Place) -> Resource | None:
    """Behind proxies only: X-Forwarded-For becomes the one address that is believed, Proto stays as Envoy believed it,
    every other X-Forwarded header goes."""
    if not place.trusted_hops:
        return None
    mutations = [
        _overwrite("x-portico-proto", "%REQ(X-FORWARDED-PROTO)%"),
        {"remove_on_match": {"key_matcher": {"prefix": "x-forwarded-"}}},
        _overwrite("x-forwarded-for", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
        _overwrite("x-forwarded-proto", "%REQ(X-PORTICO-PROTO)%"),
        {"remove": "x-portico-proto"},
    ]
    return {
        "name": _NAME,
        "typed_config": typed(
            "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            mutations={"request_mutations": mutations},
        ),
    }


def _overwrite(name: str, value: str) -> Resource:
    return {"append": {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}
