"""Who is signed in where: each request of a browser is checked against its session's row, and people see their own.

Flask-Login keeps whom it signed in under `_user_id` in the session cookie and, where wished, in the remember cookie.
Here that is the random id of a row (accounts/sessions.py) and never anything of the person.
"""

import logging
import re
from dataclasses import dataclass
from typing import Any

from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    flash,
    g,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import user_logged_in, user_logged_out
from flask_security import logout_user
from flask_security.utils import set_request_attr
from sqlalchemy.exc import OperationalError

from portal import config_of
from portal.accounts import Permission, Person, audit, sessions
from portal.accounts.sessions import Lifetimes, SignIn
from portal.config import Config
from portal.db import db, utcnow
from portal.web.forms import Form
from portal.web.guards import me, person, requires

log = logging.getLogger(__name__)

bp = Blueprint("sessions", __name__, url_prefix="/settings/sessions")


@dataclass(frozen=True, slots=True)
class _Begun:
    uniquifier: str
    token: str
    is_remembered: bool


def set_up(app: Flask, config: Config) -> None:
    app.config.setdefault("REMEMBER_COOKIE_DURATION", Lifetimes.of(config).remembered)
    app.login_manager.user_loader(_load)  # type: ignore[attr-defined]
    # Flask-Security's authentication tokens name a person, not a session: none is taken.
    app.login_manager.request_loader(lambda _request: None)  # type: ignore[attr-defined]
    user_logged_in.connect(_begin, app)
    user_logged_out.connect(_end, app)
    app.before_request(_notice)
    app.after_request(_keep)


def _load(token: str) -> Person | None:
    """Who this cookie signs in."""
    config = config_of(current_app)
    found = sessions.find(db.session(), token, lifetimes=Lifetimes.of(config), now=utcnow())
    if found is None:
        return None
    g.sign_in_id, g.sign_in_seen_at = found.id, found.seen_at
    g.sign_in_is_remembered = found.is_remembered
    # As Flask-Security's own loader does it: how, and when the password was last given.
    set_request_attr("fs_authn_via", "session")
    set_request_attr("fs_paa", session.get("fs_paa", 0))
    return found.person


def _notice() -> None:
    """Write down that the session is used, now and then. What a page fetches by itself is no sign of a person."""
    if request.endpoint == "static" or person() is None or _is_poll():
        return
    now = utcnow()
    # What was written down before a clock went back lies ahead, and is as wrong as what is old.
    if abs(now - g.sign_in_seen_at) < Lifetimes.of(config_of(current_app)).notice_after:
        return
    try:
        with db.begin() as writing:
            sessions.notice(writing, g.sign_in_id, address=request.remote_addr or "", now=now)
    except OperationalError as error:
        log.warning("A session's use could not be written down: %s", error)


def _is_poll() -> bool:
    return request.method == "GET" and "HX-Request" in request.headers


def _begin(_app: Flask, user: Person, **_extra: Any) -> None:
    """Flask-Login has signed somebody in. The row is written by `_keep`, after what Flask-Security has to commit."""
    begun = _Begun(user.fs_uniquifier, sessions.new_token(), session.get("_remember") == "set")
    session["_user_id"] = begun.token
    g.session_begun = begun


def renew() -> None:
    """The password was given again: this session goes on under another id (OWASP ASVS 5.0, 7.2.4)."""
    token = sessions.new_token()
    with db.begin() as writing:
        sessions.renew(writing, g.sign_in_id, token)
    session["_user_id"] = token
    if g.sign_in_is_remembered:
        session["_remember"] = "set"  # Flask-Login writes its cookie anew


def _end(_app: Flask, user: Person, **_extra: Any) -> None:
    g.session_ended = g.pop("sign_in_id", None)


def _keep(response: Response) -> Response:
    """In a transaction of its own, which waits for its turn to write."""
    begun: _Begun | None = g.pop("session_begun", None)
    ended: int | None = g.pop("session_ended", None)
    if begun is not None and response.status_code < 400:
        with db.begin() as writing:
            if not _write(writing, begun):
                session.pop("_user_id", None)
    if ended is not None:
        with db.begin() as writing:
            row = writing.get(SignIn, ended)
            if row is not None:
                writing.delete(row)
    return response


def _write(writing: Any, begun: _Begun) -> bool:
    row = sessions.begin(
        writing,
        begun.uniquifier,
        begun.token,
        address=request.remote_addr or "",
        user_agent=request.user_agent.string,
        is_remembered=begun.is_remembered,
        now=utcnow(),
    )
    return row is not None


@bp.get("")
@requires(Permission.SIGNED_IN)
def index() -> ResponseReturnValue:
    lifetimes = Lifetimes.of(config_of(current_app))
    rows = sessions.of_person(db.session(), me(), lifetimes=lifetimes, now=utcnow())
    return render_template(
        "settings/sessions.html",
        rows=[(row, device(row.user_agent), lifetimes.ends_at(row)) for row in rows],
        here=g.sign_in_id,
        form=Form(),
    )


@bp.post("/<int:sign_in>/end")
@requires(Permission.SIGNED_IN)
def end(sign_in: int) -> ResponseReturnValue:
    """One that has ended already, or is somebody else's, leads to the same answer."""
    if sign_in == g.sign_in_id:
        return _leave("You are signed out.")
    with db.begin() as writing:
        if sessions.end(writing, me().id, [sign_in]):
            audit.record(writing, "ended a session", me())
    flash("That browser is signed out.", "success")
    return redirect(url_for(".index"), 303)


@bp.post("/end")
@requires(Permission.SIGNED_IN)
def end_all() -> ResponseReturnValue:
    """`which` is `all`, or others than this one."""
    here = g.sign_in_id
    with db.begin() as writing:
        count = sessions.end_all(writing, me().id, but=here)
        if count:
            audit.record(writing, "ended sessions", me(), count=count)
    if request.form.get("which") == "all":
        return _leave("You are signed out everywhere.")
    flash("You are signed out everywhere but here." if count else "You were signed in nowhere else.", "success")
    return redirect(url_for(".index"), 303)


def _leave(message: str) -> ResponseReturnValue:
    logout_user()
    flash(message, "success")
    return redirect(url_for("security.login"), 303)


_BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"))
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def device(user_agent: str) -> str:
    """What to call a browser: “Firefox on Linux”. Others than the usual ones go by their product's name."""
    browser = next((name for mark, name in _BROWSERS if f"{mark}/" in user_agent or f"{mark}iOS/" in user_agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    if browser:
        return f"{browser} on {system}" if system else browser
    product = re.match(r"[\w.-]{1,40}", user_agent)
    return product[0] if product else "Unknown browser"
