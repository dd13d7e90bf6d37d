"""“Report a leak”: for everybody, signed in or not."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal.accounts import Permission, throttle
from portal.db import db, utcnow
from portal.errors import Invalid, TooManyAttempts
from portal.registry import leaks
from portal.web.forms.keys import LeakForm
from portal.web.guards import requires

bp = Blueprint("leaks", __name__)

THANKS = (
    "Thank you. If this key works here, it is revoked within seconds and its owners are told. Nobody is told "
    "whether it does."
)


@bp.route("/leaks", methods=["GET", "POST"])
@requires(Permission.PUBLIC)
def report() -> ResponseReturnValue:
    form = LeakForm()
    if not form.validate_on_submit():
        return _page(form, form.status)
    try:
        take(form.key.data or "", form.found_at.data or "")
    except (Invalid, TooManyAttempts) as error:
        return _page(form, form.refuse(error))
    flash(THANKS, "success")
    return redirect(url_for(".report"), 303)


def take(pasted: str, found_at: str) -> None:
    """One report, from the page or the REST API. Raises Invalid and TooManyAttempts, which quote nothing of it."""
    with db.begin() as session:
        throttle.attempt(session, throttle.leak_report(request.remote_addr or ""), now=utcnow())
    with db.begin() as session:
        leaks.report(session, pasted, found_at=found_at)


def _page(form: LeakForm, status: int) -> ResponseReturnValue:
    form.key.data, form.key.raw_data = "", None
    form.found_at.data = leaks.masked(form.found_at.data or "")
    return render_template("leaks/report.html", form=form), status
