"""The shelves of the catalogue, and on which of them an API stands."""

from typing import Annotated

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import registry
from portal.accounts import Permission
from portal.accounts.tokens import Scope
from portal.errors import Invalid
from portal.registry.categories import FURTHEST, LONGEST_DESCRIPTION
from portal.registry.models import Api, Category
from portal.rest import lists
from portal.rest.apis import ADDRESS, ApiAnswer, shown, state
from portal.rest.route import Answer, tagged
from portal.rest.serving import state_of
from portal.rest.shapes import Asked, Listed, Name, Search, Slug, Told
from portal.web.guards import a_category, an_api

route = tagged("Catalogue")

_Position = Annotated[int, Field(ge=0, le=FURTHEST)]
_Description = Annotated[str, Field(max_length=LONGEST_DESCRIPTION)]


class CategoryAnswer(Told):
    slug: str
    name: str
    description: str
    position: int
    """Shelves stand in this order, then by name."""


class Categories(Listed):
    items: list[CategoryAnswer]


class CategoryChange(Asked):
    name: Name
    description: _Description = ""
    position: _Position


class NewCategory(Asked):
    slug: Slug
    name: Name
    description: _Description = ""
    position: _Position | None = None
    """At the end when it is left out."""


class Shelf(Asked):
    category: Slug | None
    """Slug of a category; null for none."""


def _shown(category: Category) -> CategoryAnswer:
    return CategoryAnswer.model_validate(category, from_attributes=True)


_state = state_of(_shown)


@route("GET", "/categories", Permission.SIGNED_IN, scope=Scope.READ, query=Search, answer=Categories)
def index(session: Session, query: Search) -> Categories:
    """The shelves of the catalogue, by name."""
    rows = select(Category)
    if query.q:
        rows = rows.where(Category.name.icontains(query.q, autoescape=True))
    found, following = lists.by_name(session, rows, Category.name, Category.id, query)
    return Categories(items=[_shown(each) for each in found], next=following)


@route(
    "POST",
    "/categories",
    Permission.ADMINISTER,
    scope=Scope.ADMIN,
    body=NewCategory,
    answer=CategoryAnswer,
    creates=True,
)
def create(session: Session, body: NewCategory) -> Answer:
    """Put up a shelf."""
    category = registry.create_category(session, **body.model_dump())
    session.flush()
    return Answer(_shown(category), location=f"/categories/{category.slug}")


@route(
    "GET",
    "/categories/<category>",
    Permission.SIGNED_IN,
    a_category,
    scope=Scope.READ,
    answer=CategoryAnswer,
    etag=True,
)
def show(session: Session, category: Category) -> CategoryAnswer:
    """One shelf."""
    return _shown(category)


@route(
    "PUT",
    "/categories/<category>",
    Permission.ADMINISTER,
    a_category,
    scope=Scope.ADMIN,
    body=CategoryChange,
    answer=CategoryAnswer,
    etag=True,
    match=_state,
)
def change(session: Session, category: Category, body: CategoryChange) -> CategoryAnswer:
    """Change a shelf as a whole. Its slug stays."""
    registry.change_category(session, category, **body.model_dump())
    return _shown(category)


@route("DELETE", "/categories/<category>", Permission.ADMINISTER, a_category, scope=Scope.ADMIN, match=_state)
def delete(session: Session, category: Category) -> None:
    """Take a shelf down. The APIs that stood on it stay published and stand on none."""
    registry.delete_category(session, category)


@route(
    "PUT",
    f"{ADDRESS}/category",
    Permission.MANAGE_APIS,
    an_api,
    scope=Scope.APIS,
    body=Shelf,
    answer=ApiAnswer,
    etag=True,
    match=state,
)
def choose(session: Session, api: Api, body: Shelf) -> ApiAnswer:
    """Say on which shelf of the catalogue an API stands. Live at once."""
    category = None
    if body.category is not None:
        category = session.scalar(select(Category).where(Category.slug == body.category))
        if category is None:
            raise Invalid({"category": f"There is no category {body.category}. Choose one that is under /categories."})
    registry.set_category(session, api, category)
    return shown(api)
