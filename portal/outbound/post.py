"""The one way in which the portal sends something to an address that somebody typed."""

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

import requests
from urllib3.exceptions import HTTPError

from portal.outbound import addresses, guarded
from portal.outbound.addresses import AddressRules, Lookup
from portal.outbound.guarded import NotReached, shown


@dataclass(frozen=True, slots=True)
class Answered:
    status: int
    head: bytes
    """The first bytes of the body, as they came; the rest is not read."""
    retry_after: str
    """The header as it came, "" without one."""


def post(
    url: str,
    rules: AddressRules,
    *,
    data: bytes,
    headers: Mapping[str, str],
    seconds: float,
    most_bytes: int,
    lookup: Lookup = addresses.lookup,
) -> Answered:
    """POST `data` and take what is answered, whatever its status. Redirects are answers like others.

    Raises NotReached, with a sentence that shows neither the query nor what was sent.
    """
    until = time.monotonic() + seconds
    allowed = guarded.allowed(guarded.checked(url), rules, until, lookup)
    asked = {"Accept-Encoding": "identity", "User-Agent": "Portico", **headers}
    with guarded.watched(until) as sockets:
        try:
            with closing(guarded.ask("POST", url, allowed, sockets, until, headers=asked, data=data)) as answer:
                head = answer.raw.read(most_bytes, decode_content=False)
                if time.monotonic() >= until:
                    raise OSError("the line was cut")  # which may look like the end of an answer without a length
                return Answered(answer.status_code, head, answer.headers.get("retry-after", ""))
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise NotReached(_explained(url, error, until, seconds)) from error


def _explained(url: str, error: Exception, until: float, seconds: float) -> str:
    if time.monotonic() >= until:
        return f"{shown(url)} did not answer to the end within {seconds:g} s."
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return f"The TLS certificate of {shown(url)} is not one that can be trusted: {guarded.why(error)}."
    if isinstance(error, requests.Timeout):
        return f"{shown(url)} does not answer."
    return f"{shown(url)} cannot be reached: {guarded.why(error)}."
