"""Who signed in, tried to, signed out: what Flask-Security and Flask-Login tell becomes entries of the trail."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from flask import Flask, Response, g, request
from flask_login import user_logged_out
from flask_security import user_authenticated
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.accounts import Person, audit, throttle
from portal.accounts.throttle import Limit
from portal.db import db, utcnow
from portal.errors import TooManyAttempts


def set_up(app: Flask) -> None:
    user_authenticated.connect(_signed_in, app)
    user_logged_out.connect(_signed_out, app)
    app.after_request(_tell)


def _signed_in(_app: Flask, user: Person, **_extra: Any) -> None:
    g.came_or_went = ("signed in", user.id)


def _signed_out(_app: Flask, user: Any, **_extra: Any) -> None:
    if isinstance(user, Person):
        g.came_or_went = ("signed out", user.id)


def _tell(response: Response) -> Response:
    """In a transaction of its own, after the one of Flask-Security's view: that of a sign-up makes the person first."""
    action, person_id = g.pop("came_or_went", (None, None))
    if action:
        with db.begin() as session:
            _act(session, person_id)
            audit.record(session, action, session.get(Person, person_id) or Person)
    elif request.endpoint == "security.login" and request.method == "POST" and response.status_code in _REFUSED:
        _tell_failure()
    return response


_REFUSED = frozenset({200, 401, 422})
"""What a form that was looked at and refused is answered with. One that had to wait (429), or that has no form
token (400), was not looked at."""


def _tell_failure() -> None:
    body = request.get_json(silent=True) if request.is_json else request.form
    email = str(body.get("email") or "") if isinstance(body, Mapping) else ""
    # A flood is told by its beginning and by one entry in a minute.
    with suppress(TooManyAttempts), db.begin() as session:
        throttle.attempt(session, _told(request.remote_addr or "", email), now=utcnow())
        known = session.scalar(select(Person).where(func.lower(Person.email) == email.strip().lower()))
        _act(session, None)
        audit.record(session, "failed to sign in", known or Person)


def _act(session: Session, person_id: int | None) -> None:
    audit.act_as(session, audit.Actor(person_id, "page", request.remote_addr))


def _told(address: str, email: str) -> list[Limit]:
    """How many failures the trail takes, so that nobody fills it: from one place, for one account, in all."""
    return [
        Limit(f"trail {address}", free=20, longest=60),
        Limit(f"trail account {email.strip().lower()}", free=20, longest=60),
        Limit("trail", free=200, longest=30),
    ]
