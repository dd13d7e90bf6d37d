"""Key sets (JWKS, RFC 7517): the public keys that an API's tokens are verified with. Pure.

They are read strictly and written anew with nothing but public keys, so that what Envoy is given it can read.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

MOST_BYTES = 65_536
MOST_KEYS = 50
_MOST_LEFT_OUT = 20
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: dict[str, tuple[str, type[ec.EllipticCurve], int]] = {
    "P-256": ("ES256", ec.SECP256R1, 32),
    "P-384": ("ES384", ec.SECP384R1, 48),
    "P-521": ("ES512", ec.SECP521R1, 66),
}
_SHORTEST_RSA, _LONGEST_RSA = 2048, 8192
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})


class NoKeySet(ValueError):
    """`str()` says in a sentence why these keys are not taken."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    kid: str
    """"" for a key without an id."""
    algorithm: str
    """`ES256`, `EdDSA`, or what an RSA key is limited to; `RS256 and others` where it says nothing."""


@dataclass(frozen=True, slots=True)
class KeySet:
    keys: tuple[PublicKey, ...]
    text: str
    """The set as Envoy gets it; equal for equal keys, whatever their order."""
    left_out: tuple[str, ...]
    """Keys of the set that no token is verified with, and why, in sentences."""


def read_jwks(data: str | bytes) -> KeySet:
    """Raises NoKeySet for what is no set of public keys that Envoy can use, and for a set with a symmetric or private
    key in it: whoever holds one of those could make tokens."""
    if len(data) > MOST_BYTES:
        raise NoKeySet(f"A key set may have {MOST_BYTES:,} bytes; this has more. Look whether the address is right.")
    try:
        values = orjson.loads(data)
    except (ValueError, UnicodeError):
        raise NoKeySet('This is not JSON. A key set looks like {"keys": [{"kty": "RSA", …}]}.') from None
    keys = values.get("keys") if isinstance(values, dict) else None
    if not isinstance(keys, list):
        raise NoKeySet(
            'This JSON is no key set: it has no list “keys”. A set looks like {"keys": [{"kty": "RSA", …}]}.'
        )
    if len(keys) > MOST_KEYS:
        raise NoKeySet(f"A key set may have {MOST_KEYS} keys; this has {len(keys)}.")
    found: dict[bytes, PublicKey] = {}
    left_out: list[str] = []
    for number, key in enumerate(keys, 1):
        name = _name(key, number)
        _require_public(key, name)
        try:
            public, written = _read(key)
        except NoKeySet as error:
            left_out.append(f"{name} {error}")
        else:
            found[orjson.dumps(written, option=orjson.OPT_SORT_KEYS)] = public
    if not found:
        why = f" {' '.join(left_out[:3])}" if left_out else ""
        raise NoKeySet(f"No token could be verified with this key set: it has no key for signatures.{why}")
    texts = sorted(found)
    return KeySet(
        tuple(found[text] for text in texts),
        f'{{"keys":[{",".join(text.decode() for text in texts)}]}}',
        tuple(left_out[:_MOST_LEFT_OUT]),
    )


def _name(key: Any, number: int) -> str:
    kid = key.get("kid") if isinstance(key, dict) else None
    if not isinstance(kid, str) or not kid.isprintable() or not kid:
        return f"Key {number}"
    return f"Key {number} ({kid[:60]})"


def _require_public(key: Any, name: str) -> None:
    if not isinstance(key, dict):
        raise NoKeySet(f"{name} is no JSON object.")
    algorithm = key.get("alg")
    if key.get("kty") == "oct" or "k" in key or (isinstance(algorithm, str) and algorithm.upper().startswith("HS")):
        raise NoKeySet(
            f"{name} is a symmetric key: whoever can verify tokens with it can make them. Use RS256, PS256, ES256 or "
            "EdDSA with their stronger forms, and give the public keys."
        )
    if isinstance(algorithm, str) and algorithm.lower() == "none":
        raise NoKeySet(f"{name} has the algorithm “none”, with which anybody could make tokens.")
    if _PRIVATE & key.keys():
        raise NoKeySet(f"{name} holds its private part, with which anybody who reads it could make tokens. Replace it.")


def _read(key: Mapping[str, Any]) -> tuple[PublicKey, dict[str, str]]:
    """Raises NoKeySet, whose words follow the name of the key."""
    if key.get("use", "sig") != "sig":
        raise NoKeySet("is not for signatures.")
    operations = key.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise NoKeySet("is not for verifying.")
    match key.get("kty"):
        case "RSA":
            algorithm, parts = _rsa(key)
        case "EC":
            algorithm, parts = _curve(key)
        case "OKP":
            algorithm, parts = _edwards(key)
        case other:
            raise NoKeySet(f"is of the kind {str(other)[:20]!r}, which the gateway cannot use.")
    kid = key.get("kid", "")
    if not isinstance(kid, str) or len(kid) > 200 or not (kid.isprintable() or not kid):
        raise NoKeySet("has an id that is no short text.")
    written = {"kty": str(key["kty"]), **parts, **({"kid": kid} if kid else {})}
    if algorithm:
        written["alg"] = algorithm
    return PublicKey(kid, algorithm or f"{_RSA[0]} and others"), written


def _rsa(key: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    algorithm = key.get("alg", "")
    if algorithm and algorithm not in _RSA:
        raise NoKeySet(f"is for {str(algorithm)[:20]}, which the gateway cannot verify.")
    n, e = _number(key, "n"), _number(key, "e")
    if not _SHORTEST_RSA <= n.bit_length() <= _LONGEST_RSA:
        raise NoKeySet(f"has {n.bit_length()} bits; RSA keys have {_SHORTEST_RSA} to {_LONGEST_RSA}.")
    if not (3 <= e < 2**32 and e % 2 and n % 2):
        raise NoKeySet("has numbers that no RSA key has.")
    try:
        rsa.RSAPublicNumbers(e, n).public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise NoKeySet("has numbers that no RSA key has.") from None
    return str(algorithm), {
        "n": _base64(n.to_bytes(-(-n.bit_length() // 8))),
        "e": _base64(e.to_bytes(4).lstrip(b"\0")),
    }


def _curve(key: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    name = key.get("crv")
    if not isinstance(name, str) or name not in _CURVES:
        raise NoKeySet(f"lies on the curve {str(name)[:20]!r}; the gateway knows {', '.join(_CURVES)}.")
    algorithm, curve, size = _CURVES[name]
    if key.get("alg", algorithm) != algorithm:
        raise NoKeySet(f"is for {str(key['alg'])[:20]}, and its curve is that of {algorithm}.")
    x, y = _number(key, "x"), _number(key, "y")
    try:
        ec.EllipticCurvePublicNumbers(x, y, curve()).public_key()
        return algorithm, {"crv": name, "x": _base64(x.to_bytes(size)), "y": _base64(y.to_bytes(size))}
    except (ValueError, OverflowError, UnsupportedAlgorithm):
        raise NoKeySet(f"is no point of the curve {name}.") from None


def _edwards(key: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    if key.get("crv") != "Ed25519" or key.get("alg", "EdDSA") not in {"EdDSA", "Ed25519"}:
        raise NoKeySet("is of a curve that the gateway does not know; of its kind it knows Ed25519.")
    data = _bytes(key, "x")
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(data)
    except (ValueError, UnsupportedAlgorithm):
        raise NoKeySet("is no key of Ed25519.") from None
    return "EdDSA", {"crv": "Ed25519", "x": _base64(data)}


def _number(key: Mapping[str, Any], name: str) -> int:
    return int.from_bytes(_bytes(key, name))


def _bytes(key: Mapping[str, Any], name: str) -> bytes:
    text = key.get(name)
    if not isinstance(text, str) or not text:
        raise NoKeySet(f"lacks “{name}”.")
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise NoKeySet(f"has a “{name}” that is not base64url.") from None


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
