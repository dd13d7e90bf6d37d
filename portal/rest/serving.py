"""From a declared route to a Flask view: who asks, what is sent, one transaction, the answer."""

import hashlib
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

import orjson
from flask import Response, current_app, g, request
from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal import config_of
from portal.accounts import Permission, audit, replays
from portal.accounts.replays import Replay
from portal.db import db, utcnow
from portal.errors import BadRequest, Changed, MatchNeeded, Stale
from portal.rest import asking, reading
from portal.rest.route import ROOT, Answer, Route
from portal.rest.shapes import Listed
from portal.web.guards import requires

REPLAYED = "Idempotent-Replayed"


def view_of(route: Route) -> Callable[..., Response]:
    guarded = requires(route.permission, route.fetch)(lambda **parts: _serve(route, parts))

    @wraps(guarded)
    def view(**parts: Any) -> Any:
        if route.permission is not Permission.PUBLIC:
            token = asking.identify()
            scope_missing = _held_back(lambda: asking.require(token, route.scope))
            asking.count()
            if scope_missing is not None:
                raise scope_missing
        return guarded(**parts)

    return view


def _held_back(ask: Callable[[], None]) -> Exception | None:
    """What is refused counts too; and counting begins a transaction of its own, after which rows are read anew."""
    try:
        ask()
    except Exception as error:
        return error
    return None


def _serve(route: Route, parts: dict[str, Any]) -> Response:
    given = dict(parts)
    asked = reading.query(route.query or reading.Nothing)
    if route.query is not None:
        given["query"] = asked
    if route.body is not None:
        if route.most_bytes is not None:
            request.max_content_length = route.most_bytes(current_app)
        given["body"] = reading.body(route.body, route.context)
    if route.prepare is not None:
        given["prepared"] = route.prepare(**given)
    if not route.writes:
        return _respond(route, route.view(db.session(), **given))[0]
    return _write(route, parts, given)


def _write(route: Route, parts: dict[str, Any], given: dict[str, Any]) -> Response:
    key = _idempotency_key() if route.creates else None
    try:
        return _once(route, parts, given, key)
    except IntegrityError:
        if key is None:
            raise
    # The same key came twice at one moment: the other one's answer is here now.
    return _once(route, parts, given, key)


def _once(route: Route, parts: dict[str, Any], given: dict[str, Any], key: str | None) -> Response:
    try:
        with db.begin() as session:
            audit.act_as(session, g.get("actor") or audit.Actor(by="REST API", address=request.remote_addr))
            if key is not None:
                kept = replays.claim(session, g.access_token_id, key, _fingerprint(given.get("body")), now=utcnow())
                if kept is not None:
                    return _replay(kept)
            _check_match(session, route, parts)
            response, repeated = _respond(route, route.view(session, **given))
            if key is not None:
                headers = {name: value for name, value in response.headers.items() if name in {"Location", "ETag"}}
                replays.keep(session, g.access_token_id, key, response.status_code, headers, repeated)
        return response
    except Changed:
        raise Stale() from None


def _check_match(session: Session, route: Route, parts: dict[str, Any]) -> None:
    if route.match is None:
        return
    if "If-Match" not in request.headers:
        if route.must_match:
            raise MatchNeeded()
        return
    current = route.match(session, *parts.values())
    if not request.if_match.star_tag and not request.if_match.contains(current):
        raise Stale()


def etag_of(body: BaseModel) -> str:
    return hashlib.sha256(body.model_dump_json().encode()).hexdigest()[:32]


def _respond(route: Route, returned: Any) -> tuple[Response, bytes]:
    """The answer, and what a repetition of the request is answered with."""
    if returned is None:
        return Response(status=204), b""
    answer = returned if isinstance(returned, Answer) else Answer(returned)
    text = answer.body.model_dump_json().encode()
    response = Response(text, route.status, mimetype="application/json")
    if route.etag:
        response.set_etag(answer.etag or etag_of(answer.body))
    if answer.location:
        response.headers["Location"] = f"{ROOT}{answer.location}"
    if isinstance(answer.body, Listed) and answer.body.next:
        asked = {name: value for name, value in request.args.items() if name != "cursor"}
        address = f"{config_of(current_app).url}{request.path}?{urlencode(asked | {'cursor': answer.body.next})}"
        response.headers["Link"] = f'<{address}>; rel="next"'
    return response, answer.replayed.model_dump_json().encode() if answer.replayed else text


def _idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= 100 or not all(" " < sign < "\x7f" for sign in key):
        raise BadRequest("An Idempotency-Key has 1 to 100 visible ASCII characters, such as a UUID.")
    return key


def _fingerprint(body: BaseModel | None) -> bytes:
    sent = "" if body is None else body.model_dump_json()
    return hashlib.sha256(orjson.dumps([request.method, request.path, sent])).digest()


def _replay(kept: Replay) -> Response:
    response = Response(kept.body, kept.status, mimetype="application/json")
    response.headers.update(kept.headers)
    response.headers[REPLAYED] = "true"
    return response
