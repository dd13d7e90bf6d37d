"""Sign-up, sign-in, sign-out, confirmed addresses and new passwords by Flask-Security, in our pages and letters.

Its own views that look an address up before they answer are replaced: how long they take tells who has an account.
"""

from typing import Any

from flask import Flask, g, session
from flask_login import user_logged_in
from flask_security import (
    ChangePasswordForm,
    LoginForm,
    PasswordUtil,
    RegisterFormV2,
    ResetPasswordForm,
    Security,
    SQLAlchemyUserDatastore,
    password_changed,
    password_reset,
    user_confirmed,
    user_not_registered,
    user_registered,
)
from wtforms import StringField
from wtforms.validators import DataRequired, Length

from portal import accounts, letters
from portal.accounts import Person
from portal.config import Config
from portal.db import db, utcnow
from portal.errors import NotSignedIn
from portal.web import accounts as pages
from portal.web import second_factor

_WRONG = ("E-mail address or password is wrong.", "error")
"""One sentence for a wrong address and a wrong password: nobody learns who has an account."""


class Passwords(PasswordUtil):
    def validate(self, password: str, is_register: bool, **about: Any) -> tuple[list[str] | None, str]:
        """What is wrong, and the password in its one form. `about` is `user`, or what the form of sign-up holds."""
        wrong, normal = super().validate(password, is_register, **about)
        someone = about.get("user")
        texts = (someone.email, someone.name) if someone else (about.get("email"), about.get("name"))
        if not wrong and accounts.passwords.is_easily_guessed(normal, filter(None, texts)):
            wrong = ["This password is among the first that somebody would guess. A few words make a good one."]
        return wrong, normal


class SignUpForm(RegisterFormV2):
    name = StringField(
        "Name",
        filters=[lambda text: " ".join((text or "").split())],
        validators=[DataRequired("Give the name that others will see."), Length(max=80)],
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.email.label.text = "E-mail address"


class SignInForm(LoginForm):
    def validate(self, **more: Any) -> bool:
        """Who gave the right password is told what else is wrong, where others are told one sentence only."""
        fits = bool(super().validate(**more))
        if self.user_authenticated and not fits:
            self.form_errors.extend(self.email.errors)
            self.email.errors = []
        elif _WRONG[0] in (*self.email.errors, *self.password.errors):
            # Of the whole form: which field it is said of would tell who has an account.
            self.email.errors, self.password.errors = [], []
            self.form_errors.append(_WRONG[0])
        return fits


class ResetForm(ResetPasswordForm):
    password_confirm = None  # type: ignore[assignment]  # as at sign-up: the link can be sent again


class NewPasswordForm(ChangePasswordForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.password.label.text = "Current password"
        self.new_password.label.text = "New password"
        self.new_password_confirm.label.text = "New password again"


def set_up(app: Flask, config: Config) -> None:
    settings: dict[str, Any] = {
        "SECURITY_REGISTERABLE": config.sign_up,
        "SECURITY_SEND_REGISTER_EMAIL": False,
        "SECURITY_PASSWORD_SALT": app.config["SECRET_KEY"],
        "SECURITY_PASSWORD_LENGTH_MIN": 10,
        "SECURITY_PASSWORD_CONFIRM_REQUIRED": False,
        "SECURITY_LOGIN_URL": "/sign-in",
        "SECURITY_LOGOUT_URL": "/sign-out",
        "SECURITY_REGISTER_URL": "/sign-up",
        "SECURITY_LOGOUT_METHODS": ["POST"],
        "SECURITY_LOGIN_USER_TEMPLATE": "accounts/sign_in.html",
        "SECURITY_REGISTER_USER_TEMPLATE": "accounts/sign_up.html",
        "SECURITY_VERIFY_TEMPLATE": "accounts/verify.html",
        "SECURITY_CHANGEABLE": True,
        "SECURITY_CHANGE_URL": "/settings/password",
        "SECURITY_CHANGE_PASSWORD_TEMPLATE": "settings/password.html",
        "SECURITY_POST_CHANGE_VIEW": "/settings",
        "SECURITY_SEND_PASSWORD_CHANGE_EMAIL": False,
        "SECURITY_MSG_PASSWORD_CHANGE": ("Your password is changed.", "success"),
        "SECURITY_POST_LOGIN_VIEW": "/",
        "SECURITY_POST_LOGOUT_VIEW": "/sign-in",
        "SECURITY_POST_REGISTER_VIEW": "/sign-in" if config.confirm_email else "/",
        "SECURITY_JOIN_USER_ROLES": False,
        "SECURITY_EMAIL_VALIDATOR_ARGS": {"check_deliverability": False},
        "SECURITY_MSG_USER_DOES_NOT_EXIST": _WRONG,
        "SECURITY_MSG_INVALID_PASSWORD": _WRONG,
        "SECURITY_MSG_GENERIC_AUTHN_FAILED": _WRONG,
        "SECURITY_MSG_EMAIL_ALREADY_ASSOCIATED": ("%(email)s has an account already. Sign in instead.", "error"),
        "SECURITY_MSG_DISABLED_ACCOUNT": ("This account is deactivated. Ask an administrator.", "error"),
        "SECURITY_MSG_EMAIL_NOT_PROVIDED": ("Give your e-mail address.", "error"),
        "SECURITY_MSG_INVALID_EMAIL_ADDRESS": (
            "This is not an e-mail address. Write it as name@example.com.",
            "error",
        ),
        "SECURITY_MSG_PASSWORD_NOT_PROVIDED": ("Give a password.", "error"),
        "SECURITY_MSG_PASSWORD_INVALID_LENGTH": ("A password has %(length)s characters or more.", "error"),
        "SECURITY_MSG_PASSWORD_IS_THE_SAME": ("This is the password that you have. Choose another one.", "error"),
        "SECURITY_MSG_RETYPE_PASSWORD_MISMATCH": ("This differs from the new password. Type it again.", "error"),
        "SECURITY_DATETIME_FACTORY": utcnow,
        "SECURITY_RECOVERABLE": True,
        "SECURITY_RESET_URL": pages.FORGOT,
        "SECURITY_RESET_PASSWORD_TEMPLATE": "accounts/reset.html",
        "SECURITY_RESET_PASSWORD_WITHIN": letters.RESET_LASTS,
        "SECURITY_SEND_PASSWORD_RESET_NOTICE_EMAIL": False,  # password_changed() below
        "SECURITY_POST_RESET_VIEW": "/sign-in",
        "SECURITY_MSG_PASSWORD_RESET_NO_LOGIN": ("Your password is changed. Sign in with it.", "success"),
        "SECURITY_MSG_PASSWORD_RESET_EXPIRED": ("This link is too old. Have another one sent.", "error"),
        "SECURITY_MSG_INVALID_RESET_PASSWORD_TOKEN": (
            "This link was used already, or was not copied whole. Have another one sent.",
            "error",
        ),
        "SECURITY_CONFIRMABLE": config.confirm_email,
        "SECURITY_CONFIRM_URL": pages.CONFIRM,
        "SECURITY_CONFIRM_EMAIL_WITHIN": letters.CONFIRMATION_LASTS,
        "SECURITY_POST_CONFIRM_VIEW": "/sign-in",
        # Whoever signs up with an address that has an account is answered like everybody else. Where addresses are
        # not confirmed a new account is open at once, and so no answer can hide that there is none.
        "SECURITY_RETURN_GENERIC_RESPONSES": config.confirm_email,
        "SECURITY_MSG_CONFIRM_REGISTRATION": (
            "A mail is on its way to %(email)s. Open the link in it, then sign in.",
            "success",
        ),
        "SECURITY_MSG_EMAIL_CONFIRMED": ("Your address is confirmed. Sign in.", "success"),
        "SECURITY_MSG_ALREADY_CONFIRMED": ("This address is confirmed already. Sign in.", "info"),
        "SECURITY_MSG_CONFIRMATION_REQUIRED": (
            "Confirm your e-mail address first: open the link in the mail that you were sent.",
            "error",
        ),
        "SECURITY_MSG_CONFIRMATION_EXPIRED": ("This link is too old. Have another one sent.", "error"),
        "SECURITY_MSG_INVALID_CONFIRMATION_TOKEN": (
            "This link was not copied whole, or another one replaces it. Have it sent again.",
            "error",
        ),
        "SECURITY_MSG_INVALID_REDIRECT": ("This link leads out of the portal. Sign in without it.", "error"),
        "SECURITY_CSRF_IGNORE_UNAUTH_ENDPOINTS": False,
        "SECURITY_STATIC_FOLDER": None,
    }
    settings |= second_factor.settings(config)
    for name, value in settings.items():
        app.config.setdefault(name, value)
    security = Security(
        app,
        # Rights come from memberships, so there are no roles of Flask-Security.
        SQLAlchemyUserDatastore(db, Person, None),  # type: ignore[arg-type]
        register_form=SignUpForm,
        login_form=SignInForm,
        reset_password_form=ResetForm,
        change_password_form=NewPasswordForm,
        password_util_cls=Passwords,
        two_factor_rescue_form=second_factor.NoRescueForm,
        totp_cls=second_factor.Codes,
        mf_recovery_codes_util_cls=second_factor.RecoveryCodes,
    )
    for endpoint in ("register", "change_password", "reset_password", "confirm_email"):
        if view := app.view_functions.get(f"security.{endpoint}"):
            app.view_functions[f"security.{endpoint}"] = pages.locked(view)
    app.view_functions["security.forgot_password"] = pages.forgot
    if config.confirm_email:
        app.view_functions["security.send_confirmation"] = pages.send_confirmation
        app.view_functions["security.confirm_email"] = pages.ask_first(app.view_functions["security.confirm_email"])

    def refuse(*_args: Any, **_kwargs: Any) -> Any:
        raise NotSignedIn()

    security.unauthn_handler(refuse)
    user_registered.connect(_welcome, app)
    user_not_registered.connect(_already_here, app)
    user_confirmed.connect(_confirmed, app)
    password_changed.connect(_tell_of_password, app)
    password_reset.connect(_reset, app)
    user_logged_in.connect(_begin_anew, app)


def _begin_anew(_app: Flask, **_extra: Any) -> None:
    """Who planted a session in this browser before knows its form token; from now on another one counts."""
    session.pop("csrf_token", None)
    g.pop("csrf_token", None)


def _welcome(_app: Flask, user: Person, confirmation_token: str | None = None, **_extra: Any) -> None:
    """Everyone has a personal team from the first moment: it is made in the transaction that makes the person."""
    writing = db.session()
    writing.flush()  # the team refers to the person's id
    accounts.create_personal_team(writing, user)
    if confirmation_token:
        letters.confirmation(writing, user, confirmation_token)
    else:
        accounts.settle_invitation(writing, user.email)


def _already_here(_app: Flask, user: Person, **_extra: Any) -> None:
    """Nobody is made, so Flask-Security commits nothing. The token costs what it costs for somebody new."""
    letters.confirmation_token(user)
    with db.begin() as session:
        letters.has_account(session, user)


def _confirmed(_app: Flask, user: Person, **_extra: Any) -> None:
    accounts.confirm(user, now=utcnow())


def _tell_of_password(_app: Flask, user: Person, **_extra: Any) -> None:
    user.must_change_password = False
    letters.password_changed(db.session(), user)


def _reset(_app: Flask, user: Person, **_extra: Any) -> None:
    """The link came by mail, which shows whose the address is."""
    accounts.confirm(user, now=utcnow())
    user.must_change_password = False
    letters.password_changed(db.session(), user)
