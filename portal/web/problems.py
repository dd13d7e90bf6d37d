"""The one place that turns an error into a page or into JSON, by what the client asks for."""

import logging

from flask import Flask, g, jsonify, redirect, render_template, request, url_for
from flask.globals import request_ctx
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm.exc import ObjectDeletedError, StaleDataError
from werkzeug.exceptions import HTTPException

from portal.errors import NotSignedIn, PortalError, TooManyAttempts

log = logging.getLogger(__name__)

TITLES = {
    400: "This request could not be read",
    401: "Sign in first",
    403: "You may not do this",
    404: "Nothing found here",
    405: "This address does not take that method",
    409: "This collides with something",
    410: "This link no longer works",
    413: "This is too large",
    415: "This kind of content is not taken here",
    422: "Something in it is not right",
    429: "Too many attempts",
    500: "Something went wrong on our side",
    503: "Not available right now",
}

_SENTENCES = {
    400: "Check the address and what was sent, then try again.",
    404: "There is nothing here, or nothing that you may see.",
    413: "Send less at once.",
    415: "Send a form.",
    500: "It has been logged. If it comes again, tell an administrator the request id.",
    503: "Try again in a moment.",
}


def wants_json() -> bool:
    """Browsers name text/html; whoever does not gets JSON."""
    return "text/html" not in request.accept_mimetypes.values()


def answer(status: int, message: str, headers: dict[str, str] | None = None) -> ResponseReturnValue:
    """An error as the client wants it; always with the id that the log has."""
    headers = headers or {}
    # A host that is refused leaves Flask without addresses of its own, and so without pages.
    if wants_json() or request_ctx.url_adapter is None:
        return jsonify(status=status, message=message, request_id=g.request_id), status, headers
    title = TITLES.get(status, "This did not work")
    page = render_template("error.html", status=status, title=title, message=message, request_id=g.request_id)
    return page, status, headers


def set_up(app: Flask) -> None:
    app.register_error_handler(PortalError, _ours)
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(IntegrityError, _overtaken)
    app.register_error_handler(ObjectDeletedError, _gone)
    app.register_error_handler(StaleDataError, _gone)
    app.register_error_handler(OperationalError, _database)
    app.register_error_handler(Exception, _unexpected)


def _ours(error: PortalError) -> ResponseReturnValue:
    if isinstance(error, NotSignedIn):
        return not_signed_in(str(error))
    headers = {"Retry-After": str(error.seconds)} if isinstance(error, TooManyAttempts) else None
    return answer(error.status, str(error), headers)


def not_signed_in(message: str) -> ResponseReturnValue:
    if request.method in {"GET", "HEAD"} and not wants_json() and "HX-Request" not in request.headers:
        return redirect(url_for("security.login", next=request.full_path.rstrip("?")), 303)
    return answer(401, message, {"WWW-Authenticate": 'Bearer realm="Portico"'})


def _csrf(_error: CSRFError) -> ResponseReturnValue:
    return answer(400, "This form was opened in another session. Go back, reload the page and send it again.")


def _http(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    if status in range(300, 400):
        return error.get_response()
    if status == 401:
        return not_signed_in("Sign in to see this page.")
    message = _SENTENCES.get(status) or error.description or "Try something else."
    if status == 405:
        allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or []))
        return answer(405, f"{request.method} is not possible here; {allowed} is.", {"Allow": allowed})
    return answer(status, message)


def _overtaken(error: IntegrityError) -> ResponseReturnValue:
    """The verbs look first and say what is taken; only somebody faster by a moment gets past them to a constraint."""
    log.warning("%s %s met a constraint", request.method, _where(), exc_info=error)
    return answer(
        409,
        "Somebody else saved the same, or deleted what it belongs to, at this moment, so nothing of yours was saved. "
        "Go back and try again.",
    )


def _gone(error: ObjectDeletedError | StaleDataError) -> ResponseReturnValue:
    """It was there when the view was entered, and not any more when the turn to write came."""
    log.warning("%s %s came too late", request.method, _where(), exc_info=error)
    return answer(404, "Somebody else deleted this at the same moment. Nothing of yours was saved.")


def _database(error: OperationalError) -> ResponseReturnValue:
    log.exception("The database did not answer", exc_info=error)
    return answer(503, "The database does not answer. Published APIs go on working; try again in a moment.")


def _unexpected(error: Exception) -> ResponseReturnValue:
    log.exception("%s %s failed", request.method, _where(), exc_info=error)
    return answer(500, _SENTENCES[500])


def _where() -> str:
    """The path, without the token of a mailed link: it would let a reader of the log in."""
    token = (request.view_args or {}).get("token")
    return request.path.replace(token, "…") if token else request.path
