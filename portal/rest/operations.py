"""What the OpenAPI document of an API says can be done."""

from typing import Annotated

from pydantic import Field
from sqlalchemy.orm import Session

from portal.accounts import Permission
from portal.accounts.tokens import Scope
from portal.registry.models import Api, Operation
from portal.rest.apis import ADDRESS
from portal.rest.route import tagged
from portal.rest.shapes import Listed, Paging, Told, cursor_of, read_cursor
from portal.web import described
from portal.web.guards import an_api

route = tagged("APIs")


class OperationAnswer(Told):
    id: str
    """Stays when the document is brought again."""
    method: str
    path: str
    summary: str
    tags: list[str]
    is_deprecated: bool


class Operations(Listed):
    items: list[OperationAnswer]


class OperationSearch(Paging):
    q: Annotated[str, Field(max_length=200)] = ""
    """A part of a path, a summary or an id; or a method."""


@route(
    "GET",
    f"{ADDRESS}/operations",
    Permission.SEE_APIS,
    an_api,
    scope=Scope.READ,
    query=OperationSearch,
    answer=Operations,
)
def index(session: Session, api: Api, query: OperationSearch) -> Operations:
    """Operations of the draft's OpenAPI document, in its order; none where there is no document."""
    return listed(session, api.draft.get("openapi"), query)


def listed(session: Session, digest: str | None, query: OperationSearch) -> Operations:
    """A page of the operations of the document that `digest` names. Raises Invalid."""
    after = read_cursor(query.cursor, int)[0] if query.cursor is not None else -1
    asked = described.operations_like(digest or "", query.q).where(Operation.position > after)
    rows = session.scalars(asked.order_by(Operation.position).limit(query.limit + 1)).all()
    shown = rows[: query.limit]
    return Operations(
        items=[
            OperationAnswer(
                id=each.name,
                method=each.method,
                path=each.path,
                summary=each.summary,
                tags=each.tags,
                is_deprecated=each.deprecated,
            )
            for each in shown
        ],
        next=cursor_of(shown[-1].position) if len(rows) > query.limit else None,
    )
