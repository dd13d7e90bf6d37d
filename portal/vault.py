"""Secrets at rest: sealed with the installation's encryption keys, the newest of which seals and all of which open.

Apart from `PORTAL_SECRET_KEY`, which signs: who learns the one has not learned the other. Fernet is AES-128-CBC with
HMAC-SHA-256: https://cryptography.io/en/latest/fernet/
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from portal.config import Config, kept_secret
from portal.errors import Unavailable


class Unreadable(Unavailable):
    def __init__(self) -> None:
        super().__init__(
            "A stored secret cannot be read with the encryption keys of this installation. "
            "Restore PORTAL_ENCRYPTION_KEYS, or store the secret again."
        )


def derived(config: Config, purpose: str) -> list[bytes]:
    """Keys of 256 bits for a library that seals by itself, the newest first: one of each encryption key.

    What is learned of one purpose's key tells nothing of another's (HMAC-SHA-256 as in RFC 5869, 2.3).
    """
    return [hmac.digest(key.encode(), purpose.encode(), "sha256") for key in _keys_of(config)]


def _keys_of(config: Config) -> Sequence[str]:
    return config.encryption_keys or kept_secret(config.data_dir, "encryption_keys").split()


class Vault:
    """`keys` are texts with 256 bits of chance or more, the newest first; one at least."""

    def __init__(self, keys: Sequence[str]) -> None:
        # A key may be any text: hashed, it has the form that Fernet wants.
        hashes = [hashlib.sha256(key.encode()).digest() for key in keys]
        self._keys = MultiFernet([Fernet(base64.urlsafe_b64encode(each)) for each in hashes])

    @classmethod
    def of(cls, config: Config) -> "Vault":
        return cls(_keys_of(config))

    def seal(self, plain: bytes) -> bytes:
        return self._keys.encrypt(plain)

    def open(self, sealed: bytes) -> bytes:
        """Raises Unreadable for what none of the keys has sealed."""
        try:
            return self._keys.decrypt(sealed)
        except InvalidToken:
            raise Unreadable from None

    def renew(self, sealed: bytes) -> bytes:
        """The same secret, sealed with the newest key. Raises Unreadable."""
        try:
            return self._keys.rotate(sealed)
        except InvalidToken:
            raise Unreadable from None
