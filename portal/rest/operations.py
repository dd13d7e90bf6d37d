"""What the OpenAPI document of an API says can be done."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts import Permission
from portal.accounts.tokens import Scope
from portal.registry.models import Api, Operation
from portal.rest.apis import ADDRESS
from portal.rest.route import tagged
from portal.rest.shapes import Listed, Paging, Told, cursor_of, read_cursor
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


@route("GET", f"{ADDRESS}/operations", Permission.SEE_APIS, an_api, scope=Scope.READ, query=Paging, answer=Operations)
def index(session: Session, api: Api, query: Paging) -> Operations:
    """Operations of the draft's OpenAPI document, in its order; none where there is no document."""
    digest = api.draft.get("openapi") or ""
    after = read_cursor(query.cursor, int)[0] if query.cursor is not None else -1
    rows = session.scalars(
        select(Operation)
        .where(Operation.sha256 == digest, Operation.position > after)
        .order_by(Operation.position)
        .limit(query.limit + 1)
    ).all()
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
