"""What of a request is read at all. The rest is refused here, before any view sees it.

Pages read forms, without files unless they say so (`takes_file`). Texts with a NUL character and numbers that no id
reaches are in no database: of what was typed the character is taken out, and the form says so beside the field.
"""

from collections.abc import Callable, Iterable
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar

from flask import Flask, Request, current_app, g, request
from flask_login import current_user
from werkzeug.datastructures import ImmutableMultiDict, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.routing import IntegerConverter, Map

from portal.errors import BadRequest, NotFound, NotSignedIn
from portal.web.audience import is_program
from portal.web.guards import LIBRARY_VIEWS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LARGEST_ID = 2**31 - 1
"""The largest number that an id of PostgreSQL may have."""

MOST_TIMES_TOO_LARGE = 4
"""A file may be so many times as large as what is taken and is still read to its end, so that the rest of the form can
be shown again with a sentence. What is larger yet is not read, see `unread`."""
_WORDS = 1_000_000
"""Bytes of a form with a file beside the file."""

V = TypeVar("V", bound=Callable[..., Any])

_FORMS = {"application/x-www-form-urlencoded", "multipart/form-data"}


def takes_file(name: str, limit: Callable[[Flask], int]) -> Callable[[V], V]:
    """Declare that a view reads a file under this name, or a long text, of as many bytes as `limit` says.

    Of a larger file the view sees one byte more than that, so that it can tell. A form that is too large to be read at
    all reaches the view as if its page had been asked for by GET, and `unread` says so.
    """

    def decorate(view: V) -> V:
        view.portico_file = (name, limit)  # type: ignore[attr-defined]
        return view

    return decorate


def unread() -> Literal["form", "text"] | None:
    """What of this request's form was too much: the whole of it, or a text in it. None when all of it was read."""
    found: Literal["form", "text"] | None = getattr(request, "unread", None)
    return found


def set_up(app: Flask) -> None:
    """Before the routes are made, and before anything else reads a form."""
    app.request_class = _Request
    app.url_map.converters["int"] = _Id
    app.before_request(_refuse)
    app.wsgi_app = _HeadIsGet(app.wsgi_app)  # type: ignore[method-assign]


class _Request(Request):
    most_of_file: int | None = None
    """Bytes of a file that are kept; None for requests that take none."""
    unread: Literal["form", "text"] | None = None

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._cut: list[_Cut] = []

    def close(self) -> None:
        super().close()
        for file in self._cut:  # those of a form that was not read to its end are in no other list
            file.close()

    def leave_unread(self) -> None:
        """Go on as if the page had been asked for: nothing that reads may fail, and nothing that changes may happen."""
        most = self.max_content_length
        self.unread = "form" if most is not None and (self.content_length or 0) > most else "text"
        self.method = "GET"
        self.__dict__.update(stream=BytesIO(), form=ImmutableMultiDict(), files=ImmutableMultiDict())

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        if self.most_of_file is None:
            return super()._get_file_stream(total_content_length, content_type, filename, content_length)
        self._cut.append(_Cut(self.most_of_file))
        return self._cut[-1]


class _Cut(SpooledTemporaryFile[bytes]):
    """A file of which only the first bytes are kept, and one more."""

    def __init__(self, most: int) -> None:
        super().__init__(max_size=2_000_000, mode="rb+")
        self._left = most + 1

    def write(self, data: Any) -> int:
        kept = bytes(data)[: self._left]
        self._left -= len(kept)
        super().write(kept)
        return len(data)


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
    """Raises NotFound, UnsupportedMediaType, BadRequest and NotSignedIn."""
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
    file = _file_of_view()
    try:
        files = request.files.keys()
    except RequestEntityTooLarge:
        if file is None or not isinstance(request, _Request):
            raise
        request.leave_unread()
        return
    if files - {file}:
        # A file under the name of a line of text would come where a text is expected.
        raise UnsupportedMediaType()
    in_form = _with_nul(request.form)
    # The forms of libraries know nothing of it, and a password without one of its characters is another one.
    if (
        _with_nul(request.args)
        or any("\0" in name for name in in_form)
        or (in_form and request.endpoint in LIBRARY_VIEWS)
    ):
        raise BadRequest("A text in it holds a NUL character, which cannot be stored. Send it without.")
    if in_form:
        g.without_nul = in_form  # see `forms.Form.validate`
        cleaned = [(name, text.replace("\0", "")) for name, text in request.form.items(multi=True)]
        request.form = ImmutableMultiDict(cleaned)


def _with_nul(sent: MultiDict[str, str]) -> list[str]:
    """The names of what holds one, itself or in its name."""
    return [name for name, values in sent.lists() if any("\0" in text for text in (name, *values))]


def _file_of_view() -> str | None:
    """The name under which this view takes a file. Raises NotSignedIn before a stranger's file is read."""
    view = current_app.view_functions.get(request.endpoint or "")
    name, limit = getattr(view, "portico_file", (None, None))
    if limit is None or request.mimetype != "multipart/form-data":
        return None
    if not current_user.is_authenticated:
        raise NotSignedIn()
    most = limit(current_app)
    request.max_content_length = MOST_TIMES_TOO_LARGE * most + _WORDS
    request.max_form_memory_size = most + _WORDS
    if isinstance(request, _Request):
        request.most_of_file = most
    return str(name)
