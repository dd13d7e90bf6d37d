"""Clusters: the upstreams, each with the addresses that its targets' names stand for now.

The addresses stand in the clusters themselves and not in endpoint files (EDS): Envoy opens one inotify instance for
each endpoint file, Linux allows a user 128 of them, and Envoy aborts at the next. With the addresses inlined, a changed
address replaces that one cluster; calls in flight finish on the old one.
"""

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from itertools import chain
from math import lcm

from portal.gateway.ir import Place, Snapshot, Target, Upstream
from portal.gateway.resource import Resource, typed

NOWHERE = "nowhere"
"""Name of a cluster that there never is: what is sent to it is answered with 503."""

Addresses = Mapping[str, Sequence[str]]
"""Host of a target -> the IP addresses that it may be reached at. A host that is missing has none."""

_MOST_WEIGHT = 100_000


def upstreams(snapshot: Snapshot) -> dict[str, Upstream]:
    """Cluster name -> upstream; equal upstreams share a cluster."""
    found = {
        cluster_name(upstream): upstream for upstream in {api.upstream for api in snapshot.apis if not api.retired}
    }
    return dict(sorted(found.items()))


def cluster_name(upstream: Upstream) -> str:
    """A hash of what the upstream is, so that a changed upstream is another cluster."""
    parts = repr((sorted(upstream.targets, key=repr), upstream.tls, upstream.tls_verify, upstream.ca_pem))
    if upstream.client_certificate is not None:
        # Its edition and not its key: pages show the name.
        parts += upstream.client_certificate.edition
    return "u-" + hashlib.sha256(f"{parts}{upstream.connect_timeout_ms}".encode()).hexdigest()[:16]


def authority(target: Target, *, tls: bool) -> str:
    """What the target is sent as Host: its name, with the port unless that is the scheme's own."""
    host = f"[{target.host}]" if ":" in target.host else target.host.lower()
    return host if target.port == (443 if tls else 80) else f"{host}:{target.port}"


def cluster_resources(snapshot: Snapshot, place: Place, addresses: Addresses) -> list[Resource]:
    """Every cluster, sorted by name. One whose targets have no address answers 503."""
    return [_cluster(name, upstream, place, addresses) for name, upstream in upstreams(snapshot).items()]


def _cluster(name: str, upstream: Upstream, place: Place, addresses: Addresses) -> Resource:
    # Envoy without authorities would verify nobody's certificate; without an endpoint it answers 503.
    verifiable = not upstream.tls or not upstream.tls_verify or upstream.ca_pem or place.ca_bundle
    endpoints = _endpoints(upstream, addresses) if verifiable else []
    cluster = typed(
        "envoy.config.cluster.v3.Cluster",
        name=name,
        type="STATIC",
        connect_timeout=f"{upstream.connect_timeout_ms // 1000}.{upstream.connect_timeout_ms % 1000:03}s",
        lb_policy="LEAST_REQUEST",
        # The defaults of 1 024 would turn a busy gateway's calls away; the plans' limits are what bounds calls.
        circuit_breakers={
            "thresholds": [
                {
                    "max_connections": 50_000,
                    "max_pending_requests": 50_000,
                    "max_requests": 100_000,
                    "max_retries": 1_000,
                }
            ]
        },
        load_assignment={"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
    )
    if upstream.tls and verifiable:
        sockets = [_tls(host, upstream, place) for host in sorted({target.host for target in upstream.targets})]
        if len(sockets) == 1:
            cluster["transport_socket"] = sockets[0]["transport_socket"]
        else:
            cluster["transport_socket_matches"] = sockets
    return cluster


def _endpoints(upstream: Upstream, addresses: Addresses) -> list[Resource]:
    """A target's weight is shared by its addresses, so that a name with ten of them gets no more than its part."""
    targets = sorted(upstream.targets, key=lambda target: (target.host, target.port, target.weight))
    known = [(target, sorted(set(_addresses(target.host, addresses)))) for target in targets]
    known = [(target, found) for target, found in known if found and target.weight]
    scale = lcm(*(len(found) for _, found in known)) if known else 1
    total = scale * sum(target.weight for target, _ in known)
    divisor = max(1, -(-total // _MOST_WEIGHT))
    several_hosts = len({target.host for target in upstream.targets}) > 1
    return list(
        chain.from_iterable(
            (
                {
                    "endpoint": {**_endpoint(address, target.port), "hostname": authority(target, tls=upstream.tls)},
                    "load_balancing_weight": max(1, target.weight * scale // len(found) // divisor),
                    **({"metadata": _transport(target.host)} if upstream.tls and several_hosts else {}),
                }
                for address in found
            )
            for target, found in known
        )
    )


def _addresses(host: str, addresses: Addresses) -> Sequence[str]:
    return addresses.get(host, ())


def _endpoint(address: str, port: int) -> Resource:
    return {"address": {"socket_address": {"address": address, "port_value": port}}}


def _transport(host: str) -> Resource:
    return {"filter_metadata": {"envoy.transport_socket_match": {"host": host}}}


def _tls(host: str, upstream: Upstream, place: Place) -> Resource:
    """How targets of one host are spoken to. SNI and the name that is verified come from the target, never from the
    client or from the Host header, which may carry a port."""
    is_address = _is_address(host)
    context: Resource = {"alpn_protocols": ["http/1.1"]}
    if (ours := upstream.client_certificate) is not None:
        context["tls_certificates"] = [
            {"certificate_chain": {"inline_string": ours.chain_pem}, "private_key": {"inline_string": ours.key_pem}}
        ]
    if upstream.tls_verify:
        kind = "IP_ADDRESS" if is_address else "DNS"
        authorities = {"inline_string": upstream.ca_pem} if upstream.ca_pem else {"filename": str(place.ca_bundle)}
        context["validation_context"] = {
            "trusted_ca": authorities,
            "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": host}}],
        }
    tls = typed(
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        common_tls_context=context,
        **({} if is_address else {"sni": host}),
    )
    return {
        "name": host,
        "match": {"host": host},
        "transport_socket": {"name": "tls", "typed_config": tls},
    }


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
