"""The catalogue: find an API, by words or by its shelf, and begin to use it."""

from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from flask import Blueprint, make_response, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal.accounts import Permission
from portal.db import db
from portal.registry.catalogue import Seen, Wish, look
from portal.registry.models import Api
from portal.web import lists
from portal.web.forms import stripped
from portal.web.guards import person, requires, teams_for
from portal.web.intake import LARGEST_ID

bp = Blueprint("catalogue", __name__, url_prefix="/catalogue")

_SIZES = {"cards": 24, "list": 50}
_MOST_TAGS = 8
_LONGEST = 200
SORTS = {"relevance": "Best match", "name": "Name", "newest": "Newest", "used": "Most used"}


@bp.app_template_global()
def docs_address(api: Api, operation: str = "") -> str:
    """Where an API, or one operation of it, is documented."""
    start = f"{request.script_root}{bp.url_prefix}/{api.label}"
    return f"{start}/operations/{quote(operation, safe='')}" if operation else start


@bp.get("")
@requires(Permission.SEE_CATALOGUE)
def index() -> ResponseReturnValue:
    """The page, or only what changes of it while somebody types."""
    wish = _wish()
    view = "list" if lists.query("view") == "list" else "cards"
    page = min(max(request.args.get("page", 1, type=int), 1), LARGEST_ID)
    seen = look(db.session(), person(), wish, page=page, size=_SIZES[view])

    @cache  # the same tags stand on many cards
    def here(**changes: Any) -> str:
        return _address(wish, view, **changes)

    is_part = "HX-Request" in request.headers
    response = make_response(
        render_template(
            "catalogue/_results.html" if is_part else "catalogue/index.html",
            wish=wish,
            view=view,
            seen=seen,
            here=here,
            chips=_chips(wish, seen, here),
            sorts=SORTS,
            may_register=seen.is_empty and person() is not None and bool(teams_for(Permission.MANAGE_APIS)),
        )
    )
    if is_part:
        response.headers["HX-Replace-Url"] = here(page=seen.page)
    return response


def _wish() -> Wish:
    tags = dict.fromkeys(stripped(tag)[:_LONGEST] for tag in request.args.getlist("tag"))
    return Wish(
        q=lists.query()[:_LONGEST],
        category=lists.query("category")[:_LONGEST],
        tags=tuple(filter(None, tags))[:_MOST_TAGS],
        team=lists.query("team")[:_LONGEST],
        retired=lists.query("retired") == "1",
        sort=lists.query("sort") if lists.query("sort") in SORTS else "",
    )


def _address(wish: Wish, view: str, /, **changes: Any) -> str:
    """The catalogue as it is asked for now, but for these changes; from its first page unless they name another."""
    asked: dict[str, Any] = {
        "q": wish.q,
        "category": wish.category,
        "tag": wish.tags,
        "team": wish.team,
        "sort": wish.sort,
        "retired": "1" if wish.retired else "",
        "view": "" if view == "cards" else view,
    }
    asked |= changes
    if asked.get("page") == 1:
        del asked["page"]
    query = urlencode({name: value for name, value in asked.items() if value}, doseq=True)
    return f"{url_for('catalogue.index')}?{query}" if query else url_for("catalogue.index")


def _chips(wish: Wish, seen: Seen, here: Any) -> list[dict[str, str]]:
    """What narrows, or widens, the list, each with the address of the list without it."""
    chips = []
    if wish.category:
        names = {shelf.category.slug: shelf.category.name for shelf in seen.shelves}
        chips.append(_chip("Category", names.get(wish.category, wish.category), here(category="")))
    for tag in wish.tags:
        chips.append(_chip("Tag", tag, here(tag=tuple(each for each in wish.tags if each != tag))))
    if wish.team:
        chips.append(_chip("Team", seen.team.name if seen.team else wish.team, here(team="")))
    if wish.retired:
        chips.append(_chip("Also", "retired", here(retired="")))
    return chips


def _chip(label: str, value: str, remove_url: str) -> dict[str, str]:
    return {"label": label, "value": value, "remove_url": remove_url}
