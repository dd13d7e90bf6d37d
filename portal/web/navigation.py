"""The navigation: what a person may not do is not shown."""

from dataclasses import dataclass

from flask import request, url_for

from portal.accounts import Permission, Person
from portal.db import db
from portal.web import guards, inbox

_MOST_COUNTED = 99
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
    waiting = _waiting(someone)
    rows = [
        ("Home", "home.show", "home"),
        ("Catalogue", "catalogue.index", "books"),
        ("APIs", "apis.index", "api"),
        ("Plans", "plans.index", "gauge"),
        ("Consumers", "consumers.index", "apps"),
        *((("Approvals", "approvals.index", "inbox"),) if waiting is not None else ()),
        ("Calls", "calls.index", "list-details"),
        ("Traffic", "traffic.show", "chart-area-line"),
    ]
    if someone.acts_as_administrator:
        rows.append(("Gateway", "gateway.show", "server-2"))
    rows.append(("Settings", "settings.show", "settings"))
    if someone.acts_as_administrator:
        rows.append(("Back office", "admin.index", "database"))
    return _of(*rows, waiting=waiting)


def _waiting(someone: Person) -> str | None:
    """How many requests wait for a decision of this person, as the badge has it, "" for none; None for those who have
    nothing to decide, ever. A team that lost its publishing right still decides about what it has published."""
    deciding = [each.team for each in someone.memberships if guards.may(Permission.DECIDE, each.team)]
    if not someone.acts_as_administrator and all(team.is_personal for team in deciding):
        return None
    count = inbox.count_waiting(db.session(), someone, _MOST_COUNTED + 1)
    if count:
        return f"{_MOST_COUNTED}+" if count > _MOST_COUNTED else str(count)
    return "" if someone.acts_as_administrator or any(team.may_publish for team in deciding) else None


def _of(*rows: tuple[str, str, str], waiting: str | None = None) -> list[Entry]:
    here = _ELSEWHERE.get(request.blueprint or "")
    found = [(label, url_for(name), icon, name) for label, name, icon in rows]
    return [
        Entry(
            label, url, icon, _is_under(url) or here == name, (waiting or None) if name == "approvals.index" else None
        )
        for label, url, icon, name in found
    ]


def _is_under(url: str) -> bool:
    """An API's traffic is shown by another blueprint, but it is a page of the API: so addresses decide."""
    here = f"{request.script_root}{request.path}"
    folder = url.rstrip("/")
    return here == url or (folder != request.script_root and here.startswith(f"{folder}/"))
