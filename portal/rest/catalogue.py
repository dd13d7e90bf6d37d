"""The catalogue: published APIs that you may see, by words or by shelf."""

import json
from gzip import decompress
from typing import Annotated, Any, Literal

from flask import current_app
from pydantic import Field, RootModel
from sqlalchemy.orm import Session

from portal import config_of
from portal.accounts import Permission
from portal.accounts.tokens import Scope
from portal.db import db
from portal.errors import Unavailable
from portal.registry import exports
from portal.registry.cards import Version
from portal.registry.catalogue import After, Wish, look
from portal.registry.models import Api
from portal.registry.sentences import first_sentence
from portal.registry.visibility import may_see
from portal.rest import plans
from portal.rest.plans import PlanAnswer
from portal.rest.route import tagged
from portal.rest.shapes import Flag, Instant, Listed, Paging, Told, cursor_of, read_cursor
from portal.web import curl
from portal.web.guards import a_shown_api, me

route = tagged("Catalogue")


class VersionAnswer(Told):
    api: str
    """`<team>/<slug>/<version>`."""
    name: str
    """The one that is live."""
    summary: str
    tags: list[str]
    state: str
    """`published`, `paused`, `deprecated` or `retired`."""


class FoundOperation(Told):
    method: str
    path: str
    summary: str


class CardAnswer(VersionAnswer):
    """The newest version that fits."""

    versions: list[VersionAnswer]
    """The others that you may see."""
    consumers: int
    """That use any of them now."""
    operations: list[FoundOperation]
    """Where the words were found, at most three."""


class Cards(Listed):
    items: list[CardAnswer]
    count: int
    """APIs on all pages; the versions of one count once."""


class CatalogueEntry(VersionAnswer):
    description: str
    """Markdown."""
    addresses: list[str]
    """Where it is called."""
    authentication: list[str]
    """Each of these will do: `key`, `basic` (user name and password), `jwt` (a token). None where the API is public."""
    key_place: str
    """Where the key goes: `header`, `query` or `bearer`."""
    key_name: str
    """Of that header or parameter."""
    plans: list[PlanAnswer]
    """Those that a new subscription may choose."""
    is_closed: bool
    """It takes no new subscriptions."""
    deprecated_at: Instant | None
    sunset_at: Instant | None
    """When it is meant to be retired."""
    successor: str | None
    """`<team>/<slug>/<version>`, where you may know of it."""
    deprecation_message: str
    retired_at: Instant | None


class CatalogueSearch(Paging):
    q: Annotated[str, Field(max_length=200)] = ""
    """Words of names, descriptions, tags and operations, also by their beginnings."""
    category: Annotated[str, Field(max_length=63)] = ""
    """Slug of a shelf."""
    tag: Annotated[str, Field(max_length=40)] = ""
    team: Annotated[str, Field(max_length=63)] = ""
    """Slug of a team."""
    retired: Flag = False
    """Also what is retired."""
    sort: Literal["", "relevance", "name", "newest", "used"] = ""
    """By relevance where words are looked for, else by name."""


def _shown(version: Version) -> VersionAnswer:
    return VersionAnswer(
        api=version.api.label,
        name=version.title,
        summary=version.summary,
        tags=list(version.tags),
        state=version.api.state,
    )


@route("GET", "/catalogue", Permission.SIGNED_IN, scope=Scope.READ, query=CatalogueSearch, answer=Cards)
def index(session: Session, query: CatalogueSearch) -> Cards:
    """Find an API among all that are published and that you may see."""
    after: After | None = None
    if query.cursor is not None:
        team, slug, seen_so_far = read_cursor(query.cursor, int, str, int)
        after = (team, slug), seen_so_far
    wish = Wish(
        q=query.q,
        category=query.category,
        tags=(query.tag,) if query.tag else (),
        team=query.team,
        retired=query.retired,
        sort=query.sort,
    )
    seen = look(session, me(), wish, size=query.limit, after=after)
    return Cards(
        items=[
            CardAnswer(
                **dict(_shown(card.head)),
                versions=[_shown(other) for other in card.others],
                consumers=card.consumers,
                operations=[
                    FoundOperation(method=each.method, path=each.path, summary=each.summary) for each in card.operations
                ],
            )
            for card in seen.cards
        ],
        count=seen.count,
        next=cursor_of(*seen.following[0], seen.following[1]) if seen.following else None,
    )


@route(
    "GET",
    "/catalogue/<team>/<slug>/<version>",
    Permission.SIGNED_IN,
    a_shown_api,
    scope=Scope.READ,
    answer=CatalogueEntry,
)
def show(session: Session, api: Api) -> CatalogueEntry:
    """What a published API is, where it is called, and under which plans. Its operations are in its `openapi`."""
    document = exports.live_document(api)
    assert document is not None, "the guard lets published ones in only"
    successor = api.successor
    knows = successor is not None and successor.live_release_id is not None and may_see(me(), successor)
    return CatalogueEntry(
        api=api.label,
        name=document.name,
        summary=first_sentence(document.description),
        tags=list(document.tags),
        state=api.state,
        description=document.description,
        addresses=curl.addresses(document, config_of(current_app).gateway_url),
        authentication=[way for way in ("key", "basic", "jwt") if getattr(document.authentication, way)],
        key_place=document.key.place,
        key_name=document.key.name,
        plans=[plans.shown(plan) for plan in sorted(api.plans, key=lambda plan: (plan.name.lower(), plan.id))],
        is_closed=api.closed,
        deprecated_at=api.deprecated_at,
        sunset_at=api.sunset_at,
        successor=successor.label if successor is not None and knows else None,
        deprecation_message=api.deprecation_message,
        retired_at=api.retired_at,
    )


class OpenAPIAnswer(RootModel[dict[str, Any]]):
    """An OpenAPI document."""


@route(
    "GET",
    "/catalogue/<team>/<slug>/<version>/openapi",
    Permission.SIGNED_IN,
    a_shown_api,
    scope=Scope.READ,
    answer=OpenAPIAnswer,
    etag=True,
    problems=(503,),
)
def openapi(session: Session, api: Api) -> OpenAPIAnswer:
    """A published API as OpenAPI, with the gateway's address and key.

    A very large one is written when it is asked for first; ask again after some minutes (503).
    """
    document = exports.live_document(api)
    assert document is not None, "the guard lets published ones in only"
    server = curl.addresses(document, config_of(current_app).gateway_url)[0].rstrip("/")
    if not exports.is_large(session, document, "json"):
        return OpenAPIAnswer(json.loads(exports.write(session, api, document, "json", server)))
    key = exports.key_of(api, document, "json", server)
    packed = exports.kept(session, key)
    if packed is None:
        with db.begin() as writing:
            exports.ask(writing, api, "json", server, key)
        raise Unavailable("It is being written, which may take some minutes. Ask again.")
    return OpenAPIAnswer(json.loads(decompress(packed)))
