"""What somebody must do before anything else: replace a password that was made for them, set a second factor up."""

from flask import Blueprint, current_app, redirect, request, url_for
from flask.typing import ResponseReturnValue

from portal import config_of
from portal.accounts import Person
from portal.accounts import second_factor as factor
from portal.errors import Forbidden
from portal.web import problems
from portal.web.guards import person

bp = Blueprint("duties", __name__)

_ALWAYS = {"static", "security.logout", "security.verify", "health.alive", "health.ready"}
_CHANGE = "security.change_password"
_SECOND_FACTOR = "second_factor"
"""The blueprint of the pages that set it up."""


@bp.before_app_request
def _first_things_first() -> ResponseReturnValue | None:
    someone = None if request.endpoint in _ALWAYS else person()
    if someone is None:
        return None
    if someone.must_change_password:
        if request.endpoint == _CHANGE:
            return None
        return _lead_to(_CHANGE, "Your password was made for you. Choose one of your own first, under Settings.")
    if request.blueprint != _SECOND_FACTOR and lacks_second_factor(someone):
        wanted = "This installation requires a second factor of you. Set it up under Settings first."
        return _lead_to("second_factor.show", wanted)
    return None


def lacks_second_factor(someone: Person) -> bool:
    return not someone.has_second_factor and factor.is_required(someone, config_of(current_app).require_mfa)


def _lead_to(endpoint: str, wanted: str) -> ResponseReturnValue:
    if request.method == "GET" and not problems.wants_json() and "HX-Request" not in request.headers:
        return redirect(url_for(endpoint), 303)
    raise Forbidden(wanted)
