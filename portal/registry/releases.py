"""Releases: the draft put before callers, an old one brought back, all of it taken away. Here mounts are claimed."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from portal import jobs
from portal.accounts import audit
from portal.accounts.models import Person
from portal.db import utcnow
from portal.errors import Changed, Conflict, Invalid
from portal.registry import everyone, lifecycle, mounts, revision, token_keys
from portal.registry.consumers import hold
from portal.registry.document import Document, read_document
from portal.registry.models import Api, Mount, Release, Revision, UpstreamSecret

COMPARE = "compare_release"
"""The job that tells callers what a release breaks. It takes seconds for large documents."""
_TURN = "portal.registry.releases.turn"
"""In a session: the transaction that holds the turn of publishers."""


def publish(
    session: Session, api: Api, *, by: Person | None, expected: int, note: str = "", replacing: int | None = None
) -> Release:
    """Freeze the draft as the next release and put it before callers.

    `expected` is the number of the draft that was looked at, `replacing` that of the live release beside it (0 for
    none), where one was. Raises Changed or Conflict when they are others by now, PathTaken when another live API is
    served there, Conflict when the draft is what is live already or names a secret or a plan that the team does not
    have.
    """
    require_draft(session, api, expected)
    _claim_turn(session)
    _require_live(api, replacing)
    if api.live_release is not None and api.live_release.document == api.draft:
        raise Conflict(
            f"Release {api.live_release.number} of {api.name} is live and says the same. Nothing to publish."
        )
    return _put_live(session, api, api.draft, by=by, note=note)


def republish(
    session: Session,
    api: Api,
    release: Release,
    *,
    by: Person | None,
    expected: int,
    note: str = "",
    replacing: int | None = None,
) -> Release:
    """Put an old release before callers again, under a new number. The draft stays as it is.

    Plans, subscriptions, keys, secrets and the lifecycle are no part of a release and stay too. Raises what `publish`
    raises, and Conflict for a release that this version of Portico cannot read or that is of another API.
    """
    require_draft(session, api, expected)
    _claim_turn(session)
    _require_live(api, replacing)
    if release.api_id != api.id:
        raise Conflict(f"{api.name} has no such release. Choose one of its own.")
    live = api.live_release
    if live is not None and live.document == release.document:
        which = "is live already" if live.number == release.number else f"says the same as release {live.number}"
        raise Conflict(f"Release {release.number} of {api.name} {which}. Nothing to publish.")
    return _put_live(session, api, release.document, by=by, note=note, copy_of=release.number)


def obstacles(session: Session, api: Api, values: dict[str, Any], *, by: Person | None) -> list[Conflict]:
    """Why `values`, a stored document, would not be published now; claims nothing."""
    try:
        document = _readable(api, values)
    except Conflict as error:
        return [error]
    found: list[Conflict] = []
    try:
        _require_secret(session, api, document)
    except Conflict as error:
        found.append(error)
    try:
        everyone.wanted_plan(session, api, document)
    except Conflict as error:
        found.append(error)
    taken = (mounts.taken(session, host, path, by=by, but=api) for host, path in document.mounts())
    return found + [each for each in taken if each is not None]


def next_number(session: Session, api: Api) -> int:
    """Of the release that would be made now."""
    return (session.scalar(select(func.max(Release.number)).where(Release.api_id == api.id)) or 0) + 1


def unpublish(session: Session, api: Api) -> None:
    """Take the API away from callers and free its mounts. Releases, subscriptions and keys stay; pause and lifecycle
    are over, so that publishing begins anew."""
    session.execute(delete(Mount).where(Mount.api_id == api.id))
    everyone.follow(session, api, None)
    if api.live_release is not None:
        audit.record(session, "unpublished", api, release=api.live_release.number)
    api.live_release = None
    api.paused = False
    lifecycle.forget(api)
    session.flush()  # `state` and `delete_api` read the column behind it
    revision.touch(session)


def vacate(session: Session, apis: Collection[int]) -> None:
    """Free the mounts of these APIs (by number), which are published or deleted later in this very transaction.

    So two of them may change places, which `publish` alone would refuse to whichever comes first.
    """
    for api_id in apis:
        session.execute(delete(Mount).where(Mount.api_id == api_id))


def require_draft(session: Session, api: Api, expected: int) -> None:
    """Nobody else changes the draft until the commit. Raises Changed when it is another one than was looked at."""
    session.flush()  # what this transaction has changed so far is not to be read over
    # On PostgreSQL, a second editor waits here until the first has committed, and then reads what that one wrote.
    hold(session, api, but_subscriptions=True)
    session.refresh(api, ["draft_number", "draft", "draft_changed_by_id"])
    if api.draft_number != expected:
        raise Changed(api.name, api.draft_changed_by.name if api.draft_changed_by else None)


def _require_live(api: Api, replacing: int | None) -> None:
    now = api.live_release.number if api.live_release is not None else 0
    if replacing is not None and replacing != now:
        said = f"Release {now} of {api.name} was published" if now else f"{api.name} was unpublished"
        raise Conflict(
            f"{said} since you opened this page. Nothing of yours was published. "
            "What would change now is below; look at it, then publish."
        )


def _put_live(
    session: Session, api: Api, values: dict[str, Any], *, by: Person | None, note: str, copy_of: int | None = None
) -> Release:
    document = _readable(api, values)
    _require_secret(session, api, document)
    plan = everyone.wanted_plan(session, api, document)
    session.execute(delete(Mount).where(Mount.api_id == api.id))
    for host, path in document.mounts():
        if taken := mounts.taken(session, host, path, by=by, but=api):
            raise taken
        session.add(Mount(host=host, path=path, api_id=api.id))
    number, before = next_number(session, api), api.live_release
    release = Release(
        api=api,
        number=number,
        document=values,
        copy_of=copy_of,
        note=note.strip(),
        published_by=by,
        published_at=utcnow(),
    )
    session.add(release)
    api.live_release = release
    session.flush()  # `state` and `pause` read the column behind it
    if before is not None:
        jobs.enqueue(session, COMPARE, {"before": before.id, "after": release.id, "by": by.id if by else None})
    everyone.follow(session, api, plan)
    token_keys.ask(session, document)
    revision.touch(session)
    return release


def _readable(api: Api, values: dict[str, Any]) -> Document:
    try:
        return read_document(values)
    except Invalid as error:
        raise Conflict(
            f"This version of Portico cannot read the document of {api.name}: {error} Change the draft and publish it."
        ) from error


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
