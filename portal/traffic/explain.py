"""Why a call was answered as it was."""

from portal.traffic.calls import CallView
from portal.traffic.reasons import REASONS


def explain(call: CallView, *, described: bool = False) -> str:
    """Why the call was answered as it was, in sentences.

    `described`: the release that answered has an OpenAPI document, to which a call without an operation is unknown.
    """
    answer = _answer(call)
    if described and not call.operation and call.reason == "upstream_status" and call.status in (404, 405, 501):
        return f"{answer} The API's OpenAPI document has no operation for {call.method or 'this method'} and this path."
    return answer


def _answer(call: CallView) -> str:
    said = REASONS.get(call.reason, f"The reason is recorded as {call.reason}.")
    took = _took(call.total_us)
    target = call.target or "the upstream"
    match call.reason:
        case "upstream_status":
            return f"{said} {_capital(target)} sent {call.status}{took}."
        case "upstream_unreachable":
            tried = f" It was tried {call.attempts} times." if (call.attempts or 0) > 1 else ""
            why = next((f" {words}" for mark, words in _CONNECTION_FAILURES if mark in (call.details or "")), "")
            return f"{said} It would have gone to {target}.{why}{tried}"
        case "upstream_timeout":
            return f"{said} {_capital(target)} had not begun to answer; the gateway answered {call.status}{took}."
        case "upstream_reset":
            return f"{said} It was {target}, which closed{took}."
        case "client_closed":
            answered = f"The status was {call.status}." if call.status else "No answer had begun."
            return f"{said} {answered} It had lasted{took.removeprefix(' after') or ' an unknown time'}."
        case "bad_request" | "bad_path" | "gateway_error" if call.details:
            return f"{said} Envoy notes: {call.details}."
        case _:
            return said


_CONNECTION_FAILURES = (
    ("refused", "The connection was refused: nothing listens there."),
    ("timeout", "The connection was not accepted in time."),
    ("no_healthy_upstream", "No address of it is known or allowed."),
    ("TLS", "TLS could not be agreed on, or the certificate was not believed."),
    ("unreachable", "There is no way to that network or host."),
)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _took(us: int | None) -> str:
    if us is None:
        return ""
    return f" after {us / 1_000_000:.1f} s" if us >= 1_000_000 else f" after {us / 1_000:.3g} ms"
