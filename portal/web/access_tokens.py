"""One's own access tokens: made, shown once, revoked."""

from flask import Blueprint, current_app, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal import bearer, config_of
from portal.accounts import Permission, audit, tokens
from portal.accounts.tokens import AccessToken, Scope
from portal.db import db, utcnow
from portal.errors import Conflict, Invalid, NotFound
from portal.web.forms import Form
from portal.web.forms.access_tokens import TokenForm
from portal.web.forms.born import BirthMark
from portal.web.guards import me, requires

bp = Blueprint("access_tokens", __name__, url_prefix="/settings/tokens")


@bp.get("")
@requires(Permission.SIGNED_IN)
def index() -> ResponseReturnValue:
    rows, now = tokens.of_person(db.session(), me()), utcnow()
    return render_template("settings/tokens.html", rows=[(row, row.state_at(now), used) for row, used in rows])


@bp.route("/new", methods=["GET", "POST"])
@requires(Permission.SIGNED_IN)
def new() -> ResponseReturnValue:
    form = TokenForm().for_person(me())
    mark = BirthMark(current_app.config["SECRET_KEY"], f"access token of person {me().id}")
    if request.method == "GET":
        form.birth.data = mark.sign(bearer.new_public_id())
    if not form.validate_on_submit():
        return render_template("settings/new_token.html", form=form), form.status
    public_id, now = mark.read(form.birth.data or ""), utcnow()
    try:
        with db.begin() as session:
            token, secret = tokens.make(
                session,
                me(),
                label=form.label.data or "",
                scopes=[Scope(each) for each in form.scopes.data or []],
                expires_at=form.ends(now),
                now=now,
                public_id=public_id,
            )
            audit.record(session, "shown", token)
    except (Invalid, Conflict) as error:
        status = form.refuse(error)
        return render_template("settings/new_token.html", form=form), status
    page = render_template(
        "settings/token_made.html", token=token, secret=secret.value, address=f"{config_of(current_app).url}/api/v1/me"
    )
    response = make_response(page, 201)
    response.headers["Cache-Control"] = "no-store"
    return response


@bp.route("/<access_token>/revoke", methods=["GET", "POST"])
@requires(Permission.SIGNED_IN)
def revoke(access_token: str) -> ResponseReturnValue:
    found = _own(access_token)
    if request.method == "GET":
        return render_template("settings/revoke_token.html", token=found, form=Form())
    with db.begin():
        tokens.revoke(_own(access_token), now=utcnow())
    flash(f"{found.label} is revoked: ppt_{found.public_id}_… opens nothing any more.", "success")
    return redirect(url_for(".index"), 303)


def _own(public_id: str) -> AccessToken:
    found = tokens.find_own(db.session(), me(), public_id)
    if found is None:
        raise NotFound()
    return found
