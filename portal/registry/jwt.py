"""The part of an API's document that speaks of tokens (JWT). Pure."""

import re
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from portal.errors import AddressRefused
from portal.outbound.addresses import AddressRules
from portal.registry.jwks import read_jwks

CLAIM = r"^[A-Za-z0-9_-]{1,64}$"


def _https_url(url: str) -> str:
    url = url.strip()
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("This is not an address: its port or brackets are wrong.") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ValueError("Give a whole address, such as https://login.example.com/.well-known/jwks.json.")
    if parts.scheme == "http":
        # Whoever is on the way could put keys of their own in.
        raise ValueError("Begin the address with https://, so that nobody on the way can put other keys in.")
    if parts.username is not None or parts.password is not None:
        raise ValueError("Leave user name and password out of the address.")
    if parts.fragment or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise ValueError("Leave out spaces and what follows #.")
    return url


def _jwks_url(url: str, info: ValidationInfo) -> str:
    url = _https_url(url)
    if info.context and info.context["typed"]:
        _require_allowed(urlsplit(url).hostname or "")
    return url


def _require_allowed(host: str) -> None:
    """What this installation allows beside, and where names lead, is judged whenever the keys are fetched."""
    try:
        AddressRules(loopback=True).check(host)
    except AddressRefused as refused:
        raise ValueError(f"{refused} Give the address of the issuer itself.") from None
    except ValueError:
        pass  # a name


def _jwks(text: str) -> str:
    return read_jwks(text).text


def _said_once(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def _printable(text: str) -> str:
    text = text.strip()
    if not text or not text.isprintable():
        raise ValueError("Give a text without line breaks.")
    return text


ClaimText = Annotated[str, Field(max_length=500), AfterValidator(_printable)]


class Jwt(BaseModel):
    """Tokens that somebody else issues: `Authorization: Bearer` and a JWT that is signed with one of these keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: ClaimText
    """What the claim `iss` says, to the letter."""
    audiences: Annotated[tuple[ClaimText, ...], Field(max_length=20), AfterValidator(_said_once)] = ()
    """One of which the claim `aud` must name; without any, tokens for other services of the issuer are taken too."""
    jwks_url: Annotated[str, Field(max_length=500), AfterValidator(_jwks_url)] | None = None
    """Where the issuer publishes its keys."""
    jwks: Annotated[str, AfterValidator(_jwks)] | None = None
    """Or the keys themselves, as a JWKS."""
    claim: Annotated[str, Field(pattern=CLAIM)] = "sub"
    """The claim that says who calls; subscriptions carry its values."""
    forward: bool = False
    """Whether the token goes on to the targets."""

    @model_validator(mode="after")
    def _has_keys(self) -> Self:
        if (self.jwks_url is None) == (self.jwks is None):
            raise ValueError("Give the address of the issuer's keys, or paste them; one of the two.")
        return self
