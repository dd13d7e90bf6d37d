"""What belongs to one account: its data to take away, and its end."""

from collections.abc import Iterator

from flask import (
    Blueprint,
    Response,
    current_app,
    flash,
    redirect,
    render_template,
    request,
    stream_with_context,
    url_for,
)
from flask.typing import ResponseReturnValue

from portal import config_of, letters, registry
from portal.accounts import Permission, Person
from portal.db import db, utcnow
from portal.errors import Conflict, TooManyAttempts
from portal.web import own_data, proof
from portal.web.forms.accounts import ProofForm
from portal.web.guards import a_person, me, record_export, requires

bp = Blueprint("account", __name__, url_prefix="/settings")


@bp.get("/data")
@requires(Permission.SIGNED_IN)
def data() -> ResponseReturnValue:
    """Everything that is stored about the person, as a file."""
    record_export(me())
    name, person_id = f"portico-my-data-{utcnow():%Y-%m-%d}.json", me().id
    stored = own_data.stored(db.session(), config_of(current_app), me())

    def pieces() -> Iterator[str]:
        yield stored
        yield from own_data.told(db.session(), person_id)  # the view's own session may be over by now

    return Response(
        stream_with_context(pieces()),
        mimetype="application/json",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@bp.route("/people/<int:person>/delete", methods=["GET", "POST"])
@requires(Permission.ADMINISTER, a_person)
def delete_person(somebody: Person) -> ResponseReturnValue:
    if somebody == me():
        return redirect(url_for(".delete_me"), 303)
    name = somebody.name
    return _delete(somebody) or _left(f"{name} is deleted, and signed out everywhere.", "people.index")


@bp.route("/delete", methods=["GET", "POST"])
@requires(Permission.SIGNED_IN)
def delete_me() -> ResponseReturnValue:
    return _delete(me()) or _left("Your account is deleted.", "security.login")


def _left(message: str, endpoint: str) -> ResponseReturnValue:
    flash(message, "success")
    return redirect(url_for(endpoint), 303)


def _delete(somebody: Person) -> ResponseReturnValue | None:
    """None when it is done; else the page that says what will happen, or why not."""
    form, wrong, status = ProofForm(), None, 200
    headers: dict[str, str] = {}
    found = registry.departure(db.session(), somebody)
    if request.method == "POST" and found.obstacles:
        status = 409
    elif request.method == "POST" and request.form.get("confirm", "").strip().lower() != somebody.email.lower():
        wrong, status = f"This is not {somebody.email}. Type it to delete the account.", 422
    elif request.method == "POST":
        try:
            if proof.is_given(form):
                with db.begin() as session:
                    letters.forget(session, somebody.email)
                    registry.delete_person(session, somebody)
                return None
            status = 422
        except (Conflict, TooManyAttempts) as error:
            wrong, status = str(error), error.status
            if isinstance(error, TooManyAttempts):
                headers["Retry-After"] = str(error.seconds)
        found = registry.departure(db.session(), somebody)
    page = render_template(
        "settings/delete_person.html",
        somebody=somebody,
        found=found,
        wrong=wrong,
        form=form,
        typed=request.form.get("confirm", ""),
        is_me=somebody == me(),
        person=me(),
    )
    return page, status, headers
