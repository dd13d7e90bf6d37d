"""Releases: numbered copies of an API's document that were published."""

from typing import Annotated

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from portal import registry
from portal.accounts import Permission
from portal.accounts.tokens import Scope
from portal.registry.document import Document
from portal.registry.models import Api, Release
from portal.rest import drafts, lists
from portal.rest.route import Answer, tagged
from portal.rest.shapes import Asked, Instant, Listed, Paging, Told
from portal.web.guards import a_release, an_api, me

route = tagged("Releases")

ADDRESS = "/teams/<team>/apis/<slug>/<version>/releases"


class ReleaseSummary(Told):
    number: int
    note: str
    is_live: bool
    copy_of: int | None
    """The number of the release that this one brought back."""
    published_at: Instant
    published_by: str | None
    """Null when that account is deleted or no person did it."""


class ReleaseAnswer(ReleaseSummary):
    document: Document


class Releases(Listed):
    items: list[ReleaseSummary]


class Publication(Asked):
    note: Annotated[str, Field(max_length=10_000)] = ""
    """What is new, for those who read the list later."""


def _facts(release: Release) -> dict[str, object]:
    by = release.published_by
    return {
        "number": release.number,
        "note": release.note,
        "is_live": release.api.live_release_id == release.id,
        "copy_of": release.copy_of,
        "published_at": release.published_at,
        "published_by": by.name if by and by.deleted_at is None else None,
    }


def _whole(release: Release) -> ReleaseAnswer:
    return ReleaseAnswer(**_facts(release), document=registry.read_document(release.document))


def _state(_session: Session, api: Api) -> str:
    return drafts.etag(api)


@route("GET", ADDRESS, Permission.SEE_APIS, an_api, scope=Scope.READ, query=Paging, answer=Releases)
def index(session: Session, api: Api, query: Paging) -> Releases:
    """What was published, the newest first."""
    rows = select(Release).where(Release.api_id == api.id).options(selectinload(Release.published_by))
    found, following = lists.by_number(session, rows, Release.id, query)
    return Releases(items=[ReleaseSummary.model_validate(_facts(each)) for each in found], next=following)


@route(
    "POST",
    ADDRESS,
    Permission.MANAGE_APIS,
    an_api,
    scope=Scope.APIS,
    body=Publication,
    answer=ReleaseAnswer,
    creates=True,
    match=_state,
    must_match=True,
)
def publish(session: Session, api: Api, body: Publication) -> Answer:
    """Publish the draft as the next release; `If-Match` is the ETag of the draft that you looked at.

    Gateways serve it within a second. Another live API under its path, a secret that is not there, or a draft that says
    what is live already are conflicts (409).
    """
    release = registry.publish(session, api, by=me(), expected=api.draft_number, note=body.note)
    session.flush()
    address = f"/teams/{api.team.slug}/apis/{api.slug}/{api.version}/releases/{release.number}"
    return Answer(_whole(release), location=address)


@route(
    "POST",
    f"{ADDRESS}/<int:number>/republish",
    Permission.MANAGE_APIS,
    a_release,
    scope=Scope.APIS,
    body=Publication,
    answer=ReleaseAnswer,
    creates=True,
)
def republish(session: Session, release: Release, body: Publication) -> Answer:
    """Put an old release before callers again, under a new number.

    The draft, plans, subscriptions and keys stay as they are. What `publish` refuses is refused here too (409).
    """
    api = release.api
    again = registry.republish(session, api, release, by=me(), expected=api.draft_number, note=body.note)
    session.flush()
    address = f"/teams/{api.team.slug}/apis/{api.slug}/{api.version}/releases/{again.number}"
    return Answer(_whole(again), location=address)


@route(
    "GET",
    f"{ADDRESS}/<int:number>",
    Permission.SEE_APIS,
    a_release,
    scope=Scope.READ,
    answer=ReleaseAnswer,
    etag=True,
)
def show(session: Session, release: Release) -> ReleaseAnswer:
    """One release with its document."""
    return _whole(release)
