"""Sign-in and sign-up: what our pages add to Flask-Security's views.

Attempts are slowed down (`accounts/throttle.py`), and a form that was refused answers 422.
"""

from collections.abc import Mapping, Sequence

from flask import Blueprint, Response, current_app, g, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import config_of
from portal.accounts import throttle
from portal.db import db, utcnow
from portal.errors import TooManyAttempts
from portal.web import problems

bp = Blueprint("accounts", __name__)

_COUNTED = {"security.login", "security.register"}
_FORMS = _COUNTED | {"security.change_password", "security.verify"}


@bp.app_context_processor
def _sign_up() -> dict[str, bool]:
    return {"sign_up_is_open": config_of(current_app).sign_up}


@bp.before_app_request
def _count() -> ResponseReturnValue | None:
    """Before the password is looked at, and in a transaction of its own: a failure must stay counted."""
    limits = _limits()
    if not limits or current_user.is_authenticated:
        return None
    try:
        with db.begin() as session:
            throttle.attempt(session, limits, now=utcnow())
    except TooManyAttempts as error:
        if request.endpoint != "security.login" or problems.wants_json():
            raise
        page = render_template("accounts/sign_in.html", wait=str(error), typed=request.form)
        return page, error.status, {"Retry-After": str(error.seconds)}
    g.counted = limits
    return None


@bp.after_app_request
def _judge(response: Response) -> Response:
    """Flask-Security answers 200 to a form that it refuses, and sends on what it accepts."""
    if request.method != "POST" or request.endpoint not in _FORMS:
        return response
    counted: Sequence[throttle.Limit] = g.pop("counted", ())
    if counted and request.endpoint == "security.login" and current_user.is_authenticated:
        with db.begin() as session:
            throttle.succeeded(session, counted)
    if response.status_code == 200 and response.mimetype == "text/html":
        response.status_code = 422
    return response


def _limits() -> list[throttle.Limit]:
    if request.method != "POST" or request.endpoint not in _COUNTED:
        return []
    address = request.remote_addr or ""
    if request.endpoint == "security.register":
        return throttle.sign_up(address)
    body = request.get_json(silent=True) if request.is_json else request.form
    email = body.get("email") if isinstance(body, Mapping) else None
    return throttle.sign_in(address, str(email or ""))
