"""What a list of calls is asked for.

Indexes exist by time, API, consumer, key and failure. Every other filter reads the rows that these leave, so it
searches within one API, consumer or key, or 24 hours.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, literal_column, or_

from portal.errors import BadRequest
from portal.traffic.models import Call, microseconds

STATUS_CLASSES = ("2xx", "3xx", "4xx", "429", "5xx", "none")
"""What `Filters.status_class` may be. `4xx` is without 429; `none` stands for calls that got no answer."""

NO_OPERATION = "-"
"""Asks for calls that no operation describes; no operation has this name."""

_UNINDEXED_SPAN = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What is asked for; None and '' ask for nothing."""

    status_class: str | None = None
    status: int | None = None
    reason: str | None = None
    api_id: int | None = None
    consumer_id: int | None = None
    key_id: int | None = None
    method: str | None = None
    path: str | None = None
    """The beginning of the path."""
    operation: str | None = None
    """Its name, or NO_OPERATION."""
    min_ms: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def are_indexed(self) -> bool:
        """Whether the search may go as far back as there are calls."""
        if self.api_id is not None or self.consumer_id is not None or self.key_id is not None:
            return True
        if any(each not in (None, "") for each in self._unindexed):
            return False
        failed = self.status_class in {"4xx", "429", "5xx"} or (self.status or 0) >= 400
        return failed or (self.status is None and self.status_class is None)

    @property
    def _unindexed(self) -> tuple[str | int | None, ...]:
        return self.reason, self.method, self.path, self.operation, self.min_ms


def bounded(filters: Filters, now: datetime) -> tuple[Filters, str | None]:
    """With an end to how far back it searches, where no index helps; and the sentence that says so."""
    if filters.are_indexed:
        return filters, None
    until = filters.until or now
    earliest = until - _UNINDEXED_SPAN
    if filters.since is not None and filters.since >= earliest:
        return filters, None
    return replace(filters, since=earliest), (
        "These filters search 24 hours at a time. Choose an API, a consumer or a key to search all of its calls, "
        "or another end of the time to search earlier ones."
    )


def conditions(filters: Filters) -> Iterable[ColumnElement[bool]]:
    if filters.since is not None:
        yield Call.at >= microseconds(filters.since)
    if filters.until is not None:
        yield Call.at < microseconds(filters.until)
    if filters.status_class is not None:
        yield _of_class(filters.status_class)
    if filters.status is not None:
        yield Call.status == filters.status
        if filters.status >= 400:
            yield _FAILED
    if filters.reason:
        yield Call.reason == filters.reason
    if filters.method:
        yield Call.method == filters.method.upper()
    if filters.path:
        yield Call.path.startswith(filters.path, autoescape=True)
    if filters.operation:
        yield Call.operation == ("" if filters.operation == NO_OPERATION else filters.operation)
    if filters.min_ms is not None:
        yield Call.total_us >= filters.min_ms * 1_000


# Written out, not bound: SQLite takes a partial index only for a condition that it can read.
_FAILED: ColumnElement[bool] = literal_column("status").__ge__(literal_column("400"))


def _of_class(name: str) -> ColumnElement[bool]:
    """Raises BadRequest for a class that does not exist."""
    match name:
        case "2xx" | "3xx":
            return Call.status.between(int(name[0]) * 100, int(name[0]) * 100 + 99)
        case "4xx":
            return and_(_FAILED, Call.status < 500, Call.status != 429)
        case "429":
            return and_(_FAILED, Call.status == 429)
        case "5xx":
            return and_(_FAILED, Call.status >= 500)
        case "none":
            return or_(Call.status < 200, Call.status >= 600)
    raise BadRequest(f"{name} is not a class of status. There are {', '.join(STATUS_CLASSES)}.")
