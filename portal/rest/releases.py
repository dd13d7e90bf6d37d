"""Releases: numbered copies of an API's document that were published."""

from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from portal import registry
from portal.accounts import Permission
from portal.accounts.tokens import Scope
from portal.errors import Invalid
from portal.registry.document import Document
from portal.registry.models import Api, Release
from portal.rest import drafts, lists
from portal.rest.route import Answer, tagged
from portal.rest.shapes import Asked, Instant, Listed, Number, Paging, Told
from portal.web.guards import a_release, an_api, me
from portal.web.intake import LARGEST_ID

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


class EffectAnswer(Told):
    sentence: str
    is_breaking: bool
    """Whether callers have to change something."""


class DifferenceAnswer(Told):
    field: str
    before: str | None
    """Null where nothing was live before."""
    after: str


class Changes(Told):
    since: int | None
    """Number of the release that it is compared with; null where nothing is live."""
    effects: list[EffectAnswer]
    """What callers notice."""
    differences: list[DifferenceAnswer]
    obstacles: list[str]
    """Why it would not be published now."""


class Since(Asked):
    since: Annotated[Number, Field(ge=1, le=LARGEST_ID)] | None = None
    """Number of the release to compare with; the live one when it is left out."""


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


def compared_with(session: Session, api: Api, since: int | None) -> Release | None:
    """The release of that number, the live one without it; None where nothing is live. Raises Invalid."""
    if since is None:
        return api.live_release
    found = session.scalar(select(Release).where(Release.api_id == api.id, Release.number == since))
    if found is None:
        raise Invalid({"since": f"{api.name} has no release {since}."})
    return found


def _changes(session: Session, api: Api, values: dict[str, Any], since: int | None) -> Changes:
    before = compared_with(session, api, since)
    was, wanted = registry.read_document(before.document) if before else None, registry.read_document(values)
    names = registry.openapi_names(session, [each.openapi for each in (was, wanted) if each])
    return Changes(
        since=before.number if before else None,
        effects=[
            EffectAnswer(sentence=each.sentence, is_breaking=each.breaking) for each in registry.effects(was, wanted)
        ],
        differences=[
            DifferenceAnswer(field=each.label, before=each.before, after=each.after)
            for each in registry.differences(was, wanted, names)
        ],
        obstacles=[str(each) for each in registry.obstacles(session, api, values, by=me())],
    )


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


@route(
    "GET",
    f"{drafts.ADDRESS}/changes",
    Permission.SEE_APIS,
    an_api,
    scope=Scope.READ,
    query=Since,
    answer=Changes,
)
def draft_changes(session: Session, api: Api, query: Since) -> Changes:
    """What publishing the draft would change for callers, and what stands in its way."""
    return _changes(session, api, api.draft, query.since)


@route(
    "GET",
    f"{ADDRESS}/<int:number>/changes",
    Permission.SEE_APIS,
    a_release,
    scope=Scope.READ,
    query=Since,
    answer=Changes,
)
def changes(session: Session, release: Release, query: Since) -> Changes:
    """What one release changes against another."""
    return _changes(session, release.api, release.document, query.since)
