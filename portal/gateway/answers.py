"""Answers that Envoy gives itself, as JSON with a stable reason word: `status`, `message`, `reason`, `request_id`.

Envoy asks the mappers in order and the first that fits decides. Words and sentences: `traffic/reasons.py`.
"""

from portal.gateway.filters import overall
from portal.gateway.resource import Resource, typed
from portal.traffic.reasons import OF_OPERATION, REASONS, REFUSED_BY_API

_ELSEWHERE = "This API takes no calls from the address that the call came from."


def local_replies() -> Resource:
    """`local_reply_config` of the connection manager."""
    return {
        "mappers": [
            # The key filter has spoken: it set the status, the sentence and the reason. The header is believed only
            # then, because what Envoy refuses before front cleaning still has the client's own.
            {"filter": _details("lua_response"), "body_format_override": _body("%REQ(X-CONSUMER-REFUSAL)%")},
            # The token filter refuses nobody, unless it does not know what the route asks of tokens.
            _mapper(_expression("response.code_details.startsWith('jwt_authn')"), "gateway_error", status=500),
            _mapper(_status(200), "ok", message="The gateway answers."),
            _mapper(_both(_status(429), _scope("api")), "api_limit"),
            _mapper(_both(_status(429), _scope("operation")), "rate_limited", message=OF_OPERATION),
            _mapper(_status(429), "rate_limited"),
            _mapper(_status(413), "too_large"),
            _mapper(_status(431), "headers_too_large"),
            _mapper(_flags("DPE"), "bad_request"),
            # Path normalisation is what else answers 400; it leaves no flag.
            _mapper(_both(_status(400), _details("path_normalization_failed")), "bad_path"),
            _mapper(_status(400), "bad_request"),
            _mapper(_both(_status(403), _details(REFUSED_BY_API)), "address_not_allowed", message=_ELSEWHERE),
            # An upgrade that is not offered, HTTP/1.0, a transfer coding that nobody knows.
            *(_mapper(_status(code), "bad_request") for code in (403, 426, 501)),
            _mapper(_status(408), "call_timeout"),
            _mapper(_flags("UT"), "upstream_timeout", status=504),
            _mapper(_both(_flags("SI"), _status(504)), "upstream_timeout"),
            _mapper(_flags("UF"), "upstream_unreachable", status=502),
            _mapper(_flags("UH", "UO", "NC"), "upstream_unreachable", status=503),
            _mapper(_flags("UPE"), "upstream_not_http", status=502),
            _mapper(_flags("UC", "UR", "LR"), "upstream_reset", status=502),
            _mapper(_flags("NR"), "no_such_api", status=404),
            # `OPTIONS *` asks for no path, and Envoy gives it no flag.
            _mapper(_status(404), "no_such_api"),
            # Admission too: the key filter failed without saying so.
            _mapper(_status(500), "gateway_error"),
        ],
        "body_format": _body("gateway_error"),
    }


def _mapper(when: Resource, reason: str, *, status: int | None = None, message: str | None = None) -> Resource:
    mapper: Resource = {
        "filter": when,
        "body": {"inline_string": message or REASONS[reason]},
        "body_format_override": _body(reason),
    }
    if status is not None:
        mapper["status_code"] = status
    return mapper


def _body(reason: str) -> Resource:
    return {
        "json_format": {
            "status": "%RESPONSE_CODE%",
            "message": "%LOCAL_REPLY_BODY%",
            "reason": reason,
            "request_id": "%REQ(X-REQUEST-ID)%",
        }
    }


def _status(code: int) -> Resource:
    # Envoy wants a runtime key; nothing ever sets it.
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": {"default_value": code, "runtime_key": "none"}}}}


def _flags(*flags: str) -> Resource:
    return {"response_flag_filter": {"flags": list(flags)}}


def _details(details: str) -> Resource:
    return _expression(f"response.code_details == '{details}'")


def _scope(word: str) -> Resource:
    """Which filter has refused: only of answers of the gateway's own, since upstreams may say the same."""
    return _expression(f"response.headers['{overall.SCOPE}'] == '{word}'")


def _expression(expression: str) -> Resource:
    return {
        "extension_filter": {
            "name": "details",
            "typed_config": typed(
                "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter", expression=expression
            ),
        }
    }


def _both(*filters: Resource) -> Resource:
    return {"and_filter": {"filters": list(filters)}}
