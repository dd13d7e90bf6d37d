"""Tokens (JWT) and key sets as an issuer makes them, signed by hand with `cryptography`."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ISSUER = "https://login.example/"
AUDIENCE = "https://orders.example"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(frozen=True)
class Signer:
    """One key of an issuer."""

    kid: str
    algorithm: str
    sign: Callable[[bytes], bytes]
    jwk: dict[str, Any]

    def token(self, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Good for an hour, unless claims say otherwise; a claim of None is left out."""
        now = int(time.time())
        usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 3600}
        said = {name: value for name, value in (usual | claims).items() if value is not None}
        head = {"alg": self.algorithm, "kid": self.kid, "typ": "JWT"} | (header or {})
        signed = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(said).encode())}"
        return f"{signed}.{b64(self.sign(signed.encode()))}"


def rsa_signer(kid: str = "rsa-1", algorithm: str = "RS256", bits: int = 2048) -> Signer:
    key = rsa.generate_private_key(65537, bits)
    numbers = key.public_key().public_numbers()
    digest = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}[algorithm[2:]]()
    pad: Any = padding.PKCS1v15() if algorithm[0] == "R" else padding.PSS(padding.MGF1(digest), digest.digest_size)
    jwk = {"kty": "RSA", "kid": kid, "use": "sig", "alg": algorithm}
    jwk |= {"n": b64(numbers.n.to_bytes(bits // 8)), "e": "AQAB"}
    return Signer(kid, algorithm, lambda data: key.sign(data, pad, digest), jwk)


def ec_signer(kid: str = "ec-1", algorithm: str = "ES256") -> Signer:
    curve, name, size, digest = {
        "ES256": (ec.SECP256R1(), "P-256", 32, hashes.SHA256()),
        "ES384": (ec.SECP384R1(), "P-384", 48, hashes.SHA384()),
        "ES512": (ec.SECP521R1(), "P-521", 66, hashes.SHA512()),
    }[algorithm]
    key = ec.generate_private_key(curve)
    numbers = key.public_key().public_numbers()

    def sign(data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(digest)))
        return r.to_bytes(size) + s.to_bytes(size)

    jwk = {"kty": "EC", "kid": kid, "crv": name, "x": b64(numbers.x.to_bytes(size)), "y": b64(numbers.y.to_bytes(size))}
    return Signer(kid, algorithm, sign, jwk)


def ed_signer(kid: str = "ed-1") -> Signer:
    key = ed25519.Ed25519PrivateKey.generate()
    jwk = {"kty": "OKP", "kid": kid, "crv": "Ed25519", "x": b64(key.public_key().public_bytes_raw())}
    return Signer(kid, "EdDSA", key.sign, jwk)


def hs256(secret: bytes, kid: str) -> Signer:
    """Whoever forges: a public key is no secret, and some verifiers take it for one."""
    return Signer(kid, "HS256", lambda data: hmac.new(secret, data, hashlib.sha256).digest(), {})


def unsigned(kid: str = "rsa-1") -> Signer:
    return Signer(kid, "none", lambda data: b"", {})


def jwks(*signers: Signer, more: Iterable[dict[str, Any]] = ()) -> str:
    return json.dumps({"keys": [*(signer.jwk for signer in signers), *more]})
