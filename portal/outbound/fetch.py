"""The one way in which the portal reads a document from an address that somebody typed.

Every address on the way is judged, again at every redirect. Time, size and scheme have limits that no answer can move.
"""

import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError

from portal.outbound import addresses, guarded
from portal.outbound.addresses import AddressRules, Lookup
from portal.outbound.guarded import NotReached, shown

MOST_REDIRECTS = 5
_CHUNK = 65_536
_REDIRECTS = {301, 302, 303, 307, 308}
_HEADERS = {"Accept-Encoding": "gzip", "User-Agent": "Portico"}


class NotFetched(NotReached):
    """`str()` says which address did not give what was asked for, and what to do."""


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
    only_https: bool = False,
    lookup: Lookup = addresses.lookup,
) -> Fetched:
    """GET `url`, and where it leads: `only_https` refuses to go on to an address that anybody on the way could answer
    for. Sends neither cookies nor credentials, and asks no proxy. Raises NotFetched, with a sentence."""
    until = time.monotonic() + seconds
    first = url
    for _ in range(MOST_REDIRECTS + 1):
        if only_https and not url.lower().startswith("https://"):
            raise NotFetched(f"{shown(url)} does not begin with https://, so that anybody on the way could change it.")
        try:
            allowed = guarded.allowed(guarded.checked(url), rules, until, lookup)
        except NotReached as refused:
            raise NotFetched(str(refused)) from refused
        with guarded.watched(until) as sockets:
            try:
                headers = {"Accept": accept, **_HEADERS}
                with closing(guarded.ask("GET", url, allowed, sockets, until, headers=headers)) as answer:
                    leads = answer.headers.get("location") if answer.status_code in _REDIRECTS else None
                    if leads is None:
                        return _taken(first, url, answer, most_bytes, until)
                url = urljoin(url, leads)
            except (requests.RequestException, HTTPError, zlib.error, OSError, ValueError) as error:
                raise _explained(url, error, until, seconds) from error
    raise NotFetched(f"{shown(first)} leads on to other addresses more than {MOST_REDIRECTS} times. Give the last one.")


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
    raise NotFetched(f"{shown(url)} answers with status {status}: it {why}")


def _read(url: str, answer: requests.Response, most_bytes: int) -> Iterator[bytes]:
    coding = answer.headers.get("content-encoding", "identity").strip().lower()
    if coding not in {"identity", "gzip", "x-gzip", ""}:
        raise NotFetched(f"{shown(url)} answers in the encoding {coding[:40]}, which was not asked for.")
    unpack = zlib.decompressobj(31) if "gzip" in coding else None
    count = 0
    while packed := answer.raw.read(_CHUNK, decode_content=False):
        while packed:
            # What a bomb unpacks to is made bit by bit, and counted before the next.
            chunk = unpack.decompress(packed, _CHUNK) if unpack else packed
            packed = unpack.unconsumed_tail if unpack else b""
            count += len(chunk)
            if count > most_bytes:
                raise NotFetched(f"{shown(url)} has more than {most_bytes / 1e6:,.0f} MB, which is the most here.")
            yield chunk
    if unpack and not unpack.eof:
        raise OSError("it ends in the middle")


def _explained(url: str, error: Exception, until: float, seconds: float) -> NotFetched:
    it = shown(url)
    if time.monotonic() >= until:
        return NotFetched(f"{it} did not answer to the end within {seconds:g} s. Try again, or bring it as a file.")
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return NotFetched(
            f"The TLS certificate of {urlsplit(url).hostname} is not one that can be trusted: {guarded.why(error)}."
        )
    if isinstance(error, requests.Timeout):
        return NotFetched(f"{it} does not answer. Try again, or bring the document as a file.")
    return NotFetched(f"{it} cannot be fetched: {guarded.why(error)}. Look whether the address is right.")
