"""The installation, for administrators: what it is set to, and the sample of its first start."""

from dataclasses import fields
from typing import NamedTuple

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal import config_of, sample
from portal.accounts import Permission
from portal.config import Config
from portal.db import db
from portal.web.forms import Form
from portal.web.guards import requires

bp = Blueprint("installation", __name__, url_prefix="/settings/installation")


@bp.get("")
@requires(Permission.ADMINISTER)
def show() -> ResponseReturnValue:
    rows = settings_of(config_of(current_app))
    return render_template("settings/installation.html", rows=rows, has_sample=sample.exists(db.session()), form=Form())


class Setting(NamedTuple):
    name: str
    value: str
    """Of a secret only whether it is set."""
    says: str
    is_default: bool


def settings_of(config: Config) -> list[Setting]:
    rows = []
    for each in fields(config):
        value = getattr(config, each.name)
        is_default = value == each.default
        if each.metadata["secret"]:
            shown = "not set" if is_default or not value else "set"
        else:
            shown = {True: "1", False: "0"}.get(value, str(value)) if isinstance(value, bool) else str(value)
        rows.append(Setting(f"PORTAL_{each.name.upper()}", shown, each.metadata["says"], is_default))
    return rows


@bp.route("/sample/remove", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def remove_sample() -> ResponseReturnValue:
    if request.method == "GET":
        return render_template("settings/remove_sample.html", form=Form())
    with db.begin() as session:
        sample.remove(session)
    flash("The sample is removed. It does not come back.", "success")
    return redirect(url_for(".show"), 303)
