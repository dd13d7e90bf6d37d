"""What of a request is read at all. The rest is refused here, before any view sees it.

Pages read forms, without files. Texts with a NUL character and numbers that no id reaches are in no database.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask, request
from werkzeug.exceptions import UnsupportedMediaType
from werkzeug.routing import IntegerConverter, Map

from portal.errors import BadRequest, NotFound
from portal.web.audience import is_program

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LARGEST_ID = 2**31 - 1
"""The largest number that an id of PostgreSQL may have."""

_FORMS = {"application/x-www-form-urlencoded", "multipart/form-data"}


def set_up(app: Flask) -> None:
    """Before the routes are made, and before anything else reads a form."""
    app.url_map.converters["int"] = _Id
    app.before_request(_refuse)
    app.wsgi_app = _HeadIsGet(app.wsgi_app)  # type: ignore[method-assign]


class _HeadIsGet:
    """HEAD is GET without the body of the answer (RFC 9110, 9.3.2), for views as well: one that shows a question to
    GET and acts on everything else would act on a HEAD, which carries no form token."""

    def __init__(self, app: "WSGIApplication") -> None:
        self.app = app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "HEAD":
            return self.app(environ, start_response)
        body = self.app(environ | {"REQUEST_METHOD": "GET"}, start_response)
        getattr(body, "close", lambda: None)()
        return []


class _Id(IntegerConverter):
    """`<int:member>`: an address with a larger number is none of ours."""

    def __init__(self, map: Map) -> None:
        super().__init__(map, max=LARGEST_ID)


def _refuse() -> None:
    """Raises NotFound, UnsupportedMediaType and BadRequest."""
    if "\0" in request.path:
        raise NotFound()
    if is_program():
        # What its bodies may be is said where they are read (portal/rest/reading.py).
        if any("\0" in text for name, values in request.args.lists() for text in (name, *values)):
            raise BadRequest("The address holds a NUL character, which cannot be stored. Send it without.")
        return
    is_other = request.mimetype not in _FORMS and bool(request.mimetype or request.content_length)
    if is_other and request.method not in {"GET", "OPTIONS"}:
        # A body that is JSON would be taken for a form by the libraries below, whatever is in it.
        raise UnsupportedMediaType()
    if request.files:
        # A file under the name of a line of text would come where a text is expected.
        raise UnsupportedMediaType()
    for sent in (request.args, request.form):
        if any("\0" in text for name, values in sent.lists() for text in (name, *values)):
            raise BadRequest("A text in it holds a NUL character, which cannot be stored. Send it without.")
