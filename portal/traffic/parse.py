"""One line of the access log becomes one call. Pure: no clock, no database, nothing remembered but route names."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta
from msgspec.structs import astuple

from portal.traffic.line import FIELDS
from portal.traffic.reasons import BY_DETAILS, OPERATION_LIMITED


class Misread(Exception):
    """The line is not a call. `str()` says why, for whoever looks at the lines that were kept aside."""


class ParsedCall(NamedTuple):
    """A call as the log tells it, before the database is asked for anything. Texts are cut to what the table takes."""

    at: int
    """Microseconds since 1970."""
    request_id: bytes | None
    """16 bytes; None when the line has no UUIDv7 of that time, as when Envoy refused before its filters ran."""
    api_id: int | None
    release: int | None
    mount: str
    """What of the path led to the API; '' where its host did."""
    consumer: str | None
    """Public id, `con_…`."""
    subscription_id: int | None
    key: str | None
    """Public id, 12 characters."""
    plan_id: int | None
    method: str | None
    host: str | None
    path: str | None
    status: int
    reason: str
    flags: str | None
    details: str | None
    bytes_in: int
    bytes_out: int
    total_us: int | None
    upstream_us: int | None
    address: str | None
    user_agent: str | None
    target: str | None
    attempts: int | None
    trace_id: bytes | None
    client_request_id: str | None


_NUMBERS = {"st": 999, "n": 32_767} | dict.fromkeys(("bi", "bo", "du", "us"), 2**60)
"""The fields that are numbers, and the largest that is possible; all others are texts."""
_LONGEST = {
    "cid": 100, "m": 20, "h": 255, "p": 2_000, "rs": 24, "f": 60, "d": 200, "ip": 45, "ua": 300, "up": 100
}  # fmt: skip
"""Characters that the table takes of a text."""


def _reader(*, longest: dict[str, int]) -> Callable[[bytes], Any]:
    def kind(name: str) -> Any:
        if name in _NUMBERS:
            return Annotated[int, Meta(ge=0, le=_NUMBERS[name])] | None
        return Annotated[str, Meta(max_length=longest[name])] | None if name in longest else str | None

    # A field that is missing is None: a gateway that was started by an older version writes fewer.
    return msgspec.json.Decoder(
        msgspec.defstruct("Line", [(name, kind(name), None) for name in FIELDS], gc=False)
    ).decode


_read, _read_long = _reader(longest=_LONGEST), _reader(longest={})

_MAY_BE_KEY = re.compile(rb"p(?:c[obc]|pt)_")
_KEY = re.compile(
    rb"p(?:co|pt)_(?:[0-9A-Za-z]{12}_[0-9A-Za-z]{33}|\*+)|pcc_(?:[0-9A-Za-z]+_[0-9A-Za-z_-]+|\*+)"
    rb"|pcb_(?:[0-9A-Za-z]{12}(?::|%3[Aa])[0-9A-Za-z]{33}|\*+)"
)
"""A key, a user name with its password, an access token of the REST API or a console's send, as it is or as
`hidden_keys` leaves it."""


def without_keys(lines: bytes) -> bytes:
    """The same log, with whatever is a key made unreadable: clients put keys into host, path or agent by mistake."""
    # Twice as fast as `in`, whose search through bytes is the slower one.
    return _KEY.sub(b"(key)", lines) if _MAY_BE_KEY.search(lines) else lines


def hidden_keys(lines: bytes) -> list[tuple[int, bytes]]:
    """Where keys stand in the log, and what may be written over each of them there: no longer and no shorter."""
    found = ((each.start(), each[0][:4] + b"*" * (len(each[0]) - 4)) for each in _KEY.finditer(lines))
    return [(start, stars) for start, stars in found if not lines.startswith(stars, start)]


_LATEST = 2**48 * 1_000  # what the time in a UUIDv7 has room for
_SOONEST_MS, _LATEST_MS = -60_000, 60_000
_new, _fromhex, _from_bytes = tuple.__new__, bytes.fromhex, int.from_bytes


def parse(line: bytes) -> ParsedCall:
    """Raises Misread for what is not one whole line of the form in `line.py`. Costs about 4 µs."""
    try:
        told = astuple(_read(line))
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = _cut(line)
    if b"\\" in line and b"\\u0000" in line:  # for one byte there is a fast search
        # PostgreSQL stores no NUL, and no field of a true call has one.
        raise Misread("holds a NUL character")
    (
        time, id_, client_id, method, host, path, route, consumer, subscription, key, plan, status, refusal, scope,
        flags, details, bytes_in, bytes_out, total, upstream, address, agent, target, attempts, trace,
    ) = told  # fmt: skip
    status = status or 0
    try:
        at = int(time)
        if not 0 < at < _LATEST:
            raise Misread("the time is not possible")
        api_id, release, mount = _api_of(route)
        if api_id is None:
            # Without a route Envoy may have refused before the filter that takes such headers from clients.
            consumer = subscription = key = plan = None
        if not flags or flags == "-":
            flags = None
        # Only of the key filter's own answers; others may carry what the client has sent under that name.
        reason = refusal if details == "lua_response" else None
        if not reason:
            if flags is None and details == "via_upstream":
                reason = "ok" if status < 400 else "upstream_status"
            else:
                reason = reason_of(status, flags, details or "", target)
                if scope and details == "local_rate_limited":
                    if scope == "api":
                        reason = "api_limit"
                    elif scope == "operation":
                        details = OPERATION_LIMITED
        return _new(
            ParsedCall,
            (
                at,
                # What a preflight says about its id is the client's own word.
                _request_id(id_, at) if reason != "preflight" else None,
                api_id,
                release,
                mount,
                consumer,
                int(subscription) if subscription else None,
                key,
                int(plan) if plan else None,
                method,
                host,
                path,
                status,
                reason,
                flags,
                None if details == "via_upstream" else details,
                bytes_in or 0,
                bytes_out or 0,
                total,
                upstream,
                address,
                agent,
                target,
                attempts,
                trace and _trace_id(trace),
                client_id,
            ),
        )
    except (TypeError, ValueError) as error:
        raise Misread(f"a field has another form: {error}") from None


def _cut(line: bytes) -> tuple[Any, ...]:
    """The fields of a line with texts that are too long, if nothing else is wrong with it."""
    try:
        told = astuple(_read_long(line))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Misread(f"not a line of the log: {error}") from None
    return tuple(
        value[: _LONGEST[name]] if value and name in _LONGEST else value
        for name, value in zip(FIELDS, told, strict=True)
    )


def reason_of(status: int, flags: str | None, details: str, target: str | None) -> str:
    """The reason word of an answer that carries none: what the details or flags say, else who answered, else the
    status."""
    if details in BY_DETAILS:
        return BY_DETAILS[details]
    if details.startswith("jwt_authn"):  # it knows nothing of what the route asks of tokens
        return "gateway_error"
    for flag in (flags or "").split(","):
        if flag in _BY_FLAG and not (flag == "NR" and status in _BY_STATUS):
            return _BY_FLAG[flag]
    if details == "via_upstream":
        return "ok" if status < 400 else "upstream_status"
    if status in _BY_STATUS:
        word = _BY_STATUS[status]
        return "bad_path" if word == "bad_request" and "path" in details and "missing" not in details else word
    if status == 0:
        return "client_closed"
    if status < 400:
        return "ok"
    if status < 500:
        return "bad_request"
    return "upstream_reset" if target else "gateway_error"


_BY_FLAG = {
    "DC": "client_closed",
    "RL": "rate_limited",
    "UF": "upstream_unreachable",
    "UH": "upstream_unreachable",
    "NC": "upstream_unreachable",
    "UO": "upstream_unreachable",
    "UT": "upstream_timeout",
    "SI": "upstream_timeout",
    "DT": "upstream_timeout",
    "UC": "upstream_reset",
    "UR": "upstream_reset",
    "LR": "upstream_reset",
    "UPE": "upstream_reset",
    "DPE": "bad_request",
    "OM": "gateway_error",
    "NR": "no_such_api",
}
"""https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage, under RESPONSE_FLAGS."""

_BY_STATUS = {
    400: "bad_request",
    501: "bad_request",
    404: "no_such_api",
    408: "bad_request",
    413: "too_large",
    429: "rate_limited",
    431: "headers_too_large",
}


@lru_cache(maxsize=20_000)
def _api_of(route: str | None) -> tuple[int | None, int | None, str]:
    """(API, release, mount) from a route's name, see `gateway/routes.py`; other routes are the gateway's own."""
    api_id, release, *rest = [*(route or "").split("|"), ""][:6]
    if api_id.isascii() and api_id.isdecimal() and release.isascii() and release.isdecimal():
        return int(api_id), int(release), rest[2] if len(rest) == 4 else ""
    return None, None, ""


def _request_id(text: str | None, at: int) -> bytes | None:
    if not text or len(text) != 36 or text[14] != "7":
        return None
    try:
        found = _fromhex(text.replace("-", ""))
    except ValueError:
        return None
    if len(found) != 16:
        return None
    # A call is found through the time in its id, so an id of another time would never be.
    return found if _SOONEST_MS < _from_bytes(found[:6], "big") - at // 1_000 < _LATEST_MS else None


def _trace_id(traceparent: str) -> bytes | None:
    try:
        found = bytes.fromhex(traceparent[3:35])
    except ValueError:
        return None
    return found if len(found) == 16 and traceparent[2] == "-" else None
