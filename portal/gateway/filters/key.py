"""The key filter: a Lua script. `key_data.lua` maps and searches the key data, `restrictions.lua` knows what single
keys may not do, `ways.lua` what else than a key will do, `token.lua` takes tokens that Envoy has verified,
`operations.lua` knows which operations have limits, `key.lua` decides; `answer.lua` mends answers, and
`answer_limits.lua` says in them what is left of limits.

The script comes by ECDS, so new key data is announced by a changed file name in `keys/keys.json` and nothing else of
the gateway is touched.
"""

import json
from pathlib import Path

from portal.gateway.ir import Place
from portal.gateway.resource import Resource, discovery_file, typed, watched
from portal.traffic.reasons import REASONS

NAME = "portico.key"

_TYPE = "envoy.extensions.filters.http.lua.v3.Lua"
_PARTS = (
    *("key_data.lua", "restrictions.lua", "ways.lua", "token.lua", "operations.lua"),
    *("key.lua", "answer_limits.lua", "answer.lua"),
)
_SCRIPT = "\n".join(Path(__file__).with_name(name).read_text("utf-8") for name in _PARTS)
_WORDS = (
    "no_such_api",
    "api_paused",
    "api_retired",
    "key_repeated",
    "key_misplaced",
    "key_missing",
    "key_malformed",
    "key_unknown",
    "key_revoked",
    "key_expired",
    "consumer_suspended",
    "not_subscribed",
    "subscription_suspended",
    "subscription_pending",
    "quota_exceeded",
    "token_missing",
    "token_repeated",
    "token_invalid",
    "token_expired",
    "token_early",
    "token_unknown",
    "token_keys_missing",
    "key_not_allowed",
    "address_not_allowed",
    "too_large",
    "bad_request",
    "gateway_error",
)


def http_filter(place: Place) -> Resource:
    return {
        "name": NAME,
        "config_discovery": {
            "config_source": watched(f"{place.directory}/keys", "keys.json"),
            "type_urls": [f"type.googleapis.com/{_TYPE}"],
        },
    }


def inlined(place: Place) -> Resource:
    """For validation: the script without key data. It loads, and admits nobody."""
    return {"name": NAME, "typed_config": _lua("")}


def discovered(file: str) -> bytes:
    """The file of the resource that `http_filter` waits for, with key data at the absolute path `file`."""
    return discovery_file(
        [typed("envoy.config.core.v3.TypedExtensionConfig", name=NAME, typed_config=_lua(file))],
    )


def _lua(file: str) -> Resource:
    words = ", ".join(f"{word} = {_quoted(REASONS[word])}" for word in _WORDS)
    head = f"local FILE = {_quoted(file)}\nlocal WORDS = {{ {words} }}\n"
    # True would choose the route again after each header that the script changes.
    return typed(_TYPE, clear_route_cache=False, default_source_code={"inline_string": head + _SCRIPT})


def _quoted(text: str) -> str:
    # A JSON string without \u escapes is a Lua string too.
    return json.dumps(text, ensure_ascii=False)
