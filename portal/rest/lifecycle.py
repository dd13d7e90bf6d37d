"""How an API ends: closed to new subscriptions, deprecated, retired. All of it is live at once."""

from typing import Annotated

from pydantic import Field
from sqlalchemy.orm import Session

from portal import endings, registry
from portal.accounts import Permission
from portal.accounts.tokens import Scope
from portal.db import utcnow
from portal.errors import Invalid
from portal.registry.lifecycle import LONGEST_MESSAGE
from portal.registry.models import Api
from portal.rest.apis import ADDRESS, ApiAnswer, act, shown, state
from portal.rest.route import tagged
from portal.rest.shapes import Asked, Instant, Listed, Moment, Paging, Told, cursor_of, read_cursor
from portal.web.guards import an_api, may, me
from portal.web.remaining import remaining

route = tagged("Lifecycle")


class Deprecation(Asked):
    """As a whole: what is left out is not said to callers."""

    at: Moment | None = None
    """Since when, or from when on; what stands there already, or now, when it is left out."""
    sunset_at: Moment | None = None
    """When it is meant to be retired. Nothing happens by itself then."""
    successor: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """`<team>/<slug>/<version>` of a published API that you may see."""
    message: Annotated[str, Field(max_length=LONGEST_MESSAGE)] = ""


@route(
    "PUT",
    f"{ADDRESS}/deprecation",
    Permission.MANAGE_APIS,
    an_api,
    scope=Scope.APIS,
    body=Deprecation,
    answer=ApiAnswer,
    etag=True,
    match=state,
)
def deprecate(session: Session, api: Api, body: Deprecation) -> ApiAnswer:
    """Tell callers to move on, by `Deprecation` and `Sunset` headers, in the docs and by mail. Calls go on."""
    now = utcnow()
    wrong = {
        name: "Choose a time that is not so far away."
        for name, value in (("at", body.at), ("sunset_at", body.sunset_at))
        if value is not None and not 2000 <= value.year < 3000
    }
    if body.sunset_at is not None and body.sunset_at < now and body.sunset_at != api.sunset_at:
        wrong.setdefault("sunset_at", "Choose a time that is still to come.")
    if wrong:
        raise Invalid(wrong)
    endings.deprecate(
        session,
        api,
        by=me(),
        at=body.at or api.deprecated_at or now,
        sunset_at=body.sunset_at,
        successor=body.successor or "",
        message=body.message,
    )
    return shown(api)


@route(
    "DELETE",
    f"{ADDRESS}/deprecation",
    Permission.MANAGE_APIS,
    an_api,
    scope=Scope.APIS,
    match=state,
)
def withdraw_deprecation(session: Session, api: Api) -> None:
    """Take a deprecation back. A retired API is revived first (409)."""
    endings.withdraw_deprecation(session, api, by=me())


@act(route, "close")
def close(session: Session, api: Api) -> ApiAnswer:
    """Take no new subscriptions. Those that exist go on."""
    registry.close(session, api)
    return shown(api)


@act(route, "reopen")
def reopen(session: Session, api: Api) -> ApiAnswer:
    """Take new subscriptions again."""
    registry.reopen(session, api)
    return shown(api)


@act(route, "retire")
def retire(session: Session, api: Api) -> ApiAnswer:
    """Answer every call with 410 `api_retired`. Only what is deprecated can be retired (409)."""
    endings.retire(session, api, by=me())
    return shown(api)


@act(route, "revive")
def revive(session: Session, api: Api) -> ApiAnswer:
    """Let calls through again. It is deprecated, as it was before."""
    registry.revive(session, api)
    return shown(api)


class RemainingCaller(Told):
    consumer: str | None
    """Its name; null for one that was deleted since it called."""
    team: str | None
    """Slug."""
    plan: str | None
    """Of its subscription; null when it has none any more, so that its calls are refused."""
    calls: int
    """In the last 30 days; 0 for those who may not see the API's calls."""
    last_call: Instant | None


class Remainder(Listed):
    count: int
    """On all pages."""
    items: list[RemainingCaller]


@route("GET", f"{ADDRESS}/remaining", Permission.SEE_APIS, an_api, scope=Scope.READ, query=Paging, answer=Remainder)
def still_calling(session: Session, api: Api, query: Paging) -> Remainder:
    """Who still uses an API: its subscriptions with their last call, and who called without one.

    Whoever called last comes first. Who calls while the pages are asked for moves to the first of them.
    """
    found = remaining(session, api, utcnow(), with_calls=may(Permission.SEE_API_CALLS, api.team))
    left = found
    if query.cursor is not None:
        called, name, consumer_id = read_cursor(query.cursor, int, str, int)
        left = [each for each in found if each.place > (-called, name, consumer_id)]
    shown_ones = left[: query.limit]
    following = None
    if len(left) > query.limit:
        negative, name, consumer_id = shown_ones[-1].place
        following = cursor_of(-negative, name, consumer_id)
    return Remainder(
        count=len(found),
        next=following,
        items=[
            RemainingCaller(
                consumer=each.consumer.name if each.consumer else None,
                team=each.consumer.team.slug if each.consumer else None,
                plan=each.plan,
                calls=each.calls,
                last_call=each.last,
            )
            for each in shown_ones
        ],
    )
