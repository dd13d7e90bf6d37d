"""Which addresses this installation may send anything to, and how names become addresses.

The same rules hold for the gateway's upstreams and for everything that the portal fetches. They judge an address, never
a name: a name is resolved first, and what was judged is what is connected to.
"""

import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from portal.errors import AddressRefused, PortalError

Address = IPv4Address | IPv6Address
Lookup = Callable[[str], Sequence[str]]
"""A name or number as a person writes it -> addresses as text. Raises OSError."""


class NotResolved(PortalError):
    """A host name that has no address, or whose servers do not answer in time. `str()` begins with the name."""

    status = 422


@dataclass(frozen=True, slots=True)
class Listener:
    """Where a process of this installation listens. `bind` may be a wildcard."""

    bind: str
    port: int


@dataclass(frozen=True, slots=True)
class AddressRules:
    loopback: bool = False
    """Whether this very machine may be reached."""
    private: bool = True
    """Whether private networks may be reached."""
    own: tuple[Listener, ...] = ()
    """This installation's listeners, which are never allowed: calls would run in circles, or reach the portal as if
    they came from inside."""

    def check(self, address: str, port: int | None = None) -> None:
        """Raises AddressRefused with a sentence that begins with the address.

        Without a port the own listeners are not asked about; the answer then holds for every other port.
        """
        literal = ipaddress.ip_address(address.partition("%")[0])
        judged = _embedded(literal)
        shown = f"{literal} (which is {judged})" if judged != literal else str(literal)
        if judged in _METADATA:
            raise AddressRefused(f"{shown} is a cloud's metadata service, which is never allowed.")
        for kind, networks in _NEVER:
            if any(judged in network for network in networks):
                raise AddressRefused(f"{shown} is {kind}, which is never allowed.")
        for listener in self.own:
            if port == listener.port and _reaches(judged, listener.bind):
                raise AddressRefused(
                    f"{shown} port {port} is where this installation itself listens, which is never allowed."
                )
        if judged.is_loopback:
            if not self.loopback:
                raise AddressRefused(
                    f"{shown} is this machine itself, which is not allowed here. PORTAL_UPSTREAM_LOOPBACK=1 allows it."
                )
        elif not self.private and (judged.is_private or judged in _SHARED):
            raise AddressRefused(
                f"{shown} is in a private network, which is not allowed here. PORTAL_UPSTREAM_PRIVATE=1 allows it."
            )


_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        ("169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"),
    )
)
"""AWS and most others, ECS tasks, Alibaba, Azure, AWS by IPv6, Google by IPv6."""
_SHARED = ipaddress.ip_network("100.64.0.0/10")
"""Carrier-grade NAT: neither private nor global in the registries, private to us."""
_NEVER: tuple[tuple[str, tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]], ...] = tuple(
    (kind, tuple(map(ipaddress.ip_network, networks)))
    for kind, networks in (
        ("link-local", ("169.254.0.0/16", "fe80::/10", "fec0::/10")),
        ("a multicast address", ("224.0.0.0/4", "ff00::/8")),
        ("the broadcast address", ("255.255.255.255/32",)),
        ("no address of a machine", ("0.0.0.0/8", "::/128")),
        # 64:ff9b:1::/48 hides IPv4 addresses in places that only the translator knows, Teredo behind two of them.
        ("reserved", ("240.0.0.0/4", "192.0.0.0/24", "64:ff9b:1::/48", "2001::/32", "100::/64")),
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")


def _embedded(address: Address) -> Address:
    """The IPv4 address that packets to `address` end up at, or `address` itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _reaches(address: Address, bind: str) -> bool:
    bound = ipaddress.ip_address(bind)
    if bound.is_unspecified:
        return address.is_loopback or _is_ours(address)
    if bound.is_loopback:
        return address.is_loopback
    return address == bound


def _is_ours(address: Address) -> bool:
    """Whether an interface of this machine has it: only then can a socket be bound to it."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def lookup(host: str) -> list[str]:
    """Blocks as long as the system's resolver does. Numbers in disguise (decimal, octal, hex) come out as addresses."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]).partition("%")[0] for each in found))


def resolve(host: str, *, seconds: float = 5.0, lookup: Lookup = lookup) -> list[str]:
    """All addresses of `host`, at least one. Raises NotResolved."""
    answer = resolve_all([host], seconds=seconds, lookup=lookup)[host]
    if isinstance(answer, NotResolved):
        raise answer
    return answer


def resolve_all(
    hosts: Iterable[str], *, seconds: float, at_once: int = 16, lookup: Lookup = lookup
) -> dict[str, list[str] | NotResolved]:
    """Resolve many names side by side, in order, for `seconds` at most: host -> its addresses or what went wrong.

    Names whose turn had not come when the time was up are missing. Numbers need no resolver and never are.
    """
    answers: dict[str, list[str] | NotResolved] = {}
    waiting: list[str] = []
    for host in dict.fromkeys(hosts):
        if _is_literal(host):
            answers[host] = [host]
        else:
            waiting.append(host)
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[str, list[str] | NotResolved]] = queue.SimpleQueue()
    taken: set[str] = set()
    for host in waiting:
        jobs.put(host)
    until = time.monotonic() + seconds

    def work() -> None:
        while time.monotonic() < until:
            try:
                host = jobs.get_nowait()
            except queue.Empty:
                return
            taken.add(host)
            done.put((host, _answer(host, lookup)))

    # The system's resolver cannot be interrupted. Daemon threads let a late answer fall on the floor, and an exit
    # that does not wait for it; a pool of concurrent.futures would hold the exit up.
    for _ in range(min(at_once, len(waiting))):
        threading.Thread(target=work, name="resolve", daemon=True).start()
    for _ in waiting:
        try:
            host, answer = done.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            break
        answers[host] = answer
    for host in list(taken):
        answers.setdefault(host, NotResolved(f"{host} does not resolve: no answer within {seconds:g} s."))
    return answers


def _answer(host: str, lookup: Lookup) -> list[str] | NotResolved:
    try:
        found = list(lookup(host))
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return NotResolved(f"{host} does not resolve: {why[:1].lower()}{why[1:]}.")
    return found or NotResolved(f"{host} does not resolve: it has no address.")


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
