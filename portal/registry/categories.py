"""Categories: the shelves of the catalogue. Administrators put them up, publishers choose one; live at once."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.errors import Invalid, NameTaken
from portal.registry.document import SLUG
from portal.registry.models import Api, Category

LONGEST_NAME = 80
LONGEST_DESCRIPTION = 500
FURTHEST = 1_000_000


def create_category(
    session: Session, *, slug: str, name: str, description: str = "", position: int | None = None
) -> Category:
    """At the end, unless a position is given. Raises Invalid, and NameTaken for a slug or a name that is in use."""
    if not SLUG.fullmatch(slug):
        raise Invalid({"slug": "Use small letters, digits and dashes, such as payments."})
    if session.scalar(select(Category.id).where(Category.slug == slug)):
        raise NameTaken("slug", f"There is a category {slug} already. Choose another slug.")
    if position is None:
        last = session.scalar(select(func.max(Category.position)))
        position = 0 if last is None else min(last + 1, FURTHEST)
    category = Category(slug=slug)
    _fill(session, category, name, description, position)
    session.add(category)
    return category


def change_category(session: Session, category: Category, *, name: str, description: str, position: int) -> None:
    """Its slug stays: addresses hold it. Raises Invalid, NameTaken."""
    _fill(session, category, name, description, position)


def delete_category(session: Session, category: Category) -> int:
    """The APIs that stood on it stand on none; how many there were."""
    apis = list(session.scalars(select(Api).where(Api.category_id == category.id).order_by(Api.id).with_for_update()))
    for api in apis:
        api.category = None
    session.flush()
    session.delete(category)
    return len(apis)


def set_category(session: Session, api: Api, category: Category | None) -> None:
    """Where the catalogue shows it, live at once."""
    api.category = category
    session.flush()


def _fill(session: Session, category: Category, name: str, description: str, position: int) -> None:
    name, description = " ".join(name.split()), description.strip()
    wrong = {}
    if not name:
        wrong["name"] = "Give it a name."
    if len(name) > LONGEST_NAME:
        wrong["name"] = f"At most {LONGEST_NAME} characters fit here."
    if len(description) > LONGEST_DESCRIPTION:
        wrong["description"] = f"At most {LONGEST_DESCRIPTION} characters fit here."
    if not 0 <= position <= FURTHEST:
        wrong["position"] = f"Give a number from 0 to {FURTHEST:,}."
    if wrong:
        raise Invalid(wrong)
    with session.no_autoflush:
        same = select(Category.id).where(func.lower(Category.name) == name.lower(), Category.slug != category.slug)
        if session.scalar(same):
            raise NameTaken("name", f"There is a category {name} already. Choose another name.")
    category.name, category.description, category.position = name, description, position
