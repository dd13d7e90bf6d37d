"""“Why was this refused?”: a request id goes in, plain words come out."""

import uuid

from flask import Blueprint, current_app, render_template, request
from flask.typing import ResponseReturnValue

from portal import config_of
from portal.accounts import Permission
from portal.db import db
from portal.traffic import calls
from portal.web import scopes
from portal.web.guards import me, requires
from portal.web.told import told

bp = Blueprint("why", __name__)


@bp.get("/why")
@requires(Permission.SIGNED_IN)
def show() -> ResponseReturnValue:
    typed = request.args.get("id", "").replace("\0", "").strip()[:200]
    if not typed:
        return render_template("why/show.html", typed="", call=None, mistake=None)
    session = db.session()
    request_id = id_in(typed)
    if request_id is None:
        mistake = (
            "This is no request id. One looks like 019a9f6e-7c41-7b0a-9d3e-2f60c5a1b8d4; answers of the gateway have "
            "it in X-Request-Id, and its refusals in request_id, too."
        )
        return render_template("why/show.html", typed=typed, call=None, mistake=mistake), 422
    scope = scopes.scope_of(session, me())
    call = calls.find_call(session, scope, request_id)
    if call is None:
        days = config_of(current_app).call_days
        mistake = (
            f"There is no such call that you may see. It is not stored yet (that takes a second or two), older than "
            f"{days} days, or another team's."
        )
        return render_template("why/show.html", typed=typed, call=None, mistake=mistake), 404
    return render_template(
        "why/show.html",
        typed=typed,
        mistake=None,
        call=call,
        why=told(session, call),
        api=scopes.name_apis(session, scope, [call.api_id]).get(call.api_id or 0),
        consumer=scopes.name_consumers(session, scope, [call.consumer_id]).get(call.consumer_id or 0),
    )


def id_in(typed: str) -> str | None:
    """The id in what was pasted: alone, in quotes, or as the header that it came in."""
    for word in typed.replace('"', " ").replace("'", " ").replace(",", " ").split():
        try:
            return str(uuid.UUID(word.removeprefix("X-Request-Id:").removeprefix("x-request-id:")))
        except ValueError:
            continue
    return None
