"""The navigation: what a person may not do is not shown."""

from dataclasses import dataclass

from flask import request, url_for

from portal.web import guards

_ELSEWHERE = {"imports": "apis.index", "why": "calls.index"}
"""Pages of a blueprint whose addresses do not tell where in the navigation they belong."""


@dataclass(frozen=True, slots=True)
class Entry:
    label: str
    url: str
    icon: str
    active: bool
    badge: str | None = None


def entries() -> list[Entry]:
    """For the person of this request; for strangers what the installation lets them read."""
    someone = guards.person()
    if someone is None:
        return _of(("Catalogue", "catalogue.index", "books")) if guards.is_open() else []
    rows = [
        ("Home", "home.show", "home"),
        ("Catalogue", "catalogue.index", "books"),
        ("APIs", "apis.index", "api"),
        ("Plans", "plans.index", "gauge"),
        ("Consumers", "consumers.index", "apps"),
        ("Calls", "calls.index", "list-details"),
        ("Traffic", "traffic.show", "chart-area-line"),
    ]
    if someone.is_administrator:
        rows.append(("Gateway", "gateway.show", "server-2"))
    rows.append(("Settings", "settings.show", "settings"))
    if someone.is_administrator:
        rows.append(("Back office", "admin.index", "database"))
    return _of(*rows)


def _of(*rows: tuple[str, str, str]) -> list[Entry]:
    here = _ELSEWHERE.get(request.blueprint or "")
    found = [(label, url_for(name), icon, name) for label, name, icon in rows]
    return [Entry(label, url, icon, _is_under(url) or here == name) for label, url, icon, name in found]


def _is_under(url: str) -> bool:
    """An API's traffic is shown by another blueprint, but it is a page of the API: so addresses decide."""
    here = f"{request.script_root}{request.path}"
    folder = url.rstrip("/")
    return here == url or (folder != request.script_root and here.startswith(f"{folder}/"))
