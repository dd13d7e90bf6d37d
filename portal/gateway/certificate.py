"""The certificate that clients of the gateway are shown: read, judged, and handed to Envoy.

Chain and key stand in one file that Envoy watches (SDS), so that both change in one rename and neither the listener nor
a connection notices. https://www.envoyproxy.io/docs/envoy/latest/configuration/security/secret
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, SECP521R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from portal.db import utcnow
from portal.errors import PortalError
from portal.gateway import tls
from portal.gateway.admin import EnvoySilent
from portal.gateway.claims import CannotStart
from portal.gateway.compile import expected_versions
from portal.gateway.ir import Place
from portal.gateway.supervisor import Gateway

log = logging.getLogger(__name__)

_PATIENCE = 10.0
_SOON = timedelta(days=21)
_LARGEST = 1_000_000
"""Bytes; a chain has some thousand. Keeps a wrong path, such as that of a disk image, out of memory."""


class Unusable(PortalError):
    """`str()` names the setting whose file is at fault and says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Pair:
    chain: str
    """PEM, the gateway's own certificate first."""
    key: str = field(repr=False)
    """PEM."""
    ends: datetime
    """When the first certificate of the chain that expires does."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where PORTAL_GATEWAY_TLS_CERT and PORTAL_GATEWAY_TLS_KEY point; symbolic links are followed at every look."""

    cert: Path
    key: Path

    def read(self) -> tuple[bytes, bytes]:
        """Raises Unusable."""
        return _bytes_of("CERT", self.cert), _bytes_of("KEY", self.key)


def judge(chain: bytes, key: bytes) -> Pair:
    """The pair that these two files hold. Raises Unusable where Envoy could not serve with it; not for its age."""
    try:
        certificates = x509.load_pem_x509_certificates(chain)
    except ValueError:
        raise _unusable("CERT", "holds no certificates in PEM form") from None
    try:
        private = load_pem_private_key(key, password=None)
    except TypeError:
        raise _unusable("KEY", "is locked with a password. Store it without one") from None
    except (ValueError, UnsupportedAlgorithm):
        raise _unusable("KEY", "holds no private key in PEM form") from None
    try:
        public = certificates[0].public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise _unusable("CERT", "has a key of a kind that cannot be read") from None
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != public.public_bytes(*form):
        raise _unusable("KEY", "does not belong to the first certificate of PORTAL_GATEWAY_TLS_CERT")
    # https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/security/ssl
    strong = isinstance(public, RSAPublicKey) and public.key_size >= 2048
    if not strong and not (
        isinstance(public, EllipticCurvePublicKey) and isinstance(public.curve, SECP256R1 | SECP384R1 | SECP521R1)
    ):
        raise _unusable("KEY", "must be RSA of 2048 bits or more, or ECDSA on P-256, P-384 or P-521")
    ends = min(certificate.not_valid_after_utc for certificate in certificates)
    return Pair(chain.decode("ascii", "replace"), key.decode("ascii", "replace"), ends)


class Certificate:
    """What Envoy shows clients. `prepare` once, before Envoy starts; then `renew` over and over, in one thread."""

    def __init__(self, place: Place, files: Files, envoy: Gateway, *, now: Callable[[], datetime] = utcnow) -> None:
        self._place = place
        self._files = files
        self._envoy = envoy
        self._now = now
        self._shown: Pair | None = None
        self._seen: tuple[bytes, bytes] | None = None
        """What was judged last, taken or not."""
        self._complaint: str | None = None

    def prepare(self) -> None:
        """Put what the settings name before Envoy. Raises CannotStart where that is unusable."""
        try:
            self._seen = self._files.read()
            self._shown = judge(*self._seen)
        except Unusable as error:
            raise CannotStart(str(error)) from error
        self._write(tls.secret(self._shown.chain, self._shown.key))

    def renew(self) -> bool:
        """Look at the files again; whether Envoy shows another certificate now. A broken pair changes nothing."""
        try:
            before, self._seen = self._seen, None
            seen = self._files.read()
            self._seen = seen
            if seen == before:
                return False
            pair = judge(*seen)
            if pair == self._shown:
                self._complaint = None
                return False
            if pair.ends <= self._now():
                raise _unusable("CERT", f"expired on {pair.ends:%d %B %Y}")
            self._switch(pair)
        except Unusable as error:
            if self._complaint != str(error):
                log.warning("%s", error)
            self._complaint = str(error)
            return False
        except OSError as error:
            self._seen = None  # so that the next turn tries again
            self._complaint = f"The gateway's certificate cannot be written: {error.strerror}."
            return False
        self._complaint = None
        log.info("The gateway shows a new certificate, valid until %s.", f"{pair.ends:%d %B %Y}")
        return True

    def problems(self) -> list[str]:
        """Sentences: why a new pair was not taken, and that the one in use ends soon."""
        found = []
        if self._complaint is not None:
            found.append(f"The gateway keeps its former certificate. {self._complaint}")
        if self._shown is not None and (left := self._shown.ends - self._now()) < _SOON:
            found.append(f"The gateway's certificate {_in_days(left)}. Renew it; the new one is taken by itself.")
        return found

    def _switch(self, pair: Pair) -> None:
        path = self._place.directory / tls.FILE
        former = path.read_bytes()
        content = tls.secret(pair.chain, pair.key)
        refusals = {}
        try:
            refusals = self._envoy.refusals()
            self._write(content)
            complaint = self._envoy.took(expected_versions({tls.FILE: content}), refusals, seconds=_PATIENCE)
        except EnvoySilent:
            self._write(content)
            complaint = None  # the node restarts it, and it reads the file then
        if complaint is not None:
            self._write(former)
            raise _unusable("CERT", f"and its key are refused by Envoy: {complaint}")
        self._shown = pair

    def _write(self, content: bytes) -> None:
        directory = self._place.directory
        for name in ("tls", "new"):
            (directory / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        # Beside, not in, the watched folder: Envoy reads again whenever anything is renamed into it.
        draft = directory / "new" / tls.FILE.replace("/", ".")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, directory / tls.FILE)


def _bytes_of(setting: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST)
    except OSError as error:
        raise _unusable(setting, f"cannot be read: {error.strerror} ({path})") from None


def _unusable(setting: str, why: str) -> Unusable:
    return Unusable(f"The file of PORTAL_GATEWAY_TLS_{setting} {why}.")


def _in_days(left: timedelta) -> str:
    if left <= timedelta(0):
        return "has expired, so that clients refuse it"
    return f"expires in {left.days} day{'s' * (left.days != 1)}" if left.days else "expires within a day"
