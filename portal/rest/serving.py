"""From a declared route to a Flask view: who asks, what is sent, one transaction, the answer."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar
from urllib.parse import urlencode

import orjson
from flask import Response, current_app, g, request
from pydantic import BaseModel
from sqlalchemy import inspect
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal import config_of
from portal.accounts import Permission, audit, replays
from portal.accounts.replays import Replay
from portal.db import db, utcnow
from portal.errors import BadRequest, Changed, MatchNeeded, NotFound, Stale
from portal.rest import asking, reading
from portal.rest.route import ROOT, Answer, Route
from portal.rest.shapes import Listed
from portal.web.guards import requires

T = TypeVar("T")
REPLAYED = "Idempotent-Replayed"


@dataclass(frozen=True, slots=True)
class Once:
    """A request that happens once, however often it comes."""

    key: str
    asked: bytes
    """What it asks for, as a hash."""


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
    if not route.writes:
        return _respond(route, route.view(db.session(), **given))[0]
    return _write(route, parts, given)


def _write(route: Route, parts: dict[str, Any], given: dict[str, Any]) -> Response:
    key = _idempotency_key() if route.creates else None
    once = Once(key, _fingerprint(given.get("body"))) if key is not None else None
    try:
        return _once(route, parts, given, once)
    except IntegrityError:
        # The same came twice at one moment, by this key or by its own name: the other one is there now.
        return _once(route, parts, given, once)


def _once(route: Route, parts: dict[str, Any], given: dict[str, Any], once: Once | None) -> Response:
    if route.prepare is not None:
        if once is not None:
            # What was answered is answered again, whether or not what it was made of can still be had.
            kept = replays.find(db.session(), g.access_token_id, once.key, once.asked, now=utcnow())
            if kept is not None:
                return _replay(kept)
        given = given | {"prepared": route.prepare(**given)}
    try:
        with db.begin() as session:
            audit.act_as(session, g.get("actor") or audit.Actor(by="REST API", address=request.remote_addr))
            if once is not None:
                kept = replays.claim(session, g.access_token_id, once.key, once.asked, now=utcnow())
                if kept is not None:
                    return _replay(kept)
            _check_match(session, route, parts)
            response, repeated = _respond(route, route.view(session, **given))
            if once is not None:
                headers = {name: value for name, value in response.headers.items() if name in {"Location", "ETag"}}
                replays.keep(session, g.access_token_id, once.key, response.status_code, headers, repeated)
        return response
    except Changed:
        raise Stale() from None


def hold_row(session: Session, thing: Any) -> None:
    """Nobody else changes this row until the commit. Raises NotFound when somebody has deleted it meanwhile."""
    identity = inspect(thing).identity
    if session.get(type(thing), identity, with_for_update={"of": type(thing)}, populate_existing=True) is None:
        raise NotFound("Somebody else has deleted it meanwhile.")


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


def state_of(
    shown: Callable[[T], BaseModel], hold: Callable[[Session, T], None] = hold_row
) -> Callable[[Session, T], str]:
    """A route's `match` for things whose ETag is made of what is shown: nobody else changes it after `hold`."""

    def state(session: Session, thing: T) -> str:
        hold(session, thing)
        return etag_of(shown(thing))

    return state


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
