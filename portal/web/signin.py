"""Sign-up, sign-in and sign-out by Flask-Security, in our pages."""

from typing import Any

from flask import Flask
from flask_security import RegisterFormV2, Security, SQLAlchemyUserDatastore, user_registered
from wtforms import StringField
from wtforms.validators import DataRequired, Length

from portal import accounts
from portal.accounts import Person
from portal.config import Config
from portal.db import db
from portal.errors import NotSignedIn


class SignUpForm(RegisterFormV2):
    name = StringField(
        "Name",
        filters=[lambda text: " ".join((text or "").split())],
        validators=[DataRequired("Give the name that others will see."), Length(max=80)],
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.email.label.text = "E-mail address"


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
        "SECURITY_POST_REGISTER_VIEW": "/",
        "SECURITY_JOIN_USER_ROLES": False,
        "SECURITY_EMAIL_VALIDATOR_ARGS": {"check_deliverability": False},
        # One sentence for a wrong address and a wrong password: nobody learns who has an account.
        "SECURITY_MSG_USER_DOES_NOT_EXIST": ("E-mail address or password is wrong.", "error"),
        "SECURITY_MSG_INVALID_PASSWORD": ("E-mail address or password is wrong.", "error"),
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
        "SECURITY_MSG_INVALID_REDIRECT": ("This link leads out of the portal. Sign in without it.", "error"),
        "SECURITY_CSRF_IGNORE_UNAUTH_ENDPOINTS": False,
        "SECURITY_STATIC_FOLDER": None,
    }
    for name, value in settings.items():
        app.config.setdefault(name, value)
    security = Security(
        app,
        # Rights come from memberships, so there are no roles of Flask-Security.
        SQLAlchemyUserDatastore(db, Person, None),  # type: ignore[arg-type]
        register_form=SignUpForm,
    )

    def refuse(*_args: Any, **_kwargs: Any) -> Any:
        raise NotSignedIn()

    security.unauthn_handler(refuse)
    user_registered.connect(_welcome, app)


def _welcome(_app: Flask, user: Person, **_extra: Any) -> None:
    """Everyone has a personal team from the first moment: it is made in the transaction that makes the person."""
    session = db.session()
    session.flush()  # the team refers to the person's id
    accounts.create_personal_team(session, user)
