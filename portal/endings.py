"""The end of an API as people and programs decide it: the registry's verbs, and a letter to those whom it concerns.

Needs an application context; letters are sent when the caller's transaction has committed.
"""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import letters, registry
from portal.accounts import Person, Team
from portal.errors import Invalid
from portal.registry.models import Api


def deprecate(
    session: Session,
    api: Api,
    *,
    by: Person,
    at: datetime,
    sunset_at: datetime | None,
    successor: str,
    message: str,
) -> None:
    """`successor` is `team/slug/version`, or "" for none. A letter is due when something changes for callers.

    Raises what `registry.deprecate` raises, and Invalid for a successor that `by` may not know of.
    """
    before = _told(api)
    registry.deprecate(
        session,
        api,
        at=at,
        sunset_at=sunset_at,
        successor=_successor(session, api, successor, by),
        message=message,
    )
    session.flush()  # the number of the successor is compared
    if before != _told(api):
        letters.api_deprecated(session, api, by=by, changed=before[0])


def withdraw_deprecation(session: Session, api: Api, *, by: Person) -> None:
    """Raises what `registry.withdraw_deprecation` raises."""
    was_deprecated = api.deprecated_at is not None
    registry.withdraw_deprecation(session, api)
    if was_deprecated:
        letters.deprecation_withdrawn(session, api, by=by)


def retire(session: Session, api: Api, *, by: Person) -> None:
    """Raises what `registry.retire` raises."""
    was_retired = api.retired_at is not None
    registry.retire(session, api)
    if not was_retired:
        letters.api_retired(session, api, by=by)


def _told(api: Api) -> tuple[bool, datetime | None, int | None, str]:
    """What callers have to know; from when on it counts as deprecated is not among it."""
    return api.deprecated_at is not None, api.sunset_at, api.successor_id, api.deprecation_message


def _successor(session: Session, api: Api, label: str, by: Person) -> Api | None:
    """The one that stands there already may be hidden from `by` since."""
    if not label:
        return None
    if api.successor is not None and api.successor.label == label:
        return api.successor
    parts = label.split("/")
    found = None
    if len(parts) == 3:
        team, slug, version = parts
        found = session.scalar(
            select(Api)
            .join(Api.team)
            .where(Team.slug == team, Api.slug == slug, Api.version == version)
            .where(Api.live_release_id.is_not(None), registry.visible_to(by))
        )
    if found is None:
        raise Invalid(
            {"successor": f"There is no published API {label[:100]} that you may see. Write team/slug/version."}
        )
    if found.successor_id == api.id:
        raise Invalid({"successor": f"{found.label} names this very API as its successor. Choose another one."})
    return found
