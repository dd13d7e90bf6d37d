"""Sign-in between the password and the code: Flask-Security's views, slowed down, and over after ten minutes.

Who is halfway is written in the session's cookie, so its time is too: a copy of the cookie is of no use for longer.
"""

import time
from collections.abc import Sequence
from datetime import timedelta

from flask import Blueprint, Response, flash, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_security.tf_plugin import tf_clean_session
from sqlalchemy import select

from portal import letters
from portal.accounts import Person, audit, throttle
from portal.db import db, utcnow
from portal.errors import NotSignedIn, TooManyAttempts
from portal.web import problems
from portal.web.guards import person

bp = Blueprint("halfway", __name__)

LASTS = timedelta(minutes=10)
"""From the password to the code."""
_SINCE = "halfway_since"
_ASKED = {
    "security.two_factor_token_validation": "accounts/code.html",
    "security.mf_recovery": "accounts/recovery.html",
}
"""Where sign-in goes on after the password, and the page of each."""


@bp.before_app_request
def _ask() -> ResponseReturnValue | None:
    """Attempts are counted before the code is looked at, in a transaction of their own: a failure must stay counted."""
    if request.endpoint == "security.login" and request.method == "POST":
        _forget()
        return None
    if request.endpoint not in _ASKED:
        return None
    if person() is not None:
        return redirect(url_for("home.show"), 303)  # the library would sign them out
    who = session.get("tf_user_id")
    if who is None:
        return None
    if _is_over():
        _forget()
        return _begin_again()
    return _count(who) if request.method == "POST" else None


def _count(who: str) -> ResponseReturnValue | None:
    limits = throttle.second_factor(request.remote_addr or "", who)
    try:
        with db.begin() as writing:
            throttle.attempt(writing, limits, now=utcnow())
    except TooManyAttempts as error:
        if problems.wants_json():
            raise
        page = render_template(_ASKED[request.endpoint or ""], wait=str(error))
        return page, error.status, {"Retry-After": str(error.seconds)}
    g.code_counted = (who, limits)
    return None


def _is_over() -> bool:
    since = session.get(_SINCE)
    return since is None or not 0 <= time.time() - since < LASTS.total_seconds()


def _forget() -> None:
    tf_clean_session()  # type: ignore[no-untyped-call]
    session.pop(_SINCE, None)


def _begin_again() -> ResponseReturnValue:
    said = "You gave your password more than ten minutes ago. Give it once more, then the code."
    if problems.wants_json():
        raise NotSignedIn(said)
    flash(said, "error")
    return redirect(url_for("security.login", next=request.args.get("next")), 303)


@bp.after_app_request
def _begin(response: Response) -> Response:
    if request.endpoint == "security.login" and request.method == "POST" and "tf_user_id" in session:
        session[_SINCE] = int(time.time())
    return response


@bp.after_app_request
def _judge(response: Response) -> Response:
    """Flask-Security answers 200 to a code that it refuses, and sends on with one that it accepts."""
    counted: tuple[str, Sequence[throttle.Limit]] | None = g.pop("code_counted", None)
    if counted is None:
        return response
    who, limits = counted
    is_right = current_user.is_authenticated
    is_recovery = request.endpoint == "security.mf_recovery"
    if is_right:
        session.pop(_SINCE, None)
    with db.begin() as writing:
        someone = writing.scalar(select(Person).where(Person.fs_uniquifier == who))
        if is_right:
            throttle.succeeded(writing, limits)
        if someone is not None and not is_right:
            audit.record(writing, "gave a wrong recovery code" if is_recovery else "gave a wrong code", someone)
        elif someone is not None and is_recovery:
            left = len(someone.mf_recovery_codes or [])
            audit.act_as(writing, audit.Actor(someone.id, "page", request.remote_addr))
            audit.record(writing, "used a recovery code", someone, left=left)
            letters.recovery_code_used(writing, someone, left)
    if response.status_code == 200 and response.mimetype == "text/html":
        response.status_code = 422
    return response
