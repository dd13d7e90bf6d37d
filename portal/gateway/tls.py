"""TLS towards clients: the listener's part, which never changes, and the secret that it waits for, which does.

https://www.envoyproxy.io/docs/envoy/latest/configuration/security/secret
"""

from portal.gateway.ir import Place
from portal.gateway.resource import Resource, discovery_file, typed, watched

NAME = "portico.certificate"
FILE = "tls/tls.json"
"""Below `Place.directory`. Holds the private key: readable by its owner only, shown to nobody."""


def transport_socket(place: Place) -> Resource:
    context = {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "alpn_protocols": ["http/1.1"],
        "tls_certificate_sds_secret_configs": [
            {"name": NAME, "sds_config": watched(f"{place.directory}/tls", "tls.json")}
        ],
    }
    return {
        "name": "tls",
        "typed_config": typed(
            "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", common_tls_context=context
        ),
    }


def secret(chain: str, key: str) -> bytes:
    """The file of the certificate that `transport_socket` waits for. Both are PEM."""
    return discovery_file(
        [
            typed(
                "envoy.extensions.transport_sockets.tls.v3.Secret",
                name=NAME,
                tls_certificate={"certificate_chain": {"inline_string": chain}, "private_key": {"inline_string": key}},
            )
        ]
    )
