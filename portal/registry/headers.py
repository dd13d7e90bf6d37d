"""Headers that belong to the gateway: neither a key nor an upstream's secret can travel in them. Pure.

The one list of them: documents refuse these names when they are typed, and the gateway's check refuses them for rows
that came in another way.
"""

import re

_GATEWAYS = re.compile(
    # Taken off in front, whatever their value, see gateway/filters/cleaning.py: what only the gateway may say, and
    # names that servers of the kind of CGI and WSGI read as another header.
    r"x[_.].*|x-consumer[-_.].*|x-(envoy|forwarded|subscription).*|x-(key|plan|request)[-_.]id|x-real[-_.]ip|forwarded"
    r"|x-portico-proto"
    # Between two neighbours only, or of the body, or of the call itself.
    r"|host|cookie|connection|content[-_.].*|transfer[-_.]encoding|te|upgrade|expect|keep-alive|trailer|proxy(-.*)?"
    # The key filter takes a key out of these before it looks for the key, because they are logged or name a page.
    r"|user-agent|traceparent|referer"
)


def is_gateways_own(name: str) -> bool:
    """Whether the header `name`, in any case, has a meaning of its own at the gateway."""
    return _GATEWAYS.fullmatch(name.lower()) is not None
