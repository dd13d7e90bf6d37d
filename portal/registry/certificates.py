"""A client certificate and its key, as somebody pastes them: what Envoy would refuse is told here. Pure."""

from datetime import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from portal.errors import Invalid


class Pair(NamedTuple):
    """Both in PEM, written anew: nothing that stood around them is left."""

    chain_pem: str
    key_pem: str
    expires_at: datetime


def read_pair(chain_pem: str, key_pem: str, *, now: datetime) -> Pair:
    """The certificate stands first in the chain, then those that vouch for it. Raises Invalid (`chain_pem`, `key_pem`)
    with sentences that repeat nothing of what was pasted."""
    wrong: dict[str, str] = {}
    chain, key = _chain(chain_pem, wrong), _key(key_pem, wrong)
    if chain:
        _check_time(chain[0], now, wrong)
    if chain and key is not None and _public(chain[0].public_key()) != _public(key.public_key()):
        wrong.setdefault("key_pem", "This key belongs to another certificate than the first one above.")
    if wrong or key is None:
        raise Invalid(wrong)
    return Pair(
        "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in chain),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        chain[0].not_valid_after_utc,
    )


def _chain(pem: str, wrong: dict[str, str]) -> list[x509.Certificate]:
    if not pem.strip():
        wrong["chain_pem"] = "Paste the certificate in PEM form."
        return []
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        wrong["chain_pem"] = (
            "This is not a certificate in PEM form. It begins with -----BEGIN CERTIFICATE----- and is pasted whole."
        )
        return []


def _key(pem: str, wrong: dict[str, str]) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | None:
    if not pem.strip():
        wrong["key_pem"] = "Paste the private key in PEM form."
        return None
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except TypeError:
        wrong["key_pem"] = "This key is locked with a passphrase. Unlock it first, for example with openssl pkey."
        return None
    except (ValueError, UnsupportedAlgorithm):
        wrong["key_pem"] = (
            "This is not a private key in PEM form. It begins with -----BEGIN PRIVATE KEY----- and is pasted whole."
        )
        return None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(
        key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1
    ):
        return key
    wrong["key_pem"] = (
        "The gateway cannot use a key of this kind. Use RSA with 2,048 bits or more, or P-256, P-384 or P-521."
    )
    return None


def _check_time(certificate: x509.Certificate, now: datetime, wrong: dict[str, str]) -> None:
    if certificate.not_valid_after_utc <= now:
        wrong["chain_pem"] = (
            f"This certificate expired on {certificate.not_valid_after_utc:%d %B %Y}. Paste a newer one."
        )
    elif certificate.not_valid_before_utc > now:
        wrong["chain_pem"] = (
            f"This certificate is not valid before {certificate.not_valid_before_utc:%d %B %Y %H:%M} UTC."
        )


def _public(key: object) -> bytes:
    found: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return found
