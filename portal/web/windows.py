"""How far back a page looks, and the list of exactly the calls that a number on it counts."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import url_for
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.errors import BadRequest
from portal.registry.models import Api
from portal.traffic.models import Call, instant
from portal.traffic.window import Window
from portal.web import call_filters

PRESETS = {"1h": "1 hour", "24h": "24 hours", "7d": "7 days", "30d": "30 days"}


_COARSE = 300
"""Seconds of a step where a minute holds too little."""


@dataclass(frozen=True, slots=True)
class View:
    """What is looked at: which window, and the filters that links to the list of calls carry along."""

    preset: str
    window: Window
    api: str | None = None
    consumer: str | None = None
    operation: str | None = None
    """As the query string has it."""
    with_all: bool = False
    """Whether all operations were asked for, not only those that were called most."""

    @property
    def has_coarser(self) -> bool:
        return self.window.step < _COARSE <= (self.window.until - self.window.since).total_seconds()

    def coarser(self) -> "View":
        """The same length in longer steps: a minute with a few calls has no percentiles, and bars that say little."""
        now = int(self.window.now.timestamp())
        until = datetime.fromtimestamp(now - now % _COARSE + _COARSE, UTC)
        length = self.window.until - self.window.since
        return replace(self, window=replace(self.window, since=until - length, until=until, step=_COARSE))

    def calls_url(self, **filters: Any) -> str:
        """The list of exactly these calls."""
        asked: dict[str, Any] = {"api": self.api, "operation": self.operation, "consumer": self.consumer}
        asked |= {"from": call_filters.written(self.window.since), "to": call_filters.written(self.window.until)}
        return url_for("calls.index", **asked | filters)

    def traffic_url(self, api: Api, **asked: Any) -> str:
        """The traffic of this API, in the same window."""
        return url_for(
            "traffic.api", team=api.team.slug, slug=api.slug, version=api.version, window=self.preset, **asked
        )


def read_window(session: Session, asked: str | None, now: datetime) -> tuple[str, Window]:
    """The preset that the query string names. Without one: an hour while all there is fits into it, else a day."""
    if not asked:
        first = session.scalar(select(func.min(Call.at)))
        asked = "1h" if first is None or instant(first) > now - timedelta(hours=1) else "24h"
    if asked not in PRESETS:
        raise BadRequest(f"There is no window {asked}. There are {', '.join(PRESETS)}.")
    return asked, Window.last(asked, now)
