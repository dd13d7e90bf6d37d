"""The one way in which the portal reads an address that somebody typed.

A name is resolved, all that it means is judged, and what was judged is what is connected to: again at every redirect.
Time, size and scheme have limits that no answer can move.
"""

import socket
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from portal.errors import AddressRefused, PortalError
from portal.outbound import addresses
from portal.outbound.addresses import AddressRules, Lookup, NotResolved

MOST_REDIRECTS = 5
_CHUNK = 65_536
_CONNECT_SECONDS = 5.0
_REDIRECTS = {301, 302, 303, 307, 308}


class NotFetched(PortalError):
    """`str()` says which address did not give what was asked for, and what to do."""

    status = 422


@dataclass(frozen=True, slots=True)
class Fetched:
    led_to: str
    """Where redirects led, "" where there were none. Without query: signed addresses keep their secret there."""
    content_type: str
    """Small letters, without parameters; "" where the server says none."""
    data: bytes


def fetch(
    url: str,
    rules: AddressRules,
    *,
    most_bytes: int,
    seconds: float = 30.0,
    accept: str = "*/*",
    lookup: Lookup = addresses.lookup,
) -> Fetched:
    """GET `url`. Sends neither cookies nor credentials, and asks no proxy. Raises NotFetched, with a sentence."""
    until = time.monotonic() + seconds
    first = url
    for _ in range(MOST_REDIRECTS + 1):
        parts = _checked(url)
        allowed = _allowed(parts, rules, until, lookup)
        with _watched(until) as sockets:
            try:
                with closing(_ask(url, allowed, sockets, until, accept)) as answer:
                    leads = answer.headers.get("location") if answer.status_code in _REDIRECTS else None
                    if leads is None:
                        return _taken(first, url, answer, most_bytes, until)
                url = urljoin(url, leads)
            except (requests.RequestException, HTTPError, zlib.error, OSError, ValueError) as error:
                raise _explained(url, error, until, seconds) from error
    raise NotFetched(
        f"{_shown(first)} leads on to other addresses more than {MOST_REDIRECTS} times. Give the last one."
    )


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise NotFetched(f"{_shown(url)} is not an address: its port or brackets are wrong.") from None
    if parts.scheme not in {"http", "https"}:
        raise NotFetched(f"{_shown(url)} does not begin with http:// or https://, and nothing else can be fetched.")
    if not host or port == 0 or any(c.isspace() or ord(c) < 32 for c in url):
        raise NotFetched(f"{_shown(url)} is not a whole address, such as https://example.com/openapi.json.")
    if parts.username is not None or parts.password is not None:
        raise NotFetched(
            "Leave user name and password out of the address: it is stored and shown. Download the document yourself, "
            "and bring it as a file."
        )
    return parts


def _allowed(parts: SplitResult, rules: AddressRules, until: float, lookup: Lookup) -> list[str]:
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = addresses.resolve(host, seconds=max(0.1, min(5.0, until - time.monotonic())), lookup=lookup)
        for address in found:
            rules.check(address, port)
    except NotResolved as error:
        raise NotFetched(str(error)) from error
    except AddressRefused as refused:
        said = str(refused)
        raise NotFetched(said if said.startswith(host) else f"{host} leads to a forbidden address: {said}") from refused
    return found


def _ask(url: str, allowed: list[str], sockets: list[socket.socket], until: float, accept: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        session.headers.clear()
        session.mount(f"{urlsplit(url).scheme}://", _Pinned(allowed, sockets))
        seconds = max(0.1, until - time.monotonic())
        return session.get(
            url,
            headers={"Accept": accept, "Accept-Encoding": "gzip", "User-Agent": "Portico"},
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
def _watched(until: float) -> Iterator[list[socket.socket]]:
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


def _taken(first: str, url: str, answer: requests.Response, most_bytes: int, until: float) -> Fetched:
    _require_good(url, answer)
    data = b"".join(_read(url, answer, most_bytes))
    if time.monotonic() >= until:
        raise OSError("the line was cut")  # which may look like the end of an answer without a length
    content_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    return Fetched("" if _place(url) == _place(first) else _place(url), content_type, data)


def _place(url: str) -> str:
    return urlsplit(url)._replace(query="", fragment="").geturl()


def _require_good(url: str, answer: requests.Response) -> None:
    status = answer.status_code
    if status == 200:
        return
    match status:
        case 401 | 403 | 407:
            why = "wants to know who asks. Download the document yourself, and bring it as a file."
        case 404 | 410:
            why = "has no document. Look whether the address is right."
        case 429:
            why = "wants fewer requests. Try again later, or bring the document as a file."
        case _ if status >= 500:
            why = "has a fault of its own. Try again later, or bring the document as a file."
        case _:
            why = "gives nothing that could be read. Look whether the address is right."
    raise NotFetched(f"{_shown(url)} answers with status {status}: it {why}")


def _read(url: str, answer: requests.Response, most_bytes: int) -> Iterator[bytes]:
    coding = answer.headers.get("content-encoding", "identity").strip().lower()
    if coding not in {"identity", "gzip", "x-gzip", ""}:
        raise NotFetched(f"{_shown(url)} answers in the encoding {coding[:40]}, which was not asked for.")
    unpack = zlib.decompressobj(31) if "gzip" in coding else None
    count = 0
    while packed := answer.raw.read(_CHUNK, decode_content=False):
        while packed:
            # What a bomb unpacks to is made bit by bit, and counted before the next.
            chunk = unpack.decompress(packed, _CHUNK) if unpack else packed
            packed = unpack.unconsumed_tail if unpack else b""
            count += len(chunk)
            if count > most_bytes:
                raise NotFetched(f"{_shown(url)} has more than {most_bytes / 1e6:,.0f} MB, which is the most here.")
            yield chunk
    if unpack and not unpack.eof:
        raise OSError("it ends in the middle")


def _explained(url: str, error: Exception, until: float, seconds: float) -> NotFetched:
    shown = _shown(url)
    if time.monotonic() >= until:
        return NotFetched(f"{shown} did not answer to the end within {seconds:g} s. Try again, or bring it as a file.")
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return NotFetched(
            f"The TLS certificate of {urlsplit(url).hostname} is not one that can be trusted: {_why(error)}."
        )
    if isinstance(error, requests.Timeout):
        return NotFetched(f"{shown} does not answer. Try again, or bring the document as a file.")
    return NotFetched(f"{shown} cannot be fetched: {_why(error)}. Look whether the address is right.")


def _why(error: BaseException) -> str:
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


def _shown(url: str) -> str:
    """Without what may be secret in it: user, password, query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "This"
    host = parts.netloc.rpartition("@")[2]
    text = f"{parts.scheme}://{host}{parts.path}" if host else f"“{url}”"
    return text if len(text) <= 200 else f"{text[:199]}…"
