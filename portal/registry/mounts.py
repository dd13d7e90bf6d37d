"""Where live APIs are served. For those who plan it is a hint: what is claimed in the end, publishing decides."""

from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from portal.accounts import Person
from portal.errors import PathTaken
from portal.registry.models import Api, Mount
from portal.registry.visibility import may_see


def taken(session: Session, host: str, path: str, *, by: Person | None, but: Api | None = None) -> PathTaken | None:
    """Why `path` of `host` (`*` is every host) could not be published now, beside `but`.

    Its owner is named to those who may see that API, and to the program itself.
    """
    parts = path.strip("/").split("/")
    above: list[Any] = ["/" + "/".join(parts[:n]) for n in range(1, len(parts) + 1)]
    below = Mount.path.startswith(path.rstrip("/") + "/", autoescape=True)
    rows = select(Mount).where(Mount.host == host, or_(Mount.path.in_(above), below)).order_by(Mount.path).limit(1)
    other = session.scalar(rows.where(Mount.api_id != but.id) if but else rows)
    if other is None:
        return None
    may_know = by is None or may_see(by, other.api)
    owner = f"{other.api.name} ({other.api.team.name})" if may_know else None
    return PathTaken(host if path == "/" else path, owner)
