"""People, for administrators: who has an account, what they may do, and getting them in again."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_security import hash_password

from portal import accounts, letters
from portal.accounts import Permission, Person
from portal.db import db
from portal.errors import Conflict
from portal.web import lists
from portal.web.forms import Form
from portal.web.forms.settings import NewPersonForm
from portal.web.guards import a_person, me, requires

bp = Blueprint("people", __name__, url_prefix="/settings/people")


@bp.get("")
@requires(Permission.ADMINISTER)
def index() -> ResponseReturnValue:
    q = lists.query()
    page = lists.page(db.session(), lists.people(q=q), Person.name, Person.id)
    return render_template("settings/people.html", page=page, q=q)


@bp.route("/new", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def new() -> ResponseReturnValue:
    form = NewPersonForm()
    if not form.validate_on_submit():
        return render_template("settings/new_person.html", form=form), form.status
    password = accounts.new_password()
    password_hash = hash_password(password)
    try:
        with db.begin() as session:
            somebody = accounts.create_person(
                session,
                email=form.email.data or "",
                name=form.name.data or "",
                password_hash=password_hash,
                is_administrator=form.is_administrator.data,
                must_change_password=True,
            )
            accounts.audit.record(session, "shown password", somebody)
    except Conflict as error:
        status = form.refuse(error)
        return render_template("settings/new_person.html", form=form), status
    return render_template("settings/password_once.html", somebody=somebody, password=password, made=True), 201


@bp.get("/<int:person>")
@requires(Permission.ADMINISTER, a_person)
def show(somebody: Person) -> ResponseReturnValue:
    return render_template("settings/somebody.html", somebody=somebody, form=Form(), is_me=somebody == me())


@bp.post("/<int:person>/administrator")
@requires(Permission.ADMINISTER, a_person)
def change_administrator(somebody: Person) -> ResponseReturnValue:
    wanted = request.form.get("administrator") == "1"
    with db.begin() as session:
        if wanted:
            accounts.appoint(somebody)
        else:
            accounts.dismiss(session, somebody)
    message = f"{somebody.name} is {'an' if wanted else 'no longer an'} administrator."
    if not me().acts_as_administrator:
        flash(message, "success")
        return redirect(url_for("settings.show"), 303)
    return _back(message, somebody)


@bp.route("/<int:person>/active", methods=["GET", "POST"])
@requires(Permission.ADMINISTER, a_person)
def change_active(somebody: Person) -> ResponseReturnValue:
    if request.method == "GET":
        return _confirm(
            somebody,
            title=f"Deactivate {somebody.name}",
            text="They are signed out everywhere and cannot sign in until you activate them again. "
            "Keys of their teams go on working.",
            button="Deactivate",
            name="active",
            value="0",
        )
    wanted = request.form.get("active") == "1"
    with db.begin() as session:
        if wanted:
            accounts.activate(somebody)
        else:
            accounts.deactivate(session, somebody)
    state = "may sign in again" if wanted else "is deactivated and signed out everywhere"
    return _back(f"{somebody.name} {state}.", somebody)


@bp.route("/<int:person>/password", methods=["GET", "POST"])
@requires(Permission.ADMINISTER, a_person)
def reset_password(somebody: Person) -> ResponseReturnValue:
    if request.method == "GET":
        return _confirm(
            somebody,
            title=f"Reset the password of {somebody.name}",
            text="The password that they have stops working and they are signed out everywhere. "
            "The new one is shown to you once.",
            button="Reset password",
        )
    password = accounts.new_password()
    password_hash = hash_password(password)
    with db.begin() as session:
        accounts.set_password(somebody, password_hash, must_change_password=True)
        letters.password_changed(session, somebody)
        accounts.audit.record(session, "shown password", somebody)
    return render_template("settings/password_once.html", somebody=somebody, password=password, made=False), 201


@bp.route("/<int:person>/second-factor", methods=["GET", "POST"])
@requires(Permission.ADMINISTER, a_person)
def take_off_second_factor(somebody: Person) -> ResponseReturnValue:
    if request.method == "GET":
        return _confirm(
            somebody,
            title=f"Take the second factor off {somebody.name}",
            text="Their password alone signs them in until they set up another one. Their recovery codes stop working.",
            button="Take second factor off",
        )
    with db.begin() as session:
        accounts.second_factor.take_off(somebody)
        letters.second_factor_off(session, somebody)
    return _back(f"{somebody.name} signs in with the password alone now.", somebody)


def _back(message: str, somebody: Person) -> ResponseReturnValue:
    flash(message, "success")
    return redirect(url_for(".show", person=somebody.id), 303)


def _confirm(somebody: Person, **words: str) -> ResponseReturnValue:
    """`title`, `text` and `button`; `name` and `value` of what the button sends."""
    return render_template("settings/confirm_person.html", somebody=somebody, **words)
