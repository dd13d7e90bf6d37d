"""Who may call besides having a key: pages of which sites, and from which networks. Parts of the document. Pure.

Scripts in browsers call other sites by the rules of https://fetch.spec.whatwg.org/#http-cors-protocol: the browser asks
first (a preflight), and hides answers that do not name the page's origin.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from portal.registry import networks

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
"""What pages may do where their API names no methods."""
HEADERS = ("Content-Type", "Authorization")
"""What pages may send in any case, besides the header of the key."""
EXPOSED_HEADERS = (
    "X-Request-Id",
    "RateLimit",
    "RateLimit-Policy",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-RateLimit-Scope",
    "Retry-After",
    "X-Key-Expires",
    "Deprecation",
    "Sunset",
    "Link",
    "WWW-Authenticate",
)
"""What pages may read of answers in any case: what the gateway itself says there."""
MOST_ORIGINS = 50
MOST_NETWORKS = 100
"""In each of the two lists; the gateway compares them one by one."""

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,30}")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_AUTHORITY = re.compile(rf"(\*\.)?({_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])(?::([0-9]{{1,5}}))?")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'+.^_`|~-]+")
_USUAL_PORTS = {"https": "443", "http": "80"}
_NEVER_SENT = {"CONNECT", "TRACE", "TRACK"}
_LIKE = "such as https://app.example.com"


def _origin(text: str) -> str:
    text = text.strip()
    if text == "*":
        return text
    if text.lower() == "null":
        raise ValueError(
            "null is what browsers call pages without an origin, which anybody can make. Name origins of your own."
        )
    scheme, found, rest = text.partition("://")
    if not found or not _SCHEME.fullmatch(scheme.lower()):
        raise ValueError(f"{_short(text)} is no origin. Write scheme, host and perhaps a port, {_LIKE}.")
    scheme = scheme.lower()
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    if authority != rest:
        raise ValueError(f"An origin ends before the path. Write {_short(f'{scheme}://{authority}')}.")
    try:
        authority = authority if authority.isascii() else authority.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError(f"{_short(rest)} is not a host name.") from None
    parts = _AUTHORITY.fullmatch(authority.lower())
    if parts is None and "*" in authority:
        raise ValueError("A star stands alone, or for all that comes before a domain: https://*.example.com.")
    if parts is None or not _is_host(parts[2]) or not 0 < int(parts[3] or 1) < 65_536:
        raise ValueError(
            f"{_short(text)} names no host, or a port that there is not. Write it {_LIKE} or http://localhost:3000."
        )
    if parts[1] and ("." not in parts[2] or parts[2].rpartition(".")[2].isdecimal()):
        raise ValueError(
            f"{_short(text)} is too many sites. Name the domain below which all are yours: https://*.example.com."
        )
    # Browsers leave the usual port out, and compare letter by letter.
    port = f":{int(parts[3])}" if parts[3] and parts[3].lstrip("0") != _USUAL_PORTS.get(scheme) else ""
    return f"{scheme}://{parts[1] or ''}{parts[2]}{port}"


def _is_host(host: str) -> bool:
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            return False
    return len(host) <= 253


def _method(text: str) -> str:
    text = text.strip().upper()
    if not _TOKEN.fullmatch(text):
        raise ValueError(f"{_short(text)} is no method. Name each of them, such as GET or POST.")
    if text in _NEVER_SENT:
        raise ValueError(f"No browser lets a page send {text}. Leave it out.")
    return text


def _header(text: str) -> str:
    text = text.strip()
    if not _TOKEN.fullmatch(text):
        raise ValueError(f"{_short(text)} is no name of a header. Name each of them, such as X-Trace-Id.")
    return text


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"


def _once_each(words: Iterable[str]) -> tuple[str, ...]:
    first: dict[str, str] = {}
    for word in words:
        first.setdefault(word.lower(), word)
    return tuple(first.values())


Origin = Annotated[str, Field(max_length=300), AfterValidator(_origin)]
Method = Annotated[str, Field(max_length=20), AfterValidator(_method)]
HeaderName = Annotated[str, Field(max_length=64), AfterValidator(_header)]
HeaderNames = Annotated[tuple[HeaderName, ...], Field(max_length=50), AfterValidator(_once_each)]
Network = Annotated[str, Field(max_length=60), AfterValidator(networks.network)]
Networks = Annotated[tuple[Network, ...], Field(max_length=MOST_NETWORKS), AfterValidator(_once_each)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cors(_Part):
    """Which pages of other sites may call from a browser."""

    origins: Annotated[tuple[Origin, ...], Field(min_length=1, max_length=MOST_ORIGINS), AfterValidator(_once_each)]
    """`https://app.example.com`, `https://*.example.com` for all below a domain, or `*` for every page."""
    methods: Annotated[tuple[Method, ...], Field(max_length=20), AfterValidator(_once_each)] = ()
    """Of the calls that pages make; none stands for the usual ones."""
    headers: HeaderNames = ()
    """What pages may send besides the header of the key, Authorization and Content-Type."""
    exposed_headers: HeaderNames = ()
    """What pages may read of answers besides the headers of the gateway."""
    credentials: bool = False
    """Whether browsers send along what they keep for the API's host, such as cookies."""
    max_age_s: Annotated[int, Field(ge=0, le=86_400)] = 600
    """How long a browser remembers what it was told; most take less than a day."""

    @model_validator(mode="after")
    def _are_known(self) -> Self:
        if self.credentials and "*" in self.origins:
            raise ValueError(
                "With * every page in the world could call with the cookies of whoever looks at it. Name the origins, "
                "or leave credentials out."
            )
        return self

    def all_methods(self) -> tuple[str, ...]:
        return self.methods or METHODS

    def all_headers(self, key_header: str | None) -> tuple[str, ...]:
        """What pages may send, to an API whose key goes into this header."""
        return _once_each((*([key_header] if key_header else []), *HEADERS, *self.headers))

    def all_exposed_headers(self) -> tuple[str, ...]:
        return _once_each((*EXPOSED_HEADERS, *self.exposed_headers))


class Addresses(_Part):
    """Networks that calls may come from. `deny` wins; where `allow` names some, all others are refused."""

    allow: Networks = ()
    """Such as 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32; none for everywhere."""
    deny: Networks = ()

    @model_validator(mode="after")
    def _somebody_is_let_in(self) -> Self:
        if _is_all_within(self.allow or ("0.0.0.0/0", "::/0"), self.deny):
            raise ValueError(
                "Whatever is allowed is denied as well, so that nobody could call. Deny less; to stop all calls, pause "
                "the API."
            )
        return self

    def lets_in(self, address: str) -> bool:
        """Whether the gateway takes calls from this address."""
        return not networks.holds(self.deny, address) and (not self.allow or networks.holds(self.allow, address))


def _is_all_within(inner: Iterable[str], outer: Iterable[str]) -> bool:
    parts = [ipaddress.ip_network(each) for each in outer]
    merged: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
    merged += ipaddress.collapse_addresses(each for each in parts if isinstance(each, ipaddress.IPv4Network))
    merged += ipaddress.collapse_addresses(each for each in parts if isinstance(each, ipaddress.IPv6Network))
    return all(any(_lies_in(ipaddress.ip_network(each), whole) for whole in merged) for each in inner)


def _lies_in(
    part: ipaddress.IPv4Network | ipaddress.IPv6Network, whole: ipaddress.IPv4Network | ipaddress.IPv6Network
) -> bool:
    if isinstance(part, ipaddress.IPv4Network):
        return isinstance(whole, ipaddress.IPv4Network) and part.subnet_of(whole)
    return isinstance(whole, ipaddress.IPv6Network) and part.subnet_of(whole)
