"""What somebody else's server says its keys are, for tokens to be verified with."""

from collections.abc import Callable

from portal.outbound.addresses import AddressRules
from portal.outbound.fetch import Fetched, NotFetched, fetch
from portal.registry.jwks import MOST_BYTES, KeySet, NoKeySet, read_jwks

_SECONDS = 10.0

Fetch = Callable[..., Fetched]


def fetched(url: str, rules: AddressRules, *, ask: Fetch = fetch) -> KeySet | str:
    """The key set, or in a sentence why nothing of use is there. Takes up to ten seconds."""
    try:
        got = ask(url, rules, most_bytes=MOST_BYTES, seconds=_SECONDS, accept="application/json, */*", only_https=True)
        return read_jwks(got.data)
    except (NotFetched, NoKeySet) as error:
        return str(error)
