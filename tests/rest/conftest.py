"""Programs that ask the REST API: each with an access token of one of the cast."""

from collections.abc import Callable, Iterable
from typing import Any

import orjson
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from portal.accounts import Person, tokens
from portal.accounts.tokens import Scope
from portal.db import utcnow


def token_of(session: Session, person: Person, scopes: Iterable[Scope] = tuple(Scope)) -> str:
    session.commit()  # what the test has read must not hold up what it writes now
    now = utcnow()
    _, secret = tokens.make(session, person, label="tests", scopes=list(scopes), expires_at=now + tokens.LASTS, now=now)
    session.commit()
    return secret.value


class Program:
    """`ask("GET", "/me")`; a body goes as JSON."""

    def __init__(self, client: FlaskClient, token: str | None) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
        given = self._headers | {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {} if body is None else {"data": orjson.dumps(body), "content_type": "application/json"}
        return self._client.open(f"/api/v1{path}", method=method, headers=given, **sent)

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> TestResponse:
        return self.ask("POST", path, body, **headers)

    def put(self, path: str, body: Any, **headers: str) -> TestResponse:
        return self.ask("PUT", path, body, **headers)

    def patch(self, path: str, body: Any, **headers: str) -> TestResponse:
        return self.ask("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> TestResponse:
        return self.ask("DELETE", path, **headers)


@pytest.fixture
def program(app: Flask, session: Session) -> Callable[..., Program]:
    """`program(cast.owner)`; with `scopes` a narrower token, without a person none."""

    def make(person: Person | None = None, scopes: Iterable[Scope] = tuple(Scope)) -> Program:
        app.config["PROPAGATE_EXCEPTIONS"] = False
        return Program(app.test_client(), person and token_of(session, person, scopes))

    return make
