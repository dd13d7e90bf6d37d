"""Ready commands: how a call to an API looks in a terminal."""

import re
import shlex
from urllib.parse import urlsplit

from portal.registry import Document

IN_ENVIRONMENT = "$PORTICO_KEY"
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")


def addresses(document: Document, gateway_url: str) -> list[str]:
    """Where the API is called, the path first."""
    parts = urlsplit(gateway_url)
    port = f":{parts.port}" if parts.port else ""
    by_path = [f"{gateway_url}{document.path}"] if document.path else []
    return by_path + ([f"{parts.scheme}://{document.host}{port}/"] if document.host else [])


def commands(document: Document, gateway_url: str, key: str = IN_ENVIRONMENT) -> list[str]:
    """One command for each address. `key` stands in it as it is: a key, a user name with
    its password, or a variable of the shell."""
    return [_command(document, address, key) for address in addresses(document, gateway_url)]


def _command(document: Document, address: str, key: str) -> str:
    if document.authentication.public:
        return f"curl {address}"
    if document.only_token:
        return f'curl {address} \\\n  -H "Authorization: Bearer $TOKEN"'
    if key.startswith("pcb_") or not document.authentication.key:
        return f'curl {address} \\\n  -u "{key}"'
    name = document.key.name
    match document.key.place:
        case "query":
            return f'curl "{address}?{name}={key}"'
        case "bearer":
            return f'curl {address} \\\n  -H "Authorization: Bearer {key}"'
        case _ if _PLAIN.fullmatch(name):
            return f'curl {address} \\\n  -H "{name}: {key}"'
        case _:
            # A header's name may hold what a shell acts on, such as a backtick: it goes in quotes of its own.
            return f'curl {address} \\\n  -H {shlex.quote(f"{name}: ")}"{key}"'
