"""The navigation: what a person may not do is not shown."""

from dataclasses import dataclass

from flask import request, url_for

from portal.web import guards


@dataclass(frozen=True, slots=True)
class Entry:
    label: str
    url: str
    icon: str
    active: bool
    badge: str | None = None


def entries() -> list[Entry]:
    """For the person of this request; nothing for strangers."""
    someone = guards.person()
    if someone is None:
        return []
    rows = [
        ("Home", "home.show", "home"),
        ("APIs", "apis.index", "api"),
        ("Plans", "plans.index", "gauge"),
        ("Consumers", "consumers.index", "apps"),
        ("Calls", "calls.index", "list-details"),
        ("Traffic", "traffic.show", "chart-area-line"),
    ]
    if someone.is_administrator:
        rows.append(("Gateway", "gateway.show", "server-2"))
    rows.append(("Settings", "settings.show", "settings"))
    here = (request.endpoint or "").partition(".")[0]
    return [Entry(label, url_for(name), icon, here == name.partition(".")[0]) for label, name, icon in rows]
