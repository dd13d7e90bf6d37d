"""A mail from its words to its place in the job table, and from there to where it is delivered.

Links in mails are credentials, so a waiting mail is sealed: who reads the job table learns neither them nor addresses.
"""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, make_msgid
from typing import Any

from email_validator import validate_email
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import jobs
from portal.config import Config
from portal.db import utcnow
from portal.notify import delivery
from portal.vault import Unreadable, Vault

KIND = "mail"


def mail(session: Session, config: Config, *, to: str, subject: str, text: str, unsubscribe: str = "") -> None:
    """Have `text` sent to the address `to`, once the caller's transaction has committed. `unsubscribe` is the address
    of the page that ends such mails, where they can be ended.

    Raises ValueError for an address that is none and for a subject of several lines.
    """
    message = compose(config, to=to, subject=subject, text=text, now=utcnow())
    if unsubscribe:
        message["List-Unsubscribe"] = f"<{unsubscribe}>"  # RFC 2369: mail programs show a button
    sealed = Vault.of(config).seal(message.as_bytes(policy=SMTPUTF8))
    jobs.enqueue(session, KIND, {"sealed": sealed.decode()})


def send(config: Config, payload: dict[str, Any]) -> str:
    """The worker's part. Raises NotSent and Unreadable, which name no address and quote nothing of the mail."""
    raw = Vault.of(config).open(payload["sealed"].encode())
    delivery.deliver(config, message_from_bytes(raw, policy=SMTP))
    return "One mail is on its way." if config.smtp_url else "One mail is written to a file."


def forget(session: Session, config: Config, to: str) -> int:
    """Take back what waits, or was given up, for the address `to`; how many. What no key opens any more is sent to
    nobody either, and stays."""
    found = list(_to(session, config, to))
    for job, _message in found:
        session.delete(job)
    return len(found)


def waiting(session: Session, config: Config, to: str) -> list[tuple[datetime, str]]:
    """Since when which subjects wait for the address `to`, or were given up; the oldest first."""
    return sorted((job.created_at, str(message["Subject"])) for job, message in _to(session, config, to))


def _to(session: Session, config: Config, to: str) -> Iterator[tuple[jobs.Job, EmailMessage]]:
    vault, wanted = Vault.of(config), _address(to).addr_spec.lower()
    for job in session.scalars(select(jobs.Job).where(jobs.Job.kind == KIND)):
        with contextlib.suppress(Unreadable):
            message: EmailMessage = message_from_bytes(vault.open(job.payload["sealed"].encode()), policy=SMTP)
            if wanted in {each.addr_spec.lower() for each in message["To"].addresses}:
                yield job, message


def compose(config: Config, *, to: str, subject: str, text: str, now: datetime) -> EmailMessage:
    """The whole message. It has its id from here on, so that one which is sent twice is known as the same."""
    message = EmailMessage(SMTP)
    message["From"] = config.mail_from
    message["To"] = _address(to)
    message["Subject"] = subject
    message["Date"] = format_datetime(now)
    message["Message-ID"] = make_msgid("portico", config.mail_from.rpartition("@")[2].rstrip(">"))
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answer by a machine
    # Where nothing has to be encoded links stay whole on one line, also for those who read the source of a mail.
    message.set_content(text, cte="7bit" if text.isascii() else "quoted-printable")
    return message


def _address(text: str) -> Address:
    # Not as one text: the library takes letters beyond ASCII only in parts (RFC 6531).
    address = validate_email(text, check_deliverability=False)
    return Address(username=address.local_part, domain=address.ascii_domain)
