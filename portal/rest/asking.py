"""Who asks: the access token of a request, how often it was used, and what it may be used for."""

import logging
from dataclasses import dataclass

from flask import Response, current_app, g, request
from sqlalchemy.exc import OperationalError

from portal import config_of
from portal.accounts import audit, throttle, tokens
from portal.accounts.tokens import AccessToken, Scope
from portal.db import db, utcnow
from portal.errors import Forbidden, NotSignedIn, TooManyAttempts
from portal.web import duties

log = logging.getLogger(__name__)


class ScopeMissing(Forbidden):
    def __init__(self, scope: Scope) -> None:
        super().__init__(f"This access token lacks the scope {scope}. Make one that has it, under Settings.")


class TooManyRequests(TooManyAttempts):
    def __init__(self, per_minute: int, seconds: int) -> None:
        Exception.__init__(self, f"This access token was used {per_minute} times in this minute. Wait {seconds} s.")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Rate:
    per_minute: int
    left: int
    seconds: int
    """Until the next minute of the clock begins."""


def identify() -> AccessToken:
    """Whose token it is: from here on the request is theirs. Raises NotSignedIn, TooManyAttempts, Forbidden."""
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    if not text:
        raise NotSignedIn("Send an access token: Authorization: Bearer ppt_… People make one under Settings.")
    now = utcnow()
    found = tokens.find(db.session(), text.strip(), now=now) if kind.lower() == "bearer" else None
    if found is None:
        # Nobody guesses 160 bits; who tries is slowed all the same. A right token is let in from there as ever.
        with db.begin() as session:
            throttle.attempt(session, throttle.access_token(request.remote_addr or ""), now=now)
        raise NotSignedIn("This access token is unknown, expired or revoked, or its person may not sign in now.")
    # Without that scope an administrator's token reaches what any member of the person's teams would.
    found.person.is_narrowed = not found.may(Scope.ADMIN)
    g.access_token, g.access_token_id, g.token_of = found, found.id, found.person
    g.actor = audit.Actor(found.person_id, f"token {tokens.PREFIX}{found.public_id}", request.remote_addr)
    return found


def require(token: AccessToken, scope: Scope | None) -> None:
    """Raises Forbidden."""
    if duties.lacks_second_factor(token.person):
        raise Forbidden("This installation requires a second factor of you. Sign in and set it up first.")
    if scope is not None and not token.may(scope):
        raise ScopeMissing(scope)


def count() -> None:
    """Raises TooManyRequests. A database that cannot be written to limits nobody, so that reads are answered."""
    per_minute = config_of(current_app).api_per_minute
    if not per_minute:
        return
    now = utcnow()
    seconds = 60 - int(now.timestamp()) % 60
    try:
        with db.begin() as session:
            used = tokens.count_use(session, g.access_token_id, now=now)
    except OperationalError as error:
        log.warning("A token's use could not be counted: %s", error)
        return
    g.rate = Rate(per_minute, max(0, per_minute - used), seconds)
    if used > per_minute:
        raise TooManyRequests(per_minute, seconds)


def tell_rate(response: Response) -> Response:
    """https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/"""
    rate: Rate | None = g.get("rate")
    if rate is not None:
        response.headers["RateLimit-Policy"] = f'"token";q={rate.per_minute};w=60'
        response.headers["RateLimit"] = f'"token";r={rate.left};t={rate.seconds}'
    return response
