"""The part of an API's form that says who may call besides having a key: pages of which sites, from which networks."""

import re
from collections.abc import Mapping
from typing import Any

from wtforms import BooleanField, TextAreaField

from portal.registry import Document, networks
from portal.registry.access import HEADERS, METHODS, Addresses
from portal.web.forms import Form, NumberField, one_line, stripped

_BETWEEN = re.compile(r"[\s,;]+")
_MAX_AGE = 600
_MOST_SAID = 3


class AccessFields(Form):
    """Mixed into the form of a document."""

    access_places: Mapping[str, str] = {
        "cors": "cors_credentials",
        "cors.origins": "cors_origins",
        "cors.methods": "cors_methods",
        "cors.headers": "cors_headers",
        "cors.exposed_headers": "cors_exposed_headers",
        "cors.max_age_s": "cors_max_age",
        "addresses": "addresses_deny",
        "addresses.allow": "addresses_allow",
        "addresses.deny": "addresses_deny",
    }

    cors_origins = TextAreaField(
        "Origins",
        filters=[stripped],
        description="Such as https://app.example.com, one a line; https://*.example.com for all below a domain, or * "
        "for every page. Empty: the gateway leaves it to the targets.",
    )
    cors_methods = one_line("Methods", 400, description=f"Empty: {', '.join(METHODS)}.")
    cors_headers = one_line(
        "More headers that pages may send",
        2_000,
        description=f"The header of the key, {' and '.join(reversed(HEADERS))} always may be sent.",
    )
    cors_exposed_headers = one_line(
        "More headers that pages may read",
        2_000,
        description="Those of the gateway always may: X-Request-Id, limits, Retry-After, Deprecation and others.",
    )
    cors_credentials = BooleanField(
        "Browsers may send credentials",
        description="Cookies that the target sets. Keys need none; only with origins that are named.",
    )
    cors_max_age = NumberField(
        "Browsers may remember it for",
        whole=True,
        default=_MAX_AGE,
        description="Until then they do not ask again, whatever is published.",
    )
    addresses_allow = TextAreaField(
        "Only from these networks",
        filters=[stripped],
        description="Such as 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32, one a line. Empty: from everywhere.",
    )
    addresses_deny = TextAreaField(
        "Never from these networks",
        filters=[stripped],
        description="They are refused even where they are allowed above.",
    )

    @property
    def says_more_of_cors(self) -> bool:
        """Whether there is something in the fields that are folded away, or wrong with them."""
        words = (self.cors_methods, self.cors_headers, self.cors_exposed_headers, self.cors_credentials)
        return any(field.data or field.errors for field in words) or bool(self.cors_max_age.errors)

    def access(self) -> dict[str, Any]:
        """The fields of the document that this part is about."""
        allow, deny = networks.split(self.addresses_allow.data or ""), networks.split(self.addresses_deny.data or "")
        return {"cors": self._cors(), "addresses": {"allow": allow, "deny": deny} if allow or deny else None}

    def _cors(self) -> dict[str, Any] | None:
        words = {
            name: _words(self[f"cors_{name}"].data) for name in ("origins", "methods", "headers", "exposed_headers")
        }
        if not words["origins"] and not any(words.values()) and not self.cors_credentials.data:
            return None
        max_age = self.cors_max_age.data
        return words | {
            "credentials": bool(self.cors_credentials.data),
            "max_age_s": _MAX_AGE if max_age is None else max_age,
        }

    def shuts_out(self, address: str | None) -> str | None:
        """A warning, where the lists as they are typed hold not who types them."""
        try:
            lists = Addresses(**(self.access()["addresses"] or {}))
        except ValueError:
            return None  # said beside the field
        return shuts_out(lists, address)


def shuts_out(lists: Addresses | None, address: str | None) -> str | None:
    """A warning to who reaches the portal from `address`, where the gateway would not take calls from there."""
    if lists is None or not address or lists.lets_in(address):
        return None
    why = "is denied" if networks.holds(lists.deny, address) else "is not in the networks that may call"
    return (
        f"Your own address, {address} as the portal sees it, {why}. Calls from there get 403 address_not_allowed, "
        "whatever their key."
    )


def access_of(document: Document) -> dict[str, Any]:
    """A document as values of these fields."""
    cors, lists = document.cors, document.addresses or Addresses()
    values: dict[str, Any] = {
        "addresses_allow": "\n".join(map(networks.shown, lists.allow)),
        "addresses_deny": "\n".join(map(networks.shown, lists.deny)),
        "cors_max_age": _MAX_AGE,
    }
    if cors is not None:
        values |= {
            "cors_origins": "\n".join(cors.origins),
            "cors_methods": ", ".join(cors.methods),
            "cors_headers": ", ".join(cors.headers),
            "cors_exposed_headers": ", ".join(cors.exposed_headers),
            "cors_credentials": cors.credentials,
            "cors_max_age": cors.max_age_s,
        }
    return values


def in_one_field(fields: Mapping[str, str]) -> dict[str, str]:
    """The form has one field where the document has a list: what is wrong with its items, said together."""
    found: dict[str, list[str]] = {}
    for name, sentence in fields.items():
        where = re.sub(r"\.\d+$", "", name) if name.startswith(("cors.", "addresses.")) else name
        found.setdefault(where, []).append(sentence)
    return {name: " ".join(said[:_MOST_SAID]) for name, said in found.items()}


def _words(text: str | None) -> list[str]:
    return [each for each in _BETWEEN.split(text or "") if each]
