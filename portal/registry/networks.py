"""Networks that calls may come from, as people write them. Pure."""

import ipaddress
import re
from collections.abc import Iterable

from portal.errors import Invalid

MOST = 50
"""Networks of one key."""
_FORM = re.compile(r"[0-9A-Fa-f:.]+(/[0-9]{1,3})?")
_BETWEEN = re.compile(r"[\s,;]+")


def split(text: str) -> list[str]:
    """What stands in one field, between spaces, commas or lines."""
    return [each for each in _BETWEEN.split(text) if each]


def read(texts: Iterable[str]) -> list[str]:
    """As `10.0.0.0/8` and `2001:db8::/32`, each once, in the order given. Raises Invalid for `addresses`."""
    found: dict[str, None] = {}
    mistakes: list[str] = []
    for text in texts:
        try:
            found[network(text)] = None
        except ValueError as error:
            mistakes.append(str(error))
    if mistakes:
        raise Invalid({"addresses": " ".join(mistakes[:3])})
    if len(found) > MOST:
        count = len(found)
        said = f"These are {count} networks; at most {MOST} fit. Write larger networks, or issue two keys."
        raise Invalid({"addresses": said})
    return list(found)


def shown(network: str) -> str:
    """A network of one address as that address."""
    return network.removesuffix("/128") if ":" in network else network.removesuffix("/32")


def holds(networks: Iterable[str], address: str) -> bool:
    """Whether `address` lies in one of them; an IPv4 address as IPv6 writes it is that IPv4 address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return any((mapped or found) in ipaddress.ip_network(each) for each in networks)


def network(text: str) -> str:
    """One of them in its usual form. Raises ValueError with a sentence."""
    text = text.strip()
    if not _FORM.fullmatch(text):
        raise ValueError(_no_network(text))
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError:
        raise ValueError(_no_network(text)) from None
    if interface.version == 6 and interface.ip.ipv4_mapped is not None:
        raise ValueError(f"{text} is an IPv4 address in IPv6 clothes. Write {interface.ip.ipv4_mapped}.")
    if interface.ip != interface.network.network_address:
        raise ValueError(
            f"{text} is an address inside of the network {interface.network}. Write {interface.network} for all of it, "
            f"or {interface.ip} for this address alone."
        )
    return str(interface.network)


def _no_network(text: str) -> str:
    shown = text if len(text) <= 50 else f"{text[:50]}…"
    return f"{shown} is no address and no network. Write 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32."
