"""The pages: the only room that knows Flask's request."""

import ipaddress
import secrets
import time
import uuid
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, request
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from portal import config_of
from portal.config import Config
from portal.web import audit, format, guards, intake, navigation, problems, sessions, signin


def set_up(app: Flask, config: Config) -> None:
    """Everything that has to do with answering people: sessions, headers, errors, pages."""
    from portal.web import (
        access_tokens,
        account,
        accounts,
        admin,
        apis,
        approvals,
        calls,
        catalogue,
        channels,
        consumers,
        docs,
        duties,
        estate,
        find,
        gateway,
        halfway,
        health,
        home,
        imports,
        installation,
        invitations,
        keys,
        leaks,
        lifecycle,
        notices,
        people,
        plans,
        releases,
        second_factor,
        settings,
        shelving,
        subscribers,
        subscribing,
        subscriptions,
        token_keys,
        traffic,
        trail,
        upstream_secrets,
        versions,
        visibility,
        why,
    )

    # Their views join the blueprints of `apis`, `catalogue` and `consumers` by being imported, before these are
    # registered.
    assert all((lifecycle, releases, subscribers, subscribing, subscriptions, token_keys, versions, visibility))
    if config.trusted_hops:
        hops = config.trusted_hops
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    secure = config.url.startswith("https://")
    # Browsers take a cookie of this kind of name over HTTPS only, from this very host, and for all of its paths
    # (RFC 6265bis, 4.1.3.2): no neighbour and nobody on the way can plant one. The gateway knows these names too.
    prefix = "__Host-" if secure else ""
    app.config.update(
        TRUSTED_HOSTS=_hosts(config),
        MAX_CONTENT_LENGTH=app.config.get("MAX_CONTENT_LENGTH") or 2_000_000,
        SESSION_COOKIE_NAME=f"{prefix}portico_session",
        SESSION_COOKIE_SECURE=secure,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_HTTPONLY=True,
        REMEMBER_COOKIE_NAME=f"{prefix}portico_remember",
        REMEMBER_COOKIE_SECURE=secure,
        REMEMBER_COOKIE_SAMESITE="Lax",
        REMEMBER_COOKIE_HTTPONLY=True,
        WTF_CSRF_TIME_LIMIT=None,  # the token dies with the session; a form left open overnight still saves
    )
    app.before_request(_begin)
    app.after_request(_finish)
    intake.set_up(app)
    CSRFProtect(app)
    signin.set_up(app, config)
    sessions.set_up(app, config)
    audit.set_up(app)
    app.before_request(guards.sign_changes)
    problems.set_up(app)
    format.register(app)
    for room in (
        access_tokens,
        home,
        account,
        accounts,
        apis,
        approvals,
        calls,
        catalogue,
        channels,
        consumers,
        docs,
        duties,
        estate,
        find,
        gateway,
        halfway,
        health,
        imports,
        installation,
        invitations,
        keys,
        leaks,
        notices,
        people,
        plans,
        second_factor,
        sessions,
        settings,
        shelving,
        traffic,
        trail,
        upstream_secrets,
        why,
    ):
        app.register_blueprint(room.bp)
    admin.set_up(app)
    app.jinja_env.globals.update(
        csp_nonce=lambda: g.csp_nonce,
        nav=navigation.entries,
        unread=notices.unread,
        may=guards.may,
        portal_url=config.url,
        gateway_url=config.gateway_url,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


def _hosts(config: Config) -> list[str]:
    host = urlsplit(config.url).hostname or ""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    return ["127.0.0.1", "localhost", "[::1]"] if loopback else [host]


def _begin() -> None:
    g.request_id = str(_uuid7())
    g.csp_nonce = secrets.token_urlsafe(16)


def _finish(response: Response) -> Response:
    nonce = g.get("csp_nonce", "")
    response.headers["X-Request-Id"] = g.get("request_id", "")
    response.headers.setdefault(
        "Content-Security-Policy",
        f"default-src 'self'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; "
        "img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'",
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    if config_of(current_app).url.startswith("https://"):
        # Two years; without subdomains, which are not the portal's to decide about (RFC 6797, 6.1).
        response.headers["Strict-Transport-Security"] = "max-age=63072000"
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def _uuid7() -> uuid.UUID:
    """Time-ordered (RFC 9562, 5.7), like the ids that the gateway gives to calls."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | secrets.randbits(80)
    value = (value & ~(0xF << 76)) | (7 << 76)
    return uuid.UUID(int=(value & ~(0x3 << 62)) | (2 << 62))
