"""What proves something by being shown: keys of consumers, tokens of people. Their common form, and its check.

A prefix of three letters and `_`, 12 base62 (id), `_`, 27 base62 (160 bits of secret), 6 base62 (CRC-32 of all before).
In a user name and password, which HTTP sends with `:` between them, that sign stands in place of the second `_`: the
user name is the prefix with the id, the password all that follows. The checksum lets scanners and readers tell a
mistyped one from an unknown one without looking anywhere.
"""

import hashlib
import re
import secrets
import zlib
from dataclasses import dataclass

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORM = re.compile(r"[a-z]{3}_[0-9A-Za-z]{12}[_:][0-9A-Za-z]{33}")


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """A whole one. Shown once, at birth; it redacts itself everywhere else."""

    value: str

    def __repr__(self) -> str:
        return f"Token({self.value[:4]}{self.public_id}_…)"

    __str__ = __repr__

    @property
    def public_id(self) -> str:
        return self.value[4:16]

    @property
    def user(self) -> str:
        """Of a user name and password."""
        return self.value[:16]

    @property
    def password(self) -> str:
        return self.value[17:]

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.value.encode("ascii")).digest()

    @property
    def is_well_formed(self) -> bool:
        return bool(_FORM.fullmatch(self.value)) and self.value[-6:] == checksum(self.value[:-6])


def new_public_id() -> str:
    return _random(12)


def new_token(prefix: str, public_id: str | None = None, *, sign: str = "_") -> Token:
    """`prefix` is three small letters and `_`; `sign` is `:` for a user name and password."""
    body = f"{prefix}{public_id or new_public_id()}{sign}{_random(27)}"
    return Token(body + checksum(body))


def checksum(body: str) -> str:
    """CRC-32 of ASCII, as six digits of base62."""
    number, digits = zlib.crc32(body.encode("ascii")), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    return digits


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
