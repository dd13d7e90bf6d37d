"""The second factor: set up, asked for at sign-in, replaced, taken off.

Sign-in is Flask-Security's (`/sign-in/code`, `/sign-in/recovery-code`); what a person sets up for themselves is ours,
with its parts, because a wrong code there must not cost the picture that was just scanned.
"""

import hmac
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

import qrcode
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from flask import Blueprint, current_app, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_security import MfRecoveryCodesUtil, Totp, TwoFactorRescueForm, UserMixin
from flask_security.utils import check_and_update_authn_fresh
from passlib.exc import TokenError
from passlib.totp import TOTP, AppWallet
from qrcode.image.svg import SvgPathFillImage
from sqlalchemy import select
from sqlalchemy.orm import Session
from wtforms import RadioField, StringField
from wtforms.validators import DataRequired

from portal import config_of, letters
from portal.accounts import Permission, Person, audit
from portal.accounts import second_factor as factor
from portal.config import Config
from portal.db import db
from portal.errors import Conflict
from portal.vault import Unreadable, derived
from portal.web.forms import Form, stripped
from portal.web.guards import me, requires

bp = Blueprint("second_factor", __name__, url_prefix="/settings/second-factor")

_SLACK = 30
"""Seconds that a telephone's clock may be early or late: the code before and the one after are taken too."""
_FRESH = timedelta(minutes=10)
"""How long ago the password may have been given for what changes the second factor."""
_UNUSED = {
    "security.two_factor_setup",
    "security.two_factor_setup_validate",
    "security.two_factor_rescue",
    "security.tf_select",
    "security.mf_recovery_codes",
}


class Codes(Totp):
    """`secrets` are in order, the newest first; a code is taken once."""

    def __init__(self, secrets: dict[str, str], issuer: str) -> None:
        self._totp = TOTP.using(issuer=issuer, wallet=AppWallet(secrets, default_tag=next(iter(secrets))))

    def step_of(self, token: str, sealed: str) -> int | None:
        """The time step that this code belongs to, when it is right now. Raises Unreadable."""
        try:
            source = self._totp.from_source(sealed)
        except (KeyError, ValueError):
            raise Unreadable from None
        try:
            return int(source.match(token, window=_SLACK).counter)
        except TokenError:
            return None

    def renewed(self, sealed: str) -> str:
        """The same secret, sealed with the newest key. Raises Unreadable."""
        try:
            return str(self._totp.from_source(sealed).to_json(encrypt=True))
        except (KeyError, ValueError):
            raise Unreadable from None

    def generate_qrcode(self, username: str, totp: str) -> str:
        """One path on white: the library's own picture has hairlines between its squares, and none behind them."""
        made = qrcode.make(self.get_totp_uri(username, totp), image_factory=SvgPathFillImage)
        return f"data:image/svg+xml;base64,{b64encode(made.to_string()).decode()}"

    def verify_totp(self, token: str, totp_secret: str, user: UserMixin, window: int = 0) -> bool:
        step = self.step_of(str(token), totp_secret)
        if step is None:
            return False
        with db.begin() as writing:
            return factor.use_step(writing, user.id, step)


class RecoveryCodes(MfRecoveryCodesUtil):
    """Shown when they are made and never again; one is used up while it is checked."""

    def get_recovery_codes(self, user: UserMixin) -> list[str]:
        return []

    def check_recovery_code(self, user: UserMixin, code: str) -> bool:
        typed = _bare(code)
        with db.begin() as writing:
            return factor.use_recovery_code(
                writing, user.id, lambda sealed: hmac.compare_digest(_bare(self._open(sealed)), typed)
            )

    def delete_recovery_code(self, user: UserMixin, code: str) -> bool:
        return True

    def _open(self, sealed: str) -> str:
        assert self.cryptor is not None  # its keys are among the settings below
        try:
            return str(self.cryptor.decrypt(sealed.encode()).decode())
        except InvalidToken:
            raise Unreadable from None


def reseal(session: Session, config: Config) -> int:
    """Seal everybody's second factor with the newest key; how many there were. Raises Unreadable."""
    said = settings(config)
    codes = Codes(said["SECURITY_TOTP_SECRETS"], said["SECURITY_TOTP_ISSUER"])
    keys = MultiFernet([Fernet(key) for key in said["SECURITY_MULTI_FACTOR_RECOVERY_CODES_KEYS"]])
    owners = session.scalars(select(Person).where(Person.tf_totp_secret.is_not(None)).with_for_update()).all()
    for owner in owners:
        owner.tf_totp_secret = codes.renewed(str(owner.tf_totp_secret))
        try:
            owner.mf_recovery_codes = [keys.rotate(code.encode()).decode() for code in owner.mf_recovery_codes or []]
        except InvalidToken:
            raise Unreadable from None
    return len(owners)


def _bare(code: str) -> bytes:
    """As it is compared: people leave dashes out, and put spaces in."""
    return "".join(letter for letter in code.lower() if letter.isalnum()).encode()


def settings(config: Config) -> dict[str, Any]:
    """What Flask-Security is told."""
    return {
        "SECURITY_TWO_FACTOR": True,
        "SECURITY_TWO_FACTOR_ENABLED_METHODS": [factor.METHOD],
        "SECURITY_TWO_FACTOR_RESCUE_EMAIL": False,
        "SECURITY_TOTP_SECRETS": factor.wallet(config),
        "SECURITY_TOTP_ISSUER": "Portico",
        "SECURITY_MULTI_FACTOR_RECOVERY_CODES": True,
        "SECURITY_MULTI_FACTOR_RECOVERY_CODES_N": 10,
        "SECURITY_MULTI_FACTOR_RECOVERY_CODES_KEYS": [
            urlsafe_b64encode(key) for key in derived(config, "recovery codes")
        ],
        "SECURITY_TWO_FACTOR_TOKEN_VALIDATION_URL": "/sign-in/code",
        "SECURITY_MULTI_FACTOR_RECOVERY_URL": "/sign-in/recovery-code",
        "SECURITY_TWO_FACTOR_VERIFY_CODE_TEMPLATE": "accounts/code.html",
        "SECURITY_MULTI_FACTOR_RECOVERY_TEMPLATE": "accounts/recovery.html",
        "SECURITY_MSG_TWO_FACTOR_INVALID_TOKEN": (WRONG_CODE, "error"),
        "SECURITY_MSG_INVALID_RECOVERY_CODE": ("This is none of your recovery codes, or it was used before.", "error"),
        "SECURITY_MSG_TWO_FACTOR_PERMISSION_DENIED": ("Give your password first.", "error"),
        "SECURITY_MSG_TWO_FACTOR_LOGIN_SUCCESSFUL": ("You are signed in.", "success"),
        "SECURITY_MSG_REAUTHENTICATION_SUCCESSFUL": ("Your password is confirmed.", "success"),
    }


WRONG_CODE = "This code is wrong, or was used before. Wait for the next one and type that."


class NoRescueForm(TwoFactorRescueForm):
    """Flask-Security makes it for its page of the code, which is ours and does not show it."""

    help_setup = RadioField(choices=[])


class CodeForm(Form):
    code = StringField("Code", filters=[stripped], validators=[DataRequired("Type the six digits that the app shows.")])


def fresh(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
    """Ask for the password first, unless it was given a few minutes ago."""

    @wraps(view)
    def asked(**parts: Any) -> ResponseReturnValue:
        if check_and_update_authn_fresh(_FRESH, timedelta(0)):
            return view(**parts)
        after = request.path if request.method == "GET" else url_for("second_factor.show")
        return redirect(url_for("security.verify", next=after), 303)

    return asked


@bp.get("")
@requires(Permission.SIGNED_IN)
def show() -> ResponseReturnValue:
    return render_template("settings/second_factor.html", person=me(), is_required=_is_required(me()), form=Form())


@bp.route("/set-up", methods=["GET", "POST"])
@requires(Permission.SIGNED_IN)
@fresh
def set_up() -> ResponseReturnValue:
    """The secret waits, sealed, in the session's cookie until a code proves that the app has it."""
    form = CodeForm()
    whose, sealed = session.get("second_factor", (None, ""))
    if request.method == "GET" or whose != me().id:
        sealed = _codes().generate_totp_secret()
        session["second_factor"] = [me().id, sealed]
        form = CodeForm(formdata=None)
    elif form.validate_on_submit():
        step = _codes().step_of(form.code.data or "", sealed)
        if step is not None:
            with db.begin() as writing:
                factor.put_on(me(), sealed, step)
                codes = _make_recovery_codes()
                letters.second_factor_on(writing, me())
            session.pop("second_factor")
            return _show_codes(codes, is_new=True)
        form.say("code", "This code is wrong. Type the one that the app shows now.")
    shown = _codes().fetch_setup_values(sealed, me())
    return render_template("settings/second_factor_set_up.html", form=form, shown=shown), form.status


@bp.post("/recovery-codes")
@requires(Permission.SIGNED_IN)
@fresh
def renew_codes() -> ResponseReturnValue:
    if not me().has_second_factor:
        raise Conflict("You have no second factor. Set it up first.")
    with db.begin() as writing:
        codes = _make_recovery_codes()
        letters.recovery_codes_renewed(writing, me())
    return _show_codes(codes, is_new=False)


@bp.route("/turn-off", methods=["GET", "POST"])
@requires(Permission.SIGNED_IN)
@fresh
def turn_off() -> ResponseReturnValue:
    if _is_required(me()):
        raise Conflict("This installation requires a second factor of you. You can replace it, not turn it off.")
    if request.method == "GET":
        return render_template("settings/second_factor_off.html", form=Form())
    with db.begin() as writing:
        factor.take_off(me())
        letters.second_factor_off(writing, me())
    flash("Your second factor is off. Your password alone signs you in.", "success")
    return redirect(url_for(".show"), 303)


def fits(someone: Person, code: str) -> bool:
    """Whether this is a code of their app, or one of their recovery codes. Whichever it is, it is used up."""
    if _codes().verify_totp(code, someone.tf_totp_secret or "", someone):
        return True
    recovery: RecoveryCodes = current_app.extensions["security"].mf_recovery_codes_util
    if not code or not recovery.check_recovery_code(someone, code):
        return False
    with db.begin() as writing:
        audit.record(writing, "used a recovery code", someone, left=len(someone.mf_recovery_codes or []))
    return True


@bp.before_app_request
def _lead_home() -> ResponseReturnValue | None:
    """Pages of the library whose place our own take."""
    return redirect(url_for("second_factor.show"), 303) if request.endpoint in _UNUSED else None


def _is_required(someone: Person) -> bool:
    return factor.is_required(someone, config_of(current_app).require_mfa)


def _codes() -> Codes:
    codes: Codes = current_app.extensions["security"].totp_factory
    return codes


def _make_recovery_codes() -> list[str]:
    """New ones for the person of this request; those that they had stop working."""
    codes: list[str] = current_app.extensions["security"].mf_recovery_codes_util.create_recovery_codes(me())
    return codes


def _show_codes(codes: list[str], *, is_new: bool) -> ResponseReturnValue:
    return render_template("settings/recovery_codes.html", codes=codes, is_new=is_new), 201
