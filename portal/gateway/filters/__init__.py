"""The chain of HTTP filters, in the order in which a call passes them. One file a filter."""

from portal.gateway.filters import (
    addresses,
    admission,
    cleaning,
    cors,
    jwt,
    key,
    limits,
    operations,
    overall,
    router,
)
from portal.gateway.ir import Place, Snapshot
from portal.gateway.resource import Resource

FILTERS = (
    # First, since it writes headers that the rest believes. (What clients may not say is gone even earlier.)
    cleaning,
    # Before whatever may refuse a call: preflights carry no key, and pages are to read refusals too.
    cors,
    # Before the key filter, which finds the consumer by what the token says.
    jwt,
    # Before admission, which believes the header that it writes.
    key,
    # Before limits, so that a call that nobody vouches for uses up nobody's limit.
    admission,
    # Behind the key filter, which gives the call its id and its consumer, and before limits are used up.
    addresses,
    # Before the plans' limits, so that a call of a limited operation that is refused uses up nothing there.
    operations,
    # Before the router, so that a refused call never reaches an upstream.
    limits,
    # Behind the plans' limits, so that a call that is refused there uses up nothing here.
    overall,
    # Last: it sends the call on.
    router,
)


def chain(place: Place) -> list[Resource]:
    """`http_filters` of the listener. Four of them wait for their files, see `gateway/compile.py`."""
    return [found for filter_ in FILTERS if (found := filter_.http_filter(place)) is not None]


def chain_inlined(snapshot: Snapshot, place: Place) -> list[Resource]:
    """The same chain with nothing left to discover, for validation."""
    inlined = {
        jwt.NAME: jwt.inlined(snapshot),
        key.NAME: key.inlined(place),
        operations.NAME: operations.inlined(snapshot),
        limits.NAME: limits.inlined(snapshot),
        overall.NAME: overall.inlined(snapshot),
    }
    return [inlined.get(found["name"], found) for found in chain(place)]
