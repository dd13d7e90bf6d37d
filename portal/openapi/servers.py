"""Where a document says that its API is served."""

import re
from typing import Any

from portal.openapi.findings import Findings, pointer_of, quoted
from portal.openapi.loosely import line_of, list_of, object_of

_VARIABLE = re.compile(r"\{([^{}]*)\}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_HOST = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(:[0-9]+)?(/|$)")


def servers_of(tree: dict[str, Any], findings: Findings) -> tuple[str, ...]:
    """Each address once, with the defaults of variables put in. One that is relative stays relative."""
    addresses: dict[str, None] = {}
    above, servers = _said(tree)
    for index, server in enumerate(servers):
        server = {"url": server} if isinstance(server, str) else object_of(server)
        url = line_of(server.get("url"))
        if url:
            at = pointer_of((*above, index))
            addresses.setdefault(_complete(_filled(url, object_of(server.get("variables")), at, findings)))
    if not addresses:
        findings.add("/servers", "The document does not say where the API is served. Give the upstream's address.")
    elif not any(_SCHEME.match(address) for address in addresses):
        first = next(iter(addresses))
        findings.add(
            pointer_of((*above, 0)), f"The server {quoted(first)} is relative, and the document does not say to what."
        )
    return tuple(addresses)


def _said(tree: dict[str, Any]) -> tuple[tuple[str, ...], list[Any]]:
    """Some authors name no server but at each path. They are taken to mean the same everywhere."""
    if servers := list_of(tree.get("servers")):
        return ("servers",), servers
    for path, item in object_of(tree.get("paths")).items():
        if servers := list_of(object_of(item).get("servers")):
            return ("paths", path, "servers"), servers
    return ("servers",), []


def _filled(url: str, variables: dict[str, Any], at: str, findings: Findings) -> str:
    def value(match: re.Match[str]) -> str:
        variable = variables.get(match[1])
        if not isinstance(variable, dict):
            default = line_of(variable)
        else:
            default = line_of(variable.get("default")) or next(map(line_of, list_of(variable.get("enum"))), "")
            if not default and "default" in variable:
                return ""
        if not default:
            findings.add(at, f"The variable {quoted(match[1])} has no default. Put its value into the address.")
        return default or match[0]

    return _VARIABLE.sub(value, url)


def _complete(url: str) -> str:
    """A host without a scheme would be taken for a path."""
    if url.startswith("//"):
        return f"https:{url}"
    return f"https://{url}" if not _SCHEME.match(url) and _HOST.match(url) else url
