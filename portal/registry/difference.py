"""What differs between two documents, in the words of the form. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from portal.registry import networks
from portal.registry.document import Document


@dataclass(frozen=True, slots=True)
class Difference:
    """One field; `before` is None where there was no document, either is "" where the field is empty."""

    label: str
    before: str | None
    after: str


def differences(before: Document | None, after: Document, names: Mapping[str, str] | None = None) -> list[Difference]:
    """Field by field in the order of the form. Without a `before`, every field of `after` that is not empty.

    `names` are what people call the OpenAPI documents of both (`openapi_names`).
    """
    found = []
    for label, say in _FIELDS:
        old, new = (None if before is None else say(before)), say(after)
        if old != new and (old is not None or new):
            found.append(Difference(label, None if old is None else _called(old, names), _called(new, names)))
    return found


def facts(document: Document, names: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    """Every field and its value in words; fields that are empty are left out."""
    return [(label, _called(said, names)) for label, say in _FIELDS if (said := say(document))]


def _called(said: str, names: Mapping[str, str] | None) -> str:
    """A hash tells nobody anything; what else is said is the name of nothing."""
    return said if names is None else names.get(said, said)


def _targets(document: Document) -> str:
    targets = document.upstream.targets
    if len(targets) == 1:
        return targets[0].url
    return "\n".join(f"{target.url} (weight {target.weight})" for target in targets)


def _key(document: Document) -> str:
    match document.key.place:
        case "bearer":
            return "header Authorization: Bearer"
        case "query":
            return f"query parameter {document.key.name}"
        case _:
            return f"header {document.key.name}"


def _seconds(field: str) -> Callable[[Document], str]:
    def say(document: Document) -> str:
        milliseconds: int = getattr(document.upstream, field)
        return f"{milliseconds / 1000:g} s"

    return say


def _ca(document: Document) -> str:
    pem = document.upstream.ca_pem
    if not pem:
        return ""
    count = pem.count("-----BEGIN CERTIFICATE-----")
    return f"{count} certificate{'' if count == 1 else 's'}, {len(pem):,} characters"


def _credential(document: Document) -> str:
    credential = document.upstream.credential
    if credential is None:
        return ""
    how = {
        "header": f"header {credential.header}",
        "basic": "Authorization: Basic",
        "client_certificate": "client certificate",
    }[credential.kind]
    return f"{how}, from the secret {credential.secret}"


def _cors(document: Document) -> str:
    cors = document.cors
    if cors is None:
        return ""
    said = [
        "\n".join("every page" if origin == "*" else origin for origin in cors.origins),
        f"methods {', '.join(cors.methods)}" if cors.methods else "",
        f"may send {', '.join(cors.headers)}" if cors.headers else "",
        f"may read {', '.join(cors.exposed_headers)}" if cors.exposed_headers else "",
        "with credentials" if cors.credentials else "",
        f"remembered for {cors.max_age_s:,} s",
    ]
    return "\n".join(each for each in said if each)


def _addresses(kind: Literal["allow", "deny"]) -> Callable[[Document], str]:
    def say(document: Document) -> str:
        lists = document.addresses
        return "\n".join(map(networks.shown, getattr(lists, kind))) if lists is not None else ""

    return say


def _plain(field: str) -> Callable[[Document], str]:
    def say(document: Document) -> str:
        value: Any = getattr(document, field)
        return str(value or "")

    return say


_FIELDS: tuple[tuple[str, Callable[[Document], str]], ...] = (
    ("Name", _plain("name")),
    ("Description", _plain("description")),
    ("Targets", _targets),
    ("Credential for the targets", _credential),
    ("Verify TLS certificates", lambda it: "yes" if it.upstream.tls_verify else "no, any certificate is taken"),
    ("Own certificate authority", _ca),
    ("Connect timeout", _seconds("connect_timeout_ms")),
    ("First byte timeout", _seconds("first_byte_timeout_ms")),
    ("Idle timeout", _seconds("idle_timeout_ms")),
    ("Retries", lambda it: str(it.upstream.retries)),
    ("Path", _plain("path")),
    ("Host", _plain("host")),
    ("Key", _key),
    ("Tags", lambda it: ", ".join(it.tags)),
    ("OpenAPI document", _plain("openapi")),
    ("Browsers may call from", _cors),
    ("Only from these networks", _addresses("allow")),
    ("Never from these networks", _addresses("deny")),
    ("Body limit", lambda it: f"{it.body_limit_bytes / 1_000_000:g} MB"),
)
