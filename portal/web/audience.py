"""Whether a person or a program asks: the REST API lives below `/api`, and nothing of a browser counts there."""

from flask import request

ROOT = "/api"


def is_program() -> bool:
    """No cookies, no forms, no pages: access tokens, JSON, problem details (RFC 9457)."""
    return request.path == ROOT or request.path.startswith(f"{ROOT}/")
