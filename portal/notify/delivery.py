"""Where mail goes: to the server that `PORTAL_SMTP_URL` names, or, without one, to files in the data folder."""

import contextlib
import hashlib
import os
import re
import smtplib
import ssl
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTPUTF8
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from portal.config import Config
from portal.errors import Unavailable

_TIMEOUT = 20.0
"""Seconds for each step of the conversation."""
_IMPATIENT = 5.0
"""The same where somebody waits for the answer."""
FILES_LAST = timedelta(days=30)
"""How long a letter that was written to a file is kept."""


class NotSent(Unavailable):
    """`str()` says at which step it ended and with which code. What the server wrote may quote addresses, so it is
    left out, and the exception that said it is not chained: this is stored with the job and logged."""


def deliver(config: Config, message: EmailMessage) -> None:
    """Raises NotSent."""
    if config.smtp_url:
        _by_smtp(urlsplit(config.smtp_url), message)
    else:
        _to_file(config.data_dir / "mail", message)


def forget_files(config: Config, *, now: datetime) -> int:
    """Delete the files of letters that have had their time; how many. They hold addresses, and links once good."""
    count = 0
    for file in [*(config.data_dir / "mail").glob("*.eml"), *(config.data_dir / "mail").glob("*.tmp")]:
        with contextlib.suppress(FileNotFoundError):  # somebody deletes them too
            if file.stat().st_mtime < (now - FILES_LAST).timestamp():
                file.unlink()
                count += 1
    return count


def knock(config: Config) -> None:
    """Sign in to the mail server and leave again. Raises NotSent for what would keep a mail from being sent."""
    try:
        with _signed_in(urlsplit(config.smtp_url), _IMPATIENT):
            pass
    except (smtplib.SMTPException, OSError) as error:
        raise NotSent(_sentence(error, _address(urlsplit(config.smtp_url)), _IMPATIENT)) from None


def _by_smtp(server: SplitResult, message: EmailMessage) -> None:
    try:
        with _signed_in(server, _TIMEOUT) as connection:
            connection.send_message(message)
    except (smtplib.SMTPException, OSError) as error:
        raise NotSent(_sentence(error, _address(server), _TIMEOUT)) from None


@contextlib.contextmanager
def _signed_in(server: SplitResult, seconds: float) -> Iterator[smtplib.SMTP]:
    """Raises what smtplib does, and NotSent where no encryption is offered."""
    host, tls = server.hostname or "", ssl.create_default_context()
    if server.scheme == "smtps":
        connection: smtplib.SMTP = smtplib.SMTP_SSL(host, _port(server), timeout=seconds, context=tls)
    else:
        connection = smtplib.SMTP(host, _port(server), timeout=seconds)
    with connection:
        if server.scheme == "smtp":
            _encrypt(connection, tls, must=not may_go_plain(server))
        if server.username:
            connection.login(unquote(server.username), unquote(server.password or ""))
        yield connection


def _port(server: SplitResult) -> int:
    return server.port or (465 if server.scheme == "smtps" else 587)


def _address(server: SplitResult) -> str:
    return f"{server.hostname or ''}:{_port(server)}"


def may_go_plain(server: SplitResult) -> bool:
    """Without encryption anybody on the way reads links and password: only to this very machine, and no password."""
    if server.username:
        return False
    if server.hostname == "localhost":
        return True
    try:
        return ip_address(server.hostname or "").is_loopback
    except ValueError:
        return False


def _encrypt(connection: smtplib.SMTP, tls: ssl.SSLContext, *, must: bool) -> None:
    connection.ehlo()
    if connection.has_extn("starttls"):
        connection.starttls(context=tls)
    elif must:
        raise NotSent("The mail server offers no encryption (STARTTLS). Use smtps://, or a server that has it.")


def _sentence(error: Exception, server: str, seconds: float) -> str:
    match error:
        case smtplib.SMTPAuthenticationError():
            return f"The mail server {server} refused user and password of PORTAL_SMTP_URL{_code(error.smtp_code)}."
        case smtplib.SMTPRecipientsRefused():
            code, text = next(iter(error.recipients.values()), (0, b""))
            return f"The mail server {server} does not take mail for this address{_code(code, text)}."
        case smtplib.SMTPSenderRefused():
            return f"The mail server {server} refused the sender, PORTAL_MAIL_FROM{_code(error.smtp_code)}."
        case smtplib.SMTPNotSupportedError():
            return f"The mail server {server} cannot do what this mail needs: sign-in, or an address beyond ASCII."
        case smtplib.SMTPResponseException():
            return f"The mail server {server} refused the mail{_code(error.smtp_code, error.smtp_error)}."
        case smtplib.SMTPServerDisconnected():
            return f"The mail server {server} hung up."
        case ssl.SSLCertVerificationError():
            return f"The certificate of the mail server {server} is not trusted: {error.verify_message}."
        case ssl.SSLError():
            return f"The mail server {server} does not speak TLS as it should ({error.reason})."
        case TimeoutError():
            return f"The mail server {server} did not answer within {seconds:.0f} seconds."
        case OSError():
            return f"The mail server {server} cannot be reached: {error.strerror or type(error).__name__}."
        case _:
            return f"The mail server {server} did not take the mail ({type(error).__name__})."


def _code(code: int, text: bytes | str = b"") -> str:
    """The codes of an answer (RFC 5321 and RFC 3463), such as " (550 5.1.1)"; never its words."""
    written = text.decode("ascii", "replace") if isinstance(text, bytes) else text
    enhanced = re.match(r"[245]\.\d{1,3}\.\d{1,3}\b", written)
    return f" ({code}{' ' + enhanced[0] if enhanced else ''})"


def _to_file(folder: Path, message: EmailMessage) -> None:
    """One .eml file a mail, readable by its owner only: what is in it lets people in. Twice the same mail is one."""
    at = parsedate_to_datetime(message["Date"])
    name = hashlib.sha256(message["Message-ID"].encode()).hexdigest()[:12]
    if message["Content-Transfer-Encoding"] == "quoted-printable":
        message.set_content(message.get_content(), cte="8bit")  # people read the file: links stay whole in it
    path = folder / f"{at:%Y%m%d-%H%M%S}-{name}.eml"
    draft = path.with_suffix(".tmp")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(message.as_bytes(policy=SMTPUTF8))
        draft.replace(path)
    except OSError as error:
        raise NotSent(f"The mail cannot be written to {folder}: {error.strerror}.") from None
