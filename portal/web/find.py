"""The palette (Ctrl-K), and its page: one address finds APIs, operations, consumers, keys, calls, pages and actions."""

import re
import time

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal.accounts import Permission
from portal.db import db
from portal.web import finding, lists
from portal.web.guards import me, requires
from portal.web.pace import Pace

bp = Blueprint("find", __name__)

LONGEST = 200
"""Characters that are looked for; the rest is not read."""
_SECRET = re.compile(r"(?:p(?:c[ob]|pt)_[0-9A-Za-z]{12}|pcc_[0-9]+)[_:]?")
"""The part of a key, of a user name with its password, or of another token of ours, that may be shown.
`static/find.js` has it too."""


@bp.get("/find")
@requires(Permission.SIGNED_IN)
def show() -> ResponseReturnValue:
    """The page, or only the results for the palette. Without scripts the field at the top of each page leads here."""
    pace: Pace = current_app.extensions.setdefault("portico_find", Pace(burst=40, per_second=8))
    pace.step(me().id, time.monotonic())
    is_part = "HX-Request" in request.headers
    typed, was_cut = without_secret(lists.query())
    typed = typed[:LONGEST]
    if was_cut and not is_part:
        # So that neither this page nor the browser's history has the rest.
        return redirect(url_for(".show", q=typed, cut=1), 303)
    session = db.session()
    was_cut = was_cut or request.args.get("cut") == "1"
    if typed and not is_part and not was_cut and (there := finding.leads_to(session, me(), typed)):
        return redirect(there, 303)
    only = "keys" if lists.query("kind") == "keys" else ""
    groups = finding.find(session, me(), typed, only=only)
    return render_template(
        "find/_palette.html" if is_part else "find/show.html",
        typed=typed,
        groups=groups,
        count=sum(len(group.hits) for group in groups),
        was_cut=was_cut,
        begins_a_key=finding.begins_a_key(typed),
    )


def without_secret(text: str) -> tuple[str, bool]:
    """`text`, or of a key in it the part that may be shown, and whether there was more."""
    found = _SECRET.search(text)
    if found is None:
        return text, False
    return found[0], bool(text[found.end() :].strip())
