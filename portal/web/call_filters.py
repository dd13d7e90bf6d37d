"""The list of calls in the address bar: what the query string asks for, and how it is written.

Times are UTC, written as a date field of a browser writes them (`2026-11-20T05:14`). APIs and consumers go by their
labels, keys by the beginning of what is public of them. What cannot be understood is told, never ignored.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.registry.models import Key
from portal.traffic.filters import NO_OPERATION, STATUS_CLASSES, Filters
from portal.traffic.reasons import REASONS
from portal.traffic.scope import Scope
from portal.web import scopes

NAMES = ("status", "reason", "api", "operation", "consumer", "key", "method", "path", "min_ms", "from", "to")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

_KEY = re.compile(r"(?:pc[ob]_)?([0-9A-Za-z]{4,12})(?:[_:][0-9A-Za-z]*)?")
_LABELS = {
    "status": "Status",
    "reason": "Reason",
    "api": "API",
    "operation": "Operation",
    "consumer": "Consumer",
    "key": "Key",
    "method": "Method",
    "path": "Path",
    "min_ms": "At least",
    "from": "From",
    "to": "To",
}


@dataclass(frozen=True, slots=True)
class Asked:
    filters: Filters
    values: dict[str, str]
    """What stands in the form: every filter that is set, as it was typed."""
    mistakes: list[str]
    """Sentences; with one of them nothing is searched."""

    def chips(self) -> list[tuple[str, str, str]]:
        """(name in the query string, label, value as people read it)."""
        return [(name, _LABELS[name], _as_read(name, value)) for name, value in self.values.items()]


def _as_read(name: str, value: str) -> str:
    match name:
        case "min_ms":
            return f"{value} ms"
        case "from" | "to":
            return f"{value.replace('T', ' ')} UTC"
        case "key":
            return f"pco_{value}…"
        case "status" if value == "none":
            return "no answer"
        case "operation" if value == NO_OPERATION:
            return "none"
    return value


def written(moment: datetime) -> str:
    """An instant for the query string; seconds only where there are any."""
    moment = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}" if moment.second else f"{moment:%Y-%m-%dT%H:%M}"


def read(session: Session, scope: Scope, args: Mapping[str, str]) -> Asked:
    # No database knows a text with a NUL in it.
    typed = {name: args.get(name, "").replace("\0", "").strip() for name in NAMES}
    values = {name: value for name, value in typed.items() if value}
    if "key" in values and (match := _KEY.fullmatch(values["key"])):
        values["key"] = match[1]
    filters, mistakes = Filters(), []
    for name, value in values.items():
        try:
            filters = replace(filters, **_READ[name](session, scope, value))
        except ValueError as mistake:
            mistakes.append(str(mistake))
    if filters.since and filters.until and filters.since >= filters.until:
        mistakes.append("The time ends before it begins. Choose a later end or an earlier beginning.")
    return Asked(filters, values, mistakes)


def _status(_session: Session, _scope: Scope, value: str) -> dict[str, Any]:
    if value in STATUS_CLASSES:
        return {"status_class": value}
    if value.isdecimal() and 100 <= int(value[:4]) <= 599:
        return {"status": int(value)}
    raise ValueError(f"{value} is no status. Give a number such as 404, or one of {', '.join(STATUS_CLASSES)}.")


def _reason(_session: Session, _scope: Scope, value: str) -> dict[str, Any]:
    if value not in REASONS:
        raise ValueError(f"{value} is no reason word. Choose one from the list.")
    return {"reason": value}


def _api(session: Session, scope: Scope, value: str) -> dict[str, Any]:
    found = scopes.find_api(session, scope, value)
    if found is None:
        raise ValueError(f"There is no API {value} whose calls you may see. Its label is team/slug/version.")
    return {"api_id": found}


def _operation(_session: Session, _scope: Scope, value: str) -> dict[str, Any]:
    if len(value) > 63:
        raise ValueError(
            "The id of an operation has at most 63 characters. Copy it from the API's docs or its traffic."
        )
    return {"operation": value}


def _consumer(session: Session, scope: Scope, value: str) -> dict[str, Any]:
    found = scopes.find_consumer(session, scope, value)
    if found is None:
        raise ValueError(f"There is no consumer {value} whose calls you may see. Its label is team/slug.")
    return {"consumer_id": found}


def _key(session: Session, scope: Scope, value: str) -> dict[str, Any]:
    if not _KEY.fullmatch(value):
        raise ValueError("Give the first characters of the key's id, at least four: pco_ and what follows it.")
    statement = select(Key.id).where(Key.public_id.startswith(value, autoescape=True)).limit(2)
    if not scope.everything:
        statement = statement.where(Key.consumer_id.in_(scope.consumer_ids))
    found = session.scalars(statement).all()
    if len(found) > 1:
        raise ValueError(f"More than one key begins with pco_{value}. Give more of its characters.")
    if not found:
        raise ValueError(f"None of the keys that you may see begins with pco_{value}.")
    return {"key_id": found[0]}


def _method(_session: Session, _scope: Scope, value: str) -> dict[str, Any]:
    return {"method": value.upper()[:20]}


def _path(_session: Session, _scope: Scope, value: str) -> dict[str, Any]:
    return {"path": value if value.startswith("/") else f"/{value}"}


def _min_ms(_session: Session, _scope: Scope, value: str) -> dict[str, Any]:
    if not value.isdecimal() or len(value) > 9:
        raise ValueError(f"{value} is no duration. Give whole milliseconds, such as 250.")
    return {"min_ms": int(value)}


def _from(_session: Session, _scope: Scope, value: str) -> dict[str, Any]:
    return {"since": instant(value)}


def _to(_session: Session, _scope: Scope, value: str) -> dict[str, Any]:
    return {"until": instant(value)}


def instant(value: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{value} is no time. Write it as 2026-11-20T05:14, in UTC.") from None


_READ = {
    "status": _status,
    "reason": _reason,
    "api": _api,
    "operation": _operation,
    "consumer": _consumer,
    "key": _key,
    "method": _method,
    "path": _path,
    "min_ms": _min_ms,
    "from": _from,
    "to": _to,
}
