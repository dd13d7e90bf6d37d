"""What the settings say of each other."""

from collections.abc import Iterator

from portal.config import Config
from portal.doctor.finding import Finding


def findings(config: Config) -> Iterator[Finding]:
    secure = config.url.startswith("https://")
    if config.in_clear_portal and not secure:
        yield Finding(
            "settings",
            f"The portal listens on {config.bind} and is reached without TLS at {config.url}: passwords can be read "
            "on the way.",
            "Put a proxy with TLS in front and set PORTAL_URL to its https:// address.",
        )
    elif config.in_clear_portal:
        yield Finding(
            "settings",
            f"The portal listens on {config.bind} in clear, behind what speaks https at {config.url}.",
            "Nobody but that proxy must reach it: bind to an address that only the proxy knows, or close the port.",
            is_note=True,
        )
    if config.in_clear_gateway:
        behind = config.gateway_url.startswith("https://")
        where = f", behind what speaks https at {config.gateway_url}" if behind else ": keys can be read on the way"
        yield Finding(
            "settings",
            f"The gateway listens on {config.gateway_bind} port {config.gateway_port} in clear{where}.",
            "Nobody but that proxy must reach it: bind to an address that only the proxy knows, or close the port."
            if behind
            else "Set PORTAL_GATEWAY_TLS_CERT and PORTAL_GATEWAY_TLS_KEY, or put a proxy with TLS in front and set "
            "PORTAL_GATEWAY_URL to its https:// address.",
            is_note=behind,
        )
    if secure and not config.trusted_hops:
        yield Finding(
            "settings",
            "PORTAL_URL is https, but no proxy in front is believed: every address in the audit trail is the proxy's.",
            "Set PORTAL_TRUSTED_HOPS to the number of proxies in front of the portal.",
        )
