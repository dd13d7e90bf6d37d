"""A line to an address that somebody typed: judged, pinned, watched.

A name is resolved, all that it means is judged, and what was judged is what is connected to. No proxy is asked, and
neither cookies nor credentials are sent that the caller does not give.
"""

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import SplitResult, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from portal.errors import AddressRefused, PortalError
from portal.outbound import addresses
from portal.outbound.addresses import AddressRules, Lookup, NotResolved

_CONNECT_SECONDS = 5.0


class NotReached(PortalError):
    """An address that is none, or may not be reached, or leads nowhere. `str()` says which and why."""

    status = 422


def checked(url: str) -> SplitResult:
    """The parts of a whole http or https address. Raises NotReached."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise NotReached(f"{shown(url)} is not an address: its port or brackets are wrong.") from None
    if parts.scheme not in {"http", "https"}:
        raise NotReached(f"{shown(url)} does not begin with http:// or https://, and nothing else can be reached.")
    if not host or port == 0 or any(c.isspace() or ord(c) < 32 for c in url):
        raise NotReached(f"{shown(url)} is not a whole address, such as https://example.com/path.")
    if parts.username is not None or parts.password is not None:
        raise NotReached("Leave user name and password out of the address: it is stored and shown.")
    return parts


def allowed(parts: SplitResult, rules: AddressRules, until: float, lookup: Lookup = addresses.lookup) -> list[str]:
    """The addresses that the host means, all of which may be reached. `until` is on the monotonic clock.

    Raises NotReached.
    """
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = addresses.resolve(host, seconds=max(0.1, min(5.0, until - time.monotonic())), lookup=lookup)
        for address in found:
            rules.check(address, port)
    except NotResolved as error:
        raise NotReached(str(error)) from error
    except AddressRefused as refused:
        said = str(refused)
        raise NotReached(said if said.startswith(host) else f"{host} leads to a forbidden address: {said}") from refused
    return found


def ask(
    method: str,
    url: str,
    addresses: list[str],
    sockets: list[socket.socket],
    until: float,
    *,
    headers: Mapping[str, str],
    data: bytes | None = None,
) -> requests.Response:
    """The beginning of the answer; the rest is read from it. Redirects are not followed. `sockets` are `watched`'s."""
    with requests.Session() as session:
        session.trust_env = False
        session.headers.clear()
        session.mount(f"{urlsplit(url).scheme}://", _Pinned(addresses, sockets))
        seconds = max(0.1, until - time.monotonic())
        return session.request(
            method,
            url,
            headers=dict(headers),
            data=data,
            timeout=(min(_CONNECT_SECONDS, seconds), seconds),
            allow_redirects=False,
            stream=True,
        )


class _Pinned(HTTPAdapter):
    """Connects to these addresses and no others, whatever the name means by now. Certificates are checked by name."""

    def __init__(self, allowed: list[str], sockets: list[socket.socket]) -> None:
        self._kinds = {
            "http": type("_HTTP", (_To, HTTPConnection), {"allowed": allowed, "sockets": sockets}),
            "https": type("_HTTPS", (_To, HTTPSConnection), {"allowed": allowed, "sockets": sockets}),
        }
        super().__init__(max_retries=0)

    def get_connection_with_tls_context(self, *args: Any, **more: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **more)
        pool.ConnectionCls = self._kinds[pool.scheme]
        return pool


class _To:
    allowed: list[str]
    sockets: list[socket.socket]
    """Every socket that was opened, so that the watch can close it."""

    def _new_conn(self) -> socket.socket:
        wrong: OSError | None = None
        for address in self.allowed:
            try:
                opened = socket.create_connection((address, self.port), self.timeout)  # type: ignore[attr-defined]
            except OSError as error:
                wrong = error
            else:
                # A second hold of it: TLS takes the first one away from whoever has it.
                self.sockets.append(opened.dup())
                return opened
        raise wrong or OSError("no address")


@contextmanager
def watched(until: float) -> Iterator[list[socket.socket]]:
    """A server that sends one byte now and then passes every timeout of a socket. At the end its line is cut."""
    sockets: list[socket.socket] = []

    def cut() -> None:
        for opened in sockets:
            try:
                opened.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    watch = threading.Timer(max(0.0, until - time.monotonic()), cut)
    watch.daemon = True
    watch.start()
    try:
        yield sockets
    finally:
        watch.cancel()
        watch.join()
        for opened in sockets:
            opened.close()


def why(error: BaseException) -> str:
    """The innermost reason, which is the one that says something."""
    seen: set[int] = set()
    ahead: BaseException | None = error
    while ahead is not None and id(ahead) not in seen:
        seen.add(id(ahead))
        error = ahead
        inner = next((each for each in error.args if isinstance(each, BaseException)), None)
        reason = getattr(error, "reason", None)
        ahead = inner or (reason if isinstance(reason, BaseException) else None) or error.__cause__ or error.__context__
    said = getattr(error, "verify_message", None) or getattr(error, "strerror", None) or str(error) or "no reason given"
    return " ".join(str(said).split())[:200].rstrip(".")


def shown(url: str) -> str:
    """Without what may be secret in it: user, password, query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "This"
    host = parts.netloc.rpartition("@")[2]
    text = f"{parts.scheme}://{host}{parts.path}" if host else f"“{url}”"
    return text if len(text) <= 200 else f"{text[:199]}…"
