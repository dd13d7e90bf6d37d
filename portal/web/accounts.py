"""Sign-in and sign-up: what our pages add to Flask-Security's views, and those whose place ours take.

Attempts are slowed down (`accounts/throttle.py`), and a form that was refused answers 422.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from flask import Blueprint, Response, current_app, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_security import login_user, verify_password

from portal import accounts, config_of, letters
from portal.accounts import Permission, throttle
from portal.db import db, utcnow
from portal.errors import Conflict, TooManyAttempts
from portal.web import problems, sessions
from portal.web.forms import Form
from portal.web.forms.accounts import AddressForm, NewAddressForm
from portal.web.guards import me, requires

bp = Blueprint("accounts", __name__)

FORGOT, CONFIRM = "/sign-in/forgot", "/sign-in/confirm"

_COUNTED = {"security.login", "security.register"}
_AGAIN = {"security.change_password", "security.verify"}
"""Ask somebody who is signed in for the password that they have."""
_FORMS = _COUNTED | _AGAIN | {"security.reset_password"}


@bp.app_context_processor
def _ways_in() -> dict[str, bool]:
    config = config_of(current_app)
    return {
        "sign_up_is_open": config.sign_up,
        "addresses_are_confirmed": config.confirm_email,
        "reaches_people": bool(config.smtp_url),
    }


@bp.before_app_request
def _count() -> ResponseReturnValue | None:
    """Before the password is looked at, and in a transaction of its own: a failure must stay counted."""
    limits = _limits()
    if not limits:
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
    is_refused = response.status_code >= 400 or (response.status_code == 200 and response.mimetype == "text/html")
    counted: Sequence[throttle.Limit] = g.pop("counted", ())
    if counted and request.endpoint != "security.register" and not is_refused:
        with db.begin() as session:
            throttle.succeeded(session, counted)
    if request.endpoint == "security.verify" and not is_refused:
        sessions.renew()
    if is_refused and response.status_code == 200:
        response.status_code = 422
    return response


def _limits() -> list[throttle.Limit]:
    if request.method != "POST" or request.endpoint not in _FORMS:
        return []
    address = request.remote_addr or ""
    if current_user.is_authenticated:
        return throttle.password_again(address, str(current_user.id)) if request.endpoint in _AGAIN else []
    if request.endpoint in _AGAIN:
        return []
    if request.endpoint == "security.register":
        return throttle.sign_up(address)
    return throttle.sign_in(address, request.form.get("email", ""))


@requires(Permission.PUBLIC)
def forgot() -> ResponseReturnValue:
    return _send_link("reset", "If {} has an account, a mail with a link is on its way to it. It works for an hour.")


@requires(Permission.PUBLIC)
def send_confirmation() -> ResponseReturnValue:
    return _send_link("confirm", "If {} waits to be confirmed, a mail with a link is on its way to it.")


def _send_link(wish: letters.Wish, said: str) -> ResponseReturnValue:
    form = AddressForm()
    if not form.validate_on_submit():
        return render_template("accounts/forgot.html", form=form, wish=wish), form.status
    email = form.email.data or ""
    try:
        with db.begin() as session:
            throttle.attempt(session, throttle.letters(request.remote_addr or "", email), now=utcnow())
            letters.ask_for_link(session, wish, email)
    except TooManyAttempts as error:
        form.say("email", str(error))
        page = render_template("accounts/forgot.html", form=form, wish=wish)
        return page, error.status, {"Retry-After": str(error.seconds)}
    flash(said.format(email), "info")
    return redirect(url_for("security.login"), 303)


def locked(view: Callable[..., Any]) -> Callable[..., Any]:
    """For views of Flask-Security that write: see `db.lock`."""

    @wraps(view)
    def holding(**parts: Any) -> Any:
        if request.method == "POST":
            db.lock()
        return view(**parts)

    return holding


def ask_first(view: Callable[..., Any]) -> Callable[..., ResponseReturnValue]:
    """Flask-Security confirms when its link is fetched, which programs that look through mails do too."""

    @wraps(view)
    def asking(token: str) -> ResponseReturnValue:
        return render_template("accounts/confirm.html") if request.method == "GET" else view(token=token)

    return asking


@bp.route("/settings/address", methods=["GET", "POST"])
@requires(Permission.SIGNED_IN)
def change_address() -> ResponseReturnValue:
    """Whether the new address has an account is not looked up: only its owner learns that, by the link."""
    form = NewAddressForm()
    if not form.validate_on_submit():
        return render_template("settings/address.html", form=form, person=me()), form.status
    email = form.email.data or ""
    status, headers = 422, {}
    place = request.remote_addr or ""
    limits = throttle.sign_in(place, me().email)
    try:
        with db.begin() as session:
            throttle.attempt(session, limits, now=utcnow())
        if verify_password(form.password.data or "", me().password):
            with db.begin() as session:
                throttle.succeeded(session, limits)
                throttle.attempt(session, throttle.letters(place, email), now=utcnow())
                letters.new_address(session, me(), email)
            flash(f"A mail with a link is on its way to {email}. It works for two hours.", "info")
            return redirect(url_for("settings.show"), 303)
        form.say("password", "This is not your password.")
    except TooManyAttempts as error:
        form.say("", str(error))
        status, headers = error.status, {"Retry-After": str(error.seconds)}
    return render_template("settings/address.html", form=form, person=me()), status, headers


@bp.route("/settings/address/<token>", methods=["GET", "POST"])
@requires(Permission.SIGNED_IN)
def confirm_address(token: str) -> ResponseReturnValue:
    """Only for who asked for it: whoever reads a mail that went astray gets no account by it."""
    form = Form()
    email = letters.read_new_address(token, me())
    if not form.validate_on_submit():
        return render_template("settings/confirm_address.html", form=form, email=email, person=me()), form.status
    somebody = me()
    try:
        with db.begin() as session:
            old = somebody.email
            accounts.change_email(session, somebody, letters.read_new_address(token, somebody))
            letters.address_changed(session, old, somebody.email)
    except Conflict as error:
        status = form.refuse(error)
        return render_template("settings/confirm_address.html", form=form, email=email, person=me()), status
    login_user(somebody, authn_via=["change"])
    flash(f"You sign in as {somebody.email} from now on.", "success")
    return redirect(url_for("settings.show"), 303)
