"""APIs: drafts, publishing, pause. A draft is free to be anything valid; publishing is where mounts are claimed."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from portal.accounts import Permission, audit, standing
from portal.accounts.models import Person, Team
from portal.db import utcnow
from portal.errors import Changed, Conflict, Invalid, NameTaken, PathTaken
from portal.registry import descriptions, revision
from portal.registry.consumers import Loss, guests, hold, losses
from portal.registry.document import SLUG, VERSION, Document, read_document
from portal.registry.models import (
    Api,
    Consumer,
    Mount,
    Plan,
    Release,
    Revision,
    Subscription,
    SubscriptionState,
    UpstreamSecret,
)

_TURN = "portal.registry.apis.turn"
"""In a session: the transaction that holds the turn of publishers."""


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
    if session.scalar(select(Api.id).where(Api.team_id == team.id, Api.slug == slug, Api.version == version)):
        raise NameTaken("slug", f"{team.name} already has an API {slug} {version}. Choose another slug or version.")
    _hold_source(session, document, None)
    api = Api(team=team, slug=slug, version=version, name=document.name, draft=document.as_json(), draft_changed_by=by)
    api.plans = list(session.scalars(select(Plan).where(Plan.team_id == team.id)))
    session.add(api)
    return api


def save_draft(session: Session, api: Api, document: Document, *, by: Person | None, expected: int) -> None:
    """`expected` is the draft number that the editor started from. Raises Changed when it is not the stored one."""
    _require(session, api, expected)
    _hold_source(session, document, api.draft.get("openapi"))
    api.name = document.name
    api.draft = document.as_json()
    api.draft_number += 1
    api.draft_changed_at = utcnow()
    api.draft_changed_by = by


def publish(session: Session, api: Api, *, by: Person | None, expected: int, note: str = "") -> Release:
    """Freeze the draft as the next release and put it before callers.

    Raises Changed when the draft is not the one that was looked at, PathTaken when another live API is served there,
    Conflict when the draft is what is live already or names a secret that the team does not have.
    """
    _require(session, api, expected)
    _claim_turn(session)
    if api.live_release is not None and api.live_release.document == api.draft:
        raise Conflict(
            f"Release {api.live_release.number} of {api.name} is live and says the same. Nothing to publish."
        )
    document = read_document(api.draft)
    _require_secret(session, api, document)
    _claim_mounts(session, api, document, by)
    last = session.scalar(select(func.max(Release.number)).where(Release.api_id == api.id)) or 0
    release = Release(api=api, number=last + 1, document=api.draft, note=note.strip(), published_by=by)
    session.add(release)
    api.live_release = release
    revision.touch(session)
    return release


def vacate(session: Session, apis: Collection[int]) -> None:
    """Free the mounts of these APIs (by number), which are published or deleted later in this very transaction.

    So two of them may change places, which `publish` alone would refuse to whichever comes first.
    """
    for api_id in apis:
        session.execute(delete(Mount).where(Mount.api_id == api_id))


def pause(session: Session, api: Api) -> None:
    """Answer every call with 503 `api_paused` until `resume`. Raises Conflict for an API that is not published."""
    if api.live_release_id is None:
        raise Conflict(f"{api.name} is not published, so there is nothing to pause.")
    api.paused = True
    revision.touch(session)


def resume(session: Session, api: Api) -> None:
    api.paused = False
    revision.touch(session)


def unpublish(session: Session, api: Api) -> None:
    """Take the API away from callers and free its mounts. Releases, subscriptions and keys stay."""
    session.execute(delete(Mount).where(Mount.api_id == api.id))
    if api.live_release is not None:
        audit.record(session, "unpublished", api, release=api.live_release.number)
    api.live_release = None
    api.paused = False
    session.flush()  # `state` and `delete_api` read the column behind it
    revision.touch(session)


def offer_plans(session: Session, api: Api, plans: Collection[Plan]) -> None:
    """Which plans new subscriptions may choose. Those that exist keep theirs."""
    strangers = [plan.name for plan in plans if plan.team_id != api.team_id]
    if strangers:
        raise Invalid({"plans": f"{', '.join(strangers)} belongs to another team."})
    api.plans = list(plans)


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
            .where(Subscription.api_id == api.id, Subscription.state != SubscriptionState.ENDED)
            .order_by(func.lower(Consumer.name), Subscription.id)
        )
    )


def _require(session: Session, api: Api, expected: int) -> None:
    session.flush()  # what this transaction has changed so far is not to be read over
    # On PostgreSQL, a second editor waits here until the first has committed, and then reads what that one wrote.
    hold(session, api, but_subscriptions=True)
    session.refresh(api, ["draft_number", "draft", "draft_changed_by_id"])
    if api.draft_number != expected:
        raise Changed(api.name, api.draft_changed_by.name if api.draft_changed_by else None)


def _hold_source(session: Session, document: Document, before: str | None) -> None:
    """An OpenAPI document that comes to be named stays stored from here on."""
    if document.openapi and document.openapi != before and not descriptions.hold(session, document.openapi):
        raise Invalid({"openapi": "No OpenAPI document with this SHA-256 is stored. Import it first."})


def _require_secret(session: Session, api: Api, document: Document) -> None:
    credential = document.upstream.credential
    if credential is None:
        return
    kind = session.scalar(
        select(UpstreamSecret.kind).where(
            UpstreamSecret.team_id == api.team_id, UpstreamSecret.name == credential.secret
        )
    )
    if kind is None:
        raise Conflict(
            f"{api.name} names the secret {credential.secret}, which {api.team.name} does not have. "
            "Store it, or choose another one in the document."
        )
    if kind != credential.kind:
        raise Conflict(
            f"The secret {credential.secret} is of another kind than {api.name} wants. Choose it again in the document."
        )


def _claim_turn(session: Session) -> None:
    """One publisher at a time: two mounts that lie under one another are no conflict that a constraint could see."""
    session.execute(select(Revision.n).with_for_update())
    turn = session.get_transaction()
    if session.info.get(_TURN) is not turn:
        # What was read before the wait may be old. Whoever publishes many at once waits with the first only.
        session.expire_all()
        session.info[_TURN] = turn


def _claim_mounts(session: Session, api: Api, document: Document, by: Person | None) -> None:
    """The owner of a taken mount is named to those who may see its API, and to the program itself."""
    session.execute(delete(Mount).where(Mount.api_id == api.id))
    for host, path in document.mounts():
        parts = path.strip("/").split("/")
        above: list[Any] = ["/" + "/".join(parts[:n]) for n in range(1, len(parts) + 1)]
        other = session.scalar(
            select(Mount)
            .where(
                Mount.host == host,
                or_(Mount.path.in_(above), Mount.path.startswith(path.rstrip("/") + "/", autoescape=True)),
            )
            .order_by(Mount.path)
            .limit(1)
        )
        if other is not None:
            may_know = by is None or standing(by, other.api.team).may(Permission.SEE_APIS)
            owner = f"{other.api.name} ({other.api.team.name})" if may_know else None
            raise PathTaken(host if path == "/" else path, owner)
        session.add(Mount(host=host, path=path, api_id=api.id))
