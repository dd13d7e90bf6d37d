"""How an API ends: closed to new subscriptions, deprecated, retired. All of it is live at once, outside of releases.

published ── deprecate ──► deprecated ── retire ──► retired
          ◄─ withdraw ────            ◄── revive ──
"""

from datetime import datetime

from sqlalchemy.orm import Session

from portal.db import utcnow
from portal.errors import Conflict, Invalid
from portal.registry import revision
from portal.registry.models import Api

LONGEST_MESSAGE = 2_000


def deprecate(
    session: Session,
    api: Api,
    *,
    at: datetime,
    sunset_at: datetime | None,
    successor: Api | None,
    message: str,
) -> None:
    """Tell every caller to move on, or change what they are told. Calls go on.

    Callers are told at once, also when `at` lies ahead. Raises Conflict for an API that is not published, Invalid for a
    sunset before `at`, for a successor that is the API itself and for a message that is too long.
    """
    _require_published(api, "deprecate")
    wrong = {}
    if sunset_at is not None and sunset_at < at:
        wrong["sunset_at"] = "It cannot end before it is deprecated. Choose a later day."
    if successor is not None and successor is api:
        wrong["successor"] = "An API cannot succeed itself. Choose another one."
    if len(message) > LONGEST_MESSAGE:
        wrong["message"] = f"At most {LONGEST_MESSAGE:,} characters fit here."
    if wrong:
        raise Invalid(wrong)
    api.deprecated_at = at
    api.sunset_at = sunset_at
    api.successor = successor
    api.deprecation_message = message.strip()
    revision.touch(session)


def withdraw_deprecation(session: Session, api: Api) -> None:
    """Raises Conflict for an API that is retired. Whether it takes new subscriptions stays as it is."""
    if api.retired_at is not None:
        raise Conflict(f"{api.name} is retired. Revive it first; it is deprecated then.")
    _forget_deprecation(api)
    revision.touch(session)


def close(session: Session, api: Api) -> None:
    """Take no new subscriptions; those that exist go on. Raises Conflict for an API that is not published."""
    _require_published(api, "close")
    api.closed = True


def reopen(session: Session, api: Api) -> None:
    """Take new subscriptions again."""
    api.closed = False


def retire(session: Session, api: Api, *, at: datetime | None = None) -> None:
    """Answer every call with 410 `api_retired` until `revive`. Release, mounts, subscriptions and keys stay.

    Raises Conflict for an API that is not deprecated: callers are to hear of the end before it comes.
    """
    _require_published(api, "retire")
    if api.deprecated_at is None:
        raise Conflict(f"{api.name} is not deprecated. Deprecate it first, so that its callers know of the end.")
    if api.retired_at is None:
        api.retired_at = at or utcnow()
    revision.touch(session)


def revive(session: Session, api: Api) -> None:
    """Let calls through again. It is deprecated, as it was before."""
    api.retired_at = None
    revision.touch(session)


def forget(api: Api) -> None:
    """Of an API that is not published any more."""
    _forget_deprecation(api)
    api.retired_at = None
    api.closed = False


def refusal(api: Api) -> str | None:
    """Why nobody can subscribe to the API now, in a sentence; None when they can."""
    if api.live_release_id is None:
        return f"{api.name} is not published yet. Only published APIs can be subscribed to."
    if api.retired_at is not None:
        return f"{api.name} is retired: every call is answered with 410. Choose another API."
    if api.closed:
        return f"{api.name} takes no new subscriptions. Choose another API, or ask {api.team.name}."
    return public(api)


def public(api: Api) -> str | None:
    """Why nobody needs to subscribe to the API, in a sentence; None where calls want a subscription."""
    if api.is_public:
        return f"{api.name} is public: it asks for no key, so there is nothing to subscribe to. Call it as it is."
    return None


def dead(api: Api) -> str | None:
    """Why nobody can call the API, also those whom its own team lets in, in a sentence; None when they can."""
    if api.live_release_id is None:
        return f"{api.name} is not published, so nobody can call it."
    if api.retired_at is not None:
        return f"{api.name} is retired: every call is answered with 410."
    return None


def _require_published(api: Api, verb: str) -> None:
    if api.live_release_id is None:
        raise Conflict(f"{api.name} is not published, so there is nothing to {verb}.")


def _forget_deprecation(api: Api) -> None:
    api.deprecated_at = None
    api.sunset_at = None
    api.successor = None
    api.deprecation_message = ""
