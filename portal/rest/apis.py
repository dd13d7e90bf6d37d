"""APIs: what they are, whether calls pass, which plans they offer, who uses them."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy.orm import Session

from portal import letters, registry
from portal.accounts import Permission, Team
from portal.accounts.tokens import Scope
from portal.errors import Invalid
from portal.registry.consumers import hold
from portal.registry.document import Document
from portal.registry.models import Api, Consumer, Visibility
from portal.registry.plans import MOST_A_SECOND
from portal.rest import drafts, lists, subscriptions
from portal.rest.route import Answer, tagged
from portal.rest.serving import state_of
from portal.rest.shapes import Asked, Instant, Listed, Search, Slug, Told
from portal.rest.subscriptions import Subscriptions
from portal.web import lists as pages
from portal.web.apis import check_tls
from portal.web.guards import a_team, an_api, me

route = tagged("APIs")

ADDRESS = "/teams/<team>/apis/<slug>/<version>"
Version = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,28}[a-z0-9])?$", examples=["v1"])]


class ApiAnswer(Told):
    team: str
    slug: str
    version: str
    name: str
    """The draft's."""
    state: str
    """`draft`, `published`, `paused`, `deprecated` or `retired`."""
    visibility: Visibility
    live_release: int | None
    """Its number; null while nothing is published."""
    has_unpublished_changes: bool
    viewers: list[str]
    """Slugs of the teams that see it where the visibility is `chosen`."""
    plans: list[str]
    """Slugs of the plans that new subscriptions may choose."""
    default_plan: str | None
    """The one of them that is chosen for who chooses none."""
    is_closed: bool
    """Takes no new subscriptions."""
    overall_per_second: int | None
    """Calls that each gateway node lets through, of all subscriptions together; null for any number."""
    deprecated_at: Instant | None
    sunset_at: Instant | None
    """When it is meant to be retired."""
    successor: str | None
    """`<team>/<slug>/<version>`, where you may know of it."""
    deprecation_message: str
    retired_at: Instant | None
    """Since when every call is answered with 410."""
    category: str | None
    """Slug of its shelf in the catalogue."""
    created_at: Instant


class Apis(Listed):
    items: list[ApiAnswer]


class NewApi(Asked):
    slug: Slug
    version: Version
    document: Document


class ApiSearch(Search):
    team: Annotated[str, Field(max_length=63)] = ""
    """Slug of a team."""
    state: Literal["", "draft", "published", "paused", "deprecated", "retired"] = ""


class Offer(Asked):
    plans: Annotated[list[Slug], Field(max_length=200)]
    """Slugs of plans of the API's team."""
    default: Slug | None = None
    """One of them, which is chosen for who chooses none."""


class OverallLimit(Asked):
    overall_per_second: Annotated[int, Field(ge=1, le=MOST_A_SECOND)] | None
    """Null for any number."""


def shown(api: Api) -> ApiAnswer:
    return ApiAnswer(
        team=api.team.slug,
        slug=api.slug,
        version=api.version,
        name=api.name,
        state=api.state,
        visibility=api.visibility,
        live_release=api.live_release.number if api.live_release else None,
        has_unpublished_changes=api.has_unpublished_changes,
        viewers=sorted(team.slug for team in api.viewers),
        plans=sorted(plan.slug for plan in api.plans),
        default_plan=api.default_plan.slug if api.default_plan else None,
        is_closed=api.closed,
        overall_per_second=api.overall_per_second,
        deprecated_at=api.deprecated_at,
        sunset_at=api.sunset_at,
        successor=api.successor.label if api.successor and registry.may_see(me(), api.successor) else None,
        deprecation_message=api.deprecation_message,
        retired_at=api.retired_at,
        category=api.category.slug if api.category else None,
        created_at=api.created_at,
    )


state = state_of(shown, hold)


def act(route: Callable[..., Any], verb: str) -> Callable[..., Any]:
    """Declares what is done to an API at once, by a word of its address alone."""
    return route(  # type: ignore[no-any-return]
        "POST",
        f"{ADDRESS}/{verb}",
        Permission.MANAGE_APIS,
        an_api,
        scope=Scope.APIS,
        answer=ApiAnswer,
        etag=True,
        match=state,
    )


@route("GET", "/apis", Permission.SIGNED_IN, scope=Scope.READ, query=ApiSearch, answer=Apis)
def index(session: Session, query: ApiSearch) -> Apis:
    """APIs of your teams; all to administrators."""
    rows = pages.apis(me(), q=query.q, team=query.team, state=query.state)
    found, following = lists.by_name(session, rows, Api.name, Api.id, query)
    return Apis(items=[shown(api) for api in found], next=following)


@route(
    "POST",
    "/teams/<team>/apis",
    Permission.MANAGE_APIS,
    a_team,
    scope=Scope.APIS,
    body=NewApi,
    answer=ApiAnswer,
    creates=True,
)
def create(session: Session, team: Team, body: NewApi) -> Answer:
    """Register an API. It is a draft that offers every plan of its team; publish it to let calls in."""
    check_tls(body.document, None)
    drafts.check_openapi(session, None, body.document)
    api = registry.create_api(session, team, slug=body.slug, version=body.version, document=body.document, by=me())
    session.flush()
    return Answer(shown(api), location=f"/teams/{team.slug}/apis/{api.slug}/{api.version}")


@route("GET", ADDRESS, Permission.SEE_APIS, an_api, scope=Scope.READ, answer=ApiAnswer, etag=True)
def show(session: Session, api: Api) -> ApiAnswer:
    """One API. Its document is under `draft` and under each release."""
    return shown(api)


@route("DELETE", ADDRESS, Permission.MANAGE_TEAM, an_api, scope=Scope.APIS, match=state)
def delete(session: Session, api: Api) -> None:
    """Delete an API with its releases and subscriptions, for good. Teams that use it are told by mail."""
    lost = registry.delete_api(session, api)
    letters.apis_deleted(session, [(loss.team, loss.uses) for loss in lost], by=me())


@act(route, "pause")
def pause(session: Session, api: Api) -> ApiAnswer:
    """Answer every call with 503 `api_paused` from now on. Only what is published can be paused (409)."""
    registry.pause(session, api)
    return shown(api)


@act(route, "resume")
def resume(session: Session, api: Api) -> ApiAnswer:
    """Let calls through again."""
    registry.resume(session, api)
    return shown(api)


@act(route, "unpublish")
def unpublish(session: Session, api: Api) -> ApiAnswer:
    """Take an API away from callers and free its path. Releases, subscriptions and keys stay."""
    registry.unpublish(session, api)
    return shown(api)


@route(
    "PUT",
    f"{ADDRESS}/plans",
    Permission.MANAGE_APIS,
    an_api,
    scope=Scope.APIS,
    body=Offer,
    answer=ApiAnswer,
    etag=True,
    match=state,
)
def offer(session: Session, api: Api, body: Offer) -> ApiAnswer:
    """Say which plans new subscriptions may choose. Those that exist keep theirs."""
    theirs = {plan.slug: plan for plan in session.scalars(pages.plans_of(api.team))}
    asked = {*body.plans} if body.default is None else {*body.plans, body.default}
    unknown = sorted(slug for slug in asked if slug not in theirs)
    if unknown:
        raise Invalid({"plans": f"{api.team.name} has no plan {', '.join(unknown)}."})
    offered = [theirs[slug] for slug in sorted(set(body.plans))]
    registry.offer_plans(session, api, offered, default=theirs[body.default] if body.default else None)
    session.flush()
    return shown(api)


@route(
    "PUT",
    f"{ADDRESS}/limit",
    Permission.MANAGE_APIS,
    an_api,
    scope=Scope.APIS,
    body=OverallLimit,
    answer=ApiAnswer,
    etag=True,
    match=state,
)
def limit(session: Session, api: Api, body: OverallLimit) -> ApiAnswer:
    """Protect the target: so many calls a second on each node, of all subscriptions together.

    Calls beyond it are answered with 429 `api_limit`.
    """
    registry.limit_api(session, api, overall_per_second=body.overall_per_second)
    session.flush()
    return shown(api)


@route(
    "GET",
    f"{ADDRESS}/subscribers",
    Permission.SEE_APIS,
    an_api,
    scope=Scope.READ,
    query=Search,
    answer=Subscriptions,
)
def subscribers(session: Session, api: Api, query: Search) -> Subscriptions:
    """Current subscriptions to an API, by the name of the consumer."""
    rows = pages.subscribers(api, q=query.q)
    found, following = lists.by_name(session, rows, Consumer.name, Consumer.id, query)
    by_consumer = {each.consumer_id: each for each in pages.subscriptions_of(session, found, api)}
    shown_ones = [subscriptions.shown(by_consumer[each.id]) for each in found if each.id in by_consumer]
    return Subscriptions(items=shown_ones, next=following)
