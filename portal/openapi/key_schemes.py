"""Where a document's security schemes have callers put their key, as far as the gateway can look there."""

import re
from typing import Any

from portal.openapi.findings import Findings, pointer_of, quoted
from portal.openapi.loosely import line_of, list_of, object_of
from portal.openapi.references import follow, looking
from portal.openapi.values import KeyScheme

_HEADER = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$%&'*+.^_`~-]{0,63}")
_PARAMETER = re.compile(r"[A-Za-z0-9_.~-]{1,64}")

_ASKED_FOR = {
    "oauth2": "OAuth 2",
    "openidconnect": "OpenID Connect",
    "mutualtls": "a client certificate",
    "cookie": "a cookie",
    "bearer": "a token (JWT)",
    "digest": "a user name and password (Digest)",
}


def key_of(tree: dict[str, Any], schemes: tuple[str, ...], findings: Findings) -> KeyScheme | None:
    """The first of the schemes that the document itself requires, or else of those it defines, where the gateway finds
    a key. `schemes` are the steps to them in the document as it was given, which 2.0 has elsewhere."""
    look = looking(tree)
    defined = {
        name: object_of(follow(scheme, look)[0])
        for name, scheme in object_of(object_of(tree.get("components")).get("securitySchemes")).items()
    }
    usable = {name: key for name, scheme in defined.items() if (key := _key(scheme)) is not None}
    # Of what it merely defines, a key is preferred to user name and password.
    keys = [name for name in defined if name in usable and usable[name].place != "basic"]
    key = next((usable[name] for name in [*_required(tree), *keys, *defined] if name in usable), None)
    if not defined and tree.get("security") in ([], [{}]):
        key = KeyScheme("none", "")
    for name, scheme in defined.items():
        if _is_of_tokens(scheme):
            findings.add(
                pointer_of((*schemes, name)),
                f"{quoted(name)} asks for {_asked_for(scheme)}. Callers send {_instead(key)}, until the API's "
                "document says, under how callers authenticate, which tokens (JWT) will do: issuer, audience and keys.",
            )
        elif name not in usable:
            findings.add(
                pointer_of((*schemes, name)),
                f"{quoted(name)} asks for {_asked_for(scheme)}, which the gateway does not check. Callers send "
                f"{_instead(key)}; what the upstream itself asks for can be stored as a secret of the API.",
            )
    return key


def _required(tree: dict[str, Any]) -> list[str]:
    return [name for requirement in list_of(tree.get("security")) for name in object_of(requirement)]


def _key(scheme: dict[str, Any]) -> KeyScheme | None:
    kind, name = line_of(scheme.get("type")).lower(), line_of(scheme.get("name"))
    if kind == "http" and line_of(scheme.get("scheme")).lower() == "bearer":
        return KeyScheme("bearer", "Authorization")
    if kind == "http" and line_of(scheme.get("scheme")).lower() == "basic":
        return KeyScheme("basic", "Authorization")
    if kind == "apikey" and line_of(scheme.get("in")).lower() == "header" and _HEADER.fullmatch(name):
        return KeyScheme("header", name)
    if kind == "apikey" and line_of(scheme.get("in")).lower() == "query" and _PARAMETER.fullmatch(name):
        return KeyScheme("query", name)
    return None


def _is_of_tokens(scheme: dict[str, Any]) -> bool:
    """Such as the gateway can verify; the document itself does not say by which keys."""
    kind = line_of(scheme.get("type")).lower()
    return kind in {"oauth2", "openidconnect"} or line_of(scheme.get("bearerFormat")).lower() == "jwt"


def _asked_for(scheme: dict[str, Any]) -> str:
    kind = line_of(scheme.get("type")).lower()
    kind = {"http": line_of(scheme.get("scheme")).lower(), "apikey": line_of(scheme.get("in")).lower()}.get(kind, kind)
    if kind in {"header", "query"}:
        return f"a key in the {kind} {quoted(line_of(scheme.get('name')))}"
    return _ASKED_FOR.get(kind, f"what it calls {quoted(kind)}" if kind else "something that it does not name")


def _instead(key: KeyScheme | None) -> str:
    match key:
        case KeyScheme("basic"):
            return "a user name and password of this portal instead"
        case KeyScheme("bearer"):
            return "a key as a bearer token instead"
        case KeyScheme("query", name):
            return f"a key in the query parameter {name} instead"
        case KeyScheme("header", name):
            return f"a key in the header {name} instead"
        case _:
            return "a key where the API's settings say instead"
