"""Envoy's response flags and response code details, in words.

https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage (%RESPONSE_FLAGS%) and
…/configuration/http/http_conn_man/response_code_details
"""

_FLAGS = {
    "DC": "The client closed the connection.",
    "DF": "The upstream's name could not be resolved.",
    "DPE": "The client's side of the connection broke the rules of HTTP.",
    "DT": "The call took longer than it may take in all.",
    "IH": "A header did not have a value that is allowed.",
    "LR": "The gateway itself reset the connection to the upstream.",
    "NC": "The upstream is not in the gateway's configuration.",
    "NFCF": "A part of the gateway's configuration was missing.",
    "NR": "No route fits the call.",
    "OM": "The gateway was overloaded.",
    "RL": "A limit let no more calls through.",
    "SI": "Nothing moved on the call for too long.",
    "UC": "The upstream closed the connection.",
    "UF": "No connection to the upstream could be made.",
    "UH": "No address of the upstream can be used.",
    "UMSDR": "The call lasted longer than it may.",
    "UO": "Too many calls were on their way to the upstream.",
    "UPE": "The upstream broke the rules of HTTP.",
    "UR": "The upstream reset the connection.",
    "URX": "All attempts were used up.",
    "UT": "The upstream did not answer in time.",
}

_DETAILS = {
    "via_upstream": "The answer came from the upstream.",
    "route_not_found": "No route fits the call.",
    "direct_response": "The gateway answered by itself.",
    "no_healthy_upstream": "No address of the upstream can be used.",
    "response_timeout": "The upstream did not answer in time.",
    "upstream_response_timeout": "The upstream did not answer in time.",
    "upstream_per_try_timeout": "The upstream did not begin its answer in time.",
    "stream_idle_timeout": "Nothing moved on the call for too long.",
    "request_payload_too_large": "The body is larger than allowed.",
    "request_headers_too_large": "The headers are larger than allowed.",
    "local_rate_limited": "A limit of the plan or of the API let no more calls through.",
    "operation_rate_limited": "The plan's limit of this operation let no more calls through.",
    "path_normalization_failed": "The path has a form that the gateway refuses.",
    "fault_filter_abort": "The call did not pass the key check.",
    "downstream_remote_disconnect": "The client closed the connection.",
    "upstream_reset_before_response_started": "The connection to the upstream ended before an answer began.",
    "upstream_reset_after_response_started": "The connection to the upstream ended in the middle of the answer.",
}


def flags(text: str | None) -> list[tuple[str, str]]:
    """(flag, what it means); a flag that is not known here means ''."""
    return [(flag, _FLAGS.get(flag, "")) for flag in (text or "").split(",") if flag and flag != "-"]


def details(text: str | None) -> tuple[str, str] | None:
    """(what Envoy noted, what it means)."""
    if not text:
        return None
    return text, _DETAILS.get(text.partition("{")[0], "")
