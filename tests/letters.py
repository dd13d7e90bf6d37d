"""Letters of the portal as tests read them: from the files that they are written to without a mail server."""

import re
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from flask import Flask

from portal import config_of, worker


def delivered(app: Flask) -> list[EmailMessage]:
    """What has arrived since the last time, by address, after the worker has done what is due."""
    config = config_of(app)
    with app.app_context():
        while worker.turn(config, "test"):
            pass
    found = []
    for file in (config.data_dir / "mail").glob("*.eml"):
        found.append(message_from_bytes(file.read_bytes(), policy=default))
        file.unlink()
    return sorted(found, key=lambda mail: (mail["To"], mail["Subject"]))  # type: ignore[arg-type]


def only(app: Flask) -> EmailMessage:
    (mail,) = delivered(app)
    return mail


def link_in(mail: EmailMessage, app: Flask) -> str:
    """The path of the one link; it must start with PORTAL_URL."""
    text: Any = mail.get_content()
    links = re.findall(r"https?://\S+", text.replace(f"at {config_of(app).url}", ""))
    assert len(links) == 1, text
    path = links[0].removeprefix(config_of(app).url)
    assert path.startswith("/"), links
    return path
