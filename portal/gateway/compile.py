"""The compiler: `Snapshot` and `Place` in, the bytes of Envoy's files out. No clock, no environment, no disk.

| file                       | Envoy's resource     | depends on                                 |
| -------------------------- | -------------------- | ------------------------------------------ |
| bootstrap                  | bootstrap            | place                                      |
| lds/lds.json               | listener             | place                                      |
| rds/rds.json               | routes               | APIs, place.portal                         |
| cds/cds.json               | clusters, addresses  | upstreams, addresses, place.ca_bundle      |
| jwt/jwt.json               | token filter         | what APIs ask of tokens, keys to verify by |
| limits/limits.json         | limit filter         | plans                                      |
| operations/operations.json | operations' limits   | what plans say of operations               |
| overall/overall.json       | overall limit filter | overall limits of APIs                     |
| keys/keys.json             | key filter           | the name of the key data, see `keys.py`    |
| tls/tls.json               | certificate          | the pair of the settings, `certificate.py` |

Each is read again when a file is renamed into its directory, so write `.tmp` elsewhere and rename. Publish clusters
and tokens before routes and limits before keys. The listener must not change while Envoy runs: that would reset every
limit.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from portal.gateway import answers, clusters, routes, tls
from portal.gateway.clusters import Addresses
from portal.gateway.filters import chain, chain_inlined, cleaning, jwt, key, limits, operations, overall
from portal.gateway.ir import Place, Snapshot, Upstream
from portal.gateway.resource import Resource, discovery_file, encoded, typed, version_of, watched
from portal.traffic.line import FIELDS

DIRECTORIES = ("lds", "rds", "cds", "jwt", "limits", "operations", "overall", "keys", "tls", "data", "log")
"""What must exist in `Place.directory` before Envoy starts. The key data lies in `data`, which nothing watches."""

STAT_PREFIX = "gateway"

_STATISTICS = (
    # Everything that a reader in portal/ or bench/ asks for; Envoy keeps no other, which saves 70 MB with 3 000 APIs.
    "^server\\.(live|state|uptime|version|concurrency|memory_.*|total_connections)$",
    "^listener_manager\\.(lds\\..*|listener_create_.*|total_listeners_active)$",
    "^cluster_manager\\.(cds\\..*|active_clusters|warming_clusters|cluster_modified)$",
    f"^http\\.{STAT_PREFIX}\\.(downstream_rq_(completed|total|active|[2345]xx)|rq_direct_response|rds\\..*|lua.*)$",
    ".*extension_config_discovery\\..*",
    f".*sds\\.{tls.NAME}\\..*",
    ".*http_local_rate_limit\\..*",
    "^filesystem\\..*",
    "^access_logs\\..*",
)

VERSION_STATISTICS = {
    "lds/lds.json": "listener_manager.lds.version_text",
    "rds/rds.json": f"http.{STAT_PREFIX}.rds.{routes.NAME}.version_text",
    "cds/cds.json": "cluster_manager.cds.version_text",
    jwt.FILE: f"extension_config_discovery.http_filter.{jwt.NAME}.version_text",
    "limits/limits.json": f"extension_config_discovery.http_filter.{limits.NAME}.version_text",
    operations.FILE: f"extension_config_discovery.http_filter.{operations.NAME}.version_text",
    overall.FILE: f"extension_config_discovery.http_filter.{overall.NAME}.version_text",
    "keys/keys.json": f"extension_config_discovery.http_filter.{key.NAME}.version_text",
    tls.FILE: f"sds.{tls.NAME}.version_text",
}
"""File -> the text statistic (`/stats?type=TextReadouts`) that says which version of it Envoy has taken. Where it
stays, the counter beside it that has grown (`update_rejected`, `update_failure`, `config_fail`) says that it will."""


def compile_files(snapshot: Snapshot, place: Place, addresses: Addresses) -> dict[str, bytes]:
    """Every file but the bootstrap and those of the keys. Equal for equal content, whatever its order."""
    return {
        "lds/lds.json": discovery_file([_listener(place, _discovered_routes(place), chain(place))]),
        "rds/rds.json": discovery_file([routes.route_configuration(snapshot, place.portal)]),
        "cds/cds.json": compile_clusters(snapshot, place, addresses),
        jwt.FILE: compile_tokens(snapshot),
        **compile_limits(snapshot),
    }


def compile_limits(snapshot: Snapshot) -> dict[str, bytes]:
    """The files of limits alone: what must be there before the keys are."""
    return {
        "limits/limits.json": limits.discovered(snapshot),
        operations.FILE: operations.discovered(snapshot),
        overall.FILE: overall.discovered(snapshot),
    }


def compile_tokens(snapshot: Snapshot) -> bytes:
    """`jwt/jwt.json` alone: what must be there before the routes are."""
    return jwt.discovered(snapshot)


def compile_empty(place: Place) -> dict[str, bytes]:
    """The files of a gateway that knows nothing: no API, and limits that refuse what they cannot judge."""
    return compile_files(Snapshot(0), place, {}) | {
        "limits/limits.json": limits.closed(),
        operations.FILE: operations.closed(),
        overall.FILE: overall.closed(),
    }


def compile_clusters(snapshot: Snapshot, place: Place, addresses: Addresses) -> bytes:
    """`cds/cds.json` alone: what a changed address changes."""
    return discovery_file(clusters.cluster_resources(snapshot, place, addresses))


def upstreams(snapshot: Snapshot) -> dict[str, Upstream]:
    """Cluster name -> upstream: whose hosts have to be resolved."""
    return clusters.upstreams(snapshot)


def expected_versions(files: Mapping[str, bytes]) -> dict[str, str]:
    """Text statistic -> the version it shows once Envoy has taken these files; see VERSION_STATISTICS."""
    return {VERSION_STATISTICS[name]: version_of(file) for name, file in files.items()}


def compile_bootstrap(place: Place) -> bytes:
    """What Envoy is started with. It names the other files."""
    return encoded(
        {
            **_process(place),
            "dynamic_resources": {
                "lds_config": watched(f"{place.directory}/lds", "lds.json"),
                "cds_config": watched(f"{place.directory}/cds", "cds.json"),
            },
        }
    )


def static_twin(snapshot: Snapshot, place: Place, addresses: Addresses) -> bytes:
    """A bootstrap with the same resources and nothing to discover, for `envoy --mode validate`, which does not read the
    files that a bootstrap names. Its key filter has the same script and no key data."""
    inline = {"route_config": _untyped(routes.route_configuration(snapshot, place.portal))}
    listener = _listener(place, inline, chain_inlined(snapshot, place))
    # The certificate was judged where it was read, no publish changes it, and a private key has no place in a draft.
    listener["filter_chains"][0].pop("transport_socket", None)
    return encoded(
        {
            **_process(place),
            "static_resources": {
                "listeners": [_untyped(listener)],
                "clusters": [_untyped(found) for found in clusters.cluster_resources(snapshot, place, addresses)],
            },
        }
    )


def envoy_arguments(place: Place, bootstrap: Path) -> list[str]:
    """Arguments behind the name of the binary."""
    return [
        "--config-path",
        str(bootstrap),
        # With hot restart Envoy ends when its parent dies, although it leads a session of its own.
        "--disable-hot-restart",
        # Old filter chains and their memory live for this long; the listener never changes while running.
        "--drain-time-s",
        "3",
        "--drain-strategy",
        "immediate",
        # Of the log at most some ten lines are lost when Envoy is killed (4 kB hold eleven), and none is older than
        # 100 ms. At 1 kB, each second line would cost a write of its own.
        "--file-flush-interval-msec",
        "100",
        "--file-flush-min-size-kb",
        "3",
        "--log-level",
        "warning",
        *(["--concurrency", str(place.workers)] if place.workers else []),
    ]


def _process(place: Place) -> Resource:
    inclusions: Iterable[Resource] = ({"safe_regex": {"regex": pattern}} for pattern in _STATISTICS)
    return {
        "node": {"id": "portico", "cluster": "portico"},
        "admin": {"address": {"pipe": {"path": str(place.admin_socket), "mode": 0o600}}},
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": list(inclusions)}}},
    }


def _discovered_routes(place: Place) -> Resource:
    source = watched(f"{place.directory}/rds", "rds.json")
    return {"rds": {"route_config_name": routes.NAME, "config_source": source}}


def _listener(place: Place, route_source: Resource, filters: list[Resource]) -> Resource:
    manager = typed(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        **route_source,
        stat_prefix=STAT_PREFIX,
        codec_type="HTTP1",
        http_filters=filters,
        early_header_mutation_extensions=cleaning.early_mutations(place),
        use_remote_address=True,
        xff_num_trusted_hops=place.trusted_hops,
        # The key filter writes the id, so that it is ordered by time; Envoy only repeats it in the answer.
        generate_request_id=False,
        always_set_request_id_in_response=True,
        # Dot segments are resolved before the route is chosen, so that no call leaves its API's prefix. Slashes are
        # not merged: what follows the prefix belongs to the upstream.
        normalize_path=True,
        merge_slashes=False,
        path_with_escaped_slashes_action="REJECT_REQUEST",
        server_header_transformation="APPEND_IF_ABSENT",
        server_name="portico",
        request_headers_timeout="30s",
        stream_idle_timeout="300s",
        common_http_protocol_options={"idle_timeout": "300s"},
        upgrade_configs=[{"upgrade_type": "websocket"}],
        local_reply_config=answers.local_replies(),
        access_log=[_access_log(place)],
    )
    return typed(
        "envoy.config.listener.v3.Listener",
        name=STAT_PREFIX,
        address={"socket_address": {"address": place.bind, "port_value": place.port}},
        per_connection_buffer_limit_bytes=262_144,
        filter_chains=[
            {
                "filters": [{"name": "http", "typed_config": manager}],
                **({"transport_socket": tls.transport_socket(place)} if place.tls else {}),
            }
        ],
    )


def _access_log(place: Place) -> Resource:
    log = typed(
        "envoy.extensions.access_loggers.file.v3.FileAccessLog",
        path=str(place.access_log),
        log_format={"json_format": dict(FIELDS)},
    )
    # The node's own questions after the gateway's health are nobody's calls. Envoy counts them as rq_direct_response.
    is_call = {"header": {"name": ":path", "string_match": {"exact": routes.HEALTH}, "invert_match": True}}
    return {"name": "access", "filter": {"header_filter": is_call}, "typed_config": log}


def _untyped(resource: Resource) -> Resource:
    return {name: value for name, value in resource.items() if name != "@type"}
