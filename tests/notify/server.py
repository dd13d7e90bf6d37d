"""A mail server for tests: it speaks the real protocol and keeps what it is sent."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from portal.programs import free_port

USER, PASSWORD = b"portico", b"p@ss/word"
REFUSED = "nobody@portico.example"


@dataclass
class Letterbox:
    """What has arrived; it takes nothing for `REFUSED`."""

    port: int
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if address == REFUSED:
            return f"550 5.1.1 <{address}> is unknown here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.recipients += envelope.rcpt_tos
        self.mails.append(message_from_bytes(envelope.content, policy=default))  # type: ignore[arg-type]
        return "250 OK"


def _let_in(server: Any, session: Any, envelope: Any, mechanism: str, given: LoginPassword) -> AuthResult:
    return AuthResult(success=(given.login, given.password) == (USER, PASSWORD), handled=False)


@contextmanager
def mail_server(
    *, port: int | None = None, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, **more: Any
) -> Iterator[Letterbox]:
    """`starttls` offers and demands encryption, `tls` speaks it from the first byte, `auth_required` asks who sends."""
    letterbox = Letterbox(port or free_port())
    controller = Controller(
        letterbox,
        hostname="localhost",
        port=letterbox.port,
        ssl_context=tls,
        tls_context=starttls,
        require_starttls=starttls is not None,
        authenticator=_let_in,
        **more,
    )
    controller.start()
    try:
        yield letterbox
    finally:
        controller.stop()


def certified(folder: Path) -> tuple[ssl.SSLContext, str]:
    """A context with a certificate for localhost, and the file of the authority that signed it."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    file = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    return context, str(file)
