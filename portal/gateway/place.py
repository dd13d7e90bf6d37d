"""What the settings mean for this machine's gateway."""

import ssl
from pathlib import Path

from portal.config import Config
from portal.gateway.certificate import Files
from portal.gateway.ir import Place
from portal.outbound.addresses import AddressRules, Listener

_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Debian, Red Hat, SUSE, Alpine: for a Python that brings an OpenSSL with a folder of its own."""


def place_of(config: Config) -> Place:
    return Place(
        directory=config.gateway_dir,
        bind=config.gateway_bind,
        port=config.gateway_port,
        trusted_hops=config.gateway_trusted_hops,
        workers=config.gateway_workers or None,
        tls=config.gateway_tls,
        portal=config.url.rstrip("/"),
        ca_bundle=_ca_bundle(),
    )


def pair_of(config: Config) -> Files:
    """Where the gateway's certificate and its key lie; asked only where it speaks https."""
    return Files(Path(config.gateway_tls_cert), Path(config.gateway_tls_key))


def rules_of(config: Config) -> AddressRules:
    """Which addresses upstreams, and whatever else the portal sends to, may have."""
    return AddressRules(
        loopback=config.upstream_loopback,
        private=config.upstream_private,
        own=(Listener(config.bind, config.port), Listener(config.gateway_bind, config.gateway_port)),
    )


def _ca_bundle() -> Path | None:
    candidates = (ssl.get_default_verify_paths().cafile, *_BUNDLES)
    return next((Path(each) for each in candidates if each and Path(each).is_file()), None)
