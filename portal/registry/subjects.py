"""Subjects: what tokens (JWT) call a consumer at one API. A token leads to the subscription that has its subject."""

from collections.abc import Iterable

from sqlalchemy import Text, cast, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.errors import Conflict, Invalid
from portal.registry import revision
from portal.registry.models import CURRENT, Api, Release, Subscription
from portal.registry.subscriptions import hold_subscription

LONGEST = 255


def takes_tokens(api: Api) -> bool:
    """Whether the live release lets callers authenticate by tokens, or the draft where none is live."""
    values = api.live_release.document if api.live_release is not None else api.draft
    return bool((values.get("authentication") or {}).get("jwt"))


def taking_tokens(session: Session, apis: Iterable[Api]) -> set[int]:
    """The same of many at once, by number; live releases only."""
    numbers = {api.id for api in apis}
    rows = (
        select(Api.id)
        .join(Release, Release.id == Api.live_release_id)
        .where(Api.id.in_(numbers), cast(Release.document, Text).like('%"jwt"%'))
    )
    return set(session.scalars(rows))


def set_subject(session: Session, subscription: Subscription, subject: str | None) -> None:
    """What tokens call its consumer at its API, to the letter; empty or None for none. Live within a second.

    Raises Conflict for a subscription that is over, Invalid for a subject that is none or that another consumer of the
    API has.
    """
    wanted = _checked(subject or "")
    hold_subscription(session, subscription)
    if subscription.state.is_over:
        raise Conflict(f"This subscription is {subscription.state.value}. Subscribe again.")
    if wanted == subscription.subject:
        return
    session.flush()  # what this transaction has begun has its number
    if wanted is not None and _is_taken(session, subscription, wanted):
        raise _taken(subscription)
    try:
        with session.begin_nested():
            subscription.subject = wanted
            session.flush()
    except IntegrityError as error:  # somebody else was faster
        raise _taken(subscription) from error
    revision.touch(session)


def _checked(subject: str) -> str | None:
    subject = subject.strip()
    if len(subject) > LONGEST:
        raise Invalid({"subject": f"At most {LONGEST} characters fit here."})
    if not subject.isprintable():
        raise Invalid({"subject": "Give the value as it stands in the token, without line breaks."})
    return subject or None


def _is_taken(session: Session, subscription: Subscription, subject: str) -> bool:
    others = select(Subscription.id).where(
        Subscription.api_id == subscription.api_id,
        Subscription.subject == subject,
        Subscription.id != subscription.id,
        CURRENT,
    )
    return session.scalar(others.limit(1)) is not None


def _taken(subscription: Subscription) -> Invalid:
    api = subscription.api
    return Invalid(
        {
            "subject": f"Another consumer of {api.name} has this subject already. Give the one of your own tokens; if "
            f"it is yours, ask {api.team.name} to clear it there."
        }
    )
