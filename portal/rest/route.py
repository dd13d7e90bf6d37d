"""What a route of the REST API declares. Its view and its part of the OpenAPI document are both made from this.

    route = tagged("Consumers")

    @route("GET", "/teams/<team>/consumers", Permission.MANAGE_CONSUMERS, a_team, scope=Scope.READ,
           query=Paging, answer=Consumers)
    def of_team(session: Session, team: Team, query: Paging) -> Consumers:
        \"\"\"The consumers of a team, by name.\"\"\"

The view gets the session (of a writing transaction, unless it is a GET), what its address names, `query`, `body`, and
`prepared`. What it returns is the answer; its docstring is the description.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import Flask
from pydantic import BaseModel

from portal.accounts import Permission
from portal.accounts.tokens import Scope
from portal.web.guards import Fetch

ROOT = "/api/v1"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a view returns when it has more to say than a body."""

    body: BaseModel
    location: str = ""
    """Path below `/api/v1` of what was made."""
    etag: str = ""
    """Instead of one that is made of the body."""
    replayed: BaseModel | None = None
    """What a repetition with the same Idempotency-Key gets, where it is less: nothing secret is kept."""


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    """As Flask writes it, below `/api/v1`."""
    permission: Permission
    fetch: Fetch | None
    scope: Scope | None
    """None for what every token may ask."""
    view: Callable[..., Any]
    query: type[BaseModel] | None
    body: type[BaseModel] | None
    answer: type[BaseModel] | None
    """None answers 204."""
    status: int
    etag: bool
    """Its answer carries one."""
    match: Callable[..., str] | None
    """`match(session, thing)`: the ETag that If-Match is compared with, read under a lock."""
    must_match: bool
    most_bytes: Callable[[Flask], int] | None
    """Of a body, where more may come than usual."""
    creates: bool
    """Takes an Idempotency-Key."""
    prepare: Callable[..., Any] | None
    """What must not be done in the writing transaction; its result is `prepared`. Same arguments, without session."""
    problems: frozenset[int]
    """Statuses beside those that follow from the rest."""
    tag: str

    @property
    def writes(self) -> bool:
        return self.method != "GET"

    @property
    def name(self) -> str:
        """The operation's id, and the endpoint's name."""
        return f"{self.view.__module__.rpartition('.')[2]}_{self.view.__name__.strip('_')}"

    @property
    def context(self) -> dict[str, Any]:
        """What validation of the body is told: what is typed is held to more than what is stored."""
        return {"typed": True}


ROUTES: list[Route] = []
"""In the order of the document."""


def route(
    method: str,
    path: str,
    permission: Permission,
    fetch: Fetch | None = None,
    *,
    tag: str,
    scope: Scope | None,
    query: type[BaseModel] | None = None,
    body: type[BaseModel] | None = None,
    answer: type[BaseModel] | None = None,
    etag: bool = False,
    match: Callable[..., str] | None = None,
    must_match: bool = False,
    most_bytes: Callable[[Flask], int] | None = None,
    creates: bool = False,
    status: int | None = None,
    prepare: Callable[..., Any] | None = None,
    problems: tuple[int, ...] = (),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def declare(view: Callable[..., Any]) -> Callable[..., Any]:
        ROUTES.append(
            Route(
                method,
                path,
                permission,
                fetch,
                scope,
                view,
                query,
                body,
                answer,
                status or (201 if creates else 200 if answer else 204),
                etag,
                match,
                must_match,
                most_bytes,
                creates,
                prepare,
                frozenset(problems),
                tag,
            )
        )
        return view

    return declare


def tagged(tag: str) -> Callable[..., Callable[[Callable[..., Any]], Callable[..., Any]]]:
    """`route` for the routes of one chapter of the document."""
    return partial(route, tag=tag)
