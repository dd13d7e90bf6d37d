"""Invitations: administrators send them, whoever got one makes an account."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_security import hash_password, login_user
from werkzeug.wrappers import Response

from portal import accounts, letters
from portal.accounts import Invitation, Permission
from portal.db import db, utcnow
from portal.errors import Conflict
from portal.web import lists
from portal.web.forms import Form
from portal.web.forms.accounts import AcceptForm
from portal.web.forms.settings import InvitationForm
from portal.web.guards import an_invitation, me, requires

bp = Blueprint("invitations", __name__)


def _to_list(message: str) -> Response:
    flash(message, "success")
    return redirect(url_for(".index"), 303)


@bp.get("/settings/people/invitations")
@requires(Permission.ADMINISTER)
def index() -> ResponseReturnValue:
    q = lists.query()
    page = lists.page(db.session(), lists.invitations(q=q), Invitation.email, Invitation.id)
    return render_template(
        "settings/invitations.html", page=page, q=q, lasts=accounts.INVITATION_LASTS, now=utcnow(), form=Form()
    )


@bp.route("/settings/people/invitations/new", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def new() -> ResponseReturnValue:
    form = InvitationForm()
    if not form.validate_on_submit():
        return render_template("settings/new_invitation.html", form=form), form.status
    try:
        with db.begin() as session:
            invited = accounts.invite(session, email=form.email.data or "", by=me(), now=utcnow())
            letters.invitation(session, invited, me())
    except Conflict as error:
        status = form.refuse(error)
        return render_template("settings/new_invitation.html", form=form), status
    return _to_list(f"A mail with a link is on its way to {invited.email}.")


@bp.post("/settings/people/invitations/<int:invitation>/send")
@requires(Permission.ADMINISTER, an_invitation)
def send(invitation: Invitation) -> ResponseReturnValue:
    with db.begin() as session:
        accounts.send_anew(invitation, now=utcnow())
        letters.invitation(session, invitation, me())
    return _to_list(f"Another mail is on its way to {invitation.email}. The link in the one before no longer works.")


@bp.route("/settings/people/invitations/<int:invitation>/withdraw", methods=["GET", "POST"])
@requires(Permission.ADMINISTER, an_invitation)
def withdraw(invitation: Invitation) -> ResponseReturnValue:
    if request.method == "GET":
        return render_template("settings/withdraw_invitation.html", invitation=invitation)
    email = invitation.email
    with db.begin() as session:
        accounts.withdraw(session, invitation)
    return _to_list(f"{email} is no longer invited.")


@bp.route("/sign-up/invitation/<token>", methods=["GET", "POST"])
@requires(Permission.PUBLIC)
def accept(token: str) -> ResponseReturnValue:
    """Having the link shows whose the address is; no other can be given."""
    invitation_id, nonce = letters.read_invitation(token)
    invited = accounts.find_invitation(db.session(), invitation_id, nonce, now=utcnow())
    form, email = AcceptForm(), invited.email
    form.email = email
    if not form.validate_on_submit():
        return render_template("accounts/accept.html", form=form, email=email), form.status
    password_hash = hash_password(form.password.data or "")
    try:
        with db.begin() as session:
            invited = accounts.find_invitation(session, invitation_id, nonce, now=utcnow())
            somebody = accounts.accept(session, invited, name=form.name.data or "", password_hash=password_hash)
    except Conflict as error:
        status = form.refuse(error)
        return render_template("accounts/accept.html", form=form, email=email), status
    login_user(somebody, authn_via=["register"])
    flash(f"Welcome. You sign in as {email}.", "success")
    return redirect(url_for("home.show"), 303)
