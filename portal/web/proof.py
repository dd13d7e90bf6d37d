"""Before what cannot be undone, whoever sits at the browser shows once more that they are the person who signed in."""

from flask import request
from flask_security import verify_password

from portal.accounts import audit, throttle
from portal.db import db, utcnow
from portal.web import second_factor
from portal.web.forms.accounts import ProofForm
from portal.web.guards import me


def is_given(form: ProofForm) -> bool:
    """The password of the person of this request, and a code where they have a second factor. What is wrong is said
    in the form. Raises TooManyAttempts."""
    place, someone = request.remote_addr or "", me()
    limits = throttle.password_again(place, str(someone.id))
    if someone.has_second_factor:
        limits = throttle.second_factor(place, someone.fs_uniquifier) + limits
    # In a transaction of its own: a failure must stay counted.
    with db.begin() as session:
        throttle.attempt(session, limits, now=utcnow())
    if not verify_password(form.password.data or "", me().password):
        form.say("password", "This is not your password.")
        return False
    if me().has_second_factor and not second_factor.fits(me(), form.code.data or ""):
        with db.begin() as session:
            audit.record(session, "gave a wrong code", me())
        form.say("code", second_factor.WRONG_CODE)
        return False
    with db.begin() as session:
        throttle.succeeded(session, limits)
    return True
