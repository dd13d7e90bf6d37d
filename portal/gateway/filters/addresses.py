"""Address lists: an API takes calls from some networks only, whoever calls.

Envoy's RBAC filter, off unless a route brings lists. It stands behind the key filter, so that who is refused is known
and the refusal has a request id; and before the limits, of which a refused call uses up nothing. The address is the one
that the gateway believes: the connection's, or behind trusted proxies what these say.
https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/rbac_filter
"""

import ipaddress

from portal.gateway.ir import AddressLists, Place
from portal.gateway.resource import Resource, typed
from portal.traffic.reasons import ADDRESS_POLICY

NAME = "portico.addresses"

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def http_filter(place: Place) -> Resource:
    return {
        "name": NAME,
        "disabled": True,
        "typed_config": typed("envoy.extensions.filters.http.rbac.v3.RBAC"),
    }


def on_route(lists: AddressLists | None) -> Resource:
    """Of the route's `typed_per_filter_config`."""
    if lists is None:
        return {}
    refused = [principal for network in lists.deny for principal in _principals(network)]
    if lists.allow:
        allowed = [principal for network in lists.allow for principal in _principals(network)]
        refused.append({"not_id": {"or_ids": {"ids": allowed}}})
    policy = {"permissions": [{"any": True}], "principals": refused}
    rules = {"action": "DENY", "policies": {ADDRESS_POLICY: policy}}
    return {NAME: typed("envoy.extensions.filters.http.rbac.v3.RBACPerRoute", rbac={"rules": rules})}


def _principals(text: str) -> list[Resource]:
    """Callers from this network. Proxies in front may write an IPv4 address as IPv6 does, `::ffff:10.1.2.3`: it is in
    the IPv4 network all the same, and in no IPv6 network, not even in all of them."""
    network = ipaddress.ip_network(text)
    if isinstance(network, ipaddress.IPv4Network):
        return [_remote(network), _remote(_mapped(network))]
    if network.supernet_of(_MAPPED):
        return [{"and_ids": {"ids": [_remote(network), {"not_id": _remote(_MAPPED)}]}}]
    return [_remote(network)]


def _mapped(network: ipaddress.IPv4Network) -> ipaddress.IPv6Network:
    first = int(_MAPPED.network_address) + int(network.network_address)
    return ipaddress.IPv6Network((first, 96 + network.prefixlen))


def _remote(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Resource:
    return {"remote_ip": {"address_prefix": str(network.network_address), "prefix_len": network.prefixlen}}
