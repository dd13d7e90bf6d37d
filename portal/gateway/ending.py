"""What callers of a deprecated or retired API are told in headers. Pure.

    Deprecation: @1767225600                               since when, RFC 9745
    Sunset: Thu, 31 Dec 2026 23:59:59 GMT                  when it is to end, RFC 8594
    Link: <https://…>; rel="successor-version"; …          where to go, RFC 5829

All are sent from the moment that the owner says so, whatever dates they hold: both RFCs allow dates that are yet to
come, so the passing of time changes no file. An upstream that sends such a header itself knows more about the operation
in question, so its word stays; links are added to links.
"""

from email.utils import formatdate

from portal.gateway.ir import Api
from portal.gateway.resource import Resource


def headers(api: Api, portal: str) -> dict[str, str]:
    """Name in lower case -> value; empty for an API that goes on. `portal` is the portal's own address, without a slash
    at its end; where it is empty nothing can be linked to."""
    found = {}
    if api.deprecated is not None:
        found["deprecation"] = f"@{api.deprecated}"
    if api.sunset is not None:
        found["sunset"] = formatdate(api.sunset, usegmt=True)
    links = []
    # A retired API answers everybody, and says no more about itself than where to go.
    if portal and api.deprecated is not None and not api.retired:
        links.append(_link(portal, api.label, "deprecation"))
    if portal and api.successor:
        links.append(_link(portal, api.successor, "successor-version"))
    if links:
        found["link"] = ", ".join(links)
    return found


def on_route(api: Api, portal: str) -> list[Resource]:
    """Of the route's `response_headers_to_add`."""
    return [
        {
            # A percent sign begins a command of Envoy's, and doubled stands for itself.
            "header": {"key": name, "value": value.replace("%", "%%")},
            "append_action": "APPEND_IF_EXISTS_OR_ADD" if name == "link" else "ADD_IF_ABSENT",
        }
        for name, value in headers(api, portal).items()
    ]


def for_sentence(api: Api, portal: str) -> dict[str, str]:
    """What key.lua needs of the route for its 410: where to go instead."""
    return {"successor": docs(portal, api.successor)} if api.retired and portal and api.successor else {}


def docs(portal: str, label: str) -> str:
    """Where people read about the API that `label`, `<team>/<slug>/<version>`, names."""
    return f"{portal}/catalogue/{label}"


def _link(portal: str, label: str, relation: str) -> str:
    return f'<{docs(portal, label)}>; rel="{relation}"; type="text/html"'
