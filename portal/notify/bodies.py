"""What channels are sent: a message for programs, or a text for people in a chat. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from portal.notify.models import ChannelKind

_MOST_CHAT = 590
"""Characters of the text; a section of Slack's takes 3 000, and `&` becomes five."""


@dataclass(frozen=True, slots=True)
class Message:
    event: str
    at: datetime
    team: str
    """Its slug."""
    subject: str
    text: str
    link: str
    """Whole, or ""."""
    data: Mapping[str, Any]


def body(kind: ChannelKind, message: Message) -> str:
    """JSON, in one line."""
    made = _for_programs(message) if kind is ChannelKind.WEBHOOK else _for_chat(message)
    return orjson.dumps(made).decode()


def _for_programs(message: Message) -> dict[str, Any]:
    said = {"team": message.team, "subject": message.subject, "text": message.text, "link": message.link}
    return {
        "type": message.event,
        "timestamp": message.at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "data": {**message.data, **said},
    }


def _for_chat(message: Message) -> dict[str, Any]:
    """`text` is for notifications and for chats that know no blocks."""
    parts = [f"*{_escaped(message.subject)}*"]
    if message.text:
        parts.append(_escaped(_cut(message.text)))
    if message.link:
        parts.append(f"<{message.link}|Open in Portico>")
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": part}} for part in parts]
    return {"text": "\n".join(parts), "blocks": blocks}


def _escaped(text: str) -> str:
    """Else a name could mention everybody in the room (`<!channel>`), or show one address and lead to another."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHAT else text[: _MOST_CHAT - 1] + "…"
