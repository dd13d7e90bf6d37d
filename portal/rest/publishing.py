"""What a publish would do beside `changes`: to Envoy and to operations; and on how many gateways it is live."""

from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy.orm import Session

from portal import gateway, registry
from portal.accounts import Permission
from portal.accounts.tokens import Scope
from portal.openapi.changes import Change
from portal.registry.models import Api, Release
from portal.rest import drafts, releases
from portal.rest.releases import Since
from portal.rest.route import tagged
from portal.rest.shapes import Asked, Number, Told
from portal.web.guards import a_release, an_api
from portal.web.intake import LARGEST_ID
from portal.web.releases import complaints, envoy_preview, target_problems

route = tagged("Releases")

Kind = Literal["removed", "changed", "added"]
KINDS: tuple[Kind, ...] = ("removed", "changed", "added")
_MOST_CHANGES = 1_000
_MOST_SENTENCES = 20


class EnvoyPreview(Told):
    difference: list[str]
    """Lines of a unified diff of the API's routes and clusters. Secrets are hidden. A route's name holds the number of
    the release, so with every release that line differs."""
    cut: int
    """Lines that were left out."""
    problems: list[str]
    """Why gateways would not serve it."""


class OperationChange(Told):
    kind: Kind
    id: str | None
    """Null where the documents were not compared word by word."""
    method: str
    path: str
    is_breaking: bool
    sentences: list[str]
    """What is different, at most twenty."""


class OperationChangesAnswer(Told):
    since: int | None
    """Number of the release that it is compared with; null where nothing is live."""
    is_known: bool
    """Whether both OpenAPI documents are stored here; else nothing is known."""
    is_whole: bool
    """Whether they were compared word by word. Otherwise, as where they are very large, only what comes and goes is
    told: how many, and the first fifty of each."""
    added: int
    removed: int
    changed: int
    items: list[OperationChange]
    """What was removed, changed and added; at most a thousand."""


class LiveSearch(Asked):
    revision: Annotated[Number, Field(ge=1, le=LARGEST_ID)] | None = None
    """That of an answer before: whatever is changed meanwhile, the question stays the same. The newest without it."""


class LiveAnswer(Told):
    is_live: bool
    """It is the release that callers get. Where it is not, the rest says nothing of it."""
    revision: int
    live_on: int
    """How many gateways serve this revision, or a later one."""
    of: int
    """How many there are, without stopped ones."""
    problems: list[str]
    """Why gateways do not serve this API."""


class TargetsAnswer(Told):
    of: int
    """How many targets the draft has."""
    problems: list[str]
    """Why calls could not be sent to some of them."""


def _preview(session: Session, api: Api, values: dict[str, Any]) -> EnvoyPreview:
    found = envoy_preview(session, api, values)
    return EnvoyPreview(difference=list(found.difference), cut=found.cut, problems=list(found.problems))


@route("GET", f"{drafts.ADDRESS}/preview", Permission.MANAGE_APIS, an_api, scope=Scope.READ, answer=EnvoyPreview)
def draft_preview(session: Session, api: Api) -> EnvoyPreview:
    """What publishing the draft would change for Envoy."""
    return _preview(session, api, api.draft)


@route(
    "GET",
    f"{releases.ADDRESS}/<int:number>/preview",
    Permission.MANAGE_APIS,
    a_release,
    scope=Scope.READ,
    answer=EnvoyPreview,
)
def preview(session: Session, release: Release) -> EnvoyPreview:
    """What publishing an old release again would change for Envoy."""
    return _preview(session, release.api, release.document)


def _operation_changes(session: Session, api: Api, values: dict[str, Any], query: Since) -> OperationChangesAnswer:
    before = releases.compared_with(session, api, query.since)
    was = before.document.get("openapi") if before else None
    found = registry.operation_changes(session, was, values.get("openapi"))
    items, counts = list[OperationChange](), dict.fromkeys(KINDS, 0)
    if found is not None and found.changes is not None:
        for kind in KINDS:
            some: tuple[Change, ...] = getattr(found.changes, kind)
            counts[kind] = len(some)
            items += [_change(kind, each) for each in some]
    elif found is not None:
        counts |= {"removed": found.removed, "added": found.added}
        items += [_only_named("removed", place) for place in found.removed_first]
        items += [_only_named("added", place) for place in found.added_first]
    return OperationChangesAnswer(
        since=before.number if before else None,
        is_known=found is None or not found.missing,
        is_whole=found is None or found.changes is not None,
        **counts,
        items=items[:_MOST_CHANGES],
    )


def _change(kind: Kind, change: Change) -> OperationChange:
    return OperationChange(
        kind=kind,
        id=change.id,
        method=change.method,
        path=change.path,
        is_breaking=change.breaking,
        sentences=list(change.sentences[:_MOST_SENTENCES]),
    )


def _only_named(kind: Kind, place: str) -> OperationChange:
    method, _, path = place.partition(" ")
    return OperationChange(kind=kind, id=None, method=method, path=path, is_breaking=kind == "removed", sentences=[])


@route(
    "GET",
    f"{drafts.ADDRESS}/operation-changes",
    Permission.SEE_APIS,
    an_api,
    scope=Scope.READ,
    query=Since,
    answer=OperationChangesAnswer,
)
def draft_operation_changes(session: Session, api: Api, query: Since) -> OperationChangesAnswer:
    """What publishing the draft would change in the API's operations. It takes seconds for documents of some MB."""
    return _operation_changes(session, api, api.draft, query)


@route(
    "GET",
    f"{releases.ADDRESS}/<int:number>/operation-changes",
    Permission.SEE_APIS,
    a_release,
    scope=Scope.READ,
    query=Since,
    answer=OperationChangesAnswer,
)
def operation_changes(session: Session, release: Release, query: Since) -> OperationChangesAnswer:
    """What one release changes in the API's operations against another."""
    return _operation_changes(session, release.api, release.document, query)


@route(
    "GET",
    f"{releases.ADDRESS}/<int:number>/live",
    Permission.SEE_APIS,
    a_release,
    scope=Scope.READ,
    query=LiveSearch,
    answer=LiveAnswer,
)
def live(session: Session, release: Release, query: LiveSearch) -> LiveAnswer:
    """On how many gateways a release is live. Ask after a publish, with the `revision` of the first answer, until
    `live_on` has reached `of`."""
    covered = gateway.coverage(session, query.revision)
    return LiveAnswer(
        is_live=release.id == release.api.live_release_id,
        revision=covered.revision,
        live_on=covered.live_on,
        of=covered.of,
        problems=complaints(session, release.api),
    )


@route("GET", f"{drafts.ADDRESS}/targets", Permission.MANAGE_APIS, an_api, scope=Scope.READ, answer=TargetsAnswer)
def targets(session: Session, api: Api) -> TargetsAnswer:
    """Whether calls could be sent to the draft's targets from here. It asks name servers, for 3 s at the longest."""
    count, problems = target_problems(api)
    return TargetsAnswer(of=count, problems=problems)
