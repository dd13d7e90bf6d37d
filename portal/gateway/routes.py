"""Routes: which API a call belongs to, how its path is rewritten, and how long its upstream may take.

Each virtual host holds one prefix map and never a list: a list is searched from its start, for 50 µs a call with 3 000
APIs.
"""

from collections.abc import Iterable
from itertools import product
from operator import attrgetter

from portal.gateway import clusters, ending
from portal.gateway.filters import addresses, admission, cors, overall
from portal.gateway.ir import Api, Credential, Snapshot
from portal.gateway.resource import Resource, typed

NAME = "apis"
"""Of the route configuration."""
HEALTH = "/_portico/health"
HEALTH_NAME = "_portico/health"

_ROUTE = "envoy.config.route.v3.Route"
_PLACES = {"header": "h", "bearer": "b", "query": "q"}
_IDEMPOTENT = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE")


def route_configuration(snapshot: Snapshot, portal: str) -> Resource:
    """Every published API, path mounts under any host and one virtual host for each host mount. `portal` is the
    portal's own address."""
    apis = sorted(snapshot.apis, key=attrgetter("id"))
    hosts = sorted((api for api in apis if api.host), key=lambda api: str(api.host))
    return typed(
        "envoy.config.route.v3.RouteConfiguration",
        name=NAME,
        # `Host: orders.example.com:8080` belongs to orders.example.com; the header itself is left as it came.
        ignore_port_in_host_matching=True,
        # Routes and clusters arrive in files of their own; a route may be there a moment before its cluster.
        validate_clusters=False,
        # Envoy notes the client's address here for itself; upstreams read X-Forwarded-For.
        request_headers_to_remove=["x-envoy-external-address"],
        virtual_hosts=[
            _virtual_host("*", (_path_mount(api, portal) for api in apis if api.path)),
            *(_virtual_host(str(api.host), [_host_mount(api, portal)]) for api in hosts),
        ],
    )


def route_name(api: Api, prefix: str) -> str:
    """What the key filter has to know: `<api id>|<release>|<place>|<body limit>|<prefix>|<key name>`.

    The prefix is empty for a host mount; the key's place is h, b or q, or p for a paused API and r for a retired one.

    Reading the name is the cheapest look-up that Envoy has, and it changes in the same moment as the route.
    """
    place = "r" if api.retired else "p" if api.paused else _PLACES[api.key_place]
    name = "" if api.key_place == "bearer" else api.key_name
    return f"{api.id}|{api.release}|{place}|{api.body_limit_bytes}|{prefix}|{name}"


def _virtual_host(host: str, routes: Iterable[tuple[str, Resource]]) -> Resource:
    entries = {prefix: {"action": {"name": "route", "typed_config": route}} for prefix, route in routes}
    entries[HEALTH] = {"action": {"name": "route", "typed_config": _health()}}
    path = typed("envoy.type.matcher.v3.HttpRequestHeaderMatchInput", header_name=":path")
    return {
        "name": host,
        "domains": [host],
        "matcher": {
            "matcher_tree": {
                "input": {"name": "path", "typed_config": path},
                "prefix_match_map": {"map": entries},
            }
        },
    }


def _health() -> Resource:
    return typed(
        _ROUTE,
        name=HEALTH_NAME,
        match={"path": HEALTH},
        # The body is written by answers.py, like that of every answer that Envoy gives itself.
        direct_response={"status": 200},
        typed_per_filter_config=admission.PUBLIC,
    )


def _path_mount(api: Api, portal: str) -> tuple[str, Resource]:
    path = str(api.path)
    route = _route(api, portal, prefix=path, match={"path_separated_prefix": path})
    if _base(api):
        route["route"]["prefix_rewrite"] = _base(api)
    else:
        # `prefix_rewrite: "/"` would make //x of /orders/v1/x.
        pattern = {"regex": f"^{_literal(path)}/?"}
        route["route"]["regex_rewrite"] = {"pattern": pattern, "substitution": "/"}
    return path, route


def _host_mount(api: Api, portal: str) -> tuple[str, Resource]:
    route = _route(api, portal, prefix="", match={"prefix": "/"})
    if _base(api):
        route["route"]["prefix_rewrite"] = f"{_base(api)}/"
    return "/", route


def _route(api: Api, portal: str, *, prefix: str, match: Resource) -> Resource:
    # What answer.lua needs to put the prefix back. Read only for answers that name a path.
    targets = {clusters.authority(target, tls=api.upstream.tls) for target in api.upstream.targets}
    mount = {"prefix": prefix, "base": _base(api), "targets": " ".join(sorted(targets))}
    filters = {**cors.on_route(api.cors), **addresses.on_route(api.addresses)}
    return typed(
        _ROUTE,
        name=route_name(api, prefix),
        match=match,
        metadata={
            "filter_metadata": {
                "envoy.filters.http.lua": mount | ending.for_sentence(api, portal),
                **overall.on_route(api),
            }
        },
        # Of bodies without a Content-Length, which the key filter collects; it checks the others by their length.
        request_body_buffer_limit=api.body_limit_bytes,
        **(_credential(api.credential) if api.credential else {}),
        **({"typed_per_filter_config": filters} if filters else {}),
        **_of_answers(api, portal),
        route={
            "cluster": clusters.NOWHERE if api.lacks or api.retired else clusters.cluster_name(api.upstream),
            # Each endpoint carries the host of its target.
            "auto_host_rewrite": True,
            "append_x_forwarded_host": True,
            # No limit for the whole call: an answer may stream for hours. `per_try_timeout` ends with the first byte
            # of the answer, since Envoy ignores it once something has been sent on.
            "timeout": "0s",
            "idle_timeout": milliseconds(api.idle_timeout_ms),
            "retry_policy": {
                "per_try_timeout": milliseconds(api.first_byte_timeout_ms),
                **(_retries(api) if api.retries else {}),
            },
        },
    )


def _of_answers(api: Api, portal: str) -> Resource:
    """Headers of every answer on this route: Envoy adds them to the gateway's own answers too, refusals among them."""
    removed, added = cors.headers_of_answers(api.cors)
    added += ending.on_route(api, portal)
    return {
        **({"response_headers_to_remove": removed} if removed else {}),
        **({"response_headers_to_add": added} if added else {}),
    }


def _credential(credential: Credential) -> Resource:
    """The router writes it, after all filters: the key filter has taken the key from that very header before.

    What the client sent in its place goes, also under the other spellings that CGI and WSGI read as the same name.
    https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#custom-request-response-headers
    """
    first, *rest = credential.header.split("-")
    spellings = sorted(first + "".join(ends) for ends in product(*((f"-{part}", f"_{part}") for part in rest)))
    return {
        "request_headers_to_remove": spellings,
        "request_headers_to_add": [
            {
                # A percent sign begins a command of Envoy's, and doubled stands for itself.
                "header": {"key": credential.header, "value": credential.value.replace("%", "%%")},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        ],
    }


def _retries(api: Api) -> Resource:
    return {
        "retry_on": "connect-failure",
        "num_retries": api.retries,
        # A POST is never sent twice, even if it seems that nothing of it arrived.
        "retriable_request_headers": [{"name": ":method", "string_match": {"exact": name}} for name in _IDEMPOTENT],
    }


def _base(api: Api) -> str:
    """The targets' own path without a slash at its end: empty for `/`."""
    return api.base_path.rstrip("/")


def _literal(text: str) -> str:
    """`text` as a regular expression of RE2, in which only ASCII punctuation may be escaped."""
    return "".join(f"\\{sign}" if sign in r"\.+*?()|[]{}^$" else sign for sign in text)


def milliseconds(number: int) -> str:
    """A duration as protobuf's JSON wants it."""
    return f"{number // 1000}.{number % 1000:03}s"
