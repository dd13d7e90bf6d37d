"""The access log line: one table that the gateway's compiler writes into Envoy's configuration and `parse.py` reads.

Operators: https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage
"""

FIELDS = {
    "t": "%START_TIME(%s%6f)%",
    # microseconds since 1970, as a string of digits
    "id": "%REQ(X-REQUEST-ID)%",
    # written by the gateway, UUIDv7; missing when Envoy refused the call before its filters ran
    "cid": "%REQ(X-CONSUMER-REQUEST-ID)%",
    "m": "%REQ(:METHOD)%",
    "h": "%REQ(X-FORWARDED-HOST?:AUTHORITY)%",
    # as the client sent it; by the end of the call, :authority is the target's
    "p": "%PATH(NQ:ORIG_OR_PATH)%",
    # without the query, which may hold secrets
    "r": "%ROUTE_NAME%",
    # "<api id>|<release>|…", see gateway/compile.py
    "c": "%REQ(X-CONSUMER-ID)%",
    "s": "%REQ(X-SUBSCRIPTION-ID)%",
    "k": "%REQ(X-KEY-ID)%",
    "pl": "%REQ(X-PLAN-ID?X-CONSUMER-PLAN)%",
    # the second of calls without a key, see gateway/filters/limits.py
    "st": "%RESPONSE_CODE%",
    "rs": "%REQ(X-CONSUMER-REFUSAL)%",
    # the reason word of a refusal by the key filter
    "sc": "%RESP(X-RATELIMIT-SCOPE)%",
    # "api" where the API's overall limit has refused, see gateway/filters/overall.py, "operation" where an operation's
    # has, see gateway/filters/operations.py; upstreams may send it too
    "f": "%RESPONSE_FLAGS%",
    "d": "%RESPONSE_CODE_DETAILS%",
    "bi": "%BYTES_RECEIVED%",
    "bo": "%BYTES_SENT%",
    "du": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
    # microseconds, whole call
    "us": "%COMMON_DURATION(US_TX_BEG:US_RX_BEG:us)%",
    # microseconds from the first byte sent upstream to the first byte of its answer
    "ip": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "ua": "%REQ(USER-AGENT)%",
    "up": "%UPSTREAM_HOST%",
    "n": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "tp": "%REQ(TRACEPARENT)%",
}
