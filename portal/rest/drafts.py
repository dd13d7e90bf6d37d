"""The draft of an API: the document that its next release will freeze."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import registry
from portal.accounts import Permission
from portal.accounts.tokens import Scope
from portal.errors import Invalid, NotFound
from portal.openapi.syntax import decoded
from portal.registry import descriptions
from portal.registry.document import Document
from portal.registry.models import Api, Release
from portal.rest.route import Answer, tagged
from portal.rest.shapes import Instant, Told
from portal.web.apis import check_tls
from portal.web.guards import an_api, me

route = tagged("Drafts")

ADDRESS = "/teams/<team>/apis/<slug>/<version>/draft"


class DraftAnswer(Told):
    number: int
    """Grows with every saved draft. The ETag names it."""
    changed_at: Instant
    changed_by: str | None
    """Who saved it last; null when that account is deleted or no person did it."""
    document: Document


def etag(api: Api) -> str:
    # With the API's own number: another one may be made under the same address later.
    return f"{api.id}-{api.draft_number}"


def _state(_session: Session, api: Api) -> str:
    return etag(api)


def shown(api: Api) -> Answer:
    by = api.draft_changed_by
    answer = DraftAnswer(
        number=api.draft_number,
        changed_at=api.draft_changed_at,
        changed_by=by.name if by and by.deleted_at is None else None,
        document=registry.read_document(api.draft),
    )
    return Answer(answer, etag=etag(api))


def check_openapi(session: Session, api: Api | None, document: Document) -> None:
    """An OpenAPI document comes by import. Here the one that the API has, or had, can be kept: naming another by its
    hash would show what other teams have brought. Raises Invalid."""
    if document.openapi is None or (api is not None and api.draft.get("openapi") == document.openapi):
        return
    had = select(Release.document).where(Release.api_id == (api.id if api is not None else None))
    if document.openapi not in {each.get("openapi") for each in session.scalars(had)}:
        raise Invalid({"openapi": "This API never had that OpenAPI document. Import it, or leave the field as it is."})


@route("GET", ADDRESS, Permission.SEE_APIS, an_api, scope=Scope.READ, answer=DraftAnswer, etag=True)
def show(session: Session, api: Api) -> Answer:
    """The draft, with the ETag that saving and publishing ask for."""
    return shown(api)


class OriginalAnswer(Told):
    """An OpenAPI document as it was brought."""

    sha256: str
    """Of its bytes."""
    text: str


@route("GET", f"{ADDRESS}/openapi", Permission.SEE_APIS, an_api, scope=Scope.READ, answer=OriginalAnswer)
def original(session: Session, api: Api) -> OriginalAnswer:
    """The OpenAPI document of the draft, as it was brought; 404 where it has none."""
    digest = api.draft.get("openapi")
    data = descriptions.bytes_of(session, digest) if digest else None
    if digest is None or data is None:
        raise NotFound("This draft has no OpenAPI document. Import one.")
    return OriginalAnswer(sha256=digest, text=decoded(data))


@route(
    "PUT",
    ADDRESS,
    Permission.MANAGE_APIS,
    an_api,
    scope=Scope.APIS,
    body=Document,
    answer=DraftAnswer,
    etag=True,
    match=_state,
    must_match=True,
)
def save(session: Session, api: Api, body: Document) -> Answer:
    """Save the draft as a whole. Nothing changes for callers before it is published."""
    check_tls(body, registry.read_document(api.draft))
    check_openapi(session, api, body)
    registry.save_draft(session, api, body, by=me(), expected=api.draft_number)
    session.flush()
    return shown(api)
