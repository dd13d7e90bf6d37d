"""How a webhook is signed, as the Standard Webhooks specification 1.0.0 has it.

    webhook-id: msg_…            the same at every attempt
    webhook-timestamp: 17…       seconds since 1970, of this attempt
    webhook-signature: v1,… v1,… HMAC-SHA-256 of `<id>.<timestamp>.<body>`, one for each secret that is valid

A secret is `whsec_` and 32 bytes in base64; the bytes are the key.
"""

import base64
import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

PREFIX = "whsec_"


@dataclass(frozen=True, slots=True, repr=False)
class SigningSecret:
    """Shown once, at birth; it redacts itself everywhere else."""

    value: str

    def __repr__(self) -> str:
        return "SigningSecret(whsec_…)"

    __str__ = __repr__

    @property
    def key(self) -> bytes:
        return base64.b64decode(self.value.removeprefix(PREFIX))


def new_secret() -> SigningSecret:
    return SigningSecret(PREFIX + base64.b64encode(secrets.token_bytes(32)).decode("ascii"))


def headers(valid: Iterable[SigningSecret], message_id: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """`timestamp` in seconds since 1970."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    made = (base64.b64encode(hmac.digest(secret.key, signed, "sha256")).decode("ascii") for secret in valid)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{each}" for each in made),
    }
