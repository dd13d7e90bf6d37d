"""The stable words for why a call was answered as it was, each with the sentence a person reads.

The gateway puts the word into its JSON answers (`reason`), ingest stores it, pages say the sentence. Words are never
renamed: clients may test for them.
"""

REASONS = {
    "ok": "The upstream answered.",
    "upstream_status": "The upstream itself answered with this status.",
    "no_such_api": "No published API is mounted at this host and path.",
    "key_missing": "The call carried no key where this API expects one, or nothing else that it takes instead.",
    "key_malformed": "What was sent as the key, or as user name and password, is not one of this portal's: its form or "
    "its checksum is wrong.",
    "key_repeated": "The call carried more than one key, so none was believed.",
    "key_misplaced": "The call's path held a key, which would stand in logs. Send it where the API expects it.",
    "key_unknown": "The key has the right form, but this portal does not know it.",
    "key_revoked": "The key has been revoked.",
    "key_expired": "The key has expired.",
    "token_missing": "The call carried neither a token nor a key where this API expects one.",
    "token_repeated": "The call carried more than one token, so none was believed.",
    "token_invalid": "The token is not one that this API believes: its form, signature, issuer or audience is wrong.",
    "token_expired": "The token has expired.",
    "token_early": "The token is not valid yet.",
    "token_unknown": "No consumer is subscribed to this API under the name that the token gives its caller.",
    "token_keys_missing": "The gateway has no keys yet that tokens for this API could be verified with.",
    "consumer_suspended": "The key's consumer is suspended, so that none of its keys is let through.",
    "not_subscribed": "The key's consumer has no subscription to this API that is valid now.",
    "subscription_suspended": "The consumer's subscription to this API is suspended.",
    "subscription_pending": "The consumer's subscription to this API waits to be approved.",
    "key_not_allowed": "The key is limited to other subscriptions, methods or operations than the call's.",
    "address_not_allowed": "The key, or the API itself, may not be used from the address that the call came from.",
    "preflight": "A browser asked whether a page of another site may call. It is no call itself.",
    "quota_exceeded": "The subscription has used up the quota of its plan.",
    "rate_limited": "The subscription's plan allows fewer calls in this time.",
    "api_limit": "The API takes no more calls in this time, of all its subscriptions together.",
    "api_paused": "The API is paused by the team that owns it.",
    "api_retired": "The API is retired: it is served no more.",
    "upstream_unreachable": "No connection to the upstream could be made.",
    "upstream_timeout": "The upstream did not begin its answer in the time that the API allows.",
    "upstream_not_http": "What the upstream answered was not valid HTTP.",
    "upstream_reset": "The upstream closed the connection before its answer was complete.",
    "too_large": "The call's body is larger than the API allows.",
    "bad_path": "The path holds an escaped slash, a backslash or another form that the gateway refuses to guess about.",
    "bad_request": "The call was not valid HTTP.",
    "headers_too_large": "The call's headers are larger than the gateway allows.",
    "call_timeout": "The client did not finish sending the call in time.",
    "client_closed": "The client went away before the answer was complete.",
    "gateway_error": "The gateway could not decide about this call and let it through to nobody.",
}

ADDRESS_POLICY = "address"
"""What the gateway's filter calls an API's address lists; Envoy's details name it."""
REFUSED_BY_API = f"rbac_access_denied_matched_policy[{ADDRESS_POLICY}]"
"""Envoy's details of a call that an API's address lists refused; a key's own list is the key filter's business."""
BY_DETAILS = {"cors_response": "preflight", REFUSED_BY_API: "address_not_allowed"}
"""Envoy's response code details -> the reason, of filters whose status says too little."""
OF_OPERATION = "The subscription's plan allows fewer calls of this operation in this time."
"""The sentence of `rate_limited` where the limit was an operation's own."""
OPERATION_LIMITED = "operation_rate_limited"
"""What a call's details say then; Envoy says `local_rate_limited` of every limit."""
