"""The catalogue: published APIs that you may see, by words or by shelf."""

from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy.orm import Session

from portal.accounts import Permission
from portal.accounts.tokens import Scope
from portal.registry.cards import Version
from portal.registry.catalogue import Wish, look
from portal.rest.route import tagged
from portal.rest.shapes import Flag, Listed, Paging, Told, cursor_of, read_cursor
from portal.web.guards import me

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
    page = read_cursor(query.cursor, int)[0] if query.cursor is not None else 1
    wish = Wish(
        q=query.q,
        category=query.category,
        tags=(query.tag,) if query.tag else (),
        team=query.team,
        retired=query.retired,
        sort=query.sort,
    )
    seen = look(session, me(), wish, page=page, size=query.limit)
    cards = seen.cards if page <= seen.pages else []
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
            for card in cards
        ],
        count=seen.count,
        next=cursor_of(page + 1) if page < seen.pages else None,
    )
