"""The one place that turns an error into a page or into JSON, by what the client asks for.

The REST API answers with problem details (RFC 9457): `type`, `title`, `status`, `detail`, `instance`, and beside them
`code` (a word that programs compare), `request_id`, and where fields are wrong `errors: [{pointer, field, detail}]`.
"""

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from flask import Flask, g, jsonify, redirect, render_template, request, url_for
from flask.globals import request_ctx
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm.exc import ObjectDeletedError, StaleDataError
from werkzeug.exceptions import HTTPException

from portal.errors import Invalid, NameTaken, NotSignedIn, PortalError, TooManyAttempts
from portal.web.audience import is_program

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
    415: "Send a form; to the REST API, application/json.",
    500: "It has been logged. If it comes again, tell an administrator the request id.",
    503: "Try again in a moment.",
}


def wants_json() -> bool:
    """Browsers name text/html; whoever does not gets JSON."""
    return "text/html" not in request.accept_mimetypes.values()


def answer(
    status: int,
    message: str,
    headers: dict[str, str] | None = None,
    *,
    code: str = "",
    fields: Mapping[str, str] | None = None,
) -> ResponseReturnValue:
    """An error as the client wants it; always with the id that the log has. `code` and `fields` are for programs."""
    headers = headers or {}
    if is_program():
        return _details(status, message, code, fields or {}), status, {**headers, "Content-Type": PROBLEM}
    # A host that is refused leaves Flask without addresses of its own, and so without pages.
    if wants_json() or request_ctx.url_adapter is None:
        return jsonify(status=status, message=message, request_id=g.request_id), status, headers
    title = TITLES.get(status, "This did not work")
    page = render_template("error.html", status=status, title=title, message=message, request_id=g.request_id)
    return page, status, headers


PROBLEM = "application/problem+json"


def _details(status: int, message: str, code: str, fields: Mapping[str, str]) -> bytes:
    phrase = HTTPStatus(status).phrase
    found: dict[str, Any] = {
        "type": "about:blank",
        "title": phrase,
        "status": status,
        "detail": message,
        "instance": f"urn:uuid:{g.request_id}",
        "code": code or re.sub(r"[^a-z]+", "_", phrase.lower()),
        "request_id": g.request_id,
    }
    if fields:
        found["errors"] = [
            {"pointer": f"#/{field.replace('.', '/')}", "field": field, "detail": sentence}
            for field, sentence in fields.items()
        ]
    return orjson.dumps(found)


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
    fields = error.fields if isinstance(error, Invalid) else None
    if isinstance(error, NameTaken):
        fields = {error.field: str(error)}
    return answer(error.status, str(error), headers, code=_code(error), fields=fields)


def _code(error: PortalError) -> str:
    """`name_taken` for NameTaken."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).lower()


def not_signed_in(message: str) -> ResponseReturnValue:
    if (
        request.method in {"GET", "HEAD"}
        and not is_program()
        and not wants_json()
        and "HX-Request" not in request.headers
    ):
        return redirect(url_for("security.login", next=request.full_path.rstrip("?")), 303)
    challenge = 'Bearer realm="Portico"'
    if is_program() and "Authorization" in request.headers:
        challenge += ', error="invalid_token"'
    return answer(401, message, {"WWW-Authenticate": challenge}, code="not_signed_in")


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
