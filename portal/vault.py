"""Secrets at rest: sealed with the installation's encryption keys, the newest of which seals and all of which open.

Apart from `PORTAL_SECRET_KEY`, which signs: who learns the one has not learned the other. Fernet is AES-128-CBC with
HMAC-SHA-256: https://cryptography.io/en/latest/fernet/
"""

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from portal.config import Config, kept_secret
from portal.errors import Unavailable

_KEPT = "encryption_keys"
"""The file in the data folder that holds the keys where no setting does: one a line, the newest first."""


class Unreadable(Unavailable):
    def __init__(self, which: str = "A stored secret") -> None:
        super().__init__(
            f"{which} cannot be read with the encryption keys of this installation. "
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

    def opens(self, sealed: bytes) -> bool:
        try:
            self.open(sealed)
        except Unreadable:
            return False
        return True

    def renew(self, sealed: bytes) -> bytes:
        """The same secret, sealed with the newest key. Raises Unreadable."""
        try:
            return self._keys.rotate(sealed)
        except InvalidToken:
            raise Unreadable from None


def keeps(column: InstrumentedAttribute[bytes] | InstrumentedAttribute[bytes | None]) -> None:
    """Said once, beside a model: this column holds what a vault has sealed, so `reseal` must not forget it."""
    _columns.append(column)


def kept_columns() -> set[str]:
    """`table.column` of everything that `reseal` seals anew."""
    return {f"{column.class_.__tablename__}.{column.key}" for column in _columns}


_columns: list[InstrumentedAttribute[Any]] = []


def make_newest(folder: Path) -> None:
    """Put a new key before those that are kept in `folder`, which still open. All or nothing; raises OSError."""
    older = kept_secret(folder, _KEPT).split()
    draft = folder / f".{_KEPT}.{os.getpid()}.{secrets.token_hex(4)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write("\n".join([secrets.token_urlsafe(48), *older]) + "\n")
            file.flush()
            # Before anything is sealed with it: a power failure must not take the key and leave what it has sealed.
            os.fsync(file.fileno())
        os.replace(draft, folder / _KEPT)
    finally:
        draft.unlink(missing_ok=True)
    parent = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def reseal(session: Session, vault: Vault) -> int:
    """Seal every stored secret with the newest key of `vault`; how many there were.

    Raises Unreadable for one that no key opens; the caller's transaction then keeps all as they were.
    """
    count = 0
    for column in _columns:
        table = column.class_.__table__
        (key,) = table.primary_key.columns
        stored = table.columns[column.key]
        for row_id, sealed in session.execute(select(key, stored).where(stored.is_not(None))).all():
            # Somebody may have stored another value since it was read; that one is sealed with a key that is kept.
            try:
                renewed = vault.renew(sealed)
            except Unreadable:
                raise Unreadable(f"The secret in row {row_id} of {table.name}") from None
            session.execute(update(table).where(key == row_id, stored == sealed).values({stored: renewed}))
            count += 1
    return count


def unreadable(session: Session, vault: Vault) -> dict[str, int]:
    """`table.column` -> how many of its secrets no key of `vault` opens; without those where every one opens."""
    found = {}
    for column in _columns:
        stored = column.class_.__table__.columns[column.key]
        count = sum(not vault.opens(sealed) for sealed in session.scalars(select(stored).where(stored.is_not(None))))
        if count:
            found[f"{column.class_.__tablename__}.{column.key}"] = count
    return found
