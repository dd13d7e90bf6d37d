"""APIs: drafts, what they offer, pause. A draft is free to be anything valid; `releases.py` puts it before callers."""

from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.accounts.models import Person, Team
from portal.db import utcnow
from portal.errors import Conflict, Invalid, NameTaken
from portal.registry import descriptions, revision, token_keys
from portal.registry.consumers import Loss, guests, hold, losses
from portal.registry.document import SLUG, VERSION, Document
from portal.registry.models import APPLICATION, CURRENT, Api, Consumer, Plan, Subscription
from portal.registry.plans import MOST_A_SECOND
from portal.registry.releases import require_draft, unpublish


def create_api(session: Session, team: Team, *, slug: str, version: str, document: Document, by: Person | None) -> Api:
    """A new draft that offers every plan of its team; nothing is served yet.

    Raises Invalid for a slug or version of the wrong form, NameTaken.
    """
    wrong = {}
    if not SLUG.fullmatch(slug):
        wrong["slug"] = "Use small letters, digits and dashes, such as orders."
    if not VERSION.fullmatch(version):
        wrong["version"] = "Use small letters, digits, dots and dashes, such as v1."
    if wrong:
        raise Invalid(wrong)
    require_free_name(session, team, slug, version)
    _hold_source(session, document, None)
    api = Api(team=team, slug=slug, version=version, name=document.name, draft=document.as_json(), draft_changed_by=by)
    api.plans = list(session.scalars(select(Plan).where(Plan.team_id == team.id)))
    session.add(api)
    token_keys.ask(session, document)
    return api


def require_free_name(session: Session, team: Team, slug: str, version: str) -> None:
    """Raises NameTaken."""
    if session.scalar(select(Api.id).where(Api.team_id == team.id, Api.slug == slug, Api.version == version)):
        raise NameTaken("slug", f"{team.name} already has an API {slug} {version}. Choose another slug or version.")


def save_draft(session: Session, api: Api, document: Document, *, by: Person | None, expected: int) -> None:
    """`expected` is the draft number that the editor started from. Raises Changed when it is not the stored one."""
    require_draft(session, api, expected)
    _hold_source(session, document, api.draft.get("openapi"))
    api.name = document.name
    api.draft = document.as_json()
    api.draft_number += 1
    api.draft_changed_at = utcnow()
    api.draft_changed_by = by
    token_keys.ask(session, document)


def pause(session: Session, api: Api) -> None:
    """Answer every call with 503 `api_paused` until `resume`. Raises Conflict for an API that is not published."""
    if api.live_release_id is None:
        raise Conflict(f"{api.name} is not published, so there is nothing to pause.")
    api.paused = True
    revision.touch(session)


def resume(session: Session, api: Api) -> None:
    api.paused = False
    revision.touch(session)


def limit_api(session: Session, api: Api, *, overall_per_second: int | None) -> None:
    """How many calls each node lets through to the upstream, of all subscriptions together; None for any number.

    Live at once, also for a draft that is published later. Raises Invalid.
    """
    if overall_per_second is not None and not 1 <= overall_per_second <= MOST_A_SECOND:
        raise Invalid({"overall_per_second": f"Give a number from 1 to {MOST_A_SECOND:,}, or nothing for no limit."})
    if overall_per_second != api.overall_per_second:
        api.overall_per_second = overall_per_second
        revision.touch(session)


def offer_plans(session: Session, api: Api, plans: Collection[Plan], *, default: Plan | None = None) -> None:
    """Which plans new subscriptions may choose. Those that exist keep theirs.

    `default` is chosen for who chooses none. Raises Invalid for a plan of another team, and a default not on offer.
    """
    strangers = [plan.name for plan in plans if plan.team_id != api.team_id]
    if strangers:
        raise Invalid({"plans": f"{', '.join(strangers)} belongs to another team."})
    if default is not None and default not in plans:
        raise Invalid({"default": f"{default.name} is not on offer, so it cannot be the default. Offer it too."})
    api.plans = list(plans)
    api.default_plan = default


def delete_api(session: Session, api: Api) -> list[Loss]:
    """For good, with its releases and subscriptions; what other teams lose by it, which they are to be told.

    Calls stay in the log and in the charts. Raises NotFound when somebody else has deleted it meanwhile.
    """
    hold(session, api)
    lost = losses(guests(session, [api]))
    unpublish(session, api)
    # One by one: the end of each is told in the trail of its consumer's team.
    theirs = select(Subscription).where(Subscription.api_id == api.id).order_by(Subscription.id).with_for_update()
    for subscription in session.scalars(theirs):
        session.delete(subscription)
    session.delete(api)
    return lost


def subscribers(session: Session, api: Api) -> list[Subscription]:
    """Current subscriptions, by consumer."""
    return list(
        session.scalars(
            select(Subscription)
            .join(Subscription.consumer)
            .where(Subscription.api_id == api.id, CURRENT, APPLICATION)
            .order_by(func.lower(Consumer.name), Subscription.id)
        )
    )


def _hold_source(session: Session, document: Document, before: str | None) -> None:
    """An OpenAPI document that comes to be named stays stored from here on."""
    if document.openapi and document.openapi != before and not descriptions.hold(session, document.openapi):
        raise Invalid({"openapi": "No OpenAPI document with this SHA-256 is stored. Import it first."})
